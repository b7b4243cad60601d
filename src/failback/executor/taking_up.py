"""`resume -f PLAN`: ends rollouts of the plan's service that another machine, or a lost home, left behind.

What they need travels with the workloads; this home need not have seen them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import psutil

from failback.executor.home import Home
from failback.executor.journal import ExecutionJournal
from failback.executor.lock import ServiceLock
from failback.executor.plan_file import LoadedPlan
from failback.executor.store import Store
from failback.executor.targets import open_target
from failback.model.redaction import Redactor
from failback.targets.base import Target


def end_left_behind(home: Home, loaded: LoadedPlan) -> list[str]:
    """What was repaired, in words; nothing where nothing was left. Raises ServiceHeld while somebody is at work."""
    home.prepare()
    service = loaded.plan.service
    target = open_target(home, loaded.plan, Redactor())
    if target is None:
        return []
    store = Store(home.database)
    lock = ServiceLock(home.locks, service)
    lock.acquire("failback resume")
    try:
        journal = ExecutionJournal(store, f"resume-{service}-{int(time.time())}-{psutil.Process().pid}", lock)
        return list(asyncio.run(_repaired(target, journal)))
    finally:
        lock.release()
        store.close()


async def _repaired(target: Target, journal: ExecutionJournal) -> Sequence[str]:
    try:
        return await target.repair(journal)
    finally:
        await target.close()
