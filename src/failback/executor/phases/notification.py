"""Phase 8: tell the team.

Promise: every enabled channel is tried within its limits, none twice, and a dead one delays nothing but this phase.
"""

from __future__ import annotations

from failback.executor import notifying, results
from failback.executor.conclusion import traffic
from failback.executor.phase import PhaseResult, Recovery, done, skipped


async def run(recovery: Recovery) -> PhaseResult:
    x = recovery.x
    if not notifying.enabled(x):
        return skipped("no channel is enabled in notification_config")
    result = results.build(x, recovery.opened, await traffic(x, recovery.opened))
    return done(await notifying.notify(x, result))
