"""A replica's log file with a bound on its size and on what a flood may cost: two files of a run, one of the run before."""

from __future__ import annotations

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
        if path.exists() and path.stat().st_size:
            path.replace(previous)
        self._older.unlink(missing_ok=True)
        self._file = path.open("wb", buffering=0)
        self._size = 0
        self._budget = float(_BURST_BYTES_MAX)
        self._at = time.monotonic()
        self._dropped = 0

    def admits(self, count: int) -> bool:
        """Whether so many more bytes are within the budget; if not they are counted as dropped."""
        now = time.monotonic()
        self._budget = min(_BURST_BYTES_MAX, self._budget + (now - self._at) * _BYTES_A_SECOND_MAX)
        self._at = now
        if count > self._budget:
            self._dropped += count
            return False
        self._budget -= count
        return True

    def write(self, text: bytes) -> None:
        if self._dropped:
            note = b"\n[failback: %d bytes of a log flood were dropped here]\n" % self._dropped
            self._dropped = 0
            text = note + text
        if not text:
            return
        if self._size + len(text) > _FILE_BYTES_MAX:
            self._file.close()
            self._path.replace(self._older)
            self._file = self._path.open("wb", buffering=0)
            self._size = 0
        self._file.write(text)
        self._size += len(text)

    def close(self) -> None:
        self.write(b"")
        self._file.close()
