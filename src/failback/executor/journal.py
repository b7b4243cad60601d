"""The write-ahead record of one execution: every mutation is written down before it is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from failback.executor import faults
from failback.executor.lock import ServiceLock
from failback.executor.store import Store


class ExecutionJournal:
    """`targets.base.Journal` over the store. `announce` gets each finished write as an event."""

    def __init__(
        self,
        store: Store,
        execution_id: str,
        lock: ServiceLock,
        announce: Callable[..., None] = lambda event, **fields: None,
    ) -> None:
        self._store = store
        self._execution_id = execution_id
        self._lock = lock
        self._announce = announce

    @property
    def token(self) -> int:
        return self._lock.token

    @contextmanager
    def intent(self, write: str, /, **detail: Any) -> Iterator[None]:
        """Records, makes (the body) and settles one write. Raises LeaseLost before the body when fenced off."""
        self._lock.check()
        number = self._store.intend(self._execution_id, write, detail, self.token)
        faults.point(f"{write}:before")
        began = time.monotonic()
        try:
            self._lock.check()
            yield
        except BaseException:
            self._store.settle(self._execution_id, number, "failed")
            raise
        faults.point(f"{write}:effect-made-record-not")
        self._store.settle(self._execution_id, number, "done")
        faults.point(f"{write}:after")
        took_ms = round((time.monotonic() - began) * 1000, 1)
        self._announce("write", write=write, number=number, took_ms=took_ms, **detail)
