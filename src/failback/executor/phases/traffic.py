"""Phase 1: protect users' traffic.

Promise: afterwards no request reaches the failed revision, as the data plane itself confirms. Safe to repeat.
"""

from __future__ import annotations

from failback.executor.phase import PhaseResult, Recovery, done, each, skipped, untouched


async def run(recovery: Recovery) -> PhaseResult:
    reason = untouched(recovery)
    if reason is not None:
        return skipped(reason)
    return done(await each(recovery, lambda one: one.target.protect(one.revision, one.member.journal)))
