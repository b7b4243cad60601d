"""A gateway's metrics page, read again and again: users' requests by what answered them, and copies for the dark pods.

Promise: a copy of a request is never counted as a user's, and what the new pods have answered is counted still when
the gateway has forgotten them: their own Service is there for the time of a rollout only.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from failback.model.observation import RequestCounts, TrafficView
from failback.targets.kubernetes.gateway import Counted, counted
from failback.targets.kubernetes.route_rules import dark_name

_PAGE_S_MAX = 5.0
_PAGE_BYTES_MAX = 64 * 2**20
_LOOK_S = 0.5
_LOOK_SHARE_MAX = 0.1  # of the time is spent on reading: the page of a large gateway is large
_JUST_READY_S = 1.5  # a gateway sends copies before it has heard that a pod is ready, and counts them as failed


@dataclass(slots=True)
class Tally:
    """Requests, and how they failed."""

    requests: int = 0
    failed: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)

    def add(self, now: Counted, before: Counted | None) -> None:
        """What came since `before`; all of it where the counter began anew."""
        if before is None or now.requests < before.requests:
            before = Counted()
        self.requests += now.requests - before.requests
        self.failed += max(0, now.failed - before.failed)
        self.by_kind += now.by_kind - before.by_kind

    def __sub__(self, before: Tally) -> RequestCounts:
        return RequestCounts(max(0, self.requests - before.requests), max(0, self.failed - before.failed))

    def copy(self) -> Tally:
        return Tally(self.requests, self.failed, Counter(self.by_kind))

    @classmethod
    def of(cls, shape: Mapping[str, Any]) -> Tally:
        return cls(int(shape["requests"]), int(shape["failed"]), Counter(shape.get("by_kind") or {}))


class Gateway:
    """`restarts`: how often its counters were seen to go back. `own`: by the Services that users know; `dark`: by those
    of the new pods."""

    def __init__(self, address: str, namespace: str, services: Sequence[str]) -> None:
        self._address = address
        self._namespace = namespace
        self._services = tuple(dict.fromkeys(services))
        self._task: asyncio.Task[None] | None = None
        self._last: dict[str, Counted] = {}
        self._own = Tally()
        self._dark = Tally()
        self._own_at_start = Tally()
        self._own_at_switch: Tally | None = None
        self._dark_at_switch: Tally | None = None  # what came later to the new pods was users' requests
        self._compared_from: tuple[Tally, Tally] | None = None
        self._ready_since: float | None = None
        self._looking = asyncio.Lock()
        self.known = False
        self.started = ""
        self.restarts = 0
        self.problem = "its page was not read yet"

    async def start(self) -> None:
        await self.look()
        self._own_at_start = self._own.copy()
        self._task = asyncio.create_task(self._now_and_then())

    async def switched(self, *, shared: bool) -> None:
        """Users come to the new pods from here on: by Services of their own (`shared`), or by the users' one."""
        await self.look()
        self._own_at_switch = self._own.copy()
        self._dark_at_switch = self._dark.copy() if shared else None

    @property
    def counts(self) -> bool:
        """Whether `view` says something of a bake."""
        return self.known and self._own_at_switch is not None

    def users(self) -> Tally:
        """Everything that users asked for, whoever answered."""
        total = self._own.copy()
        if self._dark_at_switch is not None:
            total.requests += self._dark.requests - self._dark_at_switch.requests
            total.failed += self._dark.failed - self._dark_at_switch.failed
            total.by_kind += self._dark.by_kind - self._dark_at_switch.by_kind
        return total

    def view(self) -> TrafficView | None:
        """Since the switch. With a share of the users, the others are the comparison: they came at the same time."""
        if not self.known or self._own_at_switch is None:
            return None
        if self._dark_at_switch is not None:
            return TrafficView(self._dark - self._dark_at_switch, self._own - self._own_at_start)
        return TrafficView(self._own - self._own_at_switch, self._own_at_switch - self._own_at_start)

    def copies(self, *, ready: bool) -> TrafficView | None:
        """Copies that the new pods have answered while all of them were ready; users' requests of the same time."""
        if not ready:
            self._ready_since = self._compared_from = None
            return None
        now = time.monotonic()
        self._ready_since = self._ready_since or now
        if not self.known or now - self._ready_since < _JUST_READY_S:
            return None
        if self._compared_from is None:
            self._compared_from = (self._dark.copy(), self._own.copy())
        dark, own = self._compared_from
        return TrafficView(self._dark - dark, self._own - own, mirrored=True)

    def state(self) -> dict[str, Any]:
        """What another process needs to go on counting."""
        tallies = {"start": self._own_at_start, "own": self._own_at_switch, "dark": self._dark_at_switch}
        tallies["seen"] = self._dark
        return {
            name: {"requests": one.requests, "failed": one.failed, "by_kind": dict(one.by_kind)}
            for name, one in tallies.items()
            if one is not None
        }

    def go_on(self, state: Mapping[str, Any]) -> None:
        """From what a process that has ended had kept."""
        self._own_at_start = Tally.of(state["start"])
        self._own_at_switch = Tally.of(state["own"])
        self._dark_at_switch = Tally.of(state["dark"]) if "dark" in state else None
        if self._dark.requests < int(state["seen"]["requests"]):
            self._dark = Tally.of(state["seen"])  # the gateway has forgotten them

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Reads the page; keeps the last counts where it can't be read."""
        async with self._looking:
            lines = await self._page()
            if lines is not None:
                self.take(lines)

    def take(self, lines: Sequence[str]) -> None:
        """What the page says now."""
        found = {
            name: one
            for service in self._services
            for name in (service, dark_name(service))
            if (one := counted(lines, self._namespace, name)) is not None
        }
        self.known = any(name in self._last or name in found for name in self._services)
        if not self.known:
            self.problem = f"the page at {self._address} counts nothing of {self._namespace}/{self._services[0]}"
        for name, one in found.items():
            before = self._last.get(name)
            if name in self._services:
                self.started = one.started
                self.restarts += before is not None and one.requests < before.requests
                self._own.add(one, before)
            else:
                self._dark.add(one, before)
        # A Service of the new pods that is gone begins anew, when it comes again; one of the users' is not forgotten.
        self._last = {name: one for name, one in self._last.items() if name in self._services} | found

    async def _now_and_then(self) -> None:
        """So that a restart is seen even when the counts are higher again by the end."""
        while True:
            began = time.monotonic()
            await self.look()
            await asyncio.sleep(max(_LOOK_S, (time.monotonic() - began) / _LOOK_SHARE_MAX))

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
