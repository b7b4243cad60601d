"""Phase 2: put the previous version back.

Promise: the stable revision has its configuration and full capacity, as the snapshot has it, or the result names what
is missing. Safe to repeat: each write looks first whether its effect is there.
"""

from __future__ import annotations

import asyncio

from failback.executor.opening import snapshot_of
from failback.executor.phase import PhaseResult, Recovery, Touched, done, each, skipped, untouched
from failback.model.snapshot import SnapshotContent
from failback.targets.base import Action


async def run(recovery: Recovery) -> PhaseResult:
    x = recovery.x
    if not x.members and hasattr(x.orchestrator, "restore") and "snapshot" in recovery.opened:
        return await _restore_by_orchestrator(recovery)
    reason = untouched(recovery)
    if reason is not None:
        return skipped(reason)
    if not recovery.automatic:
        return skipped("rollback_config.auto_rollback_enabled is false: the dark revision stays for a look")

    async def put_back(one: Touched) -> list[Action]:
        loaded, content = await _load(recovery, one)
        return [loaded, *await one.target.roll_back(one.revision, content, one.member.journal)]

    return done(await each(recovery, put_back))


async def _load(recovery: Recovery, one: Touched) -> tuple[Action, SnapshotContent | None]:
    """The snapshot; a damaged one is told, and the target goes by what still runs."""
    reference = snapshot_of(recovery.opened["snapshot"], one.member.service)
    paths = [f"{reference.root}/{name}" for name in reference.files]
    try:
        content = await asyncio.to_thread(recovery.x.snapshots.read, reference.id)
    except Exception as error:  # noqa: BLE001 - the way back must not depend on a file that can be damaged
        return Action(f"snapshot {reference.id} could not be read: {error}", ok=False), None
    return Action(
        f"loaded the backup {paths[0] if paths else reference.id}", detail={"snapshot": reference.id}
    ), content


async def _restore_by_orchestrator(recovery: Recovery) -> PhaseResult:
    x = recovery.x
    kept = x.values.orchestrator_snapshot
    if kept is None:
        return done([Action("the orchestrator's snapshot was lost with the process that took it", ok=False)])
    with x.journal.intent("orchestrator.restore"):
        await asyncio.to_thread(x.orchestrator.restore, kept)  # type: ignore[union-attr]
    return done([Action("the orchestrator restored its snapshot")])
