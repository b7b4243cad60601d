"""What a phase is: a number, a limit, and one function that gets the recovery and says what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from failback.executor.context import Execution, Outcome
from failback.executor.results import action
from failback.model.execution import PhaseStatus
from failback.model.release import Revision
from failback.targets.base import Action, Target


@dataclass(slots=True)
class Recovery:
    """What the phases share. `touched`: the rollout had begun, so there is something to put back."""

    x: Execution
    opened: Outcome
    failure: Outcome
    revision: Revision | None
    touched: bool

    @property
    def target(self) -> Target:
        if self.x.target is None:
            raise RuntimeError("a phase asked for the target of a plan that has none")
        return self.x.target

    @property
    def automatic(self) -> bool:
        return self.x.plan.rollback_config.auto_rollback_enabled


@dataclass(slots=True)
class PhaseResult:
    """How a phase went: its actions in order, and what the phase alone knows (`extra`, joined to its result)."""

    status: PhaseStatus
    actions: list[dict[str, Any]]
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Phase:
    """One row of the registry. `limit_s`: after it the phase counts as failed, and the next one starts."""

    number: int
    limit_s: float
    run: Callable[[Recovery], Awaitable[PhaseResult]]


def done(actions: Sequence[Action], **extra: Any) -> PhaseResult:
    """Succeeded, unless one of the actions did not."""
    failed = any(taken.ok is False for taken in actions)
    status = PhaseStatus.FAILED if failed else PhaseStatus.SUCCEEDED
    return PhaseResult(status, [action(taken) for taken in actions], extra)


def skipped(reason: str, **extra: Any) -> PhaseResult:
    """There was nothing to do, and why."""
    return PhaseResult(PhaseStatus.SKIPPED, [{"text": reason, "ok": None}], extra)


def untouched(recovery: Recovery) -> str | None:
    """Why phases 1-4 have nothing to do, where that is so."""
    if recovery.x.target is None:
        return "the plan has no target: its steps are the orchestrator's own"
    if not recovery.touched:
        return f"{recovery.failure['step']} failed before the rollout began: the service was not touched"
    return None
