"""Whether users could have reached the new release at all: the Services' endpoints, watched without a gap.

Promise: "spared" is said only when every change since the start was seen, no pod but the stable ones was in a slice
before the switch, and the stable ones never were fewer than at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

from failback.model.errors import FailbackError
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.mirror import Mirror, OnChange
from failback.targets.kubernetes.pods import is_owned_by
from failback.targets.kubernetes.watching import Judged

SWITCHED = "users were switched to the new release, and endpoints do not count requests"
FIRST = "nobody was served before this first release, and endpoints do not count the requests that came since"


def ready_pods(slices: Iterable[Object]) -> set[str]:
    """Names of the pods that get requests by these slices."""
    return {
        str((endpoint.get("targetRef") or {}).get("name") or "")
        for one in slices
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    }


class EndpointWatch:
    """From `start` to `close`. After `switched` the new release is meant to have users, and nothing more is claimed."""

    def __init__(self, cluster: Cluster, judged: Sequence[Judged]) -> None:
        self._cluster = cluster
        self._judged = judged
        self._stack = contextlib.AsyncExitStack()
        self._mirrors: list[Mirror] = []
        self._stable: dict[str, set[str]] = {}  # workload -> names of stable pods, those that have left included
        self._least: dict[str, int] = {}  # Service -> the fewest stable endpoints so far
        self._at_start: dict[str, int] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._reached: set[str] = set()
        self._others: set[str] = set()
        self._problem = ""
        self._switched = False

    async def start(self) -> None:
        """Raises nothing: what can't be watched is a claim less."""
        try:
            for one in self._judged:
                await self._follow(one)
        except FailbackError as problem:
            self._problem = problem.message
        if not any(one.services for one in self._judged):
            self._problem = "no Service leads to the workload"

    def switched(self) -> None:
        self._switched = True

    def claim(self) -> tuple[bool | None, str]:
        """(spared, why). None: nobody can tell."""
        if self._problem:
            return None, f"the endpoints were not watched: {self._problem}"
        gaps = sum(mirror.gaps for mirror in self._mirrors)
        if gaps or any(mirror.problem is not None for mirror in self._mirrors):
            return None, "the endpoints were not watched without a gap"
        if self._reached:
            return False, f"pods of the new release were endpoints: {', '.join(sorted(self._reached)[:3])}"
        fell = [name for name, count in self._least.items() if count < self._at_start[name]]
        if fell and not self._switched:
            name = fell[0]
            return False, f"Service/{name} fell to {self._least[name]} of {self._at_start[name]} stable endpoints"
        if self._switched:
            return None, SWITCHED if any(one.stable for one in self._judged) else FIRST
        kept = ", ".join(f"{self._least[name]} of {count}" for name, count in sorted(self._at_start.items()) if count)
        stayed = f", and the stable ones stayed {kept}" if kept else ""
        told = f"no request could reach the new release: none of its pods was ever an endpoint{stayed}"
        return True, f"{told} (watched without a gap)"

    async def close(self) -> None:
        for task in list(self._looking):
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        await self._stack.aclose()

    async def _follow(self, one: Judged) -> None:
        names = self._stable.setdefault(one.unit.told, set())
        if one.stable is not None:
            pods = Mirror(
                self._cluster,
                "Pod",
                labels=one.selector(one.stable),
                on_change=lambda change, pod: names.add(pod["metadata"]["name"]),
            )
            self._mirrors.append(await self._stack.enter_async_context(pods))
        for service in one.services:
            labels = f"kubernetes.io/service-name={service}"
            slices = Mirror(self._cluster, "EndpointSlice", labels=labels)
            self._mirrors.append(await self._stack.enter_async_context(slices))
            have = ready_pods(slices.values())
            # Whoever was an endpoint before anything began is not the new release.
            self._others |= have - names
            self._at_start[service] = self._least[service] = len(have & names)
            slices.on_change = self._looker(one, service, slices)

    def _looker(self, one: Judged, service: str, slices: Mirror) -> OnChange:
        return lambda change, obj: self._look(one, service, slices)

    def _look(self, one: Judged, service: str, slices: Mirror) -> None:
        if self._switched:
            return
        have = ready_pods(slices.values())
        stable = self._stable[one.unit.told]
        count = len(have & stable)
        if count > self._at_start[service]:
            # Slices follow the pods a moment later; from here on it may not fall again.
            self._at_start[service] = self._least[service] = count
        self._least[service] = min(self._least[service], count)
        for name in have - stable - self._others - self._reached:
            task = asyncio.create_task(self._identify(one, name))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    async def _identify(self, one: Judged, name: str) -> None:
        """A Service may select pods of other workloads, too; one that nobody can tell counts as the new release's."""
        try:
            pod = await self._cluster.get("Pod", name)
        except FailbackError:
            pod = None
        if pod is None or is_owned_by(pod, one.unit):
            self._reached.add(name)
        else:
            self._others.add(name)
