"""Runs stories side by side, each in a namespace of its own; a test waits for the one that it is about."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

SIDE_BY_SIDE = int(os.environ.get("FAILBACK_TEST_SIDE_BY_SIDE", "3"))


class Stories:
    """`work`: name -> what tells it, in the order in which they begin."""

    def __init__(self, work: Mapping[str, Callable[[], Any]]) -> None:
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE)
        self._told: dict[str, Future[Any]] = {name: self._pool.submit(one) for name, one in work.items()}

    def of(self, name: str) -> Any:
        """Raises what went wrong in telling it."""
        return self._told[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
