"""Runs all tests that need no cluster. Those that kill failback at every boundary mostly wait for processes, so they
run in processes of their own beside the others; each prints its output when it has ended. Arguments go to pytest."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KILLED = "tests/local/test_killed.py"
SERVICES_KILLED = "tests/local/test_services_killed.py"
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("all but the kills", ("--ignore", KILLED, "--ignore", SERVICES_KILLED)),
    ("kills, first half", (KILLED, "--shard", "1/2")),
    ("kills, second half, and of several services", (KILLED, SERVICES_KILLED, "--shard", "2/2")),
    ("kills of several services, the rest", (SERVICES_KILLED, "--shard", "1/2")),
)


def main(arguments: list[str]) -> int:
    """0 when every group passed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="failback-tests-") as folder:
        running = [(name, *_start(Path(folder) / f"{number}.log", chosen, arguments))
                   for number, (name, chosen) in enumerate(GROUPS)]  # fmt: skip
        worst = 0
        for name, process, log in running:
            code = process.wait()
            took_s = time.monotonic() - began
            print(f"\n=== {name} ({took_s:.0f} s)\n{log.read_text(errors='replace')}", flush=True)
            worst = max(worst, abs(code))
    return worst


def _start(log: Path, chosen: tuple[str, ...], arguments: list[str]) -> tuple[subprocess.Popen[bytes], Path]:
    command = [sys.executable, "-m", "pytest", "-m", "not cluster", *chosen, *arguments]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT), log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
