"""Where one installation keeps its state: the folders of a home, and a short path for its sockets."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from failback.model.errors import NoSpace, NotPermitted
from failback.targets.local.layout import way_to_releases

# What a target keeps of a service in its folder, by which the kind of the target is known.
_LOCAL, _ON_CLUSTER = "state.json", "kubernetes.json"


def default_home() -> Path:
    """`$FAILBACK_HOME`, else the platform's state folder."""
    named = os.environ.get("FAILBACK_HOME")
    if named:
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "failback"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "failback"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of a home. Nothing is created before `prepare`."""

    root: Path

    @classmethod
    def at(cls, path: Path | str | None) -> Home:
        return cls(Path(path if path is not None else default_home()).expanduser().absolute())

    @property
    def database(self) -> Path:
        return self.root / "failback.db"

    @property
    def workflows(self) -> Path:
        return self.root / "workflows.sqlite"

    @property
    def key_file(self) -> Path:
        return self.root / "key.age"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def failure_logs(self) -> Path:
        return self.root / "logs" / "failures"

    def execution(self, execution_id: str) -> Path:
        return self.root / "executions" / execution_id

    def service(self, service: str) -> Path:
        return self.root / "services" / service

    def services(self) -> list[str]:
        """The services that this home deployed, by name."""
        return sorted(
            {path.parent.name for name in (_LOCAL, _ON_CLUSTER) for path in (self.root / "services").glob(f"*/{name}")}
        )

    def is_on_cluster(self, service: str) -> bool:
        """Whether this home deployed the service to a cluster."""
        return (self.service(service) / _ON_CLUSTER).exists()

    @property
    def exists(self) -> bool:
        return self.database.exists()

    def run_dir(self) -> Path:
        """A short folder for sockets, 0700, of this user and this home alone (socket paths end at 104 bytes)."""
        base = os.environ.get("XDG_RUNTIME_DIR")
        if not base or len(base) > 40 or not os.access(base, os.W_OK):
            base = f"{tempfile.gettempdir() if len(tempfile.gettempdir()) < 40 else '/tmp'}/failback-{os.getuid()}"
        else:
            base = f"{base}/failback"
        path = Path(base) / hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        for folder in (path.parent, path):
            folder.mkdir(mode=0o700, exist_ok=True)
            info = folder.lstat()
            if info.st_uid != os.getuid() or folder.is_symlink() or info.st_mode & 0o077:
                raise NotPermitted(
                    f"{folder} exists, but is not a private folder of this user (another user may have made it). "
                    f"Remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
                    path=str(folder),
                )
        return path

    def prepare(self) -> None:
        """Creates the home; others can read nothing of it but releases. Raises NoSpace where it cannot be written."""
        try:
            for folder in (self.root, self.root / "services"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                folder.chmod(way_to_releases())
            for name in ("locks", "executions", "logs"):
                (self.root / name).mkdir(exist_ok=True, mode=0o700)
                (self.root / name).chmod(0o700)
            self.workflows.touch(mode=0o600)
            probe = self.root / f".probe-{os.getpid()}-{threading.get_native_id()}"
            probe.write_bytes(b"\0" * 65536)
            probe.unlink()
        except OSError as cause:
            what = "is full" if cause.errno in (errno.ENOSPC, errno.EDQUOT) else "cannot be written"
            raise NoSpace(
                f"Nothing was touched: the home {self.root} {what} ({cause.strerror}). "
                f"Free some space or name another folder with --home.",
                path=str(self.root),
            ) from cause
