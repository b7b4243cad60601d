"""The proxy when something goes wrong: replicas and Envoy killed, ports taken, configurations refused."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.targets.local.proxy_rig import Rig, open_rig

from failback.drill.load import Load, run_load
from failback.model.errors import TargetUnavailable
from failback.targets.local.proxy import Proxy

RATE_PER_S = 200


@pytest.fixture
def rig(tmp_path: Path, run_dir: Path) -> Iterator[Rig]:
    with open_rig(tmp_path, run_dir) as one:
        yield one


@pytest.mark.parametrize("keep_alive", [False, True], ids=["new connections", "kept connections"])
async def test_a_replica_killed_under_load_loses_no_safe_request(rig: Rig, keep_alive: bool) -> None:
    """A process dies at any instant; what it had not answered may be asked of another, where that is safe."""
    ports = rig.service("one", 2)
    proxy = await rig.up(r1=ports)
    done = asyncio.Event()
    load = asyncio.create_task(run_load(f"{rig.url}wait/0.02", RATE_PER_S, done, keep_alive=keep_alive))
    for _ in range(3):
        await asyncio.sleep(0.4)
        rig.kill(ports[0])
        await asyncio.sleep(0.4)
        rig.service("one", ports=[ports[0]])
    done.set()

    report = await load

    assert report.by_kind == {}, report.failures
    assert report.sent > 300
    assert (await proxy.counters()).failed == 0


async def test_a_dead_replica_is_asked_a_few_times_and_then_left_alone(rig: Rig) -> None:
    """Each try at a dead one costs a user some milliseconds. It is tried again from time to time: it may be back."""
    ports = rig.service("one", 2)
    proxy = await rig.up(r1=ports)
    rig.kill(ports[0])

    report = await run_load(rig.url, RATE_PER_S, 4.0)
    tries = sum(int(n) for n in proxy.admin.stats(r"^cluster\.rev-r1\.upstream_cx_connect_fail$").values())
    rig.service("one", ports=[ports[0]])
    await asyncio.sleep(5.5)  # the longest that one is left out
    await run_load(rig.url, RATE_PER_S, 1.0)

    assert report.by_kind == {}
    assert 1 <= tries <= report.sent / 20
    assert len(await rig.seen(ports[0])) > 20


async def test_a_dead_replica_loses_no_order(rig: Rig) -> None:
    """A POST may be sent again as long as nothing of it has reached a replica: here none could connect."""
    ports = rig.service("one", 2)
    await rig.up(r1=ports)
    rig.kill(ports[0])

    report = await run_load(f"{rig.url}order", RATE_PER_S, 1.0, method="POST", body=b"1 tea")

    assert report.by_kind == {}


async def test_an_order_that_a_dying_replica_may_have_taken_is_not_sent_twice(rig: Rig) -> None:
    """The look-alike: it did connect, so nobody knows whether the order was booked. One failure, honestly counted."""
    ports = rig.service("one", 2)
    proxy = await rig.up(r1=ports)
    order = asyncio.create_task(rig.ask("/wait/3", "POST", "Content-Length: 5\r\n", b"1 tea"))
    await asyncio.sleep(0.3)
    asked = [port for port in ports if any("POST" in line for line in await rig.seen(port))]

    rig.kill(asked[0])
    answer = await order

    assert len(asked) == 1
    assert answer.startswith("HTTP/1.1 503")
    assert not [line for port in ports if port != asked[0] for line in await rig.seen(port)]
    assert dict((await proxy.counters()).by_kind) == {"reset": 1}


async def test_the_only_replica_is_never_left_out(rig: Rig) -> None:
    """Leaving out is for choosing a better one; where there is none, users get it back the moment it is back."""
    ports = rig.service("one")
    await rig.up(r1=ports)
    rig.kill(ports[0])
    for _ in range(10):
        assert "503" in await rig.ask()
    rig.service("one", ports=ports)

    assert "200 OK" in await rig.ask()


async def test_an_application_that_answers_500_is_not_left_out(rig: Rig) -> None:
    """Its answers are what the bake is there to judge; hiding one replica would hide the fault."""
    ports = rig.service("one", 2)
    proxy = await rig.up(r1=ports)

    report = await run_load(f"{rig.url}status/500", RATE_PER_S, 1.0)

    assert report.by_kind == {"status 500": report.sent}
    shares = [len(await rig.seen(port)) for port in ports]
    assert min(shares) > report.sent / 5, shares
    assert (await proxy.counters()).failed == report.sent


async def test_envoy_killed_and_started_again_serves_as_before_and_says_that_it_forgot(rig: Rig) -> None:
    """The files bring the routing back; the counts are gone, so the epoch differs and no one may say ZERO."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("two"))
    await proxy.route("r2")
    before = await proxy.counters()
    rig.envoys[0].kill()
    rig.envoys[0].wait()

    rig.envoy()
    await proxy.ready()
    answer = await rig.ask()
    after = await proxy.counters()

    assert "x-release: two" in answer
    assert before.epoch != after.epoch
    assert after.requests == 1
    assert proxy.routed() == "r2"


