"""Ports for replicas: free now, taken by no other home, and outside the range the kernel gives away by itself."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Collection

import psutil

from failback.model.errors import TargetError

_FIRST, _LAST = 20_000, 32_000  # below the ephemeral ranges of Linux (32768-) and macOS (49152-)
_TRIES_MAX = 2_000


def free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """So many different free ports. Raises TargetError when none can be found."""
    found: list[int] = []
    for _ in range(_TRIES_MAX):
        if len(found) == count:
            return found
        port = random.randint(_FIRST, _LAST)
        if port not in taken and port not in found and is_free(port):
            found.append(port)
    raise TargetError(f"No {count} free ports were found between {_FIRST} and {_LAST} on 127.0.0.1.")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def listener(port: int) -> int | None:
    """The process that listens on the port, where this user may know it."""
    with contextlib.suppress(psutil.Error, PermissionError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                return connection.pid
    return None
