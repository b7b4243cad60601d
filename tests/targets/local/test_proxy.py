"""The proxy as users meet it: a real Envoy, real services, real load."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.targets.local.proxy_rig import Rig, open_rig

from failback.drill.load import run_load
from failback.model.errors import TargetUnavailable

RATE_PER_S = 200
SWITCHES = 40


@pytest.fixture
def rig(tmp_path: Path, run_dir: Path) -> Iterator[Rig]:
    with open_rig(tmp_path, run_dir) as one:
        yield one


@pytest.mark.parametrize("keep_alive", [False, True], ids=["new connections", "kept connections"])
async def test_forty_switches_under_load_lose_nothing_and_every_request_is_counted(rig: Rig, keep_alive: bool) -> None:
    """The promise of the whole target rests on this switch; and what is told of users rests on the count."""
    proxy = await rig.up(r1=rig.service("one", 2), r2=rig.service("two", 2))
    done = asyncio.Event()
    load = asyncio.create_task(run_load(rig.url, RATE_PER_S, done, keep_alive=keep_alive))
    took_ms = []

    for number in range(SWITCHES):
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await proxy.route(("r2", "r1")[number % 2])
        took_ms.append((time.monotonic() - began) * 1000)
    done.set()
    report = await load
    counted = await proxy.counters()

    print(f"confirmed after {statistics.median(took_ms):.1f} ms (median of {SWITCHES}; at most {max(took_ms):.1f})")
    print(f"{report.sent} requests, latency ms {report.latency_ms}, generator late by {report.late_ms_max} ms")
    assert report.by_kind == {}, report.failures
    assert report.ok == report.sent > SWITCHES * 0.05 * RATE_PER_S * 0.5
    assert set(report.answered_by) == {"one", "two"}
    assert (counted.requests, counted.failed, dict(counted.by_kind)) == (report.sent, 0, {})
    answered = {"r1": report.answered_by["one"].count, "r2": report.answered_by["two"].count}
    assert answered == {name: one.requests for name, one in counted.by_revision.items()}
    if keep_alive:
        assert report.connections < report.sent / 4  # the kept connections did follow the switch


async def test_a_switch_reaches_users_within_milliseconds(rig: Rig) -> None:
    """From the moment that the new routes are asked for to the first request answered by the other revision."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("two"))
    took_ms = []

    for number in range(SWITCHES):
        wanted, revision = (("two", "r2"), ("one", "r1"))[number % 2]
        began = time.monotonic()
        switch = asyncio.create_task(proxy.route(revision))
        while f"x-release: {wanted}" not in await rig.ask():
            pass
        took_ms.append((time.monotonic() - began) * 1000)
        await switch

    print(f"first answer by the other: {statistics.median(took_ms):.1f} ms (median of {SWITCHES}; {max(took_ms):.1f})")
    assert statistics.median(took_ms) < 250


async def test_after_route_has_returned_no_request_goes_to_the_former(rig: Rig) -> None:
    """ "Confirmed" is what phase 1 tells people: it must hold for the very next request, on every worker."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("two"))
    late = 0

    for number in range(60):
        wanted, revision = (("two", "r2"), ("one", "r1"))[number % 2]
        await proxy.route(revision)
        answers = await asyncio.gather(*(rig.ask() for _ in range(6)))
        late += sum(f"x-release: {wanted}" not in answer for answer in answers)

    assert late == 0


async def test_copies_go_to_the_dark_revision_and_its_failures_reach_nobody(rig: Rig) -> None:
    """Shadow traffic is worth having only if it can hurt nobody and does not count as users' requests."""
    dark_ports = rig.service("bad")
    proxy = await rig.up(r1=rig.service("one"), r2=dark_ports)
    await proxy.route("r1", mirror="r2")

    report = await run_load(rig.url, RATE_PER_S, 1.0)
    await rig.ask("/order", "POST", "Content-Length: 2\r\n", b"1x")
    await asyncio.sleep(0.3)  # copies are not waited for
    copies, users = await proxy.copies(), await proxy.counters(slow_ms=1000)
    dark = await rig.seen(dark_ports[0])

    assert (report.failed, report.ok) == (0, report.sent)
    assert set(report.answered_by) == {"one"}
    assert (copies["r2"].requests, copies["r2"].failed) == (report.sent, report.sent)
    assert (users.requests, users.failed) == (report.sent + 1, 0)
    assert users.by_revision["r2"].requests == 0
    assert set(dark) == {f"GET / 127.0.0.1:{rig.port}"}  # no POST, and the host as users sent it
    assert proxy.mirrored() == "r2"


