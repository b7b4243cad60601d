"""Phase 3: verify that the system is stable.

Promise: STABLE is said only after replicas, endpoints, logs and response times were looked at, each on its own line.
"""

from __future__ import annotations

from failback.executor.phase import PhaseResult, Recovery, done, each, skipped, untouched


async def run(recovery: Recovery) -> PhaseResult:
    reason = untouched(recovery)
    if reason is not None:
        return skipped(reason)
    return done(await each(recovery, lambda one: one.target.verify_stable(one.revision)))
