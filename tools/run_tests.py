"""Runs the tests that need no cluster. Those that kill failback at its boundaries mostly wait for processes, so they
run beside the others; each group prints its output when it has ended. Arguments go to pytest."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from again import failed_in, once_more

ROOT = Path(__file__).resolve().parents[1]
KILLED = "tests/local/test_killed.py"
SERVICES_KILLED = "tests/local/test_services_killed.py"
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("all but the kills", ("--ignore", KILLED, "--ignore", SERVICES_KILLED)),
    # Every third boundary; `make test-long` kills at all of them.
    ("kills", (KILLED, SERVICES_KILLED, "--shard", "1/3")),
)


def main(arguments: list[str]) -> int:
    """0 when every group passed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="failback-tests-") as folder:
        running = [(name, *_start(Path(folder), number, chosen, arguments))
                   for number, (name, chosen) in enumerate(GROUPS)]  # fmt: skip
        worst = 0
        for name, process, log, _ in running:
            code = process.wait()
            took_s = time.monotonic() - began
            print(f"\n=== {name} ({took_s:.0f} s)\n{log.read_text(errors='replace')}", flush=True)
            worst = max(worst, abs(code))
        again = failed_in([failed for *_, failed in running])
    if worst == 1 and again:
        return once_more(again, (), ["-m", "not cluster", *arguments], ROOT)
    return worst


def _start(
    folder: Path, number: int, chosen: tuple[str, ...], arguments: list[str]
) -> tuple[subprocess.Popen[bytes], Path, Path]:
    log, failed = folder / f"{number}.log", folder / f"{number}.failed"
    command = [sys.executable, "-m", "pytest", "-m", "not cluster", f"--failed-to={failed}", *chosen, *arguments]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT), log, failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
