"""A replica's log file, bounded in size and in what a flood may cost: two files of a run, one of the run before.

It never raises: a full disk costs lines of the log, and must not cost the service whose log it is.
"""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path

_FILE_BYTES_MAX = 8 * 1024 * 1024
_BYTES_A_SECOND_MAX = 4 * 1024 * 1024
_BURST_BYTES_MAX = 16 * 1024 * 1024


class BoundedLog:
    """Appends to `path`; a full file becomes `path.1`. What a flood brings beyond its budget is counted, not kept."""

    def __init__(self, path: Path, previous: Path) -> None:
        self._path = path
        self._older = path.with_name(path.name + ".1")
        with contextlib.suppress(OSError):
            if path.exists() and path.stat().st_size:
                path.replace(previous)
            self._older.unlink(missing_ok=True)
        self._file = self._open()
        self._size = 0
        self._budget = float(_BURST_BYTES_MAX)
        self._at = time.monotonic()
        self._dropped = 0
        self._rest_until = 0.0

    def admits(self, count: int) -> bool:
        """Whether so many more bytes are within the budget; if not they are counted as dropped."""
        now = time.monotonic()
        self._budget = min(_BURST_BYTES_MAX, self._budget + (now - self._at) * _BYTES_A_SECOND_MAX)
        self._at = now
        if count > self._budget or now < self._rest_until:
            self._dropped += count
            return False
        self._budget -= count
        return True

    def took(self, seconds: float) -> None:
        """How long masking and writing took: in a flood at most half of the time, or the process would wait for us."""
        if self._budget < _BURST_BYTES_MAX / 2:
            self._rest_until = time.monotonic() + seconds

    def write(self, text: bytes) -> None:
        if self._dropped:
            note = b"\n[failback: %d bytes of a log flood were dropped here]\n" % self._dropped
            self._dropped = 0
            text = note + text
        if not text:
            return
        if self._size + len(text) > _FILE_BYTES_MAX:
            self._close_file()
            with contextlib.suppress(OSError):
                self._path.replace(self._older)
            self._file = self._open()
            self._size = 0
        written = 0
        if self._file is not None:
            with contextlib.suppress(OSError):
                written = self._file.write(text) or 0
        self._size += written
        self._dropped += len(text) - written

    def close(self) -> None:
        self.write(b"")
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> io.FileIO | None:
        try:
            return self._path.open("wb", buffering=0)
        except OSError:
            return None
