"""SIGKILL in the middle of deployments: whoever takes it up, here or from an empty home, ends it well."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.killing import ELSEWHERE, HERE, Kill, in_a_row
from tests.cluster.side_by_side import SIDE_BY_SIDE, Stories
from tests.cluster.support import is_testbed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
# One of each sort of write and each moment; `python -m bench.kubernetes --kills 100` takes all of them.
CHOSEN = (
    Kill("bad", "service.pin:before#1", ELSEWHERE),
    Kill("good", "workload.launch:before#1", ELSEWHERE),
    Kill("bad", "workload.launch:effect-made-record-not#1", HERE),
    Kill("bad", "Deploy/judge:recorded#1", ELSEWHERE),
    Kill("bad", "workload.restore:effect-made-record-not#1", ELSEWHERE),
    Kill("bad", "replicaset.delete:effect-made-record-not#1", ELSEWHERE),
    Kill("bad", "service.unpin:effect-made-record-not#1", HERE),
    Kill("bad", "phase-7:begun#1", HERE),
    Kill("good", "snapshot.store:after#1", HERE),
    Kill("good", "config.create:effect-made-record-not#1", ELSEWHERE),
    Kill("good", "traffic.switch:before#1", ELSEWHERE),
    Kill("good", "traffic.switch:effect-made-record-not#1", HERE),
    Kill("good", "record.write:effect-made-record-not#2", ELSEWHERE),
    Kill("good", "workload.restore:effect-made-record-not#1", HERE),
    Kill("good", "service.unpin:effect-made-record-not#1", ELSEWHERE),
    Kill("good", "record.remove:before#1", ELSEWHERE),
)


@pytest.fixture(scope="module")
def series(request: pytest.FixtureRequest) -> Iterator[tuple[Stories, dict[Kill, str]]]:
    """The selected kills, shared out among a few places."""
    chosen = [item.callspec.params["kill"] for item in request.session.items if _is_one(item)]
    parts = {f"place {number}": chosen[number::SIDE_BY_SIDE] for number in range(SIDE_BY_SIDE)}
    stories = Stories({name: functools.partial(in_a_row, part) for name, part in parts.items() if part})
    yield stories, {kill: name for name, part in parts.items() for kill in part}
    stories.close()


def _is_one(item: Any) -> bool:
    return item.module.__name__ == __name__ and "kill" in getattr(getattr(item, "callspec", None), "params", {})


ALWAYS = (CHOSEN[0], CHOSEN[3], CHOSEN[11], CHOSEN[14])  # in every run; all of them by `make test-long`


@pytest.mark.parametrize(
    "kill",
    [pytest.param(kill, marks=() if kill in ALWAYS else pytest.mark.long) for kill in CHOSEN],
    ids=str,
)
def test_killed_then_taken_up(series: tuple[Stories, dict[Kill, str]], kill: Kill) -> None:
    """At rest afterwards, with the user's own fields, and no user noticed."""
    stories, places = series
    found, seen = stories.of(places[kill])

    assert found[kill] == []
    if is_testbed():
        assert seen["sent"] > 0
        assert seen["failed"] == 0, json.dumps(seen)[:2000]
