"""One small database: the home's SQLite file, or Postgres where the executor uses it. Statements fit both."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

_CONNECT_S_MAX = 3
_BUSY_S_MAX = 10.0


class Database(Protocol):
    """`?` stands for a value. Each statement is a transaction of its own."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def has(self, table: str) -> bool: ...

    def close(self) -> None: ...


class SqliteDatabase:
    """The home's file. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        # Never made by a reader: `mode=rw` fails where there is no file.
        mode = "rw" if path.exists() else "rwc"
        quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        self._db = sqlite3.connect(
            f"file:{quoted}?mode={mode}", uri=True, timeout=_BUSY_S_MAX, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA busy_timeout = 10000")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(statement, tuple(values)).fetchall()

    def has(self, table: str) -> bool:
        return bool(self.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)))

    def close(self) -> None:
        self._db.close()


class PostgresDatabase:
    """The executor's own database server. Raises psycopg.Error, or ImportError without the extra `postgres`."""

    def __init__(self, url: str) -> None:
        import psycopg

        scheme, _, rest = url.partition("://")
        self._db = psycopg.connect(
            f"{scheme.partition('+')[0]}://{rest}", autocommit=True, connect_timeout=_CONNECT_S_MAX
        )

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._db.execute(statement.replace("?", "%s").encode(), tuple(values))
        return cursor.fetchall() if cursor.description else []

    def has(self, table: str) -> bool:
        return bool(self.execute("SELECT 1 FROM pg_tables WHERE tablename = ?", (table,)))

    def close(self) -> None:
        self._db.close()


def open_database(path: Path, url: str | None) -> Database:
    """Postgres where `url` names it, else the file."""
    if url is not None and url.startswith("postgres"):
        return PostgresDatabase(url)
    return SqliteDatabase(path)
