"""Several services in one plan on a real cluster, under load: all of them go live, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster.pair import SEARCH, SERVICES, SHOP, Pair, pair
from tests.cluster.place import failed, told

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def empty() -> Iterator[Pair]:
    """A namespace with nothing in it, and a plan for two services."""
    with pair() as made:
        yield made


@pytest.fixture
def live(empty: Pair) -> Pair:
    """Release 1 of both is live."""
    empty.release(1)
    result = empty.deploy()
    assert result["exit_code"] == 0, failed(result)
    assert empty.problems() == []
    return empty


def test_both_go_live_and_nobody_notices(live: Pair) -> None:
    """Given release 1 of both under load, when release 2 is deployed, then users of both move, and no request fails."""
    live.release(2)
    with live.loads() as loads:
        result = live.deploy()

    assert result["exit_code"] == 0, failed(result)
    assert [counted.get("failed", 0) for counted in loads.values()] == [0, 0], loads
    assert live.versions() == {SEARCH: {"2"}, SHOP: {"2"}}
    assert set(result["traffic"]["by_service"]) == set(SERVICES)
    assert live.problems() == []


def test_the_second_fails_and_the_first_goes_back(live: Pair) -> None:
    """`shop` is refused in the dark when `search` is live already: no former pod has left, and both are as before."""
    pods = {one["metadata"]["name"] for name in SERVICES for one in live.cluster.listed("pods", f"app={name}")}
    live.release(2, shop={"NEED_FILE": "/etc/shop/production.json"})
    with live.loads() as loads:
        result = live.deploy()

    assert result["exit_code"] == 3, failed(result)
    assert [counted.get("failed", 0) for counted in loads.values()] == [0, 0], loads
    assert result["rollback"]["system_status"] == "STABLE", failed(result)
    assert result["root_cause"]["affected_components"][-1:] == [SEARCH]
    actions = [action["text"] for action in result["rollback"]["phases"][0]["actions"]]
    assert list(dict.fromkeys(text.split(":")[0] for text in actions)) == [SEARCH, SHOP]
    assert live.versions() == {SEARCH: {"1"}, SHOP: {"1"}}
    assert {one["metadata"]["name"] for name in SERVICES for one in live.cluster.listed("pods", f"app={name}")} == pods
    assert live.problems() == []


def test_first_deployment_of_both_that_fails_leaves_nothing(empty: Pair) -> None:
    """Nothing ran, and nothing runs: no workload, no Service of either."""
    empty.release(1, shop={"EXIT_AT_START": 3})

    result = empty.deploy()

    assert result["exit_code"] == 3, failed(result)
    assert result["rollback"]["system_status"] == "STABLE", failed(result)
    for kind in ("deployments", "services"):
        assert empty.cluster.listed(kind) == []


def test_killed_between_the_two(live: Pair) -> None:
    """Killed when `search` was live and `shop` was dark: taken up with the home, and then once more without it."""
    live.release(2)
    live.run("deploy", "--yes", "--json", fault="kill:Deploy-shop/launch:recorded#1")
    resumed = live.run("resume", "--json")
    assert [one["status"] for one in json.loads(resumed.stdout)] == ["completed"], resumed.stderr
    assert live.versions() == {SEARCH: {"2"}, SHOP: {"2"}}
    assert live.problems() == []

    live.release(3)
    live.run("deploy", "--yes", "--json", fault="kill:Deploy-shop/launch:recorded#1")
    live.release(4)
    result = told(live.run("deploy", "--yes", "--json", home=live.folder / "another-home"))

    assert result["exit_code"] == 0, failed(result)
    assert [note.split(":")[0] for note in result["notes"]] == [SEARCH, SHOP]
    assert live.versions() == {SEARCH: {"4"}, SHOP: {"4"}}
    assert live.problems() == []


def test_killed_while_the_former_revisions_leave(live: Pair) -> None:
    """All steps had succeeded: whoever takes it up, with an empty home as well, finishes both and undoes none."""
    live.release(2)
    live.run("deploy", "--yes", "--json", fault="kill:record.remove:after#1")
    live.release(2)
    result = told(live.run("deploy", "--yes", "--json", home=live.folder / "another-home"))

    assert result["exit_code"] == 0, failed(result)
    assert "finished the rollout" in " ".join(result["notes"])
    assert live.versions() == {SEARCH: {"2"}, SHOP: {"2"}}
    assert live.problems() == []
