"""Files that are wholly there or not at all, and the lock of a backup folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from failback.model.errors import NoSpace, SnapshotError

TEMPORARY = ".failback-"  # prefix of unfinished files; who has the folder to itself may remove them
_LOCK_S_MAX = 60.0
_POLL_S = 0.02
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SHUT = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOLCK})


def sync(descriptor: int) -> None:
    """Onto the device itself; on macOS plain fsync stops at the drive's cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[int]:
    """A descriptor of a temporary file that is `path` once the body ended well, and is gone otherwise.

    The caller syncs the folder, once for all of its files. Raises OSError.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            yield descriptor
            sync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_durably(path: Path, content: bytes) -> None:
    with replacing(path) as descriptor:
        write_all(descriptor, content)


def forget_cache(descriptor: int, start: int = 0, length: int = 0) -> None:
    """Written pages leave the cache, so the next read comes from the device; unwritten ones begin to be written."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)


def read_from_device(path: Path) -> bytes:
    """The content of a small file, past the cache where the system lets us. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        forget_cache(descriptor)
        return file.read()


def free_bytes(folder: Path) -> int:
    """What this user may still write there; 0 when there is no inode left."""
    system = os.statvfs(folder)
    if system.f_files and not system.f_favail:
        return 0
    return system.f_bavail * system.f_frsize


def no_space(root: Path, cause: OSError) -> NoSpace | None:
    """What a failed write means to a person; None when it is another trouble than room or rights."""
    if cause.errno in _FULL:
        what = "has no room for the backup"
    elif cause.errno in _SHUT:
        what = "cannot be written"
    else:
        return None
    return NoSpace(
        f"Nothing was touched: {root} {what} ({cause.strerror or cause}). "
        f"Free some space there, or name another folder as backup.backup_root.",
        path=str(root),
    )


class FolderLock:
    """Who stores a snapshot shares the folder with others who do; who removes something has it alone.

    A kernel lock: it ends with its process, so nobody ever waits for a dead one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextlib.contextmanager
    def alone(self, wait_s_max: float = _LOCK_S_MAX) -> Iterator[bool]:
        """True when we have it; False when others stored something all the time."""
        descriptor = self._open()
        try:
            yield _taken(descriptor, fcntl.LOCK_EX, wait_s_max)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Raises SnapshotError when somebody keeps it for longer than a minute."""
        descriptor = self._open()
        try:
            if not _taken(descriptor, fcntl.LOCK_SH, _LOCK_S_MAX):
                raise SnapshotError(
                    f"Nothing was touched: another process has kept {self._root} locked for {_LOCK_S_MAX:g} s. "
                    f"`fuser -v {self._root}` names it.",
                    path=str(self._root),
                )
            yield
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        descriptor = os.open(self._root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            # NFS locks no folder, and files only when they are open for writing.
            os.close(descriptor)
            return os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        return descriptor


def _taken(descriptor: int, kind: int, wait_s_max: float) -> bool:
    until = time.monotonic() + wait_s_max
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)
