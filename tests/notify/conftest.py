"""The result of a failed execution, the settings of the channels, and a home with an outbox."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from failback.notify.outbox import Outbox
from tests.notify.receivers import Mails, Receiver, http_receiver, smtp_receiver

EXECUTION = "plan_deploy_production_1737354000"


def a_result() -> dict[str, Any]:
    titles = (
        "Traffic Protection",
        "Rollback to Previous Version",
        "System Stability Verification",
        "Resource Cleanup",
        "Root Cause Analysis",
        "Fix Recommendations",
        "Log Archival",
        "Team Notification",
    )
    phases: list[dict[str, Any]] = [
        {"number": number, "phase": title, "status": "succeeded", "duration": 0.1, "actions": []}
        for number, title in enumerate(titles, start=1)
    ]
    phases[5]["recommendations"] = [
        {
            "priority": "HIGH",
            "action": "Add missing configuration file",
            "description": "Create config/production.json in your repository",
            "example": "echo '{\"port\": 3000}' > config/production.json",
        },
        {
            "priority": "MEDIUM",
            "action": "Commit and push changes",
            "description": "Push to trigger auto-retry",
            "example": "",
        },
    ]
    phases[6]["archive"] = {"execution": "/home/ops/logs/failures/execution-1737354000.json"}
    return {
        "execution_id": EXECUTION,
        "service": "notes",
        "status": "failed",
        "deployment": {"failed_at_step": 7},
        "steps": [{"number": 7, "name": "Deploy", "status": "failed"}],
        "error": {"step": "Deploy", "reason": "exited with code 1 at start"},
        "root_cause": {"type": "missing_file", "cause": "config/production.json is missing"},
        "traffic": {"requests": 1204, "failed": 0, "source": "proxy"},
        "rollback": {"user_impact": "ZERO", "system_status": "STABLE", "phases": phases},
    }


def a_config(http: str, smtp_port: int = 0) -> dict[str, Any]:
    return {
        "slack": {"enabled": True, "channel": "#deployments", "webhook_url": f"{http}/services/webhook-secret"},
        "email": {
            "enabled": bool(smtp_port),
            "recipients": ["devops-team@company.com"],
            "server": "127.0.0.1",
            "port": smtp_port,
            "sender": "failback@company.com",
        },
        "pagerduty": {"enabled": True, "api_key": "routing-key-0123456789", "address": f"{http}/v2/enqueue"},
        "urls": [],
    }


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def result() -> dict[str, Any]:
    return copy.deepcopy(a_result())


@pytest.fixture
def config() -> Callable[..., dict[str, Any]]:
    return a_config


@pytest.fixture
def http() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def smtp() -> Iterator[tuple[Mails, int]]:
    with smtp_receiver() as receiver:
        yield receiver


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox(tmp_path / "outbox.db", jitter=lambda: 0.0)
    yield opened
    opened.close()
