"""The recovery from a failed release: eight phases, each recorded, none of which stops the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from failback.executor import phases, results
from failback.executor.context import Execution, Outcome
from failback.executor.evidence import collect
from failback.executor.nodes import is_rollout
from failback.executor.phase import Phase, PhaseResult, Recovery
from failback.model.execution import PHASE_NAMES, PhaseStatus


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


def _recovery(x: Execution, opened: Outcome, failure: Outcome) -> Recovery:
    deploys = [step.name for step in x.plan.steps if is_rollout(step, x.target is not None)]
    staged = next((name for name in deploys if f"{name}/stage" in x.outcomes), None)
    began = [
        outcome
        for name in deploys
        for outcome in x.outcomes.values()
        if outcome.get("step") == name and outcome["status"] != "skipped"
    ]
    return Recovery(
        x=x,
        opened=opened,
        failure=failure,
        revision=x.revision(staged) if staged else None,
        touched=bool(began),
    )


async def _run(recovery: Recovery, phase: Phase, began: float) -> Outcome:
    """One phase with its limit. What it raises is recorded in its result, and the next one goes on."""
    x = recovery.x
    number, name = phase.number, PHASE_NAMES[phase.number]
    x.emit("phase-started", number=number, phase=name)
    mark = time.monotonic()
    try:
        result = await asyncio.wait_for(phase.run(recovery), timeout=phase.limit_s)
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
