"""The testbed's second node, for as long as a story needs it: a DaemonSet of one pod has nobody to serve meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.support import is_testbed, run_testbed

_lock = threading.Lock()
_users = 0


@contextmanager
def nodes_for(kind: str) -> Iterator[None]:
    """Two nodes while stories of a DaemonSet are told; the last of several side by side takes the second one down."""
    if kind != "DaemonSet" or not is_testbed():
        yield
        return
    _change(+1)
    try:
        yield
    finally:
        _change(-1)


def _change(by: int) -> None:
    global _users
    with _lock:
        before, _users = _users, _users + by
        if 0 in (before, _users):
            done = run_testbed("second-node", "up" if by > 0 else "down")
            assert done.returncode == 0, done.stderr
