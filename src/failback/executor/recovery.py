"""The recovery from a failed release: eight phases, each recorded, none of which stops the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from failback.executor import phases, results
from failback.executor.context import Execution, Member, Outcome
from failback.executor.evidence import collect
from failback.executor.nodes import Part
from failback.executor.opinions import second_opinion
from failback.executor.phase import Phase, PhaseResult, Recovery, Touched
from failback.executor.trying import try_fixes
from failback.model.execution import PHASE_NAMES, PhaseStatus

_BEGUN = ("succeeded", "failed", "cancelled")


def stages(x: Execution, opened: Outcome) -> Iterator[tuple[str, Callable[[], Awaitable[Outcome]]]]:
    """The durable steps of the recovery, in order. Evidence is taken before phase 4 deletes anything."""
    failure = results.failure_of(x, opened)
    if failure is None:
        raise RuntimeError("a recovery was asked for, but nothing failed")
    recovery = _recovery(x, opened, failure)
    began = time.monotonic()

    def bound(phase: Phase) -> Callable[[], Awaitable[Outcome]]:
        return lambda: _run(recovery, phase, began)

    x.emit("failure-detected", **results.detection(failure), step=failure["step"], number=failure["number"])
    for phase in phases.ALL:
        if phase.number == 4:
            yield "evidence", lambda: collect(recovery)
        yield f"phase {phase.number}", bound(phase)
        # Recorded only where the plan asks for them: the order of steps of every other execution is what it was.
        if phase.number == 5 and x.plan.diagnosis.llm.enabled and x.row.kind == "deploy":
            yield "opinion", lambda: second_opinion(recovery)
        if phase.number == 5 and x.plan.diagnosis.try_fixes:
            yield "fixes", lambda: try_fixes(recovery)


def _recovery(x: Execution, opened: Outcome, failure: Outcome) -> Recovery:
    members = reversed(list(x.members.values()))
    touched = [member for member in members if x.part(member, Part.STAGE).get("status") in _BEGUN]
    # Those that users were given come first, the last of them before the others; then those that stayed dark.
    touched.sort(key=lambda member: _cut_over_at(x, member), reverse=True)
    return Recovery(
        x=x,
        opened=opened,
        failure=failure,
        touched=tuple(Touched(member, x.revision(member)) for member in touched),
    )


def _cut_over_at(x: Execution, member: Member) -> float:
    outcome = x.part(member, Part.CUT_OVER)
    return float(outcome["ended_at"]) if outcome.get("status") in _BEGUN else 0.0


async def _run(recovery: Recovery, phase: Phase, began: float) -> Outcome:
    """One phase with its limit. What it raises is recorded in its result, and the next one goes on."""
    x = recovery.x
    number, name = phase.number, PHASE_NAMES[phase.number]
    x.emit("phase-started", number=number, phase=name)
    mark = time.monotonic()
    recovery.limit_s = phase.limit_s
    # Each service has the limit; the phases from the fifth on are one work for all of them.
    times = max(1, len(recovery.touched)) if number <= 4 else 1
    try:
        result = await asyncio.wait_for(phase.run(recovery), timeout=phase.limit_s * times)
    except TimeoutError:
        result = PhaseResult(PhaseStatus.FAILED, [_failed(f"not done within {phase.limit_s:g} s")])
    except Exception as error:  # noqa: BLE001 - invariant 8: a failing phase is recorded, and stops no other
        result = PhaseResult(PhaseStatus.FAILED, [_failed(f"{type(error).__name__}: {error}")])
    outcome: Outcome = {
        "number": number,
        "phase": name,
        "status": str(result.status),
        "duration": round(time.monotonic() - mark, 4),
        "actions": result.actions,
        **result.extra,
    }
    if time.monotonic() - began > x.plan.rollback_config.rollback_timeout and number <= 3:
        outcome["past_rollback_timeout"] = True
    x.emit("phase-finished", **outcome)
    return outcome


def _failed(text: str) -> dict[str, Any]:
    return {"text": text, "ok": False}
