"""Several services in one plan, by the installed command, under load: all of them go live, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failback.executor.lock import ServiceLock
from tests.local.pair import SEARCH, SERVICES, SHOP, Pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A home with nothing in it yet, and a plan for two services."""
    made = Pair(tmp_path)
    yield made
    made.end()


@pytest.fixture
def live(pair: Pair) -> Pair:
    """A home in which release 1 of both is live."""
    pair.release(1)
    result = pair.deploy()
    assert result["status"] == "completed", result
    return pair


def phase(result: dict[str, Any], number: int) -> list[str]:
    """What the phase did, in order."""
    return [action["text"] for action in result["rollback"]["phases"][number - 1]["actions"]]


def order_of(texts: list[str]) -> list[str]:
    """The services in the order in which they are named first."""
    return list(dict.fromkeys(text.split(":")[0] for text in texts))


def test_both_go_live_and_nobody_notices(live: Pair) -> None:
    """Given release 1 of both under load, when release 2 is deployed, then users of both move, and no request fails."""
    live.release(2)
    with live.loads() as loads:
        result = live.deploy()
        seen = {name: load.stop() for name, load in loads.items()}

    assert result["exit_code"] == 0, result.get("error")
    assert {name: one["failed"] for name, one in seen.items()} == {SEARCH: 0, SHOP: 0}
    assert all(set(one["answered_by"]) == {"1", "2"} for one in seen.values())
    assert result["rollback"]["user_impact"] == "ZERO"
    counted = result["traffic"]["by_service"]
    assert result["traffic"]["requests"] == sum(one["requests"] for one in counted.values()) > 0
    assert [one["source"] for one in counted.values()] == ["proxy", "proxy"]
    assert set(result["backup"]["services"]) == set(SERVICES)
    assert live.problems() == []


def test_no_former_revision_leaves_before_every_service_is_live(live: Pair) -> None:
    """When `shop` is refused in the dark, `search` is live already: it goes back to replicas that never left."""
    before = {replica["pid"] for state in live.states().values() for replica in state["replicas"]}
    live.write(SEARCH, 2)
    live.write(SHOP, 2)
    (live.folder / SHOP / "settings.json").unlink()
    with live.loads() as loads:
        result = live.deploy()
        seen = {name: load.stop() for name, load in loads.items()}

    assert result["exit_code"] == 3
    assert {name: one["failed"] for name, one in seen.items()} == {SEARCH: 0, SHOP: 0}
    assert set(seen[SEARCH]["answered_by"]) == {"1", "2"}
    assert set(seen[SHOP]["answered_by"]) == {"1"}
    assert result["rollback"]["system_status"] == "STABLE"
    assert result["rollback"]["phases_completed"] == 8
    assert all(order_of(phase(result, number)) == [SEARCH, SHOP] for number in (1, 2, 3, 4))
    assert result["root_cause"]["type"] == "missing_file"
    assert result["root_cause"]["affected_components"][-1:] == [SEARCH]
    assert json.loads((_files(live, result) / "evidence.json").read_text())["service"] == SHOP
    assert live.answers() == {SEARCH: "1", SHOP: "1"}
    assert {replica["pid"] for state in live.states().values() for replica in state["replicas"]} == before
    assert live.problems() == []


def test_failure_after_the_cut_over_of_the_second(live: Pair) -> None:
    """Both are live when `shop` goes bad: they go back in the reverse order, and what users felt is told by service."""
    live.of = {SHOP: {"checks": {"bake": 8}}}
    live.release(2, bad_after=30)
    with live.loads() as loads:
        result = live.deploy()
        seen = {name: load.stop() for name, load in loads.items()}

    assert result["exit_code"] == 3
    assert result["rollback"]["detection"]["stage"] == "after the cut-over"
    assert order_of(phase(result, 1)) == [SHOP, SEARCH]
    assert seen[SEARCH]["failed"] == 0
    assert seen[SHOP]["failed"] > 0
    counted = result["traffic"]["by_service"]
    assert (counted[SEARCH]["failed"], counted[SHOP]["failed"]) == (0, seen[SHOP]["failed"])
    assert result["rollback"]["user_impact"] == f"{seen[SHOP]['failed']} requests failed"
    assert live.answers() == {SEARCH: "1", SHOP: "1"}
    assert live.problems() == []


def test_first_deployment_of_both_that_fails_leaves_nothing(pair: Pair) -> None:
    """As before: nothing ran, and nothing runs, though `search` was live for a while."""
    pair.release(1, exit_at_start=3)

    result = pair.deploy()

    assert result["exit_code"] == 3
    assert result["rollback"]["system_status"] == "STABLE"
    assert pair.processes() == []
    for name in SERVICES:
        service = pair.home / "services" / name
        assert not (service / "proxy").exists()
        assert list((service / "releases").glob("[0-9a-f]*")) == []


def test_side_by_side(live: Pair) -> None:
    """Deploy steps that do not need one another run at once; one fails, and both are back."""
    live.extra = {
        "steps": [
            {"name": "Search", "type": "deploy", "service": SEARCH, "needs": []},
            {"name": "Shop", "type": "deploy", "service": SHOP, "needs": []},
        ]
    }
    live.release(2, exit_at_start=4)
    with live.loads() as loads:
        failed = live.deploy()
        seen = {name: load.stop() for name, load in loads.items()}
    live.release(3)
    good = live.deploy()

    assert failed["exit_code"] == 3
    assert {name: one["failed"] for name, one in seen.items()} == {SEARCH: 0, SHOP: 0}
    assert good["exit_code"] == 0, good.get("error")
    assert live.answers() == {SEARCH: "3", SHOP: "3"}
    assert live.problems() == []


