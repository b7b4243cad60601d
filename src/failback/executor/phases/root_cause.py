"""Phase 5: name the root cause from the evidence, offline.

Promise: a cause with the lines it rests on, or an honest "unknown"; never a guess that cannot be traced.
"""

from __future__ import annotations

import asyncio

from failback.diagnosis import diagnose
from failback.executor.evidence import load
from failback.executor.phase import PhaseResult, Recovery, done
from failback.executor.remembering import remember
from failback.targets.base import Action


async def run(recovery: Recovery) -> PhaseResult:
    x = recovery.x
    evidence = load(x)
    known = await remember(x, await asyncio.to_thread(diagnose, evidence), evidence)
    found = known.diagnosis
    seen = known.recurrence.as_dict() if known.recurrence else None
    root_cause = x.redactor.redact_value(
        found.as_root_cause() | {"signature": known.signature, "recurrence": seen, "facts": found.facts}
    )
    failed = recovery.failed
    others = [one.member.service for one in recovery.touched if failed is not None and one != failed]
    root_cause["affected_components"] = [*root_cause["affected_components"], *others]
    x.keep(
        "diagnosis.json",
        {**root_cause, "recommendations": [advice.as_dict() for advice in found.recommendations]},
    )
    failure = recovery.failure
    return done(
        [
            Action(f"failed step: step {failure['number']} ({failure['step']})"),
            Action(f"error type: {root_cause['type']}"),
            Action(f"cause: {root_cause['cause']}"),
            Action(f"affected: {', '.join(root_cause['affected_components']) or root_cause['component']}"),
            *([Action(f"seen before: {root_cause['recurrence']['text']}")] if seen else []),
            *([Action(f"the memory of failures was not asked: {known.problem}", ok=None)] if known.problem else []),
        ],
        root_cause=root_cause,
    )
