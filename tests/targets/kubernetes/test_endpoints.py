"""What the endpoints show, and what they do not: each way in which users might have been reached ends the claim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from failback.model.errors import NotPermitted
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.endpoints import SWITCHED, EndpointWatch, ready_pods
from failback.targets.kubernetes.failures import WatchExpired
from failback.targets.kubernetes.watching import Judged
from tests.targets.kubernetes.objects import pod

WEB = Judged(Unit("Deployment", "web", ("web",)), "pod-template-hash", "", "old", 2, ("web",))


def owned(name: str, by: str) -> dict[str, Any]:
    return pod(name=name, uid=name, ownerReferences=[{"kind": "ReplicaSet", "name": by, "controller": True}])


def slices(*names: str, version: int = 1, **conditions: bool) -> dict[str, Any]:
    endpoints = [{"targetRef": {"name": name}, "conditions": {"ready": True, **conditions}} for name in names]
    return {"metadata": {"name": "web-x", "resourceVersion": str(version)}, "endpoints": endpoints}


class Server:
    """Two stable pods behind the Service, and whatever a story then lets happen."""

    def __init__(self) -> None:
        self.pods = {name: owned(name, "web-old") for name in ("old-1", "old-2")}
        self.slices = slices("old-1", "old-2")
        self.changes: asyncio.Queue[Any] = asyncio.Queue()
        self.refuses = False

    async def listing(self, kind: str, **selectors: str) -> tuple[list[dict[str, Any]], str]:
        if self.refuses:
            raise NotPermitted("endpointslices is forbidden")
        if kind == "Pod":
            stable = [one for one in self.pods.values() if one["metadata"]["name"].startswith("old")]
            return [{**one, "metadata": {**one["metadata"], "resourceVersion": "1"}} for one in stable], "1"
        return [self.slices], "1"

    async def watch(self, kind: str, since: str, **selectors: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        while kind != "Pod":
            change = await self.changes.get()
            if isinstance(change, Exception):
                raise change
            yield "MODIFIED", change
        await asyncio.Event().wait()

    async def get(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.pods.get(name)

    def now(self, *names: str) -> None:
        self.changes.put_nowait(slices(*names, version=2 + self.changes.qsize()))


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def watch(server: Server) -> AsyncIterator[EndpointWatch]:
    made = EndpointWatch(cast(Cluster, server), [WEB])
    await made.start()
    yield made
    await made.close()


async def until(watch: EndpointWatch, holds: Callable[[bool | None, str], bool]) -> tuple[bool | None, str]:
    for _ in range(300):
        if holds(*watch.claim()):
            return watch.claim()
        await asyncio.sleep(0.01)
    raise AssertionError(watch.claim())


async def test_nothing_happened(watch: EndpointWatch) -> None:
    spared, why = watch.claim()

    assert spared is True
    assert why.endswith("the stable ones stayed 2 of 2 (watched without a gap)")


async def test_a_new_pod_in_a_slice_reaches_users(server: Server, watch: EndpointWatch) -> None:
    server.pods["new-1"] = owned("new-1", "web-new")

    server.now("old-1", "old-2", "new-1")

    _, why = await until(watch, lambda spared, _: spared is False)
    assert "new-1" in why


async def test_a_moment_in_a_slice_is_enough(server: Server, watch: EndpointWatch) -> None:
    """It is gone again by the time that anybody looks; what nobody can tell counts as the new release's."""
    server.now("old-1", "old-2", "new-1")
    server.now("old-1", "old-2")

    spared, _ = await until(watch, lambda spared, _: spared is False)
    assert spared is False


async def test_a_stable_pod_that_left_is_told(server: Server, watch: EndpointWatch) -> None:
    server.now("old-1")

    _, why = await until(watch, lambda spared, _: spared is False)
    assert why == "Service/web fell to 1 of 2 stable endpoints"


async def test_a_stable_pod_that_comes_late_is_no_fall(server: Server) -> None:
    """Slices follow the pods a moment later."""
    server.slices = slices("old-1")
    watch = EndpointWatch(cast(Cluster, server), [WEB])
    await watch.start()

    server.now("old-1", "old-2")

    _, why = await until(watch, lambda _, why: "2 of 2" in why)
    assert "stayed 2 of 2" in why
    await watch.close()


async def test_pods_of_another_workload_are_not_the_new_release(server: Server, watch: EndpointWatch) -> None:
    server.pods["shop-1"] = owned("shop-1", "shop-7d9f")

    server.now("old-1", "old-2", "shop-1")
    await asyncio.sleep(0.3)

    assert watch.claim()[0] is True


async def test_after_the_switch_nothing_is_claimed(server: Server, watch: EndpointWatch) -> None:
    watch.switched()
    server.now("new-1")
    await asyncio.sleep(0.1)

    assert watch.claim() == (None, SWITCHED)


async def test_forgotten_history_is_a_gap(server: Server, watch: EndpointWatch) -> None:
    server.changes.put_nowait(WatchExpired("too old", status=410, api_error={}))

    spared, why = await until(watch, lambda spared, _: spared is None)
    assert (spared, why) == (None, "the endpoints were not watched without a gap")


async def test_who_may_not_see_endpoints_claims_nothing(server: Server) -> None:
    server.refuses = True
    watch = EndpointWatch(cast(Cluster, server), [WEB])
    await watch.start()

    spared, why = watch.claim()

    assert spared is None
    assert "forbidden" in why
    await watch.close()


async def test_without_a_service_there_is_nothing_to_watch(server: Server) -> None:
    alone = Judged(Unit("Deployment", "worker"), "pod-template-hash", "", "old", 2, ())
    watch = EndpointWatch(cast(Cluster, server), [alone])
    await watch.start()

    assert watch.claim() == (None, "the endpoints were not watched: no Service leads to the workload")
    await watch.close()


def test_an_endpoint_that_is_not_ready_gets_no_request() -> None:
    assert ready_pods([slices("a", "b")]) == {"a", "b"}
    assert ready_pods([slices("a", ready=False)]) == set()
