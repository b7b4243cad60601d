"""A few megabytes kept aside, so that a disk which fills up in the middle does not stop the way back."""

from __future__ import annotations

import errno
import os

from failback.executor.home import Home
from failback.model.errors import NoSpace

_BYTES = 8 * 1024 * 1024


def keep(home: Home) -> None:
    """Makes sure that the ballast is there. Raises NoSpace before anything is touched."""
    path = home.root / "ballast"
    if path.exists() and path.stat().st_size == _BYTES:
        return
    try:
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, _BYTES)
            else:
                file.write(b"\0" * _BYTES)
    except OSError as cause:
        path.unlink(missing_ok=True)
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                f"Nothing was touched: {home.root} has less than {_BYTES // 2**20} MiB free, and a rollback needs "
                f"room for its record. Free some space or name another folder with --home.",
                path=str(home.root),
            ) from cause
        raise


def drop(home: Home) -> None:
    """Gives the room to the rollback's records."""
    (home.root / "ballast").unlink(missing_ok=True)
