"""The opening of an execution: repair what a crash took, look ahead, take the verified snapshot; no mutation before."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from typing import Any

from failback.executor import ballast, commands, measure
from failback.executor.context import Execution, Outcome
from failback.model.errors import FailbackError, NoSpace, Refused, SnapshotNotVerified
from failback.model.release import RevisionState
from failback.model.snapshot import SnapshotContent, SnapshotRef
from failback.targets.base import Target


async def open_execution(x: Execution) -> Outcome:
    """Outcome: "succeeded" with the snapshot; else "failed" with the reason, and `refused` where exit 5 is meant."""
    began = time.time()
    x.emit("execution-started", execution=x.id, service=x.row.service, kind=x.row.kind, resumed=x.resumed)
    outcome: Outcome = {"began_at": began, "traffic": measure.as_record(None, nothing_ran=False)}
    try:
        ballast.keep(x.home)
        # Whatever this very execution had running when it was killed is ended first.
        commands.end_marked(x.mark)
        if x.target is not None:
            outcome |= await _look(x, x.target)
        outcome["snapshot"] = await _back_up(x)
    except Refused as refusal:
        return _not_opened(x, outcome, refusal, refused=True)
    except FailbackError as error:
        return _not_opened(x, outcome, error, refused=isinstance(error, SnapshotNotVerified))
    except OSError as error:
        full = NoSpace(f"Nothing was touched: {error.strerror} ({error.filename}).", path=str(error.filename))
        return _not_opened(x, outcome, full, refused=True)
    return {"status": "succeeded", **outcome}


def _not_opened(x: Execution, outcome: Outcome, error: FailbackError, *, refused: bool) -> Outcome:
    x.emit("execution-refused" if refused else "preflight-failed", reason=error.message, code=error.code)
    return {
        "status": "failed",
        **outcome,
        "reason": error.message,
        "error": error.code,
        "refused": refused,
        "ended_at": time.time(),
    }


async def _look(x: Execution, target: Target) -> Outcome:
    await target.aim(x.release("Deploy"))
    repairs = await target.repair(x.journal)
    for text in repairs:
        x.emit("repaired", what=text)
    state = await target.state()
    counters = await target.traffic()
    found: Outcome = {
        "stable": state.stable,
        "repairs": list(repairs),
        "traffic": measure.as_record(counters, nothing_ran=state.stable is None),
    }
    for leftover in state.revisions:
        # A dark revision that was kept for a look (auto_rollback_enabled: false) goes when the next release comes.
        if leftover.state in (RevisionState.DARK, RevisionState.FAILED) and leftover.id != state.stable:
            await target.clean_up(leftover, x.journal)
            x.emit("leftover-removed", revision=leftover.id)
    return found


async def _back_up(x: Execution) -> dict[str, Any]:
    began = time.monotonic()
    x.emit("backup-started")
    content = await _content(x)
    with x.journal.intent("snapshot.store"):
        reference = await asyncio.to_thread(x.snapshots.create, content, x.id)
        (x.files / "snapshot").write_text(reference.id)
    if x.target is not None:
        refused = [finding for finding in await x.target.accepts(content) if finding.blocking]
        if refused:
            raise SnapshotNotVerified(
                f"Nothing was touched: the snapshot of {x.row.service} could not be restored as it is: "
                + "; ".join(f"{finding.subject}: {finding.message}" for finding in refused),
                service=x.row.service,
            )
    duration = time.monotonic() - began
    x.emit(
        "backup-created",
        snapshot=reference.id,
        items=list(reference.items),
        files=list(reference.files),
        root=reference.root,
        encrypted=reference.encrypted,
        duration=round(duration, 4),
    )
    return {**dataclasses.asdict(reference), "duration_s": round(duration, 4)}


async def _content(x: Execution) -> SnapshotContent:
    """What the target hands over (or the orchestrator's own snapshot), and the plan's step definitions with it."""
    if x.target is not None:
        content = await x.target.snapshot()
    else:
        content = SnapshotContent(x.row.service, "none", None, {}, items=())
        take = getattr(x.orchestrator, "snapshot", None)
        if take is not None:
            kept = await asyncio.to_thread(take)
            x.values.orchestrator_snapshot = kept
            content = dataclasses.replace(
                content, documents={"service": _as_text(kept)}, items=("the orchestrator's own snapshot",)
            )
    steps = [step.model_dump(mode="json") for step in x.plan.steps]
    configs = json.loads(content.documents.get("configs", "{}")) | {"plan": {"steps": steps}}
    return dataclasses.replace(
        content,
        documents={**content.documents, "configs": json.dumps(configs, indent=1)},
        items=(*content.items, f"definitions of {len(steps)} steps"),
    )


def _as_text(kept: Any) -> str:
    try:
        return json.dumps(kept, indent=1)
    except TypeError:
        # It can only be given back while this process lives; the text is for people.
        return json.dumps({"not_serialisable": repr(kept)})


def snapshot_ref(recorded: dict[str, Any]) -> SnapshotRef:
    """The reference that `open_execution` recorded."""
    return SnapshotRef(**{**recorded, "items": tuple(recorded["items"])})
