"""Opens the memory of failures. Light: commands that only read use it, too."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from failback.executor.home import Home
from failback.learning.store import LearningStore
from failback.model.errors import MemoryUnavailable

DATABASE_URL = "FAILBACK_DATABASE_URL"


@contextmanager
def memory(home: Home, database_url: str | None = None, *, create: bool = True) -> Iterator[LearningStore]:
    """The memory of this home: in its SQLite file, or in Postgres where the executor uses that.

    Raises MemoryUnavailable for whatever the database says.
    """
    url = database_url or os.environ.get(DATABASE_URL)
    try:
        store = LearningStore(home.database, url, create=create)
        try:
            yield store
        finally:
            store.close()
    except Exception as cause:
        if not _of_database(cause):
            raise
        where = "in the executor's Postgres" if url and url.startswith("postgres") else f"in {home.database}"
        raise MemoryUnavailable(
            f"What failback remembers of failures {where} cannot be used: {type(cause).__name__}: {cause}"
        ) from cause


def _of_database(error: Exception) -> bool:
    # psycopg is an extra, and is not imported to find out that it is not there.
    return isinstance(error, sqlite3.Error | ImportError) or type(error).__module__.startswith("psycopg")
