"""One proxy's files: read without any question to Envoy, replaced so that it never sees half of one.

By the standard library alone, and quick to import: `status` reads them.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from failback.targets.local import proxy_config


class ProxyFiles:
    """bootstrap.json, and the three files that Envoy watches, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, Any] | None:
        """The document; None when there is none, or none that can be read."""
        try:
            document = json.loads((self.folder / name).read_bytes())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Replaces it: whole on the disk first, then renamed, which is what Envoy looks for."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Not where Envoy watches: only finished files ever appear there.
        temporary = self.folder / f".{path.name}.{os.getpid()}"
        with temporary.open("w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def keep(self, name: str) -> None:
        """Makes the last rename last over a power cut; apart from `write`, so that no switch waits for the disk."""
        descriptor = os.open((self.folder / name).parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def routed(self) -> str | None:
        """The revision that users reach, as the file says."""
        known = self.read(proxy_config.ROUTES)
        return None if known is None else proxy_config.routed_in(known)

    def mirrored(self) -> str | None:
        """The revision that gets copies of users' requests, if one does."""
        known = self.read(proxy_config.ROUTES)
        return None if known is None else proxy_config.mirrored_in(known)

    def revisions(self) -> dict[str, list[int]]:
        """Ports by revision, as the file has them."""
        known = self.read(proxy_config.CLUSTERS)
        return {} if known is None else proxy_config.revisions_in(known)

    def listens_on(self, listen: str) -> bool:
        """Whether the listener's file has this address."""
        known = self.read(proxy_config.LISTENERS)
        return known is not None and proxy_config.addresses_in(known) == addresses(listen)


def split_listen(listen: str) -> tuple[str, int]:
    """("127.0.0.1", 8080) of "127.0.0.1:8080", ("::1", 8080) of "[::1]:8080", ("0.0.0.0", 8080) of ":8080"."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)


def addresses(listen: str) -> list[tuple[str, int]]:
    """The numeric addresses to listen on: both families for ":8080" and "localhost:8080" where the system has IPv6.

    Raises OSError for a name that does not resolve.
    """
    host, port = split_listen(listen)
    if listen.startswith(":"):
        return [("0.0.0.0", port), *([("::", port)] if _has_ipv6() else [])]
    if host == "localhost":
        return [("127.0.0.1", port), *([("::1", port)] if _has_ipv6() else [])]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(place[0]), port) for *_, place in found))


def _has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def new_version() -> str:
    """Names one state of one file; no two are alike."""
    return f"{time.time_ns():x}-{os.getpid():x}"
