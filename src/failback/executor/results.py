"""Builds the contract's result from what was recorded. Every number in it was measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from failback.executor.context import Execution, Outcome
from failback.executor.nodes import Part, is_rollout
from failback.executor.store import ExecutionRow, Store
from failback.model.execution import PhaseStatus, SystemStatus, Traffic, phases_completed, user_impact
from failback.targets.base import Action


def build(x: Execution, opened: Outcome, traffic: Traffic) -> dict[str, Any]:
    """The result of the execution as it stands; phases that have not run yet are simply not in it."""
    failure = failure_of(x, opened)
    steps = [_step(x, number, opened) for number in range(1, len(x.plan.steps) + 1)]
    phases = [x.outcomes[key] for key in sorted(x.outcomes) if key.startswith("phase ")]
    result: dict[str, Any] = {
        "execution_id": x.id,
        "timestamp": datetime.fromtimestamp(x.row.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "service": x.row.service,
        "kind": x.row.kind,
        "status": "completed" if failure is None else "failed",
        "backup_created": bool(opened.get("snapshot")),
        "backup": opened.get("snapshot"),
        "rollback_performed": len(phases) == 8,
        "steps": steps,
        "deployment": {
            "duration": round(time.time() - x.row.created_at, 3),
            "steps_completed": sum(step["status"] == "succeeded" for step in steps),
            "steps_failed": sum(step["status"] == "failed" for step in steps),
            "failed_at_step": failure["number"] if failure else None,
        },
        "traffic": traffic.as_dict(),
        "rollback": _rollback(x, opened, failure, phases, traffic),
        "root_cause": x.outcomes.get("phase 5", {}).get("root_cause"),
        "fixes": x.outcomes.get("fixes"),
        "second_opinion": x.outcomes.get("opinion"),
        "recovery": _recovery(x, failure, phases),
        "resumed": x.resumed,
        "notes": [*opened.get("repairs", []), *x.outcomes.get("finish", {}).get("notes", [])],
    }
    if failure is not None:
        result["error"] = {"step": failure["step"], "reason": failure["reason"], "rule": failure.get("rule", "")}
    if opened.get("refused") or ((failure or {}).get("refused") and not _launched(x)):
        result["refused"] = True
    return result


def _launched(x: Execution) -> bool:
    """Whether a revision of any service was started: then it is no refusal any more, but a failure."""
    launches = [x.part(member, Part.LAUNCH) for member in x.members.values()]
    return any(launch.get("status") in ("succeeded", "failed") for launch in launches)


def failure_of(x: Execution, opened: Outcome) -> Outcome | None:
    """What went wrong first: the opening, or a node of the plan. `number` 0 is the opening."""
    if opened["status"] != "succeeded":
        deploy = next((n for n, step in enumerate(x.plan.steps, start=1) if is_rollout(step, bool(x.members))), None)
        return {"step": "Preflight", "type": "preflight", "number": deploy, "duration": 0.0, **opened}
    return x.failed_outcome()


def action(taken: Action) -> dict[str, Any]:
    """One action of a phase, as results hold it."""
    return {"text": taken.text, "ok": taken.ok, **({"detail": dict(taken.detail)} if taken.detail else {})}


def system_status(x: Execution, opened: Outcome) -> SystemStatus:
    """STABLE only where it was looked at: phase 3 after a failure, the finish after a success."""
    if not x.members:
        restored = x.outcomes.get("phase 2", {})
        return SystemStatus.UNSTABLE if restored.get("status") == PhaseStatus.FAILED else SystemStatus.STABLE
    if "phase 3" in x.outcomes:
        critical = [x.outcomes.get(f"phase {number}", {}) for number in (1, 2, 3)]
        late = any(outcome.get("past_rollback_timeout") for outcome in critical)
        failed = any(outcome.get("status") == PhaseStatus.FAILED for outcome in critical)
        return SystemStatus.UNSTABLE if failed or late else SystemStatus.STABLE
    if opened.get("refused"):
        return SystemStatus.STABLE
    checked = x.outcomes.get("finish", {}).get("stable")
    if checked is None:
        return SystemStatus.UNKNOWN
    return SystemStatus.STABLE if checked else SystemStatus.UNSTABLE


def _step(x: Execution, number: int, opened: Outcome) -> dict[str, Any]:
    step = x.plan.steps[number - 1]
    outcomes = [outcome for outcome in x.outcomes.values() if outcome.get("step") == step.name and "part" in outcome]
    shape: dict[str, Any] = {"number": number, "name": step.name, "type": step.type}
    if not outcomes:
        return shape | {"status": "skipped", "duration": 0.0, "attempts": 0}
    order = ("failed", "cancelled", "skipped")
    statuses = [outcome["status"] for outcome in outcomes]
    worst = next((status for status in order if status in statuses), "succeeded")
    if worst == "skipped" and "succeeded" in statuses:
        worst = "cancelled"
    told = next((outcome for outcome in outcomes if outcome["status"] == worst), outcomes[-1])
    shape |= {
        "status": worst,
        "duration": round(sum(float(outcome["duration"]) for outcome in outcomes), 3),
        "attempts": max((int(outcome.get("attempts", 1)) for outcome in outcomes), default=0)
        if worst != "skipped"
        else 0,
    }
    for key in ("exit_code", "reason", "rule", "timed_out"):
        if told.get(key) not in (None, "", False):
            shape[key] = told[key]
    return shape


def _rollback(
    x: Execution, opened: Outcome, failure: Outcome | None, phases: list[Outcome], traffic: Traffic
) -> dict[str, Any]:
    total = round(sum(float(phase["duration"]) for phase in phases), 4)
    return {
        "duration": total,
        "total_duration": total,
        "phases_completed": phases_completed(phases),
        "user_impact": user_impact(traffic),
        "system_status": str(system_status(x, opened)),
        "detection": None if failure is None else detection(failure),
        "phases": phases,
    }


def detection(failure: Outcome) -> dict[str, Any]:
    """How long the failing part ran until it was condemned, by which rule, and why."""
    return {
        "seconds": failure.get("verdict_at_s", failure["duration"]),
        "reason": failure["reason"],
        "rule": failure.get("rule", ""),
        "evidence": failure.get("evidence", []),
        "stage": "after the cut-over" if failure.get("part") in (Part.BAKE, Part.EXTEND) else "before any user traffic",
    }


def _recovery(x: Execution, failure: Outcome | None, phases: list[Outcome]) -> dict[str, Any] | None:
    retried = [outcome for outcome in x.outcomes.values() if int(outcome.get("attempts") or 1) > 1]
    if failure is None and not retried:
        return None
    total = round(time.time() - float(failure["ended_at"]), 3) if failure else 0.0
    return {"total_time": total, "auto_retry": bool(retried), "retry_successful": failure is None if retried else None}


def credit_recovery(store: Store, row: ExecutionRow, result: Mapping[str, Any]) -> None:
    """The next deployment after a failed one is its retry: the failed one's record says when it came, and how it went.

    `auto_retry`: nobody typed it; a webhook or a schedule started it (`trigger` in its record).
    """
    if row.kind != "deploy":
        return
    for earlier in store.executions(service=row.service, limit=20):
        if earlier.created_at >= row.created_at or earlier.service != row.service or earlier.result is None:
            continue
        if earlier.result["status"] != "failed" or earlier.result.get("refused"):
            return
        fixed = dict(earlier.result)
        known = fixed.get("recovery") or {}
        succeeded = result["status"] == "completed"
        automatic = row.plan.get("trigger") not in (None, "command")
        fixed["recovery"] = {
            **known,
            "auto_retry": bool(known.get("auto_retry")) or automatic,
            "retried_by": row.id,
            "retry_successful": succeeded,
        }
        if succeeded:
            fixed["recovery"] |= {
                "redeployed_by": row.id,
                "total_time": round(time.time() - (earlier.ended_at or earlier.created_at), 3),
            }
        store.set_result(earlier.id, fixed)
        return
