"""The wish to stop: set from any thread (a signal, a failed step), awaited by what can be broken off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Stopped(Exception):
    """The work was broken off; `reason` says by whom."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StopFlag:
    """Set once; the first reason stays."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self.latest = ""  # also of a wish that came when everything was being stopped already
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @property
    def reason(self) -> str | None:
        return self._reason

    def set(self, reason: str) -> None:
        self.latest = reason
        if self._reason is not None:
            return
        self._reason = reason
        for loop, event in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # that loop has ended by now
                loop.call_soon_threadsafe(event.set)

    async def guard(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Awaits `work`; raises Stopped, after the work was cancelled and has cleaned up, once the flag is set."""
        entry = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.append(entry)
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(entry[1].wait())
        try:
            if self._reason is not None:
                entry[1].set()
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            raise Stopped(self._reason or "stopped")
        finally:
            stop.cancel()
            self._waiting.remove(entry)
