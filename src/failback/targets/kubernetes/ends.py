"""Every end of a container, with what its log says of it. The log is read in the moment that the end is seen, because
the next restart takes it away.

An end is told once its log was read, or after `_READ_S_MAX` without it: its reason decides, so it is worth that wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from failback.facts.start_failure import StartFailure, start_failure
from failback.model.errors import FailbackError
from failback.model.observation import Exit
from failback.model.redaction import Redactor
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.pods import Ended, ends, main_container

_READ_S_MAX = 1.0
_LATE_READ_S_MAX = 10.0
_TAIL_BYTES = 64 * 1024
_LINE_CHARS_MAX = 500
_NEVER_RAN = ("StartError", "ContainerCannotRun", "CreateContainerError")


class Ends:
    """`clock`: seconds since the launch. `launched`: its unix seconds. `ring`: called when there is something new."""

    def __init__(
        self, cluster: Cluster, redactor: Redactor, clock: Callable[[], float], launched: float, ring: Callable[[], Any]
    ) -> None:
        self._cluster = cluster
        self._redactor = redactor
        self._clock = clock
        self._launched = launched
        self._ring = ring
        self._told: dict[str, dict[tuple[str, int], Exit]] = {}
        self._known: set[tuple[str, str, int]] = set()
        self._reading: set[asyncio.Task[None]] = set()

    def seen(self, pod: Object, *, live: bool) -> None:
        """To be called with every state of a pod. `live`: it has just come to this state; else it was found so."""
        uid = pod["metadata"]["uid"]
        for end in ends(pod):
            key = (uid, end.container, end.number)
            if key in self._known:
                continue
            at_s = self._clock() if live else self._at_s(end)
            self._known.add(key)
            for missed in range(1, end.number):
                if (uid, end.container, missed) not in self._known:
                    self._known.add((uid, end.container, missed))
                    self._tell(pod, end.container, missed, Exit(at_s, 0.0, container=_name(pod, end), init=end.init))
            task = asyncio.create_task(self._read(pod, end, at_s))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    def of(self, pod: Object) -> tuple[Exit, ...]:
        """What is told of this pod, oldest first."""
        told = self._told.get(pod["metadata"]["uid"], {})
        return tuple(sorted(told.values(), key=lambda one: one.at_s))

    async def close(self) -> None:
        for task in list(self._reading):
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def _read(self, pod: Object, end: Ended, at_s: float) -> None:
        reading = asyncio.ensure_future(self._log(pod, end))
        try:
            done, _ = await asyncio.wait({reading}, timeout=_READ_S_MAX)
            if not done:
                self._tell(pod, end.container, end.number, self._exit(pod, end, at_s, end.message))
                self._ring()
                await asyncio.wait({reading}, timeout=_LATE_READ_S_MAX)
            text = reading.result() if reading.done() and not reading.cancelled() else end.message
            self._tell(pod, end.container, end.number, self._exit(pod, end, at_s, text))
            self._ring()
        finally:
            reading.cancel()

    async def _log(self, pod: Object, end: Ended) -> str:
        """The log of the run that ended. A restart in between makes the current log that of the next run."""
        if end.reason in _NEVER_RAN:
            return end.message

        def reading(previous: bool) -> asyncio.Task[str]:
            name = pod["metadata"]["name"]
            log = self._cluster.logs(name, end.container, previous=previous, tail_bytes=_TAIL_BYTES)
            return asyncio.create_task(log)

        current, previous = reading(False), reading(True)
        try:
            if end.current and _deterministic(end, await current):
                return current.result()
            first, second = (current, previous) if end.current and end.number > 1 else (previous, current)
            return (await first).strip() or (await second).strip() or end.message
        except FailbackError:
            return end.message
        finally:
            current.cancel()
            previous.cancel()
            await asyncio.gather(current, previous, return_exceptions=True)

    def _exit(self, pod: Object, end: Ended, at_s: float, text: str) -> Exit:
        oom = end.reason == "OOMKilled"
        lines = [line for line in text.splitlines() if line.strip()]
        why = None if oom else _deterministic(end, text)
        telling = (why.line if why else "") or (lines[-1].strip() if lines else "")
        return Exit(
            at_s=at_s,
            lived_s=end.lived_s,
            code=end.code,
            signal="SIGKILL" if oom else end.signal,
            oom_killed=oom,
            deterministic=why.reason if why else None,
            telling_line=self._redactor.redact(telling)[:_LINE_CHARS_MAX],
            container=_name(pod, end),
            init=end.init,
        )

    def _tell(self, pod: Object, container: str, number: int, told: Exit) -> None:
        self._told.setdefault(pod["metadata"]["uid"], {})[container, number] = told

    def _at_s(self, end: Ended) -> float:
        """The API tells whole seconds, of the node's clock."""
        if end.finished_at is None:
            return self._clock()
        return min(max(0.0, end.finished_at - self._launched), self._clock())


def _name(pod: Object, end: Ended) -> str:
    """ "" is the main container."""
    return "" if end.container == main_container(pod) and not end.init else end.container


def _deterministic(end: Ended, text: str) -> StartFailure | None:
    if end.reason in _NEVER_RAN:
        return start_failure(127, end.message)
    return start_failure(end.code, text)
