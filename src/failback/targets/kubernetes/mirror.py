"""A live copy of the objects that a selector names: listed once, then watched. Nothing is polled.

Promise: `objects` follows the API server; a lost connection is taken up from the last version seen, so no change is
missed; only when the server has forgotten that version (`gaps`) is everything listed anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from failback.model.errors import FailbackError
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.failures import WatchExpired
from failback.targets.kubernetes.kinds import Object

# What a controller does may be waited for so long: after an API server was away, client-go's reflectors pause for up to
# half a minute before they look again, and until then nothing of it is wrong with the release.
CONTROLLERS_S_MAX = 60.0
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_BLIND_AFTER = 3
_HEARD_AFTER_S = 2.0  # an attempt that lasts longer is a watch

OnChange = Callable[[str, Object], None]


class Mirror:
    """`async with Mirror(...) as pods:` has the first list when the block begins. `on_change(type, object)` is called
    for each change, the first list included; it must not block."""

    def __init__(
        self,
        cluster: Cluster,
        kind: str,
        *,
        labels: str = "",
        fields: str = "",
        on_change: OnChange = lambda kind, obj: None,
    ) -> None:
        self._cluster = cluster
        self._kind = kind
        self._labels = labels
        self._fields = fields
        self.on_change = on_change
        self._version = ""
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.objects: dict[str, Object] = {}
        self.gaps = 0
        self.seen_at = 0.0  # monotonic seconds of the last word from the server
        self.problem: FailbackError | None = None  # why it does not follow any more
        self._quiet = 0  # attempts in a row that brought nothing
        self._began = 0.0  # monotonic seconds of the latest attempt

    async def __aenter__(self) -> Mirror:
        await self._list()
        self._task = asyncio.create_task(self._follow(), name=f"mirror {self._kind}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def until(self, holds: Callable[[dict[str, Object]], bool], timeout_s: float) -> bool:
        """Waits until `holds(objects)`; False when `timeout_s` ran out first."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: holds(self.objects))
        except TimeoutError:
            return holds(self.objects)
        return True

    @property
    def blind(self) -> bool:
        """The server is not heard: one attempt after the other to go on ended at once. What it shows is old."""
        return self._quiet >= _BLIND_AFTER and time.monotonic() - self._began < _HEARD_AFTER_S

    def values(self) -> Iterable[Object]:
        return self.objects.values()

    async def _list(self) -> None:
        items, self._version = await self._cluster.listing(self._kind, labels=self._labels, fields=self._fields)
        fresh = {item["metadata"]["name"]: item for item in items}
        for name in [name for name in self.objects if name not in fresh]:
            await self._take("DELETED", self.objects[name])
        for name, item in fresh.items():
            known = self.objects.get(name)
            if known is None:
                await self._take("ADDED", item)
            elif known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                await self._take("MODIFIED", item)
        self.seen_at = time.monotonic()

    async def _follow(self) -> None:
        while True:
            self._began = time.monotonic()
            try:
                async for kind, obj in self._cluster.watch(
                    self._kind, self._version, labels=self._labels, fields=self._fields
                ):
                    self._quiet = 0
                    self.problem = None
                    self._version = obj["metadata"]["resourceVersion"]
                    self.seen_at = time.monotonic()
                    if kind != "BOOKMARK":
                        await self._take(kind, obj)
            except WatchExpired:
                self.gaps += 1
                await self._again()
            except FailbackError as problem:
                self.problem = problem
            if time.monotonic() - self._began > _HEARD_AFTER_S:
                self._quiet = 0  # it was there, and had nothing to say
            await asyncio.sleep(_PAUSES_S[min(self._quiet, len(_PAUSES_S) - 1)])
            self._quiet += 1

    async def _again(self) -> None:
        try:
            await self._list()
        except FailbackError as problem:
            self.problem = problem

    async def _take(self, kind: str, obj: Object) -> None:
        name = obj["metadata"]["name"]
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = obj
        self.on_change(kind, obj)
        async with self._changed:
            self._changed.notify_all()
