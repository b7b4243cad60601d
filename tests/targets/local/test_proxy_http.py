"""What the proxy does to requests and answers: nothing that an application or a user would notice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.targets.local.proxy_rig import Rig, open_rig

from failback.targets.local.ports import free_ports
from failback.targets.local.proxy_files import addresses


@pytest.fixture
def rig(tmp_path: Path, run_dir: Path) -> Iterator[Rig]:
    with open_rig(tmp_path, run_dir) as one:
        yield one


async def test_the_application_sees_who_asks_and_whom(rig: Rig) -> None:
    await rig.up(r1=rig.service("one"))

    seen = (await rig.ask("/head")).lower().splitlines()

    assert "host: notes.test" in seen
    assert "x-forwarded-for: 127.0.0.1" in seen
    assert "x-forwarded-proto: http" in seen
    assert not [line for line in seen if "envoy" in line]


async def test_what_a_proxy_in_front_has_said_is_passed_on(rig: Rig) -> None:
    """Behind a TLS proxy an application that is told "http" redirects to https for ever."""
    await rig.up(r1=rig.service("one"))

    head = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: abc\r\n"
    seen = (await rig.ask("/head", head=head)).lower().splitlines()

    assert "x-forwarded-for: 203.0.113.7,127.0.0.1" in [line.replace(", ", ",") for line in seen]
    assert "x-forwarded-proto: https" in seen
    assert "x-request-id: abc" in seen


async def test_a_user_cannot_make_his_own_request_fail(rig: Rig) -> None:
    """Envoy has headers that set time-outs: a user who sends them would look like a bad release."""
    proxy = await rig.up(r1=rig.service("one"))

    answer = await rig.ask(
        "/wait/0.3", head="x-envoy-upstream-rq-timeout-ms: 20\r\nx-envoy-expected-rq-timeout-ms: 20\r\n"
    )

    assert "200 OK" in answer
    assert (await proxy.counters()).failed == 0


async def test_paths_are_passed_as_they_came(rig: Rig) -> None:
    ports = rig.service("one")
    await rig.up(r1=ports)
    path = "/a/./b/../c//d%2Fe%20f?q=%2e%2e&x=1;2"

    await rig.ask(path)

    assert await rig.seen(ports[0]) == [f"GET {path} notes.test"]


async def test_answers_come_as_the_application_made_them(rig: Rig) -> None:
    await rig.up(r1=rig.service("one"))

    answer = (await rig.ask()).lower()

    assert "server: mine/1" in answer
    assert "envoy" not in answer


async def test_streams_come_piece_by_piece(rig: Rig) -> None:
    """Server-sent events, logs, slow reports: nothing waits for the end."""
    await rig.up(r1=rig.service("one"))
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(b"GET /stream/20 HTTP/1.1\r\nHost: x\r\n\r\n")

    await asyncio.wait_for(reader.readuntil(b"tick"), 1.5)  # the whole takes 2 s
    writer.close()


async def test_an_old_client_is_served(rig: Rig) -> None:
    """HTTP/1.0 without a host: what health checks of old balancers send."""
    await rig.up(r1=rig.service("one"))
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")

    answer = await reader.read()
    writer.close()

    assert b" 200 OK" in answer


async def test_every_address_of_both_families(tmp_path: Path, run_dir: Path) -> None:
    """ ":8080" means every address here as elsewhere."""
    port = free_ports(1)[0]
    with open_rig(tmp_path, run_dir, f":{port}") as rig:
        proxy = await rig.up(r1=rig.service("one"))

        for host, _ in addresses(rig.proxy.listen):
            answer = await rig.ask(host={"0.0.0.0": "127.0.0.1", "::": "::1"}[host])
            assert "x-release: one" in answer
        assert proxy.listens_on(f":{port}")


async def test_one_address_alone(tmp_path: Path, run_dir: Path) -> None:
    """The one that was named, of IPv6 where the machine has it, and no other."""
    port = free_ports(1)[0]
    has_ipv6 = len(addresses(":1")) == 2
    named, other = ("::1", "127.0.0.1") if has_ipv6 else ("127.0.0.1", "127.0.0.2")
    with open_rig(tmp_path, run_dir, f"[{named}]:{port}" if has_ipv6 else f"{named}:{port}") as rig:
        await rig.up(r1=rig.service("one"))

        assert "x-release: one" in await rig.ask(host=named)
        with pytest.raises(ConnectionRefusedError):
            await rig.ask(host=other)


async def test_the_log_is_quiet_and_holds_nothing_of_a_request(rig: Rig) -> None:
    """Addresses, tokens and bodies of users are none of the proxy's log's business."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("two"))
    secret = "hunter2-in-a-request"
    for path in (f"/?token={secret}", f"/abort?{secret}", f"/status/500?{secret}"):
        await rig.ask(path, head=f"Authorization: Bearer {secret}\r\n")
    await rig.ask(head=f"Transfer-Encoding: {secret}\r\n")
    await proxy.route("r2")

    text = rig.log.read_text()

    assert secret not in text
    assert len(text) < 2_000, text
    assert not [path for path in (rig.folder / "proxy").rglob("*") if path.is_file() and secret in path.read_text()]
