"""The requests that failback itself sends, against real sockets: each way of not answering has its own words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from failback.targets.local.ports import free_ports
from failback.targets.local.probing import ready_check, smoke_request


@asynccontextmanager
async def _answering(
    answer: bytes | None, *, after_s: float = 0.0, keep: list[bytes] | None = None
) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read(65536)
        if keep is not None:
            keep.append(asked)
        await asyncio.sleep(after_s)
        if answer is not None:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _ok(body: bytes = b"fine", status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("status", "good"), [("200 OK", True), ("302 Found", True), ("404 No", False), ("503 Not yet", False)]
)
async def test_ready_is_any_answer_below_400(status: str, good: bool) -> None:
    """A redirect to a login page is a running service; an answer of 503 is one that says it is not ready."""
    async with _answering(_ok(status=status)) as port:
        assert (await ready_check("r1-1", port, {"path": "/"})).passed is good


async def test_ready_with_a_status_of_the_plan() -> None:
    """A service whose health page answers 401 without credentials is ready if the plan says so."""
    async with _answering(_ok(status="401 No")) as port:
        assert (await ready_check("r1-1", port, {"path": "/", "status": (401,)})).passed
        assert not (await ready_check("r1-1", port, {"path": "/", "status": (200,)})).passed


async def test_nobody_listens() -> None:
    """The usual answer while a process starts: no error of ours, and quick."""
    probe = await ready_check("r1-1", free_ports(1)[0], {"path": "/"})

    assert (probe.passed, probe.status, probe.error) == (False, None, "connection refused")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        b"\x15\x03\x01\x00\x02\x02P",
    ],
    ids=["closed", "no http", "cut short", "tls"],
)
async def test_an_answer_that_is_none(answer: bytes | None) -> None:
    """Another protocol on the port, or a process that died while it answered: not passed, with a reason."""
    async with _answering(answer) as port:
        probe = await smoke_request("r1-1", port, {"path": "/"}, None)

        assert not probe.passed
        assert probe.error


@pytest.mark.parametrize(
    ("check", "passed", "says"),
    [
        ({"status": 200}, True, None),
        ({"status": (200, 204)}, True, None),
        ({"status": 201}, False, "answered 200"),
        ({"body": "fine"}, True, None),
        ({"body": "better"}, False, "the body does not contain 'better'"),
        ({"max_ms": 5000}, True, None),
    ],
    ids=str,
)
async def test_smoke_is_judged_by_status_and_body(check: dict[str, Any], passed: bool, says: str | None) -> None:
    """Each condition of the plan, met and not met."""
    async with _answering(_ok()) as port:
        probe = await smoke_request("r1-1", port, {"path": "/", **check}, None)

        assert (probe.passed, probe.error) == (passed, says)


async def test_a_good_answer_that_comes_too_late_has_not_passed() -> None:
    """Ready but slow: what users would feel."""
    async with _answering(_ok(), after_s=0.2) as port:
        probe = await smoke_request("r1-1", port, {"path": "/", "max_ms": 50}, None)

        assert not probe.passed
        assert (probe.error or "").startswith("took ")


@pytest.mark.parametrize("name", ["Host", "host", "HOST"])
async def test_a_host_of_the_plan_replaces_ours(name: str) -> None:
    """Names of headers have no case: two Host headers are refused by every server, and by h11."""
    asked: list[bytes] = []
    async with _answering(_ok(), keep=asked) as port:
        probe = await smoke_request("r1-1", port, {"path": "/", "headers": {name: "notes.example"}}, None)

    assert probe.error is None
    assert b"notes.example" in asked[0]
    assert asked[0].lower().count(b"\r\nhost:") == 1


async def test_a_large_body_is_not_kept() -> None:
    """A health page that streams the database must not fill our memory, nor the evidence."""
    async with _answering(_ok(b"x" * 3_000_000)) as port:
        probe = await smoke_request("r1-1", port, {"path": "/"}, None)

        assert probe.passed
        assert len(probe.body_head) <= 400


async def test_a_trickling_answer_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte a second for ever is no answer."""
    monkeypatch.setattr("failback.targets.expectations.SMOKE_S_MAX", 0.2)
    async with _answering(_ok(), after_s=30) as port:
        probe = await smoke_request("r1-1", port, {"path": "/"}, None)

        assert not probe.passed
        assert "no answer within" in (probe.error or "")
