"""Phase 5: name the root cause from the evidence, offline.

Promise: a cause with the lines it rests on, or an honest "unknown"; never a guess that cannot be traced.
"""

from __future__ import annotations

import asyncio

from failback.diagnosis import diagnose
from failback.executor.evidence import load
from failback.executor.phase import PhaseResult, Recovery, done
from failback.targets.base import Action


async def run(recovery: Recovery) -> PhaseResult:
    x = recovery.x
    found = await asyncio.to_thread(diagnose, load(x))
    root_cause = x.redactor.redact_value(found.as_root_cause())
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
        ],
        root_cause=root_cause,
    )
