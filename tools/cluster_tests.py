"""Runs the tests that need a cluster on the testbed: brings it up, runs them inside its network, and takes it down if
it was not up before. Where the testbed cannot run they are skipped with the reason; with CI=true that is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from again import failed_in, once_more

ROOT = Path(__file__).resolve().parents[1]
TESTBED = ROOT / "testbed"
CANNOT_RUN = 77


def main(arguments: list[str]) -> int:
    """The exit code of the tests."""
    was_up = subprocess.run([TESTBED / "run", "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0
    up = subprocess.run([TESTBED / "up"], check=False).returncode
    if up == CANNOT_RUN and os.environ.get("CI") != "true":
        sys.stderr.write("The tests that need a cluster are skipped: the testbed said why.\n")
        return 0
    if up != 0:
        return up
    try:
        with tempfile.TemporaryDirectory(prefix="failback-tests-") as folder:
            failed = Path(folder) / "failed"
            chosen = ["-m", os.environ.get("FAILBACK_CLUSTER_TESTS", "cluster and not long"), *arguments]
            tests = [sys.executable, "-m", "pytest", f"--failed-to={failed}", *chosen]
            code = subprocess.run([TESTBED / "run", *tests], cwd=ROOT, check=False).returncode
            again = failed_in([failed])
        return once_more(again, [TESTBED / "run"], chosen, ROOT) if code == 1 and again else code
    finally:
        if not was_up:
            subprocess.run([TESTBED / "down"], check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
