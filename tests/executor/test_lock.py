"""One writer a service; a holder that is stopped loses its place and can write nothing more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from failback.executor.lock import ServiceLock, ServiceLocks
from failback.model.errors import LeaseLost, ServiceHeld

HOLD = """
import sys, time
from pathlib import Path
from failback.executor.lock import ServiceLock
lock = ServiceLock(Path(sys.argv[1]), "shop")
lock.acquire("failback deploy")
print(lock.token, flush=True)
time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip()
    return process


def test_a_live_holder_keeps_it(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(ServiceHeld, match=str(process.pid)):
            ServiceLock(tmp_path, "shop").acquire("another")
    finally:
        process.kill()
        process.wait()


def test_a_killed_holder_leaves_it(tmp_path: Path) -> None:
    """No time-out, no file to remove by hand: the kernel lets go."""
    process = holder(tmp_path)
    process.kill()
    process.wait()

    lock = ServiceLock(tmp_path, "shop")
    lock.acquire("next")

    assert lock.token == 2
    lock.release()


def test_a_stopped_holder_is_ended(tmp_path: Path) -> None:
    """A frozen shell would block the service for good; it is killed before the lock is taken over."""
    process = holder(tmp_path)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.1)

    lock = ServiceLock(tmp_path, "shop")
    lock.acquire("next")

    assert process.wait(10) == -signal.SIGKILL
    assert lock.token == 2
    lock.release()


def test_a_stale_holder_is_fenced_off(tmp_path: Path) -> None:
    """Whoever holds an older token than the newest is told to stop, before each write."""
    stale = ServiceLock(tmp_path, "shop")
    stale.acquire("old")
    stale.check()
    (tmp_path / "shop.fence").write_text("9")

    with pytest.raises(LeaseLost):
        stale.check()
    stale.release()


def test_another_service_is_another_lock(tmp_path: Path) -> None:
    first, second = ServiceLock(tmp_path, "a"), ServiceLock(tmp_path, "b")
    first.acquire("x")
    second.acquire("y")
    first.release()
    second.release()


def test_tokens_only_grow(tmp_path: Path) -> None:
    lock = ServiceLock(tmp_path, "shop")
    tokens = []
    for _ in range(3):
        lock.acquire("x")
        tokens.append(lock.token)
        lock.release()

    assert tokens == [1, 2, 3]


def test_several_locks_are_taken_all_or_none(tmp_path: Path) -> None:
    """Given that one of three is held, then none of the others is taken; once it is free, all are."""
    held = ServiceLock(tmp_path, "search")
    held.acquire("failback deploy")
    wanted = ServiceLocks(tmp_path, ["shop", "search", "basket"])

    with pytest.raises(ServiceHeld, match="search is held"):
        wanted.acquire("failback deploy")

    assert not any(lock.held for lock in wanted.by_name.values())
    held.release()
    wanted.acquire("failback deploy")
    assert all(lock.held for lock in wanted.by_name.values())
    wanted.release()


def test_locks_that_the_caller_has_stay_his(tmp_path: Path) -> None:
    """An execution that is taken up on the way to another uses its locks, and gives back only those it took itself."""
    mine = ServiceLocks(tmp_path, ["shop"])
    mine.acquire("failback deploy")
    more = ServiceLocks(tmp_path, ["shop", "search"], mine.by_name)

    more.acquire("failback resume")
    more.release()

    assert more.by_name["shop"] is mine.by_name["shop"]
    assert mine.by_name["shop"].held
    assert not more.by_name["search"].held
    mine.release()
