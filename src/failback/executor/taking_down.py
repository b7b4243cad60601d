"""`down`: stops services under the same locks and record as every other mutation."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psutil

from failback.executor.home import Home
from failback.executor.journal import ExecutionJournal
from failback.executor.lock import ServiceLocks
from failback.executor.results import action
from failback.executor.store import Store
from failback.executor.targets import open_existing


def take_down(home: Home, *services: str) -> list[dict[str, Any]]:
    """Stops the services, the last one first; returns what was done. Raises ServiceHeld while an execution has one."""
    home.prepare()
    store = Store(home.database)
    locks = ServiceLocks(home.locks, services)
    try:
        locks.acquire("failback down")
        done: list[dict[str, Any]] = []
        for service in reversed(services):
            name = f"down-{service}-{int(time.time())}-{psutil.Process().pid}"
            journal = ExecutionJournal(store, name, locks.by_name[service])
            target = open_existing(home, service)
            done += [action(taken) for taken in asyncio.run(target.remove(journal))]
        return done
    finally:
        locks.release()
        store.close()
