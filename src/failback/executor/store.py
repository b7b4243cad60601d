"""The record of executions, in one SQLite file: what `status`, `history`, `explain` and `resume` read.

By the standard library alone: commands that only read must not pay for the durable executor's import.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    kind TEXT NOT NULL,              -- deploy | rollback | drill
    plan TEXT NOT NULL,              -- JSON, references only: no resolved value
    folder TEXT NOT NULL,
    orchestrator TEXT NOT NULL,      -- builtin | custom
    state TEXT NOT NULL,             -- running | ended
    owner TEXT NOT NULL,             -- executor id of the process that has it
    owner_pid INTEGER NOT NULL,
    owner_started REAL NOT NULL,
    created_at REAL NOT NULL,
    ended_at REAL,
    exit_code INTEGER,
    result TEXT
);
CREATE INDEX IF NOT EXISTS executions_by_service ON executions (service, created_at);
CREATE TABLE IF NOT EXISTS writes (
    execution_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    detail TEXT NOT NULL,
    token INTEGER NOT NULL,
    state TEXT NOT NULL,             -- intended | done | failed
    intended_at REAL NOT NULL,
    ended_at REAL,
    PRIMARY KEY (execution_id, number)
);
"""


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """One execution as recorded; `result` is the contract's mapping, None while it runs."""

    id: str
    service: str
    environment: str
    kind: str
    plan: Mapping[str, Any]
    folder: str
    orchestrator: str
    state: str
    owner: str
    owner_pid: int
    owner_started: float
    created_at: float
    ended_at: float | None
    exit_code: int | None
    result: dict[str, Any] | None


class Store:
    """Opens (and, for a writer, creates) the file; every method is one transaction."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if create:
            path.touch(mode=0o600)
        mode = "rwc" if create else "rw"
        self._db = sqlite3.connect(
            f"file:{_quoted(path)}?mode={mode}", uri=True, timeout=10.0, isolation_level=None, check_same_thread=False
        )
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA busy_timeout = 10000")
        if create:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)
        self._db.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def begin_execution(
        self,
        *,
        service: str,
        environment: str,
        kind: str,
        plan: Mapping[str, Any],
        folder: str,
        orchestrator: str,
        owner: str,
        owner_pid: int,
        owner_started: float,
        now: float | None = None,
    ) -> str:
        """Records a new execution and returns its id, unique also for two in one second."""
        at = time.time() if now is None else now
        with self._transaction() as db:
            second = int(at)
            suffix = 1
            while True:
                execution_id = f"plan_deploy_{environment}_{second}" + (f"-{suffix}" if suffix > 1 else "")
                taken = db.execute("SELECT 1 FROM executions WHERE id = ?", (execution_id,)).fetchone()
                if taken is None:
                    break
                suffix += 1
            db.execute(
                "INSERT INTO executions (id, service, environment, kind, plan, folder, orchestrator, state, owner,"
                " owner_pid, owner_started, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?, ?, ?, ?)",
                (
                    execution_id,
                    service,
                    environment,
                    kind,
                    json.dumps(plan),
                    folder,
                    orchestrator,
                    owner,
                    owner_pid,
                    owner_started,
                    at,
                ),
            )
        return execution_id

    def take_over(self, execution_id: str, *, owner: str, owner_pid: int, owner_started: float) -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE executions SET owner = ?, owner_pid = ?, owner_started = ? WHERE id = ?",
                (owner, owner_pid, owner_started, execution_id),
            )

    def end_execution(self, execution_id: str, result: Mapping[str, Any], exit_code: int) -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE executions SET state = 'ended', ended_at = coalesce(ended_at, ?), exit_code = ?, result = ?"
                " WHERE id = ?",
                (time.time(), exit_code, json.dumps(result), execution_id),
            )

    def set_result(self, execution_id: str, result: Mapping[str, Any]) -> None:
        """Changes what an ended execution says of its recovery, once a later release brought it."""
        with self._transaction() as db:
            db.execute("UPDATE executions SET result = ? WHERE id = ?", (json.dumps(result), execution_id))

    def execution(self, execution_id: str) -> ExecutionRow | None:
        row = self._db.execute("SELECT * FROM executions WHERE id = ?", (execution_id,)).fetchone()
        return None if row is None else _execution(row)

    def executions(
        self, *, service: str | None = None, state: str | None = None, limit: int = 1000
    ) -> list[ExecutionRow]:
        """Newest first. `service`: those of that name, and those of plans for several that have it among them."""
        where, values = ["1 = 1"], list[Any]()
        if service is not None:
            where.append("(service = ? OR EXISTS (SELECT 1 FROM json_each(plan, '$.plan.services') WHERE key = ?))")
            values += [service, service]
        if state is not None:
            where.append("state = ?")
            values.append(state)
        rows = self._db.execute(
            f"SELECT * FROM executions WHERE {' AND '.join(where)} ORDER BY created_at DESC, rowid DESC LIMIT ?",
            (*values, limit),
        )
        return [_execution(row) for row in rows]

    def intend(self, execution_id: str, name: str, detail: Mapping[str, Any], token: int) -> int:
        """Records a write that is about to be made; returns its number in the execution."""
        with self._transaction() as db:
            number = db.execute(
                "SELECT coalesce(max(number), 0) + 1 FROM writes WHERE execution_id = ?", (execution_id,)
            ).fetchone()[0]
            db.execute(
                "INSERT INTO writes VALUES (?, ?, ?, ?, ?, 'intended', ?, NULL)",
                (execution_id, number, name, json.dumps(detail), token, time.time()),
            )
        return int(number)

    def settle(self, execution_id: str, number: int, state: str) -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE writes SET state = ?, ended_at = ? WHERE execution_id = ? AND number = ?",
                (state, time.time(), execution_id, number),
            )

    def writes(self, execution_id: str) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT * FROM writes WHERE execution_id = ? ORDER BY number", (execution_id,))
        return [dict(row) | {"detail": json.loads(row["detail"])} for row in rows]


def _execution(row: sqlite3.Row) -> ExecutionRow:
    shape = dict(row)
    shape["plan"] = json.loads(shape["plan"])
    shape["result"] = json.loads(shape["result"]) if shape["result"] else None
    return ExecutionRow(**shape)


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