def test_a_step_after_both_takes_both_back(live: Pair) -> None:
    """A verification that fails when both are live: nothing of it stays."""
    live.extra = {
        "steps": [
            {"name": "Deploy search", "type": "deploy", "service": SEARCH},
            {"name": "Deploy shop", "type": "deploy", "service": SHOP},
            {"name": "Verify", "type": "verify", "run": "echo 'AssertionError: the price is wrong'; exit 1"},
        ]
    }
    live.release(2)

    result = live.deploy()

    assert result["exit_code"] == 3
    assert result["deployment"]["failed_at_step"] == 3
    assert order_of(phase(result, 1)) == [SHOP, SEARCH]
    assert live.answers() == {SEARCH: "1", SHOP: "1"}
    assert live.problems() == []


def test_two_plans_that_share_services_at_once(live: Pair) -> None:
    """Both want both, named in another order: one has them all, the other is refused and has touched nothing."""
    live.release(2)
    other = {**live.plan(), "service": "other"}
    other["services"] = dict(reversed(other["services"].items()))
    (live.folder / "other.yaml").write_text(json.dumps(other))

    both = [live.start("deploy", "--yes", "--json", "--file", name) for name in ("failback.yaml", "other.yaml")]
    codes = [process.communicate(timeout=120) and process.returncode for process in both]

    assert sorted(codes) == [0, 5]
    assert live.answers() == {SEARCH: "2", SHOP: "2"}
    assert live.problems() == []


def test_a_service_of_a_running_plan_is_held(live: Pair) -> None:
    """While the plan is at `search`, `shop` alone cannot be deployed: not yet touched is held all the same."""
    live.release(2)
    live.extra = {"steps": [{"name": "Wait", "type": "build", "run": "touch begun; sleep 20"}, *live.plan()["steps"]]}
    live.write_plan()
    alone = {"apiVersion": "failback/v1", "service": SHOP, **live.part(SHOP)}
    (live.folder / "alone.yaml").write_text(json.dumps(alone))
    running = live.start("deploy", "--yes", "--json")
    while not (live.folder / "begun").exists():
        assert running.poll() is None, running.communicate()

    held = live.run("deploy", "--yes", "--json", "--file", "alone.yaml")
    running.terminate()
    running.communicate(timeout=60)

    assert held.returncode == 5, held.stdout
    assert f"{SHOP} is held" in held.stderr
    assert live.answers() == {SEARCH: "1", SHOP: "1"}


def test_a_killed_plan_is_taken_up_only_with_all_its_services(live: Pair) -> None:
    """Given a killed plan, one of whose services somebody holds: who wants the other is refused until both are free."""
    live.release(2)
    live.run("deploy", "--yes", fault="kill:Deploy-shop/launch:recorded#1")
    alone = {"apiVersion": "failback/v1", "service": SEARCH, **live.part(SEARCH)}
    (live.folder / "alone.yaml").write_text(json.dumps(alone))
    somebody = ServiceLock(live.home / "locks", SHOP)
    somebody.acquire("a person's own script")

    refused = live.run("deploy", "--yes", "--json", "--file", "alone.yaml")
    somebody.release()
    resumed = live.run("resume", "--json")

    assert refused.returncode == 5, refused.stdout
    assert f"{SHOP} is held" in refused.stderr
    assert [one["status"] for one in json.loads(resumed.stdout)] == ["completed"]
    assert live.answers() == {SEARCH: "2", SHOP: "2"}
    assert live.problems() == []


def test_each_service_and_the_plan_are_known_afterwards(live: Pair) -> None:
    """The commands know each service by its name, and all of them by the plan's."""
    live.release(2)
    shown = live.run("plan").stdout
    assert "search: r1 is live" in shown
    assert "Change of search:" in shown
    assert "Change of shop:" in shown
    result = live.deploy()
    assert result["exit_code"] == 0, result.get("error")

    assert {row["execution_id"] for row in json.loads(live.run("history", SHOP, "--json").stdout)} == {
        row["execution_id"] for row in json.loads(live.run("history", "platform", "--json").stdout)
    }
    told = json.loads(live.run("status", "platform", "--json").stdout)
    assert {state["service"] for state in told["services"]} == set(SERVICES)

    one_back = live.run("rollback", SHOP, "--yes", "--json")
    assert one_back.returncode == 0, one_back.stderr
    assert live.answers() == {SEARCH: "2", SHOP: "1"}

    snapshot = result["backup"]["services"][SEARCH]["id"]
    restored = live.run("backups", "restore", snapshot, "--yes", "--json")
    assert restored.returncode == 0, restored.stderr
    assert live.answers() == {SEARCH: "1", SHOP: "1"}

    both_back = live.run("rollback", "platform", "--yes", "--json")
    assert both_back.returncode == 0, both_back.stderr
    assert json.loads(both_back.stdout)["status"] == "completed"
    assert live.answers() == {SEARCH: "2", SHOP: "2"}
    assert live.problems() == []

    drilled = live.run("drill", "--yes", "--json")
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    assert live.answers() == {SEARCH: "2", SHOP: "2"}

    assert live.run("down", "platform").returncode == 0
    assert live.processes() == []


def _files(pair: Pair, result: dict[str, Any]) -> Path:
    return pair.home / "executions" / str(result["execution_id"])
