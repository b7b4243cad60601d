"""The watcher's end of the doorbell: launchers ring it when something happened, so that nobody has to poll."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path


class Doorbell:
    """A datagram socket; `rung` is set by each ring."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rung = asyncio.Event()
        self._socket: socket.socket | None = None

    def __enter__(self) -> Doorbell:
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._take)
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
        self._path.unlink(missing_ok=True)

    def ring(self) -> None:
        """Rings it from within: a probe of our own has seen something."""
        self.rung.set()

    async def wait(self, timeout_s_max: float) -> None:
        """Returns at the next ring, or after the time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.rung.wait(), timeout_s_max)
        self.rung.clear()

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._socket is not None and self._socket.recv(4096):
                self.rung.set()
