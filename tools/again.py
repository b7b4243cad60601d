"""Tests that failed beside others are tried once more, alone: what fails twice has failed.

Many tests are real processes under load with time limits, on two cores; a limit that was missed once, while another
suite compiled or killed beside it, is told in the output and is no verdict.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FEW = 30  # more than so many are no accident of a busy machine


def failed_in(files: Sequence[Path]) -> list[str]:
    """The ids of failed tests, each once, in their order."""
    ids = [line for file in files if file.exists() for line in file.read_text(encoding="utf-8").splitlines()]
    return list(dict.fromkeys(ids))


def once_more(ids: Sequence[str], before: Sequence[str | Path], arguments: Sequence[str], root: Path) -> int:
    """Runs these alone; 0 when all pass now. `before`: what the command begins with (the way into a network)."""
    if len(ids) > FEW:
        print(f"{len(ids)} tests failed: too many for a busy machine.", flush=True)
        return 1
    print("\n=== failed beside others, tried once more alone:\n" + "\n".join(ids), flush=True)
    return subprocess.run([*before, sys.executable, "-m", "pytest", *arguments, *ids], cwd=root, check=False).returncode
