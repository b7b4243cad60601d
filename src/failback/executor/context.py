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
from failback.executor.nodes import Part
from failback.executor.orchestrator import Orchestrator
from failback.executor.stop import StopFlag
from failback.executor.store import ExecutionRow, Store
from failback.executor.values import ExecutionValues
from failback.model.plan import Checks, Plan, Step
from failback.model.redaction import Redactor
from failback.model.release import Revision
from failback.model.safe_json import safe_json
from failback.targets.base import ReleaseSpec, Target
from failback.telemetry.events import EventLog

Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One service of an execution: the Deploy step that rolls it out, where it runs, and the record of its writes."""

    service: str
    step: Step
    target: Target
    journal: ExecutionJournal
    checks: Checks


@dataclass(slots=True)
class Execution:
    """The parts of one execution. `outcomes` holds what each node of the plan and each
    recorded stage ("open", "finish", "phase 3") came to, by its name.

    `members`: the services by name, in the order of the graph; none for a plan of steps alone.
    """

    row: ExecutionRow
    plan: Plan
    folder: Path
    home: Home
    store: Store
    journal: ExecutionJournal
    snapshots: SnapshotStore
    values: ExecutionValues
    redactor: Redactor
    events: EventLog
    members: Mapping[str, Member]
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

    @property
    def several(self) -> bool:
        """Whether the plan is one for several services: then all that is told names the service."""
        return bool(self.plan.services)

    def told(self, member: Member, text: str) -> str:
        """The text, with the service's name before it where there are several."""
        return f"{member.service}: {text}" if self.several else text

    def named(self, member: Member) -> dict[str, str]:
        """What an event says of its service, where there are several."""
        return {"service": member.service} if self.several else {}

    def member(self, step: Step) -> Member:
        """The service that the Deploy step rolls out."""
        return self.members[self.plan.service_of(step)]

    def release(self, member: Member) -> ReleaseSpec:
        """What its Deploy step deploys, resolved."""
        values = self.values.alone(self.plan, member.service)
        former = self.row.plan.get("from_revision")
        if isinstance(former, dict):
            former = former[member.service]
        return values.release(self.plan.alone(member.service), self.folder, from_revision=former)

    def revision(self, member: Member) -> Revision | None:
        """The revision that its Deploy step made, if it came that far."""
        staged = self.part(member, Part.STAGE).get("revision")
        return None if staged is None else Revision(**staged)

    def part(self, member: Member, part: Part) -> Outcome:
        """What a part of its Deploy step came to; empty before it is recorded."""
        return self.outcomes.get(f"{member.step.name}/{part}", {})

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
