"""Error lines of the new pods that the stable ones do not print, however much is printed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

import pytest

from failback.model.redaction import Redactor
from failback.targets.kubernetes import loglines as module
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.loglines import LogLines, Usual
from tests.targets.kubernetes.objects import ended, pod, running

REFUSED = b"ERROR cannot charge card 4711: provider said no"
USUAL = b"ERROR cache miss for user 42"
STABLE = pod(running(), name="old", uid="old")


class Server:
    """`lines`: what the new container prints, then it lives on in silence; `old`: the stable one's log."""

    def __init__(self, lines: Sequence[bytes] = (), old: str = "", endless: bytes = b"") -> None:
        self.lines = lines
        self.old = old
        self.endless = endless
        self.followed = 0
        self.read = 0

    async def follow(self, name: str, container: str, *, since_s: int | None = None) -> AsyncGenerator[bytes, None]:
        self.followed += 1
        for line in self.lines:
            yield line
        while self.endless:
            await asyncio.sleep(0)
            yield self.endless
        await asyncio.Event().wait()

    async def logs(self, name: str, container: str, *, previous: bool = False, tail_bytes: int = 0) -> str:
        self.read += 1
        return "" if previous else self.old


def following(server: Server, *, stable: Sequence[dict[str, Any]] = (STABLE,), ready: bool = True) -> LogLines:
    cluster = cast(Cluster, server)
    redactor = Redactor(["hunter2-secret"])
    return LogLines(cluster, redactor, Usual(cluster, lambda: stable), lambda uid: ready, lambda: None)


async def seen(lines: LogLines, one: dict[str, Any], enough: Callable[[tuple[str, ...]], bool]) -> Any:
    for _ in range(500):
        found = lines.errors(one)
        if enough(found[0]):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(lines.errors(one))


async def test_a_new_error_line_is_told_with_how_often_it_came() -> None:
    new = pod(running())
    lines = following(Server([b"listening", REFUSED, REFUSED]))
    lines.seen(new)

    told, counts = await seen(lines, new, bool)

    assert counts == (2,)
    assert "cannot charge card" in told[0]
    await lines.close()


async def test_what_the_stable_pods_print_too_is_not_new() -> None:
    new = pod(running())
    lines = following(Server([USUAL, REFUSED], old="ERROR cache miss for user 7\n"))
    lines.seen(new)

    told, _ = await seen(lines, new, bool)

    assert len(told) == 1
    assert "cache miss" not in told[0]
    await lines.close()


async def test_lines_from_before_it_was_ready_are_told_and_not_counted() -> None:
    """It has got over them."""
    new = pod(running())
    lines = following(Server([REFUSED]), ready=False)
    lines.seen(new)

    assert (await seen(lines, new, bool))[1] == (0,)
    await lines.close()


async def test_without_a_stable_revision_nothing_is_new() -> None:
    """A first deployment: nobody says what is usual."""
    new = pod(running())
    server = Server([REFUSED] * 5)
    lines = following(server, stable=())
    lines.seen(new)
    await asyncio.sleep(0.6)

    assert lines.errors(new) == ((), ())
    await lines.close()


async def test_each_run_is_followed_once() -> None:
    new = pod(running())
    server = Server([REFUSED])
    lines = following(server)
    for _ in range(3):
        lines.seen(new)
    await seen(lines, new, bool)

    assert server.followed == 1
    lines.seen(pod(running(restarts=1)))
    await asyncio.sleep(0.1)
    assert server.followed == 2
    await lines.close()


async def test_a_container_that_ended_is_followed_no_more() -> None:
    lines = following(Server())
    lines.seen(pod(ended()))
    await asyncio.sleep(0.05)

    assert not lines._following
    await lines.close()


async def test_a_flood_is_left_and_taken_up_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of each second is looked at; what is kept does not grow."""
    monkeypatch.setattr(module, "_SECOND_BYTES_MAX", 200_000)
    new = pod(running())
    server = Server(endless=REFUSED * 100)
    lines = following(server)
    lines.seen(new)

    await seen(lines, new, bool)
    for _ in range(400):
        if server.followed >= 2:
            break
        await asyncio.sleep(0.01)

    assert server.followed >= 2
    await lines.close()


async def test_secrets_in_lines_are_masked() -> None:
    new = pod(running())
    lines = following(Server([b"ERROR cannot log in with hunter2-secret"]))
    lines.seen(new)

    told, _ = await seen(lines, new, bool)

    assert "hunter2" not in told[0]
    await lines.close()
