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
from collections.abc import Sequence
from urllib.parse import urlsplit

from failback.model.observation import RequestCounts, TrafficView
from failback.model.release import TrafficCounters
from failback.targets.asking import ask
from failback.targets.expectations import Answer, Question
from failback.targets.kubernetes.endpoints import FIRST, SWITCHED, EndpointWatch
from failback.targets.kubernetes.gateway import Counted, counted
from failback.targets.kubernetes.site import Site
from failback.targets.kubernetes.watching import Judged

PROBES_PER_S = 20
_COUNTS = "target.traffic can name a gateway that does, or an address to probe"
_PROBE_S_MAX = 5.0
_AT_ONCE_MAX = 200
_PAGE_S_MAX = 5.0
_PAGE_BYTES_MAX = 64 * 2**20
_GATEWAY_LOOK_S = 2.0


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

    async def switched(self) -> None:
        self._endpoints.switched()
        if self._probe is not None:
            self._probe.switched()
        if self._gateway is not None:
            await self._gateway.switched()

    @property
    def counts(self) -> bool:
        """Whether `view` will say something: a bake without it needs requests of its own."""
        return self._probe is not None or (self._gateway is not None and self._gateway.latest is not None)

    def view(self) -> TrafficView | None:
        """Since the switch, beside what was before; None where nothing counts."""
        if self._probe is not None:
            return self._probe.view()
        return None if self._gateway is None else self._gateway.view()

    async def counters(self) -> TrafficCounters | None:
        """Everything since the start."""
        spared, reason = self._endpoints.claim()
        if self._gateway is not None:
            await self._gateway.look()
            latest = self._gateway.latest
            if latest is None:
                return TrafficCounters("gateway", self._epoch, uncounted=self._gateway.problem)
            return TrafficCounters(
                "gateway",
                f"{latest.started}/{self._gateway.restarts}",
                latest.requests,
                latest.failed,
                dict(latest.by_kind),
            )
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


class Gateway:
    """A gateway's metrics page. `restarts`: how often its counters were seen to go back."""

    def __init__(self, address: str, namespace: str, services: Sequence[str]) -> None:
        self._address = address
        self._namespace = namespace
        self._services = tuple(dict.fromkeys(services))
        self._task: asyncio.Task[None] | None = None
        self._at_start: Counted | None = None
        self._at_switch: Counted | None = None
        self.latest: Counted | None = None
        self.restarts = 0
        self.problem = "its page was not read yet"

    async def start(self) -> None:
        await self.look()
        self._at_start = self.latest
        self._task = asyncio.create_task(self._now_and_then())

    async def switched(self) -> None:
        await self.look()
        self._at_switch = self.latest

    def view(self) -> TrafficView | None:
        if self.latest is None or self._at_switch is None:
            return None
        return TrafficView(_between(self._at_switch, self.latest), _between(self._at_start, self._at_switch))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Reads the page; keeps the last counts where it can't be read."""
        lines = await self._page()
        if lines is None:
            return
        all_of_it = [one for name in self._services if (one := counted(lines, self._namespace, name)) is not None]
        if not all_of_it:
            self.latest = None
            self.problem = f"the page at {self._address} counts nothing of {self._namespace}/{self._services[0]}"
            return
        total = Counted(gateway=all_of_it[0].gateway, started=all_of_it[0].started)
        for one in all_of_it:
            total.requests += one.requests
            total.failed += one.failed
            total.by_kind += one.by_kind
        if self.latest is not None and total.requests < self.latest.requests:
            self.restarts += 1
        self.latest = total

    async def _now_and_then(self) -> None:
        """So that a restart is seen even when the counts are higher again by the end."""
        while True:
            await asyncio.sleep(_GATEWAY_LOOK_S)
            await self.look()

    async def _page(self) -> list[str] | None:
        import httpx

        try:
            async with httpx.AsyncClient(timeout=_PAGE_S_MAX) as client, client.stream("GET", self._address) as answer:
                answer.raise_for_status()
                size, parts = 0, []
                async for part in answer.aiter_text():
                    size += len(part)
                    if size > _PAGE_BYTES_MAX:
                        break
                    parts.append(part)
                return "".join(parts).splitlines()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as cause:
            self.problem = f"the page at {self._address} cannot be read: {type(cause).__name__}: {cause}"
            return None


def _between(earlier: Counted | None, later: Counted) -> RequestCounts:
    requests = later.requests - (earlier.requests if earlier else 0)
    failed = later.failed - (earlier.failed if earlier else 0)
    return RequestCounts(max(0, requests), max(0, failed))
