"""One execution in this process: what its workflow, its rollout and its phases all need."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from failback.backup.store import SnapshotStore
from failback.executor.home import Home
from failback.executor.journal import ExecutionJournal
from failback.executor.lock import ServiceLock
from failback.executor.orchestrator import Orchestrator
from failback.executor.stop import StopFlag
from failback.executor.store import ExecutionRow, Store
from failback.executor.values import ExecutionValues
from failback.model.plan import Plan
from failback.model.redaction import Redactor
from failback.model.release import Revision
from failback.model.safe_json import safe_json
from failback.targets.base import ReleaseSpec, Target
from failback.telemetry.events import EventLog

Outcome = dict[str, Any]


@dataclass(slots=True)
class Execution:
    """The parts of one execution. `outcomes` holds what each node of the plan and each
    recorded stage ("open", "finish", "phase 3") came to, by its name."""

    row: ExecutionRow
    plan: Plan
    folder: Path
    home: Home
    store: Store
    lock: ServiceLock
    journal: ExecutionJournal
    snapshots: SnapshotStore
    values: ExecutionValues
    redactor: Redactor
    events: EventLog
    target: Target | None
    orchestrator: Orchestrator | None
    on_end: Callable[[], None]
    stop: StopFlag = field(default_factory=StopFlag)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    crash: BaseException | None = None
    database_url: str | None = None
    resumed: bool = False

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def files(self) -> Path:
        """The folder of this execution: events, step outputs, evidence, diagnosis."""
        return self.home.execution(self.id)

    @property
    def mark(self) -> str:
        """What every process of a step carries in its environment, so that none is left behind."""
        return str(self.files)

    def emit(self, event: str, /, **fields: Any) -> None:
        self.events.emit(event, **fields)

    def release(self, step_name: str) -> ReleaseSpec:
        """What the Deploy step deploys, resolved."""
        return self.values.release(self.plan, self.folder, from_revision=self.row.plan.get("from_revision"))

    def revision(self, step_name: str) -> Revision | None:
        """The revision that the Deploy step made, if it came that far."""
        staged = self.outcomes.get(f"{step_name}/stage", {}).get("revision")
        return None if staged is None else Revision(**staged)

    def failed_outcome(self) -> Outcome | None:
        """The failure that came first; broken-off and skipped nodes are consequences, unless a user stopped all."""
        nodes = [outcome for outcome in self.outcomes.values() if "part" in outcome]
        failed = [outcome for outcome in nodes if outcome["status"] == "failed"]
        stopped = [outcome for outcome in nodes if outcome["status"] == "cancelled"]
        return min(failed or stopped, key=lambda outcome: float(outcome["ended_at"]), default=None)

    def keep(self, name: str, content: Mapping[str, Any]) -> Path:
        """Writes one JSON file of this execution, masked, at once or not at all."""
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{os.getpid()}")
        text = safe_json(self.redactor.redact_value(dict(content)), indent=1)
        temporary.write_text(text, encoding="utf-8", errors="replace")
        temporary.replace(path)
        return path

    def kept(self, name: str) -> dict[str, Any] | None:
        """What `keep` wrote, or None."""
        try:
            content = json.loads((self.files / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None
