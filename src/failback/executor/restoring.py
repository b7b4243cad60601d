"""`backups restore`: puts a service back as a snapshot has it, under the lock and the record."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from failback.backup.store import SnapshotStore
from failback.executor.home import Home
from failback.executor.journal import ExecutionJournal
from failback.executor.lock import ServiceLock
from failback.executor.results import action
from failback.executor.store import Store
from failback.executor.targets import open_existing
from failback.model.errors import SnapshotNotVerified
from failback.model.snapshot import SnapshotRef

_RETENTION_DAYS = 30


def open_snapshots(home: Home, root: str | None) -> SnapshotStore:
    """The snapshots of a home, or of a folder that a plan named as its backup_root."""
    return SnapshotStore(
        Path(root) if root else home.backups, home.key_file, encryption=True, retention_days=_RETENTION_DAYS
    )


def snapshots_in_use(home: Home) -> set[str]:
    """Ids of the snapshots that running executions may still need."""
    if not home.exists:
        return set()
    store = Store(home.database, create=False)
    try:
        notes = [home.execution(row.id) / "snapshot" for row in store.executions(state="running")]
        return {name for note in notes if note.exists() for name in note.read_text().split()}
    finally:
        store.close()


def restore_snapshot(home: Home, snapshots: SnapshotStore, reference: SnapshotRef) -> list[dict[str, Any]]:
    """Restores; returns what was done. Raises SnapshotNotVerified, before anything is touched, where it is damaged."""
    problems = snapshots.verify(reference.id)
    if problems:
        raise SnapshotNotVerified(
            f"Nothing was touched: snapshot {reference.id} of {reference.service} is damaged: {'; '.join(problems)}. "
            f"`failback backups list` shows the others.",
            snapshot=reference.id,
        )
    home.prepare()
    store = Store(home.database)
    lock = ServiceLock(home.locks, reference.service)
    lock.acquire("failback backups restore")
    unpacked = Path(tempfile.mkdtemp(prefix="restore-", dir=home.root))
    try:
        journal = ExecutionJournal(store, f"restore-{reference.id}-{int(time.time())}-{psutil.Process().pid}", lock)
        files = {name: str(path) for name, path in snapshots.unpack_files(reference.id, unpacked).items()}
        target = open_existing(home, reference.service)
        actions = asyncio.run(target.restore(snapshots.read(reference.id), files, journal))
        return [action(taken) for taken in actions]
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        lock.release()
        store.close()
