"""Phase 6: say what to do about it, in the order in which a person would do it.

Promise: each recommendation names the thing itself, with an example that can be pasted.
"""

from __future__ import annotations

from failback.executor.phase import PhaseResult, Recovery, done, skipped
from failback.targets.base import Action


async def run(recovery: Recovery) -> PhaseResult:
    diagnosis = recovery.x.kept("diagnosis.json")
    advice = (diagnosis or {}).get("recommendations", [])
    if not advice:
        return skipped("there is no diagnosis from which a fix could follow", recommendations=[])
    return done(
        [Action(f"[{item['priority']}] {item['action']}") for item in advice],
        recommendations=advice,
    )
