"""Whether the process that has an execution still lives."""

from __future__ import annotations

import psutil

from failback.executor.store import ExecutionRow


def owner_alive(row: ExecutionRow) -> bool:
    """The very same process: by its id and its start. A stopped one lives; the lock decides about it."""
    try:
        process = psutil.Process(row.owner_pid)
        return abs(process.create_time() - row.owner_started) < 0.01 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
