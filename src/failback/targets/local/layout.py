"""Where the local target keeps what belongs to one service. By the standard library alone."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from failback.targets.local.replica import ReplicaFiles


def way_to_releases() -> int:
    """The mode of the folders above a release: a service that root starts and that gives up its rights, as web servers
    do, still has to find its own files. Nobody can list these folders; whatever else is in them is closed by itself."""
    return 0o711 if os.geteuid() == 0 else 0o700


@dataclass(frozen=True, slots=True)
class Layout:
    """`home` is the home's root; `run_dir` its short folder for sockets."""

    home: Path
    run_dir: Path
    service: str

    @property
    def folder(self) -> Path:
        return self.home / "services" / self.service

    @property
    def state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def proxy(self) -> Path:
        return self.folder / "proxy"

    @property
    def proxy_lock(self) -> Path:
        """Held by the one process that is the proxy; outside its folder, which goes and comes with it."""
        return self.folder / "proxy.lock"

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def shared(self) -> Path:
        return self.folder / "shared"

    @property
    def supervisor(self) -> Path:
        return self.home / "supervisor"

    @property
    def doorbell(self) -> Path:
        return self.run_dir / f"{self.tag}.bell"

    @property
    def tag(self) -> str:
        """Short and unique on this machine."""
        return hashlib.sha256(f"{self.home}|{self.service}".encode()).hexdigest()[:12]

    @property
    def proxy_program(self) -> str:
        return f"{self.service}-proxy"

    def program(self, replica: str) -> str:
        return f"{self.service}-{replica}"

    def replica(self, name: str) -> ReplicaFiles:
        return ReplicaFiles(self.folder / "replicas" / name)

    def sealed(self, revision: str) -> Path:
        """The revision's secret environment, encrypted."""
        return self.folder / "sealed" / f"{revision}.age"
