"""Keeps failures, what ended them, and people's corrections. Every write may be repeated after a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from failback.learning.database import open_database
from failback.learning.records import Correction, Failure, Recalled

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS learned_failures (
    execution_id TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    failed_at DOUBLE PRECISION NOT NULL,
    signature TEXT NOT NULL,
    type TEXT NOT NULL,
    cause TEXT NOT NULL,
    step_type TEXT NOT NULL,
    advice TEXT NOT NULL,
    retried_at DOUBLE PRECISION,
    fixed_by TEXT,
    fixed_at DOUBLE PRECISION,
    change TEXT NOT NULL,
    git_commit TEXT NOT NULL,
    followed TEXT NOT NULL
)""",
    "CREATE INDEX IF NOT EXISTS learned_failures_by_signature ON learned_failures (signature, failed_at)",
    """CREATE TABLE IF NOT EXISTS learned_corrections (
    execution_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    type TEXT NOT NULL,
    note TEXT NOT NULL,
    corrected_by TEXT NOT NULL,
    corrected_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (execution_id, corrected_by)
)""",
)
_FAILURE = (
    "execution_id, service, failed_at, signature, type, cause, step_type, advice, retried_at, fixed_by, fixed_at,"
    " change, git_commit, followed"
)
_CORRECTION = "execution_id, signature, type, note, corrected_by, corrected_at"
FAILURES_MAX = 500  # of one signature: what is older says nothing new


class LearningStore:
    """`path`: the home's SQLite file; `url`: the executor's database, where that is Postgres."""

    def __init__(self, path: Path, url: str | None = None, *, create: bool = True) -> None:
        self._db = open_database(path, url)
        if create:
            for statement in _SCHEMA:
                self._db.execute(statement)
        # A home of an earlier version has no such tables: it remembers nothing, and a reader makes none.
        self._empty = not create and not self._db.has("learned_failures")

    def close(self) -> None:
        self._db.close()

    def remember(self, failure: Failure) -> None:
        """Records a failure; what ended it, if that is known already, stays."""
        self._db.execute(
            f"INSERT INTO learned_failures ({_FAILURE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, '', '', '[]')"
            " ON CONFLICT (execution_id) DO UPDATE SET signature = excluded.signature, type = excluded.type,"
            " cause = excluded.cause, advice = excluded.advice",
            (
                failure.execution_id,
                failure.service,
                failure.at,
                failure.signature,
                failure.type,
                failure.cause,
                failure.step_type,
                json.dumps([dict(one) for one in failure.advice]),
            ),
        )

    def advised(self, execution_id: str, advice: Sequence[Mapping[str, Any]]) -> None:
        """The advice as it was given in the end, with the fixes that were tried."""
        self._db.execute(
            "UPDATE learned_failures SET advice = ? WHERE execution_id = ?",
            (json.dumps([dict(one) for one in advice]), execution_id),
        )

    def open_failures(self, service: str, before: float) -> list[Failure]:
        """Failures of the service that nothing has fixed yet, oldest first."""
        return self._failures(
            "WHERE service = ? AND fixed_by IS NULL AND failed_at < ? ORDER BY failed_at", (service, before)
        )

    def retried(self, service: str, at: float) -> None:
        """Another release of the service was tried: the failures before it were followed by a try."""
        self._db.execute(
            "UPDATE learned_failures SET retried_at = ? WHERE service = ? AND retried_at IS NULL AND failed_at < ?",
            (at, service, at),
        )

    def fixed(
        self, execution_id: str, *, by: str, at: float, change: str, commit: str, followed: tuple[str, ...]
    ) -> None:
        """What ended one failure; the first success counts."""
        self._db.execute(
            "UPDATE learned_failures SET fixed_by = ?, fixed_at = ?, change = ?, git_commit = ?, followed = ?"
            " WHERE execution_id = ? AND fixed_by IS NULL",
            (by, at, change, commit, json.dumps(list(followed)), execution_id),
        )

    def correct(self, correction: Correction) -> None:
        """A person's word; the same person's word on the same execution replaces the earlier one."""
        self._db.execute(
            f"INSERT INTO learned_corrections ({_CORRECTION}) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (execution_id, corrected_by) DO UPDATE SET type = excluded.type, note = excluded.note,"
            " corrected_at = excluded.corrected_at",
            (
                correction.execution_id,
                correction.signature,
                correction.type,
                correction.note,
                correction.by,
                correction.at,
            ),
        )

    def recall(self, signature: str, *, service: str, without: str) -> Recalled:
        """What is remembered of a signature: the service's own failures, and corrections of any service."""
        failures = self._failures(
            "WHERE signature = ? AND service = ? AND execution_id <> ? ORDER BY failed_at DESC LIMIT ?",
            (signature, service, without, FAILURES_MAX),
        )
        corrections = self.corrections("WHERE signature = ? ORDER BY corrected_at", (signature,))
        return Recalled(tuple(reversed(failures)), tuple(corrections))

    def failure(self, execution_id: str) -> Failure | None:
        return next(iter(self._failures("WHERE execution_id = ?", (execution_id,))), None)

    def failures(self, service: str | None = None) -> list[Failure]:
        """All that is remembered, oldest first."""
        if service is None:
            return self._failures("ORDER BY failed_at", ())
        return self._failures("WHERE service = ? ORDER BY failed_at", (service,))

    def corrections(self, where: str = "ORDER BY corrected_at", values: tuple[Any, ...] = ()) -> list[Correction]:
        if self._empty:
            return []
        rows = self._db.execute(f"SELECT {_CORRECTION} FROM learned_corrections {where}", values)
        return [Correction(*row) for row in rows]

    def _failures(self, where: str, values: tuple[Any, ...]) -> list[Failure]:
        if self._empty:
            return []
        rows = self._db.execute(f"SELECT {_FAILURE} FROM learned_failures {where}", values)
        return [_failure(row) for row in rows]


def _failure(row: tuple[Any, ...]) -> Failure:
    shape = dict(zip((name.strip() for name in _FAILURE.split(",")), row, strict=True))
    return Failure(
        execution_id=shape["execution_id"],
        service=shape["service"],
        at=shape["failed_at"],
        signature=shape["signature"],
        type=shape["type"],
        cause=shape["cause"],
        step_type=shape["step_type"],
        advice=tuple(json.loads(shape["advice"])),
        retried_at=shape["retried_at"],
        fixed_by=shape["fixed_by"],
        fixed_at=shape["fixed_at"],
        change=shape["change"],
        commit=shape["git_commit"],
        followed=tuple(json.loads(shape["followed"])),
    )


def correction(execution_id: str, signature: str, type_: str, note: str, by: str) -> Correction:
    """A correction made now."""
    return Correction(execution_id, signature, type_, note, by, time.time())
