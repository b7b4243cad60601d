"""A store on a real folder, and the content that a target would hand over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from failback.backup.store import SnapshotStore
from failback.model.snapshot import SnapshotContent

SECRET = "s3cret-of-the-service"


class Clocks:
    """A wall clock that anybody may set, and an uptime that nobody can."""

    def __init__(self) -> None:
        self.wall_s = 1_737_354_000.0
        self.up_s = 1_000.0
        self.boot = "boot-1"

    def pass_days(self, days: float) -> None:
        self.wall_s += days * 86_400
        self.up_s += days * 86_400

    def reboot(self) -> None:
        self.boot += "'"
        self.up_s = 5.0

    def wall(self) -> float:
        return self.wall_s

    def uptime(self) -> tuple[str, float]:
        return self.boot, self.up_s


class Hooked:
    """A journal whose writes can be met: `before` and `after` get the detail of each."""

    def __init__(self, before: Callable[[str], None] | None = None, after: Callable[[str], None] | None = None) -> None:
        self.writes: list[str] = []
        self._before = before
        self._after = after

    def intent(self, write: str, /, **detail: Any) -> AbstractContextManager[None]:
        return self._intent(write, str(detail.get("file", "")))

    @contextmanager
    def _intent(self, write: str, file: str) -> Iterator[None]:
        self.writes.append(f"{write} {file}".strip())
        if self._before:
            self._before(file)
        yield
        if self._after:
            self._after(file)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def hooked() -> type[Hooked]:
    return Hooked


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release folder as the local target keeps them: code, an executable, an empty folder, links."""
    folder = tmp_path / "releases" / "4f2a"
    (folder / "app" / "empty").mkdir(parents=True)
    (folder / "app" / "main.py").write_text("print('ü')\n")
    (folder / "run.sh").write_text("#!/bin/sh\nexec python app/main.py\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "data").symlink_to("/var/lib/notes")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "main.pyc").write_bytes(b"\0")
    return folder


@pytest.fixture
def content(release: Path) -> SnapshotContent:
    return SnapshotContent(
        service="notes",
        target="local",
        revision="r3",
        documents={
            "k8s": "kind: LocalService\nrevision: r3\n",
            "service": "listen: 127.0.0.1:8080\n",
            "configs": json.dumps({"env": {"LOG_LEVEL": "info"}, "secrets": {"TOKEN": SECRET}}),
        },
        files={"release": str(release)},
        items=("release sha256:4f2a (r3)", "environment (2 values)"),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def make_store(root: Path, tmp_path: Path, clocks: Clocks) -> Callable[..., SnapshotStore]:
    def make(**changes: Any) -> SnapshotStore:
        settings: dict[str, Any] = {
            "root": root,
            "key_file": tmp_path / "home" / "key.txt",
            "encryption": True,
            "retention_days": 30,
            "clock": clocks.wall,
            "uptime": clocks.uptime,
        }
        settings |= changes
        return SnapshotStore(settings.pop("root"), settings.pop("key_file"), **settings)

    return make


@pytest.fixture
def store(make_store: Callable[..., SnapshotStore]) -> SnapshotStore:
    return make_store()
