"""Looks at a revision while it is judged: its pods, what the cluster says of them, their logs, and our own requests.

Everything that can be watched is, scoped to this revision by its labels and names; nothing else of the cluster is
read. A picture is given whenever something changed, and only while the API server is heard: what nobody sees is not
judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from failback.model.errors import TargetUnavailable
from failback.model.evidence import ProbeResult
from failback.model.observation import ReplicaView, Stage, TrafficView, View
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.ends import Ends
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.loglines import LogLines, Usual
from failback.targets.kubernetes.memory import Memory
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.nodes import Nodes
from failback.targets.kubernetes.pods import (
    condition,
    evicted,
    is_leaving,
    is_ready,
    running_since,
    seconds_of,
    waiting,
)
from failback.targets.kubernetes.probing import Prober, Sampler
from failback.targets.kubernetes.reaching import Reach
from failback.targets.kubernetes.saying import Sayings
from failback.targets.kubernetes.site import Site
from failback.targets.kubernetes.telling import Telling

_LOOK_S_MAX = 0.25
_JUST_LAUNCHED_S = 2.0
_BLIND_S_MAX = 120.0
_GONE_KEPT = 20
_PROBES_KEPT = 400


@dataclass
class Judged:
    """One workload whose new revision is judged. `label`: "pod-template-hash" or "controller-revision-hash"."""

    unit: Unit
    label: str
    hash: str  # of the new revision
    stable: str | None
    replicas: int
    services: tuple[str, ...]

    def selector(self, revision: str) -> str:
        return f"{self.label}={revision}"


class Counting(Protocol):
    """Who counts requests while the revision bakes, if anybody does (`traffic.Traffic`)."""

    @property
    def counts(self) -> bool: ...

    def view(self) -> TrafficView | None: ...

    def copies(self, *, ready: bool) -> TrafficView | None: ...


@dataclass(slots=True)
class _Pod:
    """One new pod: its latest state, and when what was seen first. Seconds since the launch."""

    state: Object
    running_at_s: float | None = None  # of its present run
    gone: bool = False


class Watch:
    """One watch over one revision; `views` yields the picture whenever it changed. `traffic`: counts of users'
    requests, where somebody has them (`traffic.Traffic`)."""

    def __init__(
        self,
        site: Site,
        judged: Sequence[Judged],
        checks: Mapping[str, Any],
        launched_unix_s: float,
        cut_over_unix_s: float | None,
        traffic: Counting | None = None,
    ) -> None:
        self._site = site
        self._judged = tuple(judged)
        self._checks = checks
        self._launched = launched_unix_s
        self._cut_over = cut_over_unix_s
        self._mono = time.monotonic() - max(0.0, time.time() - launched_unix_s)
        self._watched_since_s = self.now_s() if self.now_s() > _JUST_LAUNCHED_S else 0.0
        self._bell = asyncio.Event()
        self._pods: dict[str, _Pod] = {}  # by uid
        self._stable: list[Mirror] = []
        self._live = False
        cluster, ring = site.cluster, self._bell.set
        self._traffic = traffic
        self._reach = Reach(cluster)
        self._sayings = Sayings(site.redactor, self.now_s, launched_unix_s)
        self._ends = Ends(cluster, site.redactor, self.now_s, launched_unix_s, ring)
        self._nodes = Nodes(cluster, ring)
        dark = cut_over_unix_s is None
        self._prober = Prober(
            self._reach, checks, self._stable_ready, self._nodes, self.now_s, ring, self._keep, smoking=dark
        )
        usual = Usual(cluster, self._stable_ready)
        self._lines = LogLines(cluster, site.redactor, usual, self._prober.was_ready, ring)
        selectors = [(one.unit, one.selector(one.hash)) for one in self._judged]
        self._telling = Telling(cluster, self._sayings, selectors, ring)
        self._memory = Memory(
            cluster,
            [labels for _, labels in selectors],
            lambda: [pod.state for pod in self._pods.values() if not pod.gone],
        )
        self._sampler: Sampler | None = None
        if not dark and (traffic is None or not traffic.counts):
            self._sampler = Sampler(self._reach, checks, self._new_ready, self._stable_ready, self._nodes, ring)

    def now_s(self) -> float:
        """Seconds since the launch."""
        return time.monotonic() - self._mono

    async def views(self) -> AsyncIterator[View]:
        """Ends never by itself; the caller stops at a sufficient verdict."""
        async with contextlib.AsyncExitStack() as stack:
            mirrors = await self._begin(stack)
            blind_since: float | None = None
            while True:
                self._bell.clear()
                if any(mirror.blind for mirror in mirrors):
                    blind_since = blind_since or time.monotonic()
                    if time.monotonic() - blind_since > _BLIND_S_MAX:
                        raise TargetUnavailable(
                            f"The API server {self._site.cluster.server} has not been heard for {_BLIND_S_MAX:.0f} s."
                        )
                else:
                    if blind_since is not None:
                        blind_since, self._watched_since_s = None, self.now_s()
                    yield self._view()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S_MAX):
                        await self._bell.wait()

    # Beginning

    async def _begin(self, stack: contextlib.AsyncExitStack) -> list[Mirror]:
        """Follows the stable pods first, so that nothing new is judged without them."""
        for part in (self._prober, self._lines, self._ends, self._nodes, self._telling):
            stack.push_async_callback(part.close)
        cluster = self._site.cluster
        names = dict.fromkeys(name for one in self._judged for name in one.services)
        services = await asyncio.gather(*(cluster.get("Service", name) for name in names))
        self._reach.services = [one for one in services if one is not None]
        for one in self._judged:
            if one.stable is not None and one.stable != one.hash:
                stable = Mirror(cluster, "Pod", labels=one.selector(one.stable))
                self._stable.append(await stack.enter_async_context(stable))
        mirrors = []
        for one in self._judged:
            mirror = Mirror(cluster, "Pod", labels=one.selector(one.hash), on_change=self._take)
            mirrors.append(await stack.enter_async_context(mirror))
        self._live = True
        self._telling.begin()
        self._run(stack, self._memory.run())
        if self._sampler is not None:
            self._run(stack, self._sampler.run())
        return mirrors

    def _run(self, stack: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(end)

    # What comes in

    def _take(self, change: str, state: Object) -> None:
        uid = state["metadata"]["uid"]
        pod = self._pods.setdefault(uid, _Pod(state))
        pod.state = state
        pod.gone = pod.gone or change == "DELETED"
        since = running_since(state)
        if since is None:
            pod.running_at_s = None
        elif pod.running_at_s is None:
            pod.running_at_s = self.now_s() if self._live else self._at_s(since)
        self._ends.seen(state, live=self._live)
        if not pod.gone:
            changed = seconds_of(condition(state, "Ready").get("lastTransitionTime"))
            # Whole seconds, rounded down: an end of the same second came before the readiness that followed it.
            ready_at_s = self.now_s() if self._live or changed is None else self._at_s(changed + 0.999)
            self._prober.seen(state, ready=is_ready(state), at_s=ready_at_s)
            self._lines.seen(state)
            self._nodes.seen(state)
        self._telling.pod(state)
        self._forget()
        self._bell.set()

    def _forget(self) -> None:
        gone = [uid for uid, pod in self._pods.items() if pod.gone]
        for uid in gone[:-_GONE_KEPT]:
            del self._pods[uid]

    def _keep(self, name: str, answer: ProbeResult) -> None:
        kept = self._site.probes.setdefault(name, [])
        if len(kept) < _PROBES_KEPT:
            kept.append(answer)

    def _at_s(self, unix_s: float) -> float:
        return min(max(0.0, unix_s - self._launched), self.now_s())

    # The picture

    def _view(self) -> View:
        dark = self._cut_over is None
        return View(
            at_s=self.now_s(),
            stage=Stage.DARK if dark else Stage.BAKE,
            replicas_wanted=sum(one.replicas for one in self._judged),
            replicas=tuple(
                self._replica(pod) for pod in sorted(self._pods.values(), key=lambda one: one.state["metadata"]["name"])
            ),
            statements=self._sayings.all(),
            traffic=self._counted(),
            bake_started_s=None if self._cut_over is None else self._at_s(self._cut_over),
            watched_since_s=self._watched_since_s,
            autoscaled=self._telling.autoscaled,
        )

    def _counted(self) -> TrafficView | None:
        if self._sampler is not None:
            return self._sampler.view()
        if self._traffic is None:
            return None
        if self._cut_over is not None:
            return self._traffic.view()
        if not (self._checks.get("mirror") or {}).get("enabled"):
            return None
        wanted = sum(one.replicas for one in self._judged)
        return self._traffic.copies(ready=len(self._new_ready()) >= wanted)

    def _replica(self, pod: _Pod) -> ReplicaView:
        state = pod.state
        asked = self._prober.of(state)
        limit, samples = self._memory.of(state)
        lines, counts = self._lines.errors(state)
        running = pod.running_at_s is not None and not pod.gone
        doubted = self._sampler is not None and state["metadata"]["uid"] in self._sampler.doubted
        return ReplicaView(
            name=state["metadata"]["name"],
            running=running,
            ready_at_s=asked.ready_at_s if asked else None,
            ready=bool(asked and asked.ready and running and not doubted),
            exits=self._ends.of(state),
            waiting=waiting(state),
            last_ready_check=asked.last if asked else None,
            smoke=tuple(asked.smoke) if asked else (),
            smoke_done=asked.smoke_done if asked else False,
            new_errors=lines,
            memory_bytes=samples[-1].bytes if samples else None,
            memory_limit_bytes=limit,
            node_lost=self._nodes.lost(state),
            deleted=pod.gone or is_leaving(state),
            evicted=evicted(state),
            started_at_s=pod.running_at_s or 0.0,
            ready_failures=asked.failures if asked else 0,
            unready_since_s=asked.unready_since_s if asked else None,
            denied_since_s=asked.denied_since_s if asked else None,
            raises_since_s=asked.raises_since_s if asked else None,
            smoke_wanted=self._prober.wanted,
            new_error_counts=counts,
            memory_samples=samples,
        )

    def _new_ready(self) -> list[Object]:
        return [pod.state for pod in self._pods.values() if not pod.gone and is_ready(pod.state)]

    def _stable_ready(self) -> list[Object]:
        return [pod for mirror in self._stable for pod in mirror.values() if is_ready(pod)]
