"""Runs one program for the supervisor, at most once: `python -I -m failback.targets.local.holding LOCK COMMAND...`

The proxy outlives a supervisor that was killed, so that users notice nothing. The supervisor's next start would then
begin a second one beside it, which could not listen for users, and yet would be the one that is asked and told. So
whoever has the lock is the program; the one started later stands by, and takes over at the instant the other ends.
Told to stop, it ends the one that has the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from pathlib import Path

from failback.targets.local.replica import start_ticks


def main() -> None:
    """Becomes the program once the lock is free. Returns only when it was told to stop before."""
    path, command = Path(sys.argv[1]), sys.argv[2:]
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    told = False

    def stop(*_: object) -> None:
        nonlocal told
        told = True
        end_holder(path)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if told:
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()} {start_ticks(os.getpid())}".encode())
    os.set_inheritable(lock, True)  # held for as long as the program lives, since it becomes this very process
    os.execv(command[0], command)


def end_holder(path: Path) -> None:
    """Asks the process that has the lock to end; it is told from a later one with its id by its start."""
    with contextlib.suppress(OSError, ValueError):
        pid, ticks = path.read_text().split()
        if start_ticks(int(pid)) == ticks:
            os.kill(int(pid), signal.SIGTERM)


if __name__ == "__main__":
    main()
