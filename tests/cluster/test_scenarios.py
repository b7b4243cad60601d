"""Every way to fail, as a real deployment under load: the right rule, back to stable, no failed request, the cause."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import telling
from tests.cluster.place import failed
from tests.cluster.scenarios import CONTROLS, SCENARIOS, Control, Scenario
from tests.cluster.side_by_side import Stories
from tests.cluster.support import is_testbed
from tests.cluster.telling import Story

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
BAD = {f"{one.name}": one for one in SCENARIOS if one.unforeseen}
FORESEEN = {f"{one.name}, foreseen": one for one in SCENARIOS if one.foreseen}
HEALTHY = {f"{one.name}, healthy": one for one in CONTROLS}
ALL: dict[str, Scenario | Control] = {**BAD, **FORESEEN, **HEALTHY}


# One of each sort in every run; all of them by `make test-long`.
ALWAYS = (
    "bad tag, foreseen", "ConfigMap missing", "exit at start, Node.js", "exit at start, Python", "ready but 500",
    "bad command", "over its memory limit", "failing migration", "config-only change", "StatefulSet", "DaemonSet",
)  # fmt: skip


def _named(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.long) for name in names]


@pytest.fixture(scope="module")
def stories(request: pytest.FixtureRequest) -> Iterator[Stories]:
    """Those of the selected tests, the longest first."""
    chosen = [item.callspec.params["name"] for item in request.session.items if _is_one(item)]
    order = sorted(chosen, key=lambda name: -ALL[name].seconds)
    made = Stories({name: functools.partial(_tell, name) for name in order})
    yield made
    made.close()


def _is_one(item: Any) -> bool:
    return item.module.__name__ == __name__ and "name" in getattr(getattr(item, "callspec", None), "params", {})


def _tell(name: str) -> Story:
    one = ALL[name]
    story = telling.good(one) if isinstance(one, Control) else telling.bad(one, foreseen=name in FORESEEN)
    kept = os.environ.get("FAILBACK_TEST_STORIES")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        (Path(kept) / f"{name}.json").write_text(json.dumps(vars(story), indent=1, default=str))
    return story


@pytest.mark.parametrize("name", _named(BAD))
def test_a_bad_release_is_taken_back(stories: Stories, name: str) -> None:
    """By the rule that fits it, with its cause, and nobody notices."""
    story: Story = stories.of(name)
    scenario, result = BAD[name], story.result

    assert result["status"] == "failed", failed(result)
    assert result["exit_code"] == 3, failed(result)
    assert result["rollback"]["system_status"] == "STABLE", failed(result)
    assert result["rollback"]["phases_completed"] == 8, failed(result)
    assert result["error"]["rule"] in scenario.rule.split("|"), failed(result)
    _right_cause(scenario, result)
    _nobody_noticed(story)
    assert story.differs == [], failed(result)


@pytest.mark.parametrize("name", _named(FORESEEN))
def test_what_can_be_known_is_caught_before_anything_is_touched(stories: Stories, name: str) -> None:
    """By preflight: no pod is started, and the cause is named all the same."""
    story: Story = stories.of(name)
    scenario, result = FORESEEN[name], story.result

    assert result["status"] == "failed", failed(result)
    assert result["rollback"]["system_status"] == "STABLE", failed(result)
    assert not story.touched, failed(result)
    if scenario.refused:
        assert result["exit_code"] == 5, failed(result)
        assert all(word in result["error"]["reason"] for word in scenario.says), failed(result)
    else:
        assert result["exit_code"] == 3, failed(result)
        assert result["rollback"]["phases_completed"] == 8, failed(result)
        _right_cause(scenario, result)
    _nobody_noticed(story)
    assert story.differs == [], failed(result)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if "SIGTERM" in name else pytest.mark.long) for name in HEALTHY]
)
def test_a_healthy_release_goes_live(stories: Stories, name: str) -> None:
    """However odd it looks: no false alarm, no failed request, and every field is the user's own."""
    story: Story = stories.of(name)

    assert story.result["status"] == "completed", failed(story.result)
    assert story.result["exit_code"] == 0, failed(story.result)
    assert story.result["rollback"]["system_status"] == "STABLE", failed(story.result)
    _nobody_noticed(story)
    assert story.differs == [], failed(story.result)


def _right_cause(scenario: Scenario, result: dict[str, Any]) -> None:
    found = result["root_cause"]
    assert found["type"] in scenario.cause.split("|"), failed(result)
    missing = [word for word in scenario.says if word not in json.dumps(found)]
    assert not missing, failed(result)


def _nobody_noticed(story: Story) -> None:
    """Counted by clients with new connections; the ones that keep theirs open are counted apart, and only told."""
    if not is_testbed():
        return
    assert story.control["failed"] == 0, "the control run itself lost requests"
    assert story.users["sent"] > 0
    assert story.users["failed"] == 0, json.dumps(story.users)[:3000] + failed(story.result)
