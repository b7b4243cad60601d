"""The event stream of one execution: one JSON object a line, which the command line, the archive and a server read."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

Subscriber = Callable[[Mapping[str, Any]], None]


class EventLog:
    """Appends events to a file and hands each one to the subscribers; safe to call from several threads.

    `redact` is applied to every string of an event, so no caller can forget it.
    """

    def __init__(self, path: Path, redact: Callable[[Any], Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._redact = redact
        self._lock = threading.Lock()
        self._subscribers: list[Subscriber] = []
        _end_cut_line(path)
        self._file: io.TextIOWrapper = path.open("a", encoding="utf-8")
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            processors=[self._stamp, self._masked, self._publish, structlog.processors.JSONRenderer(default=str)],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
        )

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def emit(self, event: str, /, **fields: Any) -> None:
        """Writes one event; `event` is a name in words with hyphens ("traffic-switched")."""
        with self._lock:
            if not self._file.closed:
                self._log.info(event, **fields)

    def live(self, event: str, /, **fields: Any) -> None:
        """Tells only the subscribers: for output that is kept elsewhere (a step's lines), already masked."""
        with self._lock:
            self._publish(None, "", {"event": event, **fields})

    def close(self) -> None:
        with self._lock:
            self._file.close()

    @staticmethod
    def _stamp(_: Any, __: str, event: Any) -> Any:
        return {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **event}

    def _masked(self, _: Any, __: str, event: Any) -> Any:
        return self._redact(event)

    def _publish(self, _: Any, __: str, event: Any) -> Any:
        for subscriber in self._subscribers:
            subscriber(event)
        return event


def _end_cut_line(path: Path) -> None:
    """After a kill the last line may lack its end; the next event must not be glued to it."""
    if path.exists() and path.stat().st_size > 0:
        with path.open("rb+") as file:
            file.seek(-1, io.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
