"""What a phase is: a number, a limit, and one function that gets the recovery and says what it did."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from failback.executor.context import Execution, Member, Outcome
from failback.executor.results import action
from failback.model.execution import PhaseStatus
from failback.model.release import Revision
from failback.targets.base import Action, Target


@dataclass(frozen=True, slots=True)
class Touched:
    """A service whose rollout had begun, with the revision that was made: there is something to put back."""

    member: Member
    revision: Revision | None

    @property
    def target(self) -> Target:
        return self.member.target


@dataclass(slots=True)
class Recovery:
    """What the phases share. `touched`: in the order in which they are put back; `limit_s`: of each, in this phase."""

    x: Execution
    opened: Outcome
    failure: Outcome
    touched: tuple[Touched, ...]
    limit_s: float = 0.0

    @property
    def failed(self) -> Touched | None:
        """The service that failed; where a step between failed, the one that was given to users last."""
        own = [one for one in self.touched if one.member.step.name == self.failure["step"]]
        return next(iter(own or self.touched), None)

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


async def each(recovery: Recovery, work: Callable[[Touched], Awaitable[Sequence[Action]]]) -> list[Action]:
    """Does the work for every service that was touched. One that fails, or is too slow, keeps no other waiting."""
    actions: list[Action] = []
    for one in recovery.touched:
        try:
            async with asyncio.timeout(recovery.limit_s):
                taken = await work(one)
        except TimeoutError:
            taken = [Action(f"not done within {recovery.limit_s:g} s", ok=False)]
        except Exception as error:  # noqa: BLE001 - recorded as this service's action; the others are put back as well
            taken = [Action(f"{type(error).__name__}: {error}", ok=False)]
        actions += [dataclasses.replace(action, text=recovery.x.told(one.member, action.text)) for action in taken]
    return actions


def untouched(recovery: Recovery) -> str | None:
    """Why phases 1-4 have nothing to do, where that is so."""
    if not recovery.x.members:
        return "the plan has no target: its steps are the orchestrator's own"
    if not recovery.touched:
        return f"{recovery.failure['step']} failed before the rollout began: the service was not touched"
    return None
