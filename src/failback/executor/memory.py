"""Opens the memory of failures. Light: commands that only read use it, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from failback.executor.home import Home
from failback.learning.store import LearningStore

DATABASE_URL = "FAILBACK_DATABASE_URL"


@contextmanager
def memory(home: Home, database_url: str | None = None, *, create: bool = True) -> Iterator[LearningStore]:
    """The memory of this home: in its SQLite file, or in Postgres where the executor uses that."""
    store = LearningStore(home.database, database_url or os.environ.get(DATABASE_URL), create=create)
    try:
        yield store
    finally:
        store.close()
