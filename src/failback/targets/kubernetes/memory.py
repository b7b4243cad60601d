"""Memory that the new pods use: of the kubelet's own summary where this account may see it, else of the metrics API,
else nobody knows. Neither can be watched, so they are asked now and then, and only for pods that have a limit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from failback.model.errors import FailbackError
from failback.model.evidence import MemorySample
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.pods import memory_limits, quantity, running_since, seconds_of

_EACH_S = 1.0
_METRICS_EACH_S = 10.0  # the metrics API takes a new sample every 15 s
_SAMPLES_MAX = 600
_PODS_MAX = 16
_METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"


class Memory:
    """`pods`: those to look at, as they are at that moment."""

    def __init__(self, cluster: Cluster, labels: Sequence[str], pods: Callable[[], Sequence[Object]]) -> None:
        self._cluster = cluster
        self._labels = labels
        self._pods = pods
        self._samples: dict[tuple[str, str], deque[MemorySample]] = {}  # (pod, container)
        self._started: dict[tuple[str, str], str] = {}

    async def run(self) -> None:
        """Ends where nobody tells."""
        while not self._limited():
            await asyncio.sleep(_EACH_S)
        if await self._may_see_summaries():
            await self._each(_EACH_S, self._from_kubelets)
        else:
            await self._each(_METRICS_EACH_S, self._from_metrics)

    def of(self, pod: Object) -> tuple[int | None, tuple[MemorySample, ...]]:
        """(the limit that counts, samples of the container nearest to its limit)."""
        name, limits = pod["metadata"]["name"], memory_limits(pod)
        if not limits:
            return None, ()
        known = {one: self._samples.get((name, one)) for one in limits}

        def share(container: str) -> float:
            samples = known[container]
            return samples[-1].bytes / max(1, limits[container]) if samples else 0.0

        nearest = max(limits, key=share)
        return limits[nearest], tuple(known[nearest] or ())

    async def _each(self, pause_s: float, look: Callable[[], Any]) -> None:
        refused = 0
        while refused < 3:
            try:
                await look()
                refused = 0
            except FailbackError:
                refused += 1
            await asyncio.sleep(pause_s)

    async def _may_see_summaries(self) -> bool:
        try:
            return await self._cluster.can("get", "Node", sub="proxy")
        except FailbackError:
            return False

    async def _from_kubelets(self) -> None:
        limited = {pod["metadata"]["name"]: pod for pod in self._limited()}
        for node in {str(pod["spec"]["nodeName"]) for pod in limited.values()}:
            path = f"/api/v1/nodes/{node}/proxy/stats/summary"
            summary = await self._cluster.read(path, {"only_cpu_and_memory": "true"}, kind="node stats")
            for one in summary.get("pods") or ():
                about = one.get("podRef") or {}
                pod = limited.get(about.get("name"))
                if pod is None or about.get("namespace") != self._cluster.namespace:
                    continue
                for container in one.get("containers") or ():
                    memory = container.get("memory") or {}
                    used = memory.get("workingSetBytes")
                    if used is not None:
                        self._take(pod, container["name"], int(used), seconds_of(memory.get("time")))

    async def _from_metrics(self) -> None:
        limited = {pod["metadata"]["name"]: pod for pod in self._limited()}
        path = _METRICS.format(namespace=self._cluster.namespace)
        for labels in self._labels:
            answer = await self._cluster.read(path, {"labelSelector": labels}, kind="pod metrics")
            for one in answer.get("items") or ():
                pod = limited.get(one["metadata"]["name"])
                for container in one.get("containers") or () if pod is not None else ():
                    used = (container.get("usage") or {}).get("memory")
                    if used is not None and pod is not None:
                        self._take(pod, container["name"], quantity(used), seconds_of(one.get("timestamp")))

    def _take(self, pod: Object, container: str, used: int, at: float | None) -> None:
        """A restarted container begins anew."""
        key = (pod["metadata"]["name"], container)
        status = next(one for one in pod["status"]["containerStatuses"] if one["name"] == container)
        run = str(status.get("containerID"))
        if self._started.get(key) != run:
            self._started[key] = run
            self._samples[key] = deque(maxlen=_SAMPLES_MAX)
        began = running_since(pod)
        at_s = (at or time.time()) - began if began is not None else 0.0
        samples = self._samples[key]
        if not samples or at_s > samples[-1].at_s:
            samples.append(MemorySample(max(0.0, at_s), used))

    def _limited(self) -> list[Object]:
        return [pod for pod in self._pods() if running_since(pod) is not None and memory_limits(pod)][:_PODS_MAX]