async def test_every_kind_of_end_is_counted_for_what_it_was_to_the_user(rig: Rig) -> None:
    """Envoy's own counters were seen to miscount each of these; a user's own mistake is no failure of ours."""
    proxy = await rig.up(r1=rig.service("one"))
    await rig.ask()
    await rig.ask("/status/404")
    await rig.ask("/early", "POST", "Content-Length: 100000\r\n", b"only a part")
    await rig.ask(head="Transfer-Encoding: nonsense\r\n")  # Envoy answers 501 to what is no HTTP
    await rig.ask(head="Expect: 100-continue\r\nContent-Length: 0\r\n")  # two answers, one request
    _, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(b"GET /wait/5 HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.1)
    writer.transport.abort()  # the user has clicked elsewhere
    await asyncio.sleep(0.1)
    good = await proxy.counters()
    await rig.ask("/status/500")
    await rig.ask("/status/503")
    await rig.ask("/half")
    await rig.ask("/abort")
    await rig.ask("/abort", "POST", "Content-Length: 0\r\n")

    counted = await proxy.counters()

    assert (good.requests, good.failed) == (6, 0)
    assert (counted.requests, counted.failed) == (11, 5)
    assert dict(counted.by_kind) == {"5xx": 2, "reset": 3}
    assert counted.by_revision["r1"].failed == 5


async def test_slow_answers_are_counted_by_their_first_byte(rig: Rig) -> None:
    """A long download or stream of a quick service is not slow; an answer that lets users wait is."""
    proxy = await rig.up(r1=rig.service("one"))
    for path in ("/", "/", "/stream/6", "/wait/0.4"):
        await rig.ask(path)
    await asyncio.sleep(0.6)  # histograms are merged from time to time

    counted = await proxy.counters(slow_ms=250)

    assert counted.by_revision["r1"].slow == 1
    assert counted.requests == 4


async def test_what_a_removed_revision_did_to_users_stays_counted(rig: Rig) -> None:
    """The count of an execution is read at its end, when the failed revision has long left."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("bad"))
    await proxy.route("r2")
    await rig.ask()
    await proxy.route("r1")
    await proxy.remove("r2")

    counted = await proxy.counters()

    assert proxy.revisions().keys() == {"r1"}
    assert counted.by_revision["r2"].failed == 1
    assert (counted.requests, counted.failed) == (1, 1)


async def test_a_revision_in_use_is_not_removed(rig: Rig) -> None:
    proxy = await rig.up(r1=rig.service("one"))

    with pytest.raises(ValueError, match="still gets requests"):
        await proxy.remove("r1")

    assert "x-release: one" in await rig.ask()


async def test_a_revision_without_replicas_gets_no_route(rig: Rig) -> None:
    """Else every user would get a 503 from the moment of the switch on."""
    proxy = await rig.up(r1=rig.service("one"))

    with pytest.raises(TargetUnavailable, match="no replicas of r9"):
        await proxy.route("r9")

    assert proxy.routed() == "r1"


async def test_a_service_without_any_release_says_so(rig: Rig) -> None:
    proxy = await rig.up()

    answer = await rig.ask()

    assert answer.startswith("HTTP/1.1 503")
    assert "no release of this service is live" in answer
    assert proxy.routed() is None
    assert dict((await proxy.counters()).by_kind) == {"no-release": 1}


async def test_a_request_in_flight_ends_where_it_began_and_draining_sees_it(rig: Rig) -> None:
    """Old replicas are stopped when `active` says 0: it must count what still runs, web sockets too."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("two"))
    slow = asyncio.create_task(rig.ask("/wait/1"))
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(b"GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.2)

    await proxy.route("r2")
    during = await proxy.active("r1")
    writer.write(b"still here")
    echo = await reader.read(100)
    answer = await slow
    with_socket = await proxy.active("r1")
    writer.close()
    await asyncio.sleep(0.2)

    assert (during, with_socket, await proxy.active("r1")) == (2, 1, 0)
    assert echo == b"one:still here"
    assert "x-release: one" in answer
    assert (await proxy.counters()).failed == 0


async def test_the_same_write_twice_changes_nothing(rig: Rig) -> None:
    """After a kill the same writes are made again."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("two"))
    await proxy.route("r2")
    before = {path: path.read_bytes() for path in (rig.folder / "proxy").rglob("*.json")}

    proxy.prepare()
    await proxy.set_clusters(proxy.revisions())
    await proxy.route("r2")

    assert before == {path: path.read_bytes() for path in (rig.folder / "proxy").rglob("*.json")}
