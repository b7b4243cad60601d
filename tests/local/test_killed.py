"""SIGKILL at every recorded boundary, and at random instants: the next command ends it well, and no request fails."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from failback.drill.running_load import RunningLoad
from tests.local.boundaries import GOOD, after_a_failure, all_boundaries, release
from tests.local.world import World

RANDOM_KILLS = 14
SEED = int(os.environ.get("FAILBACK_TEST_SEED", "20261124"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "boundary" in metafunc.fixturenames:
        metafunc.parametrize("boundary", all_boundaries(), ids=lambda one: f"{one[0]}-{one[1]}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, list[int]]]:
    """One home for all kills, as in life: each deployment comes after a killed one. Under load from end to end."""
    world = World(tmp_path_factory.mktemp("killed"))
    release(world, 1, good=True)
    assert world.deploy()["exit_code"] == 0
    with RunningLoad(world.url, 50) as load:
        yield world, [1]
        seen = load.stop()
    world.end()
    assert seen["failed"] == 0, (seen["by_kind"], seen["failures"][:10])
    assert seen["sent"] > 0


def test_killed_then_resumed_ends_the_same(shared: tuple[World, list[int]], boundary: tuple[str, str]) -> None:
    """Whatever the instant of SIGKILL: completed, or STABLE with all eight phases, and nothing is left over."""
    world, count = shared
    kind, point = boundary
    good = GOOD[kind]
    if kind == "mended":
        count[0] += 1
        after_a_failure(world, count[0], release)
    count[0] += 1
    release(world, count[0], good=good)
    killed = world.run("deploy", "--yes", "--json", fault=f"kill:{point}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    resumed = world.run("resume", "--json")

    assert resumed.returncode == 0, resumed.stderr
    for result in json.loads(resumed.stdout):
        assert result["status"] == ("completed" if good else "failed"), result.get("error")
        assert result["rollback"]["system_status"] == "STABLE"
        assert result["rollback"]["phases_completed"] == (0 if good else 8)
    assert world.problems() == []
    assert _last(world)["status"] == ("completed" if good else "failed, STABLE")


@pytest.mark.parametrize("number", range(RANDOM_KILLS))
def test_killed_at_a_random_instant(shared: tuple[World, list[int]], number: int) -> None:
    """The instants between the boundaries; the seed is in the output, so a failure can be had again."""
    world, count = shared
    chance = random.Random(f"{SEED}-{number}")
    good = chance.random() < 0.5
    count[0] += 1
    release(world, count[0], good=good)
    process = world.start("deploy", "--yes", "--json")
    time.sleep(chance.uniform(0.3, 3.0))
    process.kill()
    process.communicate(timeout=30)

    resumed = world.run("resume", "--json")

    assert resumed.returncode == 0, f"seed {SEED}: {resumed.stderr}"
    assert world.problems() == [], f"seed {SEED}"


def test_killed_twice(shared: tuple[World, list[int]]) -> None:
    """The process that takes it up is killed as well."""
    world, count = shared
    count[0] += 1
    release(world, count[0], good=False)
    world.run("deploy", "--yes", fault="kill:Deploy/judge:recorded#1")
    world.run("resume", fault="kill:replica.stop:before#1")

    assert world.run("resume", "--json").returncode == 0
    assert world.problems() == []


def test_the_next_deployment_finishes_what_was_begun(shared: tuple[World, list[int]]) -> None:
    """Nobody types `resume`: the next `deploy` does it first, then its own work."""
    world, count = shared
    count[0] += 1
    release(world, count[0], good=True)
    world.run("deploy", "--yes", fault="kill:proxy.route:before#1")
    count[0] += 1
    release(world, count[0], good=True)

    assert world.deploy()["exit_code"] == 0
    assert world.problems() == []
    assert [row["status"] for row in json.loads(world.run("history", "--json").stdout)[:2]] == ["completed"] * 2


def _last(world: World) -> dict[str, str]:
    newest: dict[str, str] = json.loads(world.run("history", "--json", "-n", "1").stdout)[0]
    return newest


def test_boundaries_are_many(tmp_path: Path) -> None:
    """A fault point that is never passed would make this whole file prove nothing."""
    names = {point.split("#")[0] for _, point in all_boundaries()}

    assert {"snapshot.store:before", "proxy.route:effect-made-record-not", "phase-4:recorded"} <= names
    assert len(names) > 80
