"""The example of the README, on published packages: its story under load, and what a release does not depend on."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import yaml

NOTES = Path(__file__).resolve().parents[2] / "examples" / "notes"
UP_AGAIN_S_MAX = 60.0


@pytest.mark.timeout(600)
def test_the_story_goes_as_it_is_told():
    """Werkzeug 3 under Flask 2.2.2: failed in the dark, 0 requests lost, cause and fix named; the fix goes live."""
    told = subprocess.run([sys.executable, NOTES / "walkthrough.py"], capture_output=True, text=True, timeout=590)

    assert told.returncode == 0, told.stdout[-6000:] + told.stderr
    assert told.stdout.count(" 0 of ") >= 8


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Any]:
    """Release 1, deployed by its Build and Deploy steps alone."""
    walker = _walkthrough().Walk(tmp_path)
    plan = walker.folder / "failback.yaml"
    document = yaml.safe_load(plan.read_text())
    document["steps"] = [step | {"needs": None} for step in document["steps"] if step["name"] in ("Build", "Deploy")]
    plan.write_text(yaml.safe_dump(document))
    code, out = walker.failback("deploy", "--yes", quiet=True)
    assert code == 0, out
    yield walker
    walker.folder.mkdir(exist_ok=True)
    walker.failback("down", "notes", quiet=True)


@pytest.mark.timeout(300)
def test_a_killed_replica_of_a_release_whose_source_is_gone_is_that_release_again(live):
    """A release that still needed its source would come up with the next one's code or libraries, or not at all."""
    walker = live
    shutil.rmtree(walker.folder)
    before = _replicas(walker)
    assert len(before) >= 2

    before[0].kill()

    deadline = time.monotonic() + UP_AGAIN_S_MAX
    while time.monotonic() < deadline and not (before[0] not in _replicas(walker) and len(_replicas(walker)) >= 2):
        time.sleep(0.1)
    after = _replicas(walker)
    assert before[0] not in after
    assert len(after) >= 2
    for port in sorted({port for process in after for port in _ports(process)}):
        assert _release_at(port) == "1"
    assert walker.answer()["release"] == "1"


def _walkthrough() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notes_walkthrough", NOTES / "walkthrough.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _replicas(walker: Any) -> list[psutil.Process]:
    """The masters of the service's replicas: those that a launcher started."""
    found = []
    for process in psutil.process_iter():
        try:
            here = walker.env["FAILBACK_HOME"] in process.cwd()
            if (
                here
                and "gunicorn" in " ".join(process.cmdline())
                and "launcher" in " ".join(process.parent().cmdline())
            ):
                found.append(process)
        except (psutil.Error, OSError, AttributeError):
            continue
    return found


def _ports(process: psutil.Process) -> list[int]:
    return [place.laddr.port for place in process.net_connections("tcp") if place.status == psutil.CONN_LISTEN]


def _release_at(port: int) -> str:
    """What a replica says of itself, asked past the proxy."""
    deadline = time.monotonic() + UP_AGAIN_S_MAX
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                return str(answer.headers["X-Release"])
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
