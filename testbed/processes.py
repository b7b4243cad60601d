"""Processes that outlive the command that starts them, known by id and start time.

Promise: only a process that the testbed started is ever ended; a process id that the kernel has given to another one is
not taken for ours, because its start time differs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.settings import LOGS, PROCESSES

START_S_MAX = 10.0
STOP_S_MAX = 10.0


@dataclass(frozen=True)
class Process:
    """A process as recorded: `started` is in clock ticks since the machine started."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it runs still (a zombie does not)."""
        stat = _stat(self.pid)
        return stat is not None and stat == (self.started, True)

    def end(self, limit_s: float = STOP_S_MAX) -> None:
        """SIGTERM, then SIGKILL after the limit; returns when it is gone."""
        for number, patience in ((signal.SIGTERM, limit_s), (signal.SIGKILL, STOP_S_MAX)):
            if not self.alive:
                return
            os.kill(self.pid, number)
            deadline = time.monotonic() + patience
            while self.alive and time.monotonic() < deadline:
                time.sleep(0.02)


def _stat(pid: int) -> tuple[int, bool] | None:
    """Start time, and whether it is more than a zombie; None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19]), fields[0] not in "ZX"


def process(pid: int) -> Process | None:
    """The process that has this id now."""
    stat = _stat(pid)
    return Process(pid, stat[0]) if stat and stat[1] else None


def recorded(name: str) -> Process | None:
    """The living process of this name, or None."""
    try:
        found = Process(**json.loads((PROCESSES / f"{name}.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return found if found.alive else None


def record(name: str, found: Process) -> None:
    """Whole or not at all, so that a kill in between leaves no half record."""
    PROCESSES.mkdir(parents=True, exist_ok=True)
    unfinished = PROCESSES / f"{name}.unfinished"
    unfinished.write_text(json.dumps({"pid": found.pid, "started": found.started}))
    unfinished.rename(PROCESSES / f"{name}.json")


def find(is_wanted: Callable[[int, list[str]], bool]) -> list[Process]:
    """Living processes whose id and command line are the wanted ones."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_text(errors="replace").rstrip("\0").split("\0")
            if arguments != [""] and is_wanted(int(folder.name), arguments) and (one := process(int(folder.name))):
                found.append(one)
        except OSError:
            continue  # it has ended meanwhile
    return found


def start(name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
    """Starts a program that forks exactly once (unshare, nsenter: the child is in the new process namespace), and
    records that child."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        parent = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True, cwd="/"
        )
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and parent.poll() is None:
        if child := _only_child(parent.pid):
            record(name, child)
            return child
        time.sleep(0.005)
    raise RuntimeError(f"{name} did not start; see {LOGS / (name + '.log')}:\n{last_lines(name)}")


def _only_child(pid: int) -> Process | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return process(int(children[0])) if children else None


def last_lines(name: str, count: int = 8) -> str:
    """The end of a log, for an error message."""
    try:
        return "\n".join((LOGS / f"{name}.log").read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return "(no log)"
