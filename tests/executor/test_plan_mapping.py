"""A plan as Python passes it: mappings, the orchestrator's own keys, the specification's dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failback.executor.plan_file import merge_overrides, plan_from_mapping
from failback.model.errors import PlanError
from failback.model.plan import Plan
from failback.model.values import FromEnv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


MAPPING: dict[str, Any] = {
    "service": "shop",
    "steps": [{"name": "Build", "type": "build", "run": "make", "retries": 1}],
}


def test_a_mapping_a_plan_and_a_path_give_the_same(folder):
    (folder / "p.yaml").write_text("service: shop\nsteps:\n- {name: Build, type: build, run: make, retries: 1}\n")

    plans = [
        plan_from_mapping(MAPPING, folder),
        plan_from_mapping(Plan.model_validate(MAPPING), folder),
        plan_from_mapping(str(folder / "p.yaml")),
    ]

    assert plans[0].plan == plans[1].plan == plans[2].plan
    assert plans[0].digest == plans[1].digest == plans[2].digest
    assert [loaded.folder for loaded in plans] == [folder] * 3


def test_problems_of_a_mapping_have_a_path_and_no_line(folder):
    with pytest.raises(PlanError) as refused:
        plan_from_mapping({**MAPPING, "backup": {"retention_days": "30"}, "colour": 1}, folder)

    found = {(p["where"], p["line"], p["message"]) for p in refused.value.fields["problems"]}
    assert ("backup/retention_days", None, 'should be a number of days, got "30". Write 30 without quotes.') in found
    assert "colour" in {where for where, *_ in found}


def test_an_orchestrators_plan_needs_no_commands_and_no_target(folder):
    """The drop-in: a plan as an existing TaskExecutor takes it, with what only its orchestrator knows."""
    plan = {
        "steps": [
            {"name": "Build", "type": "build", "image": "a:1"},
            {"name": "Deploy", "type": "deploy", "cluster": "b"},
        ]
    }

    loaded = plan_from_mapping(plan, folder, orchestrated=True)

    assert loaded.plan.service == "plan"
    assert [step.params for step in loaded.plan.steps] == [{"image": "a:1"}, {"cluster": "b"}]
    with pytest.raises(PlanError):
        plan_from_mapping(plan, folder)


def test_a_slip_is_no_key_of_the_orchestrator(folder):
    """`timout` is a wrong `timeout`, not something to hand on."""
    with pytest.raises(PlanError, match="Did you mean `timeout`"):
        plan_from_mapping(
            {"service": "a", "steps": [{"name": "B", "type": "c", "timout": 5}]}, folder, orchestrated=True
        )


def test_the_callers_mapping_is_not_changed(folder):
    plan = {"steps": [{"name": "Build", "type": "build", "x": 1}]}

    plan_from_mapping(plan, folder, orchestrated=True)

    assert plan == {"steps": [{"name": "Build", "type": "build", "x": 1}]}


def test_a_recorded_plan_is_read_without_its_files(folder):
    """A rollback must work when the source folder has gone."""
    source = folder / "src"
    source.mkdir()
    plan = {"service": "notes", "target": {"kind": "local"}, "release": {"path": "src", "start": "sh run.sh"}}
    recorded = plan_from_mapping(plan, folder).plan.model_dump(mode="json", by_alias=True)
    source.rmdir()

    assert plan_from_mapping(recorded, folder, check_files=False).plan.service == "notes"
    with pytest.raises(PlanError, match="a folder that exists"):
        plan_from_mapping(recorded, folder)


@pytest.mark.parametrize("plan", [None, 5, ["a"], object()])
def test_anything_else_is_a_type_error(plan):
    with pytest.raises(TypeError, match="a mapping, a Plan or the path"):
        plan_from_mapping(plan)


def test_a_mapping_of_itself_ends(folder):
    plan = dict(MAPPING)
    plan["steps"] = [{"name": "a", "type": "b", "run": "c", "params": {}}]
    plan["steps"][0]["params"]["again"] = plan

    with pytest.raises(PlanError):
        plan_from_mapping(plan, folder)


# -- the specification's own dictionaries ----------------------------------------------------------------------------

ROLLBACK = {
    "auto_rollback_enabled": True,
    "failure_threshold": 3,
    "rollback_timeout": 60,
    "zero_downtime_required": True,
}
NOTIFICATION = {
    "slack": {"enabled": True, "channel": "#deployments", "webhook_url": "https://hooks.slack.com/..."},
    "email": {"enabled": True, "recipients": ["devops-team@company.com"]},
    "pagerduty": {"enabled": True, "api_key": "..."},
}
BACKUP = {"backup_root": "/custom/backup/path", "retention_days": 30, "encryption": True}


def test_the_specifications_dictionaries_are_taken_as_they_stand():
    plan = Plan.model_validate(MAPPING)

    made = merge_overrides(plan, ROLLBACK, NOTIFICATION, BACKUP)

    assert made.rollback_config.model_dump() == ROLLBACK
    assert made.notification_config.slack.webhook_url == "https://hooks.slack.com/..."
    assert made.notification_config.email.recipients == ("devops-team@company.com",)
    assert made.backup.model_dump() == BACKUP


def test_an_override_wins_key_by_key():
    plan = Plan.model_validate({**MAPPING, "rollback_config": {"failure_threshold": 5, "rollback_timeout": 9}})

    made = merge_overrides(
        plan, {"failure_threshold": 0}, {"slack": {"channel": "#a"}, "pagerduty": {"api_key": {"env": "K"}}}
    )

    assert (made.rollback_config.failure_threshold, made.rollback_config.rollback_timeout) == (0, 9)
    assert made.notification_config.slack.channel == "#a"
    assert made.notification_config.pagerduty.api_key == FromEnv("K")
    again = merge_overrides(made, notification_config={"pagerduty": {"api_key": {"from_file": "k"}}})
    assert again.notification_config.pagerduty.model_dump(mode="json")["api_key"] == {"from_file": "k"}


def test_no_override_is_the_same_plan():
    plan = Plan.model_validate(MAPPING)

    assert merge_overrides(plan) is plan


@pytest.mark.parametrize(
    ("name", "setting", "says"),
    [
        ("rollback_config", {"failure_treshold": 3}, "Did you mean `failure_threshold`?"),
        ("rollback_config", {"rollback_timeout": "60s"}, "Write 60."),
        ("notification_config", {"slack": {"enabled": True}}, "webhook_url: is empty"),
        ("backup", {"encryption": "yes"}, "Write true without quotes."),
        ("backup", ["x"], "should be a mapping"),
    ],
)
def test_a_wrong_override_is_a_plan_error(name, setting, says):
    with pytest.raises(PlanError, match=says.replace("?", r"\?").replace(".", r"\.")):
        merge_overrides(Plan.model_validate(MAPPING), **{name: setting})


# -- properties ---


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=10,
)
KEYS = (
    "service",
    "target",
    "release",
    "checks",
    "steps",
    "services",
    "notification_config",
    "rollback_config",
    "diagnosis",
)
INNER = (
    "kind",
    "path",
    "start",
    "env",
    "name",
    "type",
    "run",
    "needs",
    "ready",
    "smoke",
    "slack",
    "enabled",
    "shared",
    "from_file",
)
PARTS = st.dictionaries(st.sampled_from(INNER), TREES)
MAPPINGS = st.dictionaries(st.sampled_from(KEYS), TREES | PARTS | st.lists(PARTS, max_size=3), max_size=5)


@example({"target": {"kind": []}, "strategy": ["weighted"]}, False)
@given(MAPPINGS, st.booleans())
def test_no_mapping_raises_anything_but_a_plan_error(tmp_path_factory, data, orchestrated):
    try:
        plan_from_mapping(data, "/nonexistent", orchestrated=orchestrated)
    except PlanError as refused:
        assert refused.fields["problems"]
