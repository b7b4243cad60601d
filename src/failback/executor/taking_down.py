"""`down`: stops a service under the same lock and record as every other mutation."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psutil

from failback.executor.home import Home
from failback.executor.journal import ExecutionJournal
from failback.executor.lock import ServiceLock
from failback.executor.results import action
from failback.executor.store import Store
from failback.executor.targets import open_existing


def take_down(home: Home, service: str) -> list[dict[str, Any]]:
    """Stops the service; returns what was done. Raises ServiceHeld while an execution has it."""
    home.prepare()
    store = Store(home.database)
    lock = ServiceLock(home.locks, service)
    lock.acquire("failback down")
    try:
        journal = ExecutionJournal(store, f"down-{service}-{int(time.time())}-{psutil.Process().pid}", lock)
        target = open_existing(home, service)
        return [action(taken) for taken in asyncio.run(target.remove(journal))]
    finally:
        lock.release()
        store.close()
