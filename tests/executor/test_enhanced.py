"""The drop-in, as the specification's own code uses it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from failback.model.errors import NotApproved, PlanError
from task_executor_enhanced import EnhancedTaskExecutor

PLAN: dict[str, Any] = {
    "service": "shop",
    "steps": [
        {"name": name, "type": name.lower()}
        for name in ("Build", "Test", "Quality", "Security", "Docker", "Verify", "Deploy")
    ],
}


class Shop:
    """An orchestrator with a state that can be kept and brought back."""

    def __init__(self, failing: str = "", error: str = "") -> None:
        self.failing, self.error = failing, error
        self.done: list[str] = []
        self.version = 1

    def execute_step(self, step: Any) -> Mapping[str, Any]:
        self.done.append(step["name"])
        if step["name"] == "Deploy":
            self.version = 2
        if step["name"] == self.failing:
            return {"status": "failed", "error": self.error}
        return {"status": "success", "output": f"{step.name} done"}

    def snapshot(self) -> dict[str, int]:
        return {"version": self.version}

    def restore(self, kept: dict[str, int]) -> None:
        self.version = kept["version"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAILBACK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_specifications_code_runs_as_it_stands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ "Using the Enhanced Executor" and "Best Practices", typed in from the specification."""
    orchestrator = Shop(failing="Deploy", error="Cannot find module './config/production.json'")
    plan = PLAN
    alerts: list[str] = []
    alert_ops_team = alerts.append

    executor = EnhancedTaskExecutor(orchestrator)
    results = executor.execute_plan(plan, user_approval=True)

    if results["status"] == "completed":
        print("✅ Deployment successful!")
    elif results["status"] == "failed" and results.get("rollback_performed"):
        print("❌ Deployment failed but system recovered automatically")
        print(f"Rollback time: {results['rollback']['total_duration']:.2f}s")
        print(f"User impact: {results['rollback']['user_impact']}")

        # Get fix recommendations
        for phase in results["rollback"]["phases"]:
            if phase.get("phase") == "Fix Recommendations":
                for rec in phase["recommendations"]:
                    print(f"[{rec['priority']}] {rec['action']}")
    if not results.get("backup_created"):
        alerts.append("no backup")
    if results["rollback"]["system_status"] != "STABLE":
        alert_ops_team("Rollback did not fully restore stability")

    said = capsys.readouterr().out
    assert "recovered automatically" in said
    assert "User impact: UNKNOWN" in said  # nobody counted requests here, and zero is only said with a count
    assert "[HIGH]" in said
    assert "config/production.json" in said
    assert alerts == []
    assert orchestrator.version == 1


def test_the_specifications_configuration_is_taken(home: Path) -> None:
    """The three dictionaries, under their names and keys."""
    rollback_config = {
        "auto_rollback_enabled": True,
        "failure_threshold": 3,
        "rollback_timeout": 60,
        "zero_downtime_required": True,
    }
    notification_config = {
        "slack": {"enabled": False, "channel": "#deployments", "webhook_url": "https://hooks.slack.com/..."},
        "email": {"enabled": False, "recipients": ["devops-team@company.com"]},
        "pagerduty": {"enabled": False, "api_key": "..."},
    }
    executor = EnhancedTaskExecutor(Shop(), rollback_config=rollback_config, notification_config=notification_config)

    results = executor.execute_plan(PLAN, user_approval=True)

    assert results["status"] == "completed"
    assert [step["status"] for step in results["steps"]] == ["succeeded"] * 7
    assert results["deployment"]["steps_completed"] == 7


def test_the_specifications_own_way_to_move_the_backups(home: Path, tmp_path: Path) -> None:
    """A subclass that overrides `_create_pre_deployment_backup` decides where backups go."""

    class Mine(EnhancedTaskExecutor):
        def _create_pre_deployment_backup(self, plan: Any) -> Mapping[str, Any]:
            return {
                "backup_root": str(tmp_path / "custom"),
                "retention_days": 30,
                "encryption": True,
                "more": "left alone",
            }

    results = Mine(Shop()).execute_plan(PLAN, user_approval=True)

    assert results["backup_created"] is True
    assert list((tmp_path / "custom").glob("manifest-*.json"))
    assert all(path.suffix == ".age" for path in (tmp_path / "custom" / "configs").iterdir())


def test_a_failed_step_restores_and_explains(home: Path) -> None:
    """Phase 0 and phase 2 are the orchestrator's own snapshot and restore; what has nothing to do says so."""
    shop = Shop(failing="Deploy", error="Pod CrashLoopBackOff - Exit code 1")

    results = EnhancedTaskExecutor(shop).execute_plan(PLAN, user_approval=True)

    phases = {phase["number"]: phase for phase in results["rollback"]["phases"]}
    assert results["status"] == "failed"
    assert results["rollback_performed"] is True
    assert results["deployment"]["failed_at_step"] == 7
    assert phases[2]["status"] == "succeeded"
    assert shop.version == 1
    assert phases[1]["status"] == phases[3]["status"] == "skipped"
    assert phases[1]["actions"][0]["text"]
    assert results["traffic"]["requests"] is None
    assert results["traffic"]["reason"]


def test_nothing_runs_after_a_failed_step(home: Path) -> None:
    """Security fails, so Docker, Verify and Deploy are not even asked for."""
    shop = Shop(failing="Security", error="1 vulnerability found: CVE-2024-1 in jinja2 2.10")

    results = EnhancedTaskExecutor(shop).execute_plan(PLAN, user_approval=True)

    assert shop.done == ["Build", "Test", "Quality", "Security"]
    assert [step["status"] for step in results["steps"]][3:] == ["failed", "skipped", "skipped", "skipped"]


def test_without_approval_nothing_is_touched(home: Path) -> None:
    """`user_approval=False` means that nobody has approved."""
    shop = Shop()

    with pytest.raises(NotApproved):
        EnhancedTaskExecutor(shop).execute_plan(PLAN, user_approval=False)

    assert shop.done == []
    assert not home.exists()


def test_an_invalid_plan_touches_nothing(home: Path) -> None:
    """A cycle is told by its names before anything is made."""
    plan = {
        "service": "shop",
        "steps": [{"name": "A", "type": "build", "needs": ["B"]}, {"name": "B", "type": "test", "needs": ["A"]}],
    }

    with pytest.raises(PlanError, match="A"):
        EnhancedTaskExecutor(Shop()).execute_plan(plan, user_approval=True)

    assert not home.exists()


def test_an_orchestrator_that_raises_fails_its_step(home: Path) -> None:
    """An exception of the user's own code is the step's failure, with its words."""

    class Broken(Shop):
        def execute_step(self, step: Any) -> Mapping[str, Any]:
            raise ConnectionError("registry.example:443 is not reachable")

    results = EnhancedTaskExecutor(Broken()).execute_plan(PLAN, user_approval=True)

    assert results["status"] == "failed"
    assert "registry.example:443 is not reachable" in results["error"]["reason"]
