"""Error lines of the new pods that the stable ones do not print, from logs followed as they are written.

Memory and work are bounded whatever a container writes: of a flood, a part of each second is looked at and the stream
is then taken up anew at its end; lines without an end come in pieces.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from failback.facts.document import Document
from failback.facts.signatures import error_counts, signatures
from failback.model.errors import FailbackError
from failback.model.redaction import Redactor
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.pods import containers

FOLLOWED_MAX = 16  # logs at once: each is a connection
_STABLE_READ_MAX = 3  # pods whose logs say what is usual
_USUAL_TAIL_BYTES = 256 * 1024
_USUAL_AGAIN_S = 2.0
_LOOK_S = 0.2
_LOOK_BYTES = 64 * 1024
_SECOND_BYTES_MAX = 2 * 2**20  # of one log and second; more is a flood
_KINDS_MAX = 1_000
_ERRORS_MAX = 20
_AGAIN_S = 0.3
_CHARS_MAX = 300


class Usual:
    """What the stable pods print as errors anyway; read again when a line seems to be new."""

    def __init__(self, cluster: Cluster, stable: Callable[[], Sequence[Object]]) -> None:
        self._cluster = cluster
        self._stable = stable
        self._read_at = 0.0
        self._lock = asyncio.Lock()
        self.signatures: frozenset[str] = frozenset()

    async def refresh(self, since: float) -> bool:
        """Reads what they have printed until `since` (monotonic seconds), not too often. False where there is nobody
        to compare with: nothing is new then."""
        async with self._lock:
            if not self._stable():
                return bool(self._read_at)
            if self._read_at > since:
                return True
            if self._read_at:
                await asyncio.sleep(max(0.0, self._read_at + _USUAL_AGAIN_S - time.monotonic()))
            self._read_at = time.monotonic()
            logs = [
                self._cluster.logs(
                    pod["metadata"]["name"], status["name"], previous=previous, tail_bytes=_USUAL_TAIL_BYTES
                )
                for pod in list(self._stable())[:_STABLE_READ_MAX]
                for status, init in containers(pod)
                if not init
                for previous in ((False, True) if status.get("restartCount") else (False,))
            ]
            for text in await asyncio.gather(*logs, return_exceptions=True):
                if isinstance(text, str):
                    self.signatures |= await asyncio.to_thread(signatures, text)
            return True


class LogLines:
    """Follows the logs of the pods that it is shown. `is_ready(pod uid)`: lines count from then on."""

    def __init__(
        self,
        cluster: Cluster,
        redactor: Redactor,
        usual: Usual,
        is_ready: Callable[[str], bool],
        ring: Callable[[], Any],
    ) -> None:
        self._cluster = cluster
        self._redactor = redactor
        self._usual = usual
        self._is_ready = is_ready
        self._ring = ring
        self._running: dict[str, set[str]] = {}  # pod uid -> ids of its containers that run, as last seen
        self._following: dict[str, asyncio.Task[None]] = {}  # by container id: each run once
        self._new: dict[str, dict[str, int]] = {}  # pod uid -> template -> times since it was ready

    def seen(self, pod: Object) -> None:
        """To be called with every state of a pod."""
        uid = pod["metadata"]["uid"]
        runs = {
            str(status["containerID"]): status["name"]
            for status, init in containers(pod)
            if not init and "running" in (status.get("state") or {}) and status.get("containerID")
        }
        self._running[uid] = set(runs)
        for run, container in runs.items():
            alive = sum(not task.done() for task in self._following.values())
            if run not in self._following and alive < FOLLOWED_MAX:
                self._following[run] = asyncio.create_task(self._follow(pod, container, run))

    def errors(self, pod: Object) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """(lines, how often each came since the pod was ready)."""
        found = self._new.get(pod["metadata"]["uid"], {})
        lines = sorted(found, key=lambda line: (-found[line], line))[:_ERRORS_MAX]
        return tuple(self._redactor.redact(line)[:_CHARS_MAX] for line in lines), tuple(found[one] for one in lines)

    async def close(self) -> None:
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)

    async def _follow(self, pod: Object, container: str, run: str) -> None:
        """Until the container is no longer seen running; a lost connection and a flood are taken up at the end."""
        uid = pod["metadata"]["uid"]
        part = _Part()
        looking = asyncio.create_task(self._look(uid, part))
        since_s: int | None = None
        try:
            while run in self._running.get(uid, ()):
                began = time.monotonic()
                with contextlib.suppress(FailbackError):
                    await self._take(pod["metadata"]["name"], container, since_s, part)
                since_s = 1
                await asyncio.sleep(max(_AGAIN_S, began + 1.0 - time.monotonic()))
            await self._look_at(uid, part)
        finally:
            looking.cancel()

    async def _take(self, name: str, container: str, since_s: int | None, part: _Part) -> None:
        """Reads until the stream ends, or is a flood."""
        window, taken = time.monotonic(), 0
        async with contextlib.aclosing(self._cluster.follow(name, container, since_s=since_s)) as lines:
            async for line in lines:
                part.add(line)
                taken += len(line)
                if time.monotonic() - window > 1.0:
                    window, taken = time.monotonic(), 0
                elif taken > _SECOND_BYTES_MAX:
                    return

    async def _look(self, uid: str, part: _Part) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            await self._look_at(uid, part)

    async def _look_at(self, uid: str, part: _Part) -> None:
        text, since = part.handed_over(), time.monotonic()
        if not text:
            return
        counts = await asyncio.to_thread(lambda: error_counts(Document("log", text)))
        if not counts.keys() <= self._usual.signatures and not await self._usual.refresh(since):
            return
        new = {line: count for line, count in counts.items() if line not in self._usual.signatures}
        found = self._new.setdefault(uid, {})
        ready = self._is_ready(uid)
        for line, count in new.items():
            if line in found or len(found) < _KINDS_MAX:
                found[line] = found.get(line, 0) + (count if ready else 0)
        if new:
            self._ring()


class _Part:
    """What came since the last look; the beginning of it, where it is too much."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        if self._size < _LOOK_BYTES:
            self._lines.append(line)
            self._size += len(line)

    def handed_over(self) -> bytes:
        text = b"\n".join(self._lines)
        self._lines, self._size = [], 0
        return text