async def test_while_envoy_lives_its_epoch_stays(rig: Rig) -> None:
    """The look-alike: switches, new clusters and another reader are no restart."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("two"))
    before = (await proxy.counters()).epoch
    await proxy.route("r2")
    await proxy.remove("r1")
    other = Proxy(proxy.folder, Path(proxy.socket_path).parent, proxy.service, proxy.listen)

    assert {before} == {(await proxy.counters()).epoch, (await other.counters()).epoch}
    await other.close()


async def test_killing_envoy_leaves_nothing_in_shared_memory(rig: Rig) -> None:
    """With hot restart each kill would leave a file there for good."""
    shared = Path("/dev/shm")
    before = set(shared.iterdir()) if shared.exists() else set()
    await rig.up(r1=rig.service("one"))
    rig.envoys[0].kill()
    rig.envoys[0].wait()

    after = set(shared.iterdir()) if shared.exists() else set()

    assert not [path for path in after - before if "envoy" in path.name]


async def test_routes_written_while_envoy_is_down_are_in_force_when_it_is_back(rig: Rig) -> None:
    """The file is the truth: a switch back must not depend on Envoy being there at that moment."""
    proxy = await rig.up(r1=rig.service("one"), r2=rig.service("two"))
    rig.envoys[0].kill()
    rig.envoys[0].wait()
    switch = asyncio.create_task(proxy.route("r2"))
    await asyncio.sleep(0.3)

    rig.envoy()
    await switch

    assert "x-release: two" in await rig.ask()


async def test_a_dead_envoy_is_said_to_be_dead(rig: Rig) -> None:
    proxy = await rig.up(r1=rig.service("one"))
    rig.envoys[0].kill()
    rig.envoys[0].wait()

    with pytest.raises(TargetUnavailable, match="does not answer"):
        await proxy.counters()
    with pytest.raises(TargetUnavailable, match=r"did not confirm|does not answer"):
        await proxy.route(None)
    assert not proxy.is_live()


async def test_refused_clusters_are_told_with_the_reason_and_taken_back(rig: Rig) -> None:
    """A file that Envoy refuses would be what its next start finds: then nothing would serve."""
    proxy = await rig.up(r1=rig.service("one"))
    before = proxy.revisions()

    with pytest.raises(TargetUnavailable) as told:
        await proxy.set_clusters({**before, "r2": [99_999]})

    assert "update_rejected" in told.value.message
    assert "65535" in told.value.message
    assert proxy.revisions() == before
    rig.envoys[0].kill()
    rig.envoys[0].wait()
    rig.envoy()
    await proxy.ready()
    assert "x-release: one" in await rig.ask()
    await proxy.set_clusters({**before, "r2": rig.service("two")})  # the next good ones are taken


async def test_a_port_in_use_is_said_at_once_and_taken_when_it_is_free(tmp_path: Path, run_dir: Path) -> None:
    """Two proxies must never share a port: each would get half of the other's users."""
    with socket.socket() as other, open_rig(tmp_path, run_dir) as rig:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", rig.port))
        other.listen()
        rig.proxy.prepare()
        rig.envoy()

        with pytest.raises(TargetUnavailable, match="already in use"):
            await rig.proxy.ready(60)

        assert not rig.proxy.is_live()
        other.close()
        await rig.proxy.ready()
        assert rig.proxy.is_live()


async def test_an_envoy_whose_supervisor_was_killed_makes_room_for_its_successor(rig: Rig) -> None:
    """It still holds the port, and nobody can talk to it any more; until then it serves."""
    proxy = await rig.up(r1=rig.service("one"))
    rig.envoy()  # what a new supervisor of this home does
    await asyncio.sleep(0.5)
    meanwhile = await rig.ask()

    await proxy.ready()

    assert "x-release: one" in meanwhile
    assert rig.envoys[0].wait(10) is not None
    assert rig.envoys[1].poll() is None
    assert "x-release: one" in await rig.ask()


async def test_another_homes_envoy_is_left_alone(rig: Rig, tmp_path: Path, run_dir: Path) -> None:
    """The look-alike: the port is held by an Envoy that is not ours."""
    await rig.up(r1=rig.service("one"))
    with open_rig(tmp_path / "other", run_dir / "other", f"127.0.0.1:{rig.port}") as other:
        other.proxy.prepare()
        other.envoy()
        with pytest.raises(TargetUnavailable, match="already in use"):
            await other.proxy.ready()

    assert rig.envoys[0].poll() is None
    assert "x-release: one" in await rig.ask()


async def test_a_home_with_a_path_of_200_characters(tmp_path: Path, run_dir: Path) -> None:
    """A socket's path may have 107 characters: only the run folder counts for it."""
    deep = tmp_path / "/".join(["a" * 49] * 4)
    with open_rig(deep, run_dir) as rig:
        deep.mkdir(parents=True)
        await rig.up(r1=rig.service("one"))

        assert "x-release: one" in await rig.ask()
        assert len(str(rig.proxy.folder)) > 200


async def test_a_service_with_a_long_name_has_a_socket_of_its_own(tmp_path: Path, run_dir: Path) -> None:
    long = "checkout-of-the-shop-in-europe"
    proxies = [Proxy(tmp_path / "p", run_dir, f"{long}-{end}", "127.0.0.1:1") for end in ("a", "b")]

    assert len({proxy.socket_path for proxy in proxies}) == 2
    assert all(len(proxy.socket_path) < 100 for proxy in proxies)


async def test_every_stall_of_the_load_is_seen(rig: Rig) -> None:
    """A service that stops for a moment must show in each request that was due meanwhile."""
    ports = rig.service("one")
    await rig.up(r1=ports)
    load = Load(rig.url, RATE_PER_S)
    running = asyncio.create_task(load.run(seconds=1.5))
    await asyncio.sleep(0.5)
    process = rig.services[ports[0]]
    os.kill(process.pid, 19)
    time_stopped = time.monotonic()
    await asyncio.sleep(0.5)
    os.kill(process.pid, 18)
    stopped_ms = (time.monotonic() - time_stopped) * 1000

    report = await running

    assert report.latency_ms["max"] > stopped_ms * 0.8
    assert report.latency_ms["p90"] > stopped_ms * 0.4  # a third of the requests were due while it stood still
    assert report.failed == 0
