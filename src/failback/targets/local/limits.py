"""Holds a replica to its memory and CPU: by cgroup v2 or v1 where this user may use them, else by a watcher.

Never by RLIMIT_AS: Node, Go and the JVM reserve far more address space than they use.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Protocol

_ROOT = Path("/sys/fs/cgroup")
_CPU_PERIOD_US = 100_000
_EMPTY_S_MAX = 2.0


class Limiter(Protocol):
    """Limits one replica. `kind` is what `doctor` shows."""

    kind: str

    def join(self) -> None:
        """Called in the child, between fork and exec."""
        ...

    def used_bytes(self, group: int) -> int | None: ...

    def oom_kills(self) -> int: ...

    def enforce(self, group: int) -> bool:
        """Where the kernel does not: kills a group that is over its limit, and says whether it did."""
        ...

    def clear(self) -> None:
        """Kills whatever an earlier run has left inside."""
        ...

    def end(self) -> None:
        """Kills whatever is left inside, and removes what was made."""
        ...


def open_limiter(name: str, memory_bytes: int | None, cpu_cores: float | None) -> Limiter:
    """The strongest that works here; `name` is unique on this machine ("<home hash>-<service>-r3-1")."""
    for make in (_version_2, _version_1):
        with contextlib.suppress(OSError):
            limiter = make(name, memory_bytes, cpu_cores)
            if limiter is not None:
                return limiter
    return Watcher(memory_bytes)


def groups_of(name: str) -> list[Path]:
    """The groups of that name which are there now, wherever `open_limiter` may have made them."""
    own = _ROOT / _own_path("0::") / "failback" if (_ROOT / "cgroup.controllers").exists() else None
    parents = [_ROOT / "failback", _ROOT / "memory" / "failback", _ROOT / "cpu" / "failback", *([own] if own else [])]
    return sorted({parent / name for parent in parents if (parent / name).is_dir()})


def end_groups(name: str) -> None:
    """Kills what is left in the groups of that name and removes them: a launcher that was killed could not."""
    for group in groups_of(name):
        _empty(group)
        with contextlib.suppress(OSError):
            group.rmdir()


def available() -> str:
    """Which one is in force here: "cgroup v2", "cgroup v1" or "watcher"; tried, not guessed."""
    limiter = open_limiter(f"probe-{os.getpid()}", 64 * 1024 * 1024, None)
    kind = limiter.kind
    limiter.end()
    return kind


def _version_2(name: str, memory_bytes: int | None, cpu_cores: float | None) -> Limiter | None:
    if not (_ROOT / "cgroup.controllers").exists():
        return None
    base = _ROOT / _own_path("0::") / "failback"
    parent = base if os.access(base.parent, os.W_OK) else _ROOT / "failback"
    parent.mkdir(exist_ok=True)
    for folder in (parent.parent, parent):
        with contextlib.suppress(OSError):
            (folder / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    group = parent / name
    group.mkdir(exist_ok=True)
    if memory_bytes is not None:
        (group / "memory.max").write_text(str(memory_bytes))
        with contextlib.suppress(OSError):
            (group / "memory.swap.max").write_text("0")
    elif not (group / "memory.current").exists():
        raise OSError("the memory controller is not delegated")
    if cpu_cores is not None:
        (group / "cpu.max").write_text(f"{int(cpu_cores * _CPU_PERIOD_US)} {_CPU_PERIOD_US}")
    return _Cgroup("cgroup v2", [group], group, "memory.current", "memory.events", memory_bytes)


def _version_1(name: str, memory_bytes: int | None, cpu_cores: float | None) -> Limiter | None:
    memory = _ROOT / "memory"
    if not (memory / "memory.usage_in_bytes").exists():
        return None
    group = memory / "failback" / name
    group.mkdir(parents=True, exist_ok=True)
    if memory_bytes is not None:
        (group / "memory.limit_in_bytes").write_text(str(memory_bytes))
        with contextlib.suppress(OSError):  # only where swap is accounted
            (group / "memory.memsw.limit_in_bytes").write_text(str(memory_bytes))
    groups = [group]
    cpu = _ROOT / "cpu"
    if (cpu / "cpu.cfs_period_us").exists() or (cpu_cores is None and (cpu / "cpu.shares").exists()):
        limited = cpu / "failback" / name
        limited.mkdir(parents=True, exist_ok=True)
        if cpu_cores is not None:
            (limited / "cpu.cfs_period_us").write_text(str(_CPU_PERIOD_US))
            (limited / "cpu.cfs_quota_us").write_text(str(int(cpu_cores * _CPU_PERIOD_US)))
        groups.append(limited)
    return _Cgroup("cgroup v1", groups, group, "memory.usage_in_bytes", "memory.oom_control", memory_bytes)


def _own_path(prefix: str) -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith(prefix):
            return line.removeprefix(prefix).lstrip("/")
    return ""


class _Cgroup:
    def __init__(
        self, kind: str, groups: list[Path], memory: Path, usage: str, events: str, memory_bytes: int | None
    ) -> None:
        self.kind = kind
        self._groups = groups
        self._memory = memory
        self._usage = memory / usage
        self._events = memory / events
        self._limited = memory_bytes is not None
        self._kills_before = self._kills()

    def join(self) -> None:
        for group in self._groups:
            (group / "cgroup.procs").write_text("0")

    def used_bytes(self, group: int) -> int | None:
        """Without the page cache, which the kernel gives back by itself."""
        try:
            used = int(self._usage.read_text())
            for line in (self._memory / "memory.stat").read_text().splitlines():
                name, _, value = line.partition(" ")
                if name in ("inactive_file", "total_inactive_file"):
                    used -= int(value)
                    break
        except (OSError, ValueError):
            return None
        return max(0, used)

    def oom_kills(self) -> int:
        return self._kills() - self._kills_before

    def _kills(self) -> int:
        try:
            for line in self._events.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
        except (OSError, ValueError):
            return 0
        return 0

    def enforce(self, group: int) -> bool:
        return False

    def clear(self) -> None:
        for group in self._groups:
            _empty(group)

    def end(self) -> None:
        for group in self._groups:
            _empty(group)
            with contextlib.suppress(OSError):
                group.rmdir()


class Watcher:
    """Adds up the resident memory of the process group, and kills it when it is over the limit."""

    kind = "watcher"

    def __init__(self, memory_bytes: int | None) -> None:
        self._memory_bytes = memory_bytes
        self._kills = 0

    def join(self) -> None:
        return None

    def used_bytes(self, group: int) -> int | None:
        import psutil

        used = 0
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == group:
                    used += process.memory_info().rss
        return used or None

    def oom_kills(self) -> int:
        return self._kills

    def enforce(self, group: int) -> bool:
        if self._memory_bytes is None:
            return False
        used = self.used_bytes(group)
        if used is None or used <= self._memory_bytes:
            return False
        self._kills += 1
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        return True

    def clear(self) -> None:
        return None

    def end(self) -> None:
        return None


def _empty(group: Path) -> None:
    deadline = time.monotonic() + _EMPTY_S_MAX
    while (pids := _pids(group)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _pids(group: Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []
