"""The files of one replica: what it is told, and what its launcher writes down. By the standard library alone.

spec.json    what to start (no secret)           lock        held by the launcher that has the process
secret.age   its secret environment, encrypted   run.json    the running process: pids and start
life.jsonl   starts, exits, memory kills         log, log.1, log.previous
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_LIFE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """What the launcher starts. `doorbell` is the socket that it rings when something happened."""

    name: str
    service: str
    revision: str
    start: tuple[str, ...]
    cwd: str
    port: int
    env: dict[str, str]
    cgroup: str
    doorbell: str
    key_file: str
    memory_bytes: int | None = None
    cpu_cores: float | None = None
    grace_s: float = 10.0
    secret_names: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Life:
    """One entry of life.jsonl. `at` is unix seconds; `lived_s` by a clock that does not jump."""

    event: str  # "started" | "exited" | "oom"
    at: float
    mono: float  # by the system-wide clock that does not jump; comparable within one boot
    run: int
    pid: int
    code: int | None = None
    signal: str | None = None
    oom_killed: bool = False
    lived_s: float = 0.0
    error: str = ""
    samples: tuple[tuple[float, int], ...] = ()


class ReplicaFiles:
    """Reads and writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def previous_log(self) -> Path:
        return self.folder / "log.previous"

    @property
    def secret(self) -> Path:
        return self.folder / "secret.age"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    def write_spec(self, spec: ReplicaSpec) -> None:
        self._write("spec.json", asdict(spec))

    def spec(self) -> ReplicaSpec:
        shape = json.loads((self.folder / "spec.json").read_text())
        return ReplicaSpec(**{**shape, "start": tuple(shape["start"]), "secret_names": tuple(shape["secret_names"])})

    def write_run(self, run: dict[str, Any]) -> None:
        self._write("run.json", run)

    def run(self) -> dict[str, Any] | None:
        """The running process, as its launcher wrote it: {"launcher", "pid", "started_at", "run", "ticks"}."""
        try:
            shape = json.loads((self.folder / "run.json").read_text())
        except (OSError, ValueError):
            return None
        return shape if isinstance(shape, dict) else None

    def clear_run(self) -> None:
        (self.folder / "run.json").unlink(missing_ok=True)

    def alive(self) -> dict[str, Any] | None:
        """`run()` if that very process still lives."""
        run = self.run()
        if run is None or start_ticks(int(run["pid"])) != run["ticks"]:
            return None
        return run

    def record(self, life: Life) -> None:
        path = self.folder / "life.jsonl"
        if path.exists() and path.stat().st_size > _LIFE_BYTES_MAX:
            path.replace(path.with_suffix(".1"))
        with path.open("a") as file:
            file.write(json.dumps(asdict(life)) + "\n")

    def life(self) -> list[Life]:
        """Everything recorded, oldest first; a line cut by a kill is passed over."""
        found = []
        try:
            lines = (self.folder / "life.jsonl").read_text().splitlines()
        except OSError:
            return []
        for line in lines:
            try:
                shape = json.loads(line)
                found.append(Life(**{**shape, "samples": tuple((at, used) for at, used in shape["samples"])}))
            except (ValueError, TypeError, KeyError):
                continue
        return found

    def _write(self, name: str, shape: dict[str, Any]) -> None:
        temporary = self.folder / f".{name}.{os.getpid()}"
        temporary.write_text(json.dumps(shape))
        temporary.replace(self.folder / name)


def start_ticks(pid: int) -> str | None:
    """What tells a process from a later one with the same id; None when there is no such process (or a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return _start_elsewhere(pid) if not Path("/proc/self/stat").exists() else None
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def members(group: int, since: str) -> list[int]:
    """Processes of a group whose leader has gone; `since`: the leader's start. None when the group is another's by now.

    While one of its members lives, the kernel gives the group's id to no new process.
    """
    if start_ticks(group) not in (None, since):
        return []
    found = []
    for pid in _all_pids():
        started = start_ticks(pid)
        try:
            if pid != group and started is not None and os.getpgid(pid) == group and float(started) >= float(since):
                found.append(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def _all_pids() -> list[int]:
    names = [entry.name for entry in os.scandir("/proc")] if Path("/proc/self/stat").exists() else []
    if names:
        return [int(name) for name in names if name.isdecimal()]
    import psutil

    return list(psutil.pids())


def _start_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None
