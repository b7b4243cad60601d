"""Runs a program as the only one of its kind: waits for the lock, then becomes the program, which keeps the lock.

When the supervisor is killed its programs go on; the next supervisor starts each of them again. A second proxy would
take the first one's sockets away under its users, so it stands by here until the first one ends.
`python -I -m failback.targets.local.standby LOCK PROGRAM...`
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys


def main() -> int:
    """Becomes the program once the lock is free. Told to stop before: passes that on to who has it, waits, ends."""
    lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
    told = False

    def stop(*_: object) -> None:
        nonlocal told
        told = True
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.kill(int(os.pread(lock, 32, 0)), signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if told:
        return 0
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    os.set_inheritable(lock, True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
