"""What happened to users' requests during an execution, in the background from its opening on.

Three sources, of which the plan names one: a gateway's own counters; a steady probe of ours at the users' address,
which is a sample; and the endpoints, which are always watched and can show that no request could have failed.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from failback.model.observation import RequestCounts, TrafficView
from failback.model.release import TrafficCounters
from failback.targets.asking import ask
from failback.targets.expectations import Answer, Question
from failback.targets.kubernetes.endpoints import FIRST, SWITCHED, EndpointWatch
from failback.targets.kubernetes.gateway_counts import Gateway
from failback.targets.kubernetes.site import Site
from failback.targets.kubernetes.watching import Judged

PROBES_PER_S = 20
_COUNTS = "target.traffic can name a gateway that does, or an address to probe"
_PROBE_S_MAX = 5.0
_AT_ONCE_MAX = 200


class Traffic:
    """`start` at the opening, `switched` just before the cut-over, `close` at the end."""

    def __init__(self, site: Site, judged: Sequence[Judged]) -> None:
        settings = site.settings.traffic
        self.source = str(settings.get("source") or "endpoints")
        self._address = str(settings.get("address") or "")
        self._endpoints = EndpointWatch(site.cluster, judged)
        self._epoch = uuid.uuid4().hex  # another process has not seen what this one has
        services = [name for one in judged for name in one.services]
        self._probe = Probe(self._address) if self.source == "probe" and self._address else None
        self._gateway: Gateway | None = None
        if self.source == "gateway" and self._address and services:
            self._gateway = Gateway(self._address, site.cluster.namespace, services)

    async def start(self) -> None:
        await self._endpoints.start()
        if self._probe is not None:
            self._probe.start()
        if self._gateway is not None:
            await self._gateway.start()

    async def switched(self, *, shared: bool = False) -> None:
        """`shared`: users come to the new pods by Services of their own, and the others stay where they were."""
        self._endpoints.switched()
        if self._probe is not None:
            self._probe.switched()
        if self._gateway is not None:
            await self._gateway.switched(shared=shared)

    async def look(self) -> None:
        """Before something goes of which a gateway counts."""
        if self._gateway is not None:
            await self._gateway.look()

    @property
    def counts(self) -> bool:
        """Whether `view` will say something: a bake without it needs requests of its own."""
        return self._probe is not None or (self._gateway is not None and self._gateway.counts)

    def view(self) -> TrafficView | None:
        """Since the switch, beside what was before; None where nothing counts."""
        if self._probe is not None:
            return self._probe.view()
        return None if self._gateway is None else self._gateway.view()

    def copies(self, *, ready: bool) -> TrafficView | None:
        """While dark: how copied requests were answered; None where nothing counts. `ready`: all new pods are."""
        return None if self._gateway is None else self._gateway.copies(ready=ready)

    def state(self) -> dict[str, Any]:
        """What a gateway had counted at the switch, for a process that takes this one's place."""
        return {} if self._gateway is None else self._gateway.state()

    def go_on(self, state: Mapping[str, Any]) -> None:
        if self._gateway is not None and "own" in state:
            self._gateway.go_on(state)

    async def counters(self) -> TrafficCounters | None:
        """Everything since the start."""
        spared, reason = self._endpoints.claim()
        if self._gateway is not None:
            await self._gateway.look()
            if not self._gateway.known:
                return TrafficCounters("gateway", self._epoch, uncounted=self._gateway.problem)
            users = self._gateway.users()
            epoch = f"{self._gateway.started}/{self._gateway.restarts}"
            return TrafficCounters("gateway", epoch, users.requests, users.failed, dict(users.by_kind))
        if self._probe is not None:
            return TrafficCounters(
                "probe",
                self._epoch,
                self._probe.requests,
                self._probe.failed,
                dict(self._probe.kinds),
                sample=True,
                spared=spared,
                uncounted="" if reason in (SWITCHED, FIRST) else reason,
            )
        hint = f" ({_COUNTS})" if reason in (SWITCHED, FIRST) else ""
        return TrafficCounters("endpoints", self._epoch, spared=spared, uncounted=f"{reason}{hint}")

    async def close(self) -> None:
        await self._endpoints.close()
        for part in (self._probe, self._gateway):
            if part is not None:
                await part.close()


class Probe:
    """Requests of our own to the address that users have, each on a new connection, at a steady rate."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host = parts.hostname or "127.0.0.1"
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._question = Question(path, headers={"Host": parts.netloc.rpartition("@")[2]}, timeout_s=_PROBE_S_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._before = RequestCounts()
        self.requests = 0
        self.failed = 0
        self.kinds: Counter[str] = Counter()

    def start(self) -> None:
        self._tasks.add(asyncio.create_task(self._steadily()))

    def switched(self) -> None:
        self._before = RequestCounts(self.requests, self.failed)

    def view(self) -> TrafficView:
        new = RequestCounts(self.requests - self._before.requests, self.failed - self._before.failed)
        return TrafficView(new, self._before, own=True)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _steadily(self) -> None:
        """By the clock, not by pauses: an answer that hangs delays no other request."""
        began, sent = time.monotonic(), 0
        while True:
            await asyncio.sleep(max(0.0, began + sent / PROBES_PER_S - time.monotonic()))
            sent += 1
            if len(self._tasks) <= _AT_ONCE_MAX:
                task = asyncio.create_task(self._one())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _one(self) -> None:
        answer = await ask(self._host, self._port, self._question, self._tls)
        kind = failure_kind(answer)
        self.requests += 1
        if kind is not None:
            self.failed += 1
            self.kinds[kind] += 1


def failure_kind(answer: Answer) -> str | None:
    """What a user would call it; None for no failure."""
    if answer.status is not None:
        return "5xx" if answer.status >= 500 else None
    error = answer.error or ""
    if error.startswith("no answer within"):
        return "timeout"
    return "connect" if error == "connection refused" else "reset"
