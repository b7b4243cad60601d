"""One writer a service: a kernel lock with a fencing token; and the locks of several services, all or none.

The lock is a `flock`, so it ends with the process that holds it, however it ends; there is no time-out that a slow
holder could outlive. A holder that is *stopped* (SIGSTOP, a frozen shell) would block for good, so it is killed
before the lock is taken over; the token then makes any write it may still try be refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from failback.model.errors import LeaseLost, ServiceHeld

_TAKE_OVER_S_MAX = 5.0


class ServiceLock:
    """Holds the lock of one service. `token` grows with every holder and is what targets compare."""

    def __init__(self, folder: Path, service: str) -> None:
        self.service = service
        self._lock_path = folder / f"{service}.lock"
        self._fence_path = folder / f"{service}.fence"
        self._descriptor: int | None = None
        self.token = 0

    def acquire(self, what: str) -> None:
        """Takes the lock or raises ServiceHeld at once; `what` tells others what the holder does."""
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _TAKE_OVER_S_MAX
        ended: set[int] = set()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = self.holder()
                if not _end_if_stopped(holder, ended) or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise self._held(holder) from None
                time.sleep(0.01)
        self._descriptor = descriptor
        self.token = self._fence() + 1
        _write_durably(self._fence_path, str(self.token).encode())
        me = psutil.Process()
        note = {"pid": me.pid, "started": me.create_time(), "what": what, "since": time.time()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)

    def holder(self) -> dict[str, object] | None:
        """Who holds the lock now, as it wrote itself; None when it cannot be read."""
        try:
            note = json.loads(self._lock_path.read_bytes() or b"null")
        except (OSError, ValueError):
            return None
        return note if isinstance(note, dict) else None

    def check(self) -> None:
        """Raises LeaseLost unless this process is still the newest holder; called before every write."""
        newest = self._fence()
        if self._descriptor is None or newest != self.token:
            raise LeaseLost(
                f"{self.service} was taken over by another execution (fencing token {newest}, ours is {self.token}): "
                f"this one stops and writes nothing more. `failback status {self.service}` shows what runs.",
                service=self.service,
                token=self.token,
                newest=newest,
            )

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def _fence(self) -> int:
        try:
            return int(self._fence_path.read_text() or "0")
        except FileNotFoundError:
            return 0

    def _held(self, holder: dict[str, object] | None) -> ServiceHeld:
        who = f"process {holder['pid']} ({holder['what']})" if holder else "another process"
        return ServiceHeld(
            f"{self.service} is held by {who}: nothing was touched. Wait for it to end, or look with "
            f"`failback status {self.service}`.",
            service=self.service,
            holder=holder,
        )


class ServiceLocks:
    """The locks of everything that one execution works on, all or none; always taken in the order of their names.

    `held`: locks that the caller has already; they are used, and neither taken nor released here.
    """

    def __init__(self, folder: Path, names: Iterable[str], held: Mapping[str, ServiceLock] | None = None) -> None:
        held = held or {}
        self.by_name = {name: held.get(name) or ServiceLock(folder, name) for name in sorted(set(names))}
        self._own = [lock for name, lock in self.by_name.items() if name not in held]

    def acquire(self, what: str) -> None:
        """Takes them, or raises ServiceHeld with none taken. Nobody waits, so no two can wait for each other."""
        try:
            for lock in self._own:
                lock.acquire(what)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        for lock in reversed(self._own):
            lock.release()


def _end_if_stopped(holder: dict[str, object] | None, ended: set[int]) -> bool:
    """Kills the holder if it is stopped (never a running one); True when the lock may come free by that.

    `ended` holds the processes that were killed here already: a dying one is not stopped any more, and not gone yet.
    """
    if holder is None:
        return True  # between its flock and its note, or just gone: look again
    try:
        process = psutil.Process(int(str(holder["pid"])))
        if abs(process.create_time() - float(str(holder["started"]))) > 0.01:
            return True  # the pid belongs to somebody else by now; the true holder is gone
        if process.pid in ended or process.status() == psutil.STATUS_ZOMBIE:
            return True
        if process.status() != psutil.STATUS_STOPPED:
            return False
        ended.add(process.pid)
        descriptor = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None
        try:
            if process.status() != psutil.STATUS_STOPPED:
                return False
            if descriptor is not None:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            else:
                process.kill()
        finally:
            if descriptor is not None:
                os.close(descriptor)
    except psutil.NoSuchProcess:
        return True
    return True


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(path.suffix + f".{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
