"""Fixes are tried in the dark: verified where one passes, never live, nothing left, whatever kills it in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.world import World

TRY = {"diagnosis": {"try_fixes": True}, "checks": {"soak": 0.2, "bake": 0.3}}
KILLS = 6


@pytest.fixture
def trying(world: World) -> World:
    """Release 1 is live; fixes may be tried."""
    world.extra = TRY
    world.release(1)
    assert world.deploy()["exit_code"] == 0
    return world


def without_settings(world: World, number: int = 2) -> None:
    """The next release lacks a file that the former one had."""
    world.release(number)
    (world.folder / "app" / "settings.json").unlink()


def advice(result: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result["rollback"]["phases"][5]["recommendations"]
    return found


def test_a_fix_that_passes_is_said_first(trying: World) -> None:
    """With what was tried and how long it took; users stayed on release 1 all the time."""
    without_settings(trying)
    with trying.load(50) as load:
        result = trying.deploy()
        seen = load.stop()

    first = advice(result)[0]
    assert result["exit_code"] == 3
    assert result["fixes"]["verified"] == 1
    assert first["verified"].startswith("passed the gate with settings.json in ")
    assert set(seen["answered_by"]) == {"1"}
    assert seen["failed"] == 0
    assert trying.problems() == []


def test_its_patch_makes_the_release_go_live(trying: World) -> None:
    """`failback explain --patch | git apply`, and the next deployment completes."""
    without_settings(trying)
    trying.deploy()

    patch = trying.run("explain", "--patch")
    subprocess.run(["git", "init", "-q"], cwd=trying.folder, check=True)
    subprocess.run(["git", "apply"], cwd=trying.folder, input=patch.stdout, text=True, check=True)

    assert "passed the gate" in patch.stderr
    assert trying.deploy()["exit_code"] == 0


def test_a_fault_of_the_program_has_no_verified_fix(trying: World) -> None:
    trying.release(2, exit_at_start=7)

    result = trying.deploy()

    assert result["fixes"]["verified"] == 0
    assert all("verified" not in item for item in advice(result))
    assert trying.run("explain", "--patch").returncode == 2
    assert trying.problems() == []


def test_a_fix_that_does_not_pass_is_not_verified(trying: World) -> None:
    """The file is back, and the release answers 500 all the same."""
    app = trying.folder / "app" / "app.py"
    trying.release(2)
    app.write_text(app.read_text().replace("        status = 200\n", "        status = 500\n"))
    (trying.folder / "app" / "settings.json").unlink()

    result = trying.deploy()

    assert (result["fixes"]["tried"], result["fixes"]["verified"]) == (1, 0)
    assert trying.problems() == []


def test_not_asked_not_tried(live: World) -> None:
    """Without `try_fixes` nothing more is started; the change is there as a patch that says so."""
    live.extra = {}
    without_settings(live)

    result = live.deploy()
    patch = live.run("explain", "--patch", "--json")

    assert result["fixes"] is None
    assert json.loads(patch.stdout)["status"] == "not tried"
    assert "+++ b/app/settings.json" in json.loads(patch.stdout)["patch"]


def test_after_users_had_it_nothing_is_tried(trying: World) -> None:
    """It had passed its gate in the dark: passing it once more would prove nothing."""
    trying.extra = {**TRY, "checks": {"soak": 0.1, "bake": 5}}
    trying.release(2, bad_after=20)
    with trying.load(50):
        result = trying.deploy()

    assert result["status"] == "failed"
    assert result["fixes"]["status"] == "skipped"
    assert "a trial in the dark would prove nothing" in result["fixes"]["reason"]


def test_trials_end_at_their_time(trying: World) -> None:
    """The restored release starts too slowly for the time that trials may take: stopped, removed, said."""
    trying.extra = {**TRY, "diagnosis": {"try_fixes": True, "try_timeout": 2}}
    trying.release(2)
    (trying.folder / "app" / "settings.json").unlink()
    app = trying.folder / "app" / "app.py"
    app.write_text(app.read_text().replace("began = time.monotonic()", "began = time.sleep(8)"))

    result = trying.deploy()

    assert result["fixes"]["verified"] == 0
    assert result["rollback"]["phases_completed"] == 8
    assert trying.problems() == []


def test_a_secret_of_the_former_revision_is_tried_and_never_shown(world: World) -> None:
    """The plan lost `API_KEY: ${SHOP_KEY}`; its value is in the dark release alone, the patch has the reference."""
    world.env = {"SHOP_KEY": "hunter2-hunter2-hunter2"}
    world.extra = {**TRY, "release": {"env": {"API_KEY": "${SHOP_KEY}"}}}
    world.release(1)
    app = world.folder / "app" / "app.py"
    needs = app.read_text().replace("answered = 0\n", 'answered = 0\nkey = os.environ["API_KEY"]\n', 1)
    app.write_text(needs)
    assert world.deploy()["exit_code"] == 0
    world.extra = TRY
    world.env = {}
    world.release(2)
    app.write_text(needs)

    result = world.deploy()
    patch = world.run("explain", "--patch")

    assert advice(result)[0]["verified"].startswith("passed the gate with API_KEY as it was")
    assert "${SHOP_KEY}" in patch.stdout
    kept = [path for path in (world.home / "executions").rglob("*") if path.is_file()]
    assert all(b"hunter2-hunter2" not in path.read_bytes() for path in kept)
    assert "hunter2-hunter2" not in json.dumps(result) + patch.stdout + patch.stderr


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, list[str], list[int]]]:
    """One home for all kills, the instants of one trial as a recording has them, and the release's number."""
    world = World(tmp_path_factory.mktemp("killed-trial"), extra=TRY)
    world.release(1)
    assert world.deploy()["exit_code"] == 0
    record = world.folder / "points.txt"
    without_settings(world)
    world.deploy(fault=f"record:{record}")
    points = record.read_text().splitlines()
    inside = points[points.index("fixes:begun#1") : points.index("fixes:recorded#1") + 1]
    assert len(inside) > KILLS
    yield world, [inside[place * (len(inside) - 1) // (KILLS - 1)] for place in range(KILLS)], [2]
    world.end()


@pytest.mark.parametrize("place", range(KILLS))
def test_killed_in_the_middle_of_a_trial(killed: tuple[World, list[str], list[int]], place: int) -> None:
    """At instants all over the trial: the next start goes on with it, and leaves nothing."""
    world, points, number = killed
    number[0] += 1
    without_settings(world, number[0])
    done = world.run("deploy", "--yes", "--json", fault=f"kill:{points[place]}")
    assert done.returncode == -signal.SIGKILL, points[place]

    (result,) = json.loads(world.run("resume", "--json").stdout)

    assert result["rollback"]["phases_completed"] == 8, points[place]
    assert result["fixes"]["verified"] == 1, (points[place], result["fixes"])
    assert world.problems() == [], points[place]
    assert list((world.home / "executions").glob("*/scratch")) == []


def test_stopped_by_its_user(trying: World) -> None:
    """Ctrl-C while a fix is tried ends the trial, in order."""
    trying.extra = {**TRY, "checks": {"soak": 20, "bake": 0.3}}
    without_settings(trying)
    process = trying.start("deploy", "--yes")
    assert process.stdout is not None
    for line in process.stdout:
        if "Trying in the dark" in line:
            break
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 3
    assert trying.problems() == []
