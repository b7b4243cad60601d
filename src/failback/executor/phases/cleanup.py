"""Phase 4: remove what the failed release left.

Promise: no process, port, folder, file or object of it is left, and each was looked for. Evidence was taken before.
"""

from __future__ import annotations

from failback.executor import commands
from failback.executor.phase import PhaseResult, Recovery, done, each, skipped, untouched
from failback.targets.base import Action


async def run(recovery: Recovery) -> PhaseResult:
    ended = commands.end_marked(recovery.x.mark)
    left = [Action(f"ended {len(ended)} processes that the plan's steps had left")] if ended else []
    reason = untouched(recovery)
    if reason is not None:
        return done(left) if left else skipped(reason)
    if not recovery.automatic:
        return skipped("rollback_config.auto_rollback_enabled is false: the dark revision stays for a look")
    return done([*left, *await each(recovery, lambda one: one.target.clean_up(one.revision, one.member.journal))])
