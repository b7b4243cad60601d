"""A plan for two services, killed at recorded boundaries: taken up, both are live or both back; no request fails."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.boundaries import GOOD, after_a_failure, recorded
from tests.local.pair import SEARCH, SHOP, Pair

# Of the writes that `test_killed.py` tries for one service, every so many-th; all with FAILBACK_TEST_BOUNDARIES=all.
EVERY = 1 if os.environ.get("FAILBACK_TEST_BOUNDARIES") == "all" else 12
# What only several services have: one is done, and the other is not.
BETWEEN = re.compile(r"(Deploy-shop/.*|phase-[1-4]|finish):recorded#|revision\.promote:|Deploy-search/extend:recorded#")


def release(pair: Pair, number: int, *, good: bool) -> None:
    """A release of both; a bad one is one of `shop` whose settings are missing, found when `search` is live already."""
    quick = {"checks": {"soak": 0.2, "bake": 0.3}}
    pair.of = {SEARCH: quick, SHOP: quick}
    pair.release(number)
    if not good:
        (pair.folder / SHOP / "settings.json").unlink()


def boundaries() -> list[tuple[str, str]]:
    """(kind, point) of a plan for both, so that a new write is among them by itself."""
    with tempfile.TemporaryDirectory(prefix="failback-pair-") as folder:
        return recorded(Pair(Path(folder)), release)


def chosen() -> list[tuple[str, str]]:
    """Where one service is done and the other is not, and some of all others."""
    found = boundaries()
    between = [one for one in found if BETWEEN.match(one[1])]
    assert {"Deploy-search/extend:recorded#1", "revision.promote:after#1"} <= {point for _, point in between}
    writes = [one for one in found if one not in between]
    return [one for one in found if one in between or one in writes[::EVERY]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "boundary" in metafunc.fixturenames:
        metafunc.parametrize("boundary", chosen(), ids=lambda one: f"{one[0]}-{one[1]}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pair, list[int]]]:
    """One home for all kills, as in life: each deployment comes after a killed one. Under load from end to end."""
    pair = Pair(tmp_path_factory.mktemp("killed"))
    release(pair, 1, good=True)
    assert pair.deploy()["exit_code"] == 0
    with pair.loads(25) as loads:
        yield pair, [1, 1]
        seen = {name: load.stop() for name, load in loads.items()}
    pair.end()
    for one in seen.values():
        assert one["failed"] == 0, (one["by_kind"], one["failures"][:10])
        assert one["sent"] > 0


def test_killed_then_resumed_ends_the_same_for_both(shared: tuple[Pair, list[int]], boundary: tuple[str, str]) -> None:
    """Whatever the instant of SIGKILL: both have the new release, or both the former one, and nothing is left over."""
    pair, (count, live) = shared
    kind, point = boundary
    good = GOOD[kind]
    if kind == "mended":
        count += 1
        after_a_failure(pair, count, release)
    count += 1
    release(pair, count, good=good)
    killed = pair.run("deploy", "--yes", "--json", fault=f"kill:{point}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    resumed = pair.run("resume", "--json")

    assert resumed.returncode == 0, resumed.stderr
    for result in json.loads(resumed.stdout):
        assert result["status"] == ("completed" if good else "failed"), result.get("error")
        assert result["rollback"]["system_status"] == "STABLE"
        assert result["rollback"]["phases_completed"] == (0 if good else 8)
    live = count if good else live
    shared[1][:] = [count, live]
    assert pair.answers() == {SEARCH: str(live), SHOP: str(live)}
    assert pair.problems() == []
