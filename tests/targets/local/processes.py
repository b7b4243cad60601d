"""Helpers of these tests: wait for a fact, tell whether a process lives, and one replica under its real launcher."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from failback.targets.local.limits import open_limiter
from failback.targets.local.replica import Life, ReplicaFiles, ReplicaSpec, members, start_ticks

WAIT_S_MAX = 60.0  # far above what is usual: a busy machine is no failure


def eventually(look: Callable[[], Any], *, within_s: float = WAIT_S_MAX, what: str = "it") -> Any:
    """The first truthy thing that `look` gives; fails the test when there was none in time."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {within_s:g} s")
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    return start_ticks(pid) is not None


def end(processes: Sequence[psutil.Process]) -> None:
    """Ends these processes and waits for it; those that have gone meanwhile are what was wanted."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.wait_procs(list(processes), timeout=10)


@dataclass
class Launched:
    """One replica's folder with the launchers that a test started for it."""

    files: ReplicaFiles
    spec: ReplicaSpec
    bell: socket.socket
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    groups: dict[int, str] = field(default_factory=dict)  # leader's id -> its start, since ids are used again

    def start(self, *, before: str = "true") -> subprocess.Popen[bytes]:
        """`before`: a shell command that the launcher starts after, such as a limit."""
        launcher = [sys.executable, "-I", "-m", "failback.targets.local.launcher", str(self.files.folder)]
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'{before} && exec "$@"', "sh", *launcher],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.files.folder / "launcher.err").open("ab"),
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def running(self) -> dict[str, Any]:
        """run.json, once the process is there."""
        found = eventually(self.files.alive, what="the start of the process")
        self.groups[int(found["pid"])] = str(found["ticks"])
        return dict(found)

    def exits(self) -> list[Life]:
        return [life for life in self.files.life() if life.event == "exited"]

    def ended(self) -> Life:
        """The first exit that was recorded."""
        return next(iter(eventually(self.exits, what="the record of the exit")))

    def log(self) -> str:
        return "".join(
            path.read_text(errors="replace")
            for path in (self.files.log.with_name("log.1"), self.files.log)
            if path.exists()
        )

    def says(self, text: str) -> None:
        eventually(lambda: text in self.log(), what=f"{text!r} in the log")

    def close(self) -> None:
        run = self.files.alive()
        if run is not None:
            self.groups[int(run["pid"])] = str(run["ticks"])
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        for group, since in self.groups.items():
            if start_ticks(group) == since or members(group, since):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
        # A launcher that a test killed could not remove its groups; the name is this test's own.
        open_limiter(self.spec.cgroup, None, None).end()
        self.bell.close()
