"""The drop-in: `EnhancedTaskExecutor(orchestrator).execute_plan(plan, user_approval=True)`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from failback.executor.engine import Engine
from failback.executor.home import Home
from failback.executor.orchestrator import Orchestrator
from failback.executor.plan_file import LoadedPlan, merge_overrides, plan_from_mapping
from failback.model.plan import Plan

_BACKUP_KEYS = ("backup_root", "retention_days", "encryption")


class EnhancedTaskExecutor:
    """Runs plans with failback protection.

    `orchestrator` does the steps' work (`execute_step(step)`); None runs their `run:` commands. The configuration
    mappings are the plan's own (`rollback_config`, `notification_config`, `backup`), and win over the plan's.
    `home` is the state folder, `folder` what relative paths of a mapping are relative to (default: where Python runs).
    """

    def __init__(
        self,
        orchestrator: Orchestrator | None = None,
        *,
        rollback_config: Mapping[str, Any] | None = None,
        notification_config: Mapping[str, Any] | None = None,
        backup: Mapping[str, Any] | None = None,
        home: Path | str | None = None,
        folder: Path | str | None = None,
    ) -> None:
        self.orchestrator = orchestrator
        self.rollback_config = rollback_config
        self.notification_config = notification_config
        self.backup = backup
        self.folder = Path(folder) if folder is not None else Path.cwd()
        self._home = Home.at(home)

    def execute_plan(self, plan: Mapping[str, Any] | Plan | Path | str, user_approval: bool = False) -> dict[str, Any]:
        """Runs the plan to its end and returns the result of docs/reference/results.md.

        Raises PlanError (nothing was touched), NotApproved when `user_approval` is false, ServiceHeld, NoSpace.
        """
        loaded = self._load(plan)
        return Engine(self._home).deploy(loaded, approved=user_approval, orchestrator=self.orchestrator)

    def _create_pre_deployment_backup(self, plan: Plan) -> Mapping[str, Any]:
        """Where and how backups are kept. Override it to customise `backup_root`, `retention_days`, `encryption`;
        other keys of the returned mapping are left alone."""
        return plan.backup.model_dump(mode="json")

    def _load(self, plan: Mapping[str, Any] | Plan | Path | str) -> LoadedPlan:
        loaded = plan_from_mapping(plan, self.folder, orchestrated=self.orchestrator is not None)
        merged = merge_overrides(
            loaded.plan,
            rollback_config=self.rollback_config,
            notification_config=self.notification_config,
            backup=self.backup,
        )
        wanted = self._create_pre_deployment_backup(merged)
        merged = merge_overrides(merged, backup={key: wanted[key] for key in _BACKUP_KEYS if key in wanted})
        return dataclasses.replace(loaded, plan=merged)
