"""Real launchers in a private home: each test's processes are ended by their own ids, never by a name."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.targets.local.processes import WAIT_S_MAX, Launched

from failback.targets.local.ports import free_ports
from failback.targets.local.replica import ReplicaFiles, ReplicaSpec


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A short folder for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="fbt-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def replica(tmp_path: Path, run_dir: Path) -> Iterator[Callable[..., Launched]]:
    """Makes a replica whose process runs a piece of Python; `start` of the result launches it."""
    made: list[Launched] = []

    def make(code: str = "", *, start: tuple[str, ...] = (), **fields: Any) -> Launched:
        number = len(made) + 1
        files = ReplicaFiles(tmp_path / "replicas" / f"r1-{number}")
        files.folder.mkdir(parents=True, mode=0o700)
        cwd = tmp_path / "release"
        cwd.mkdir(exist_ok=True)
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.bind(str(run_dir / f"bell-{number}"))
        bell.settimeout(WAIT_S_MAX)
        spec = ReplicaSpec(
            **{
                "name": f"r1-{number}",
                "service": "notes",
                "revision": "r1",
                "start": start or (sys.executable, "-u", "-c", code),
                "cwd": str(cwd),
                "port": free_ports(1)[0],
                "env": {"PATH": os.environ["PATH"]},
                "cgroup": f"test-{os.getpid()}-{run_dir.name}-{number}",
                "doorbell": str(run_dir / f"bell-{number}"),
                "key_file": str(tmp_path / "key.age"),
                "grace_s": 5.0,
                **fields,
            }
        )
        files.write_spec(spec)
        made.append(Launched(files, spec, bell))
        return made[-1]

    yield make
    for one in made:
        one.close()
