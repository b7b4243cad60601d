"""The opening of an execution: repair what a crash took, look ahead, take the verified snapshot; no mutation before."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from typing import Any

from failback.executor import ballast, commands, measure
from failback.executor.context import Execution, Member, Outcome
from failback.model.errors import FailbackError, NoSpace, Refused, SnapshotNotVerified
from failback.model.release import RevisionState
from failback.model.snapshot import SnapshotContent, SnapshotRef


async def open_execution(x: Execution) -> Outcome:
    """Outcome: "succeeded" with the snapshot; else "failed" with the reason, and `refused` where exit 5 is meant."""
    began = time.time()
    x.emit("execution-started", execution=x.id, service=x.row.service, kind=x.row.kind, resumed=x.resumed)
    nothing_seen = measure.as_record(None, nothing_ran=False)
    outcome: Outcome = {"began_at": began, "traffic": dict.fromkeys(x.members, nothing_seen)}
    try:
        ballast.keep(x.home)
        # Whatever this very execution had running when it was killed is ended first.
        commands.end_marked(x.mark)
        outcome |= await _look_at_all(x)
        outcome["snapshot"] = await _back_up_all(x)
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
        **({"api_error": error.fields["api_error"]} if error.fields.get("api_error") else {}),
        "ended_at": time.time(),
    }


async def _look_at_all(x: Execution) -> Outcome:
    # All before anything is repaired, and in one order for every plan.
    for _, member in sorted(x.members.items()):
        await member.target.hold()
    looks = {name: await _look(x, member) for name, member in x.members.items()}
    return {
        "repairs": [text for look in looks.values() for text in look["repairs"]],
        "traffic": {name: look["traffic"] for name, look in looks.items()},
    }


async def _look(x: Execution, member: Member) -> Outcome:
    target = member.target
    await target.aim(x.release(member))
    repairs = [x.told(member, text) for text in await target.repair(member.journal)]
    for text in repairs:
        x.emit("repaired", what=text)
    state = await target.state()
    counters = await target.traffic()
    found: Outcome = {
        "repairs": repairs,
        "traffic": measure.as_record(counters, nothing_ran=state.stable is None),
    }
    for leftover in state.revisions:
        # A dark revision that was kept for a look (auto_rollback_enabled: false) goes when the next release comes.
        if leftover.state in (RevisionState.DARK, RevisionState.FAILED) and leftover.id != state.stable:
            await target.clean_up(leftover, member.journal)
            x.emit("leftover-removed", revision=leftover.id, **x.named(member))
    return found


async def _back_up_all(x: Execution) -> dict[str, Any]:
    """A snapshot for each service, so that each can be restored by itself; what is recorded names them all."""
    x.emit("backup-started")
    if not x.several:
        return await _back_up(x, next(iter(x.members.values()), None))
    each = {name: await _back_up(x, member) for name, member in x.members.items()}
    return {
        "services": each,
        "execution_id": x.id,
        "root": next(iter(each.values()))["root"],
        "encrypted": all(one["encrypted"] for one in each.values()),
        "files": {path: stored for one in each.values() for path, stored in one["files"].items()},
        "items": [f"{name}: {item}" for name, one in each.items() for item in one["items"]],
        "duration_s": round(sum(float(one["duration_s"]) for one in each.values()), 4),
    }


async def _back_up(x: Execution, member: Member | None) -> dict[str, Any]:
    began = time.monotonic()
    content = await _content(x, member)
    with (x.journal if member is None else member.journal).intent("snapshot.store"):
        reference = await asyncio.to_thread(x.snapshots.create, content, x.id)
        with (x.files / "snapshot").open("a") as kept:
            kept.write(f"{reference.id}\n")
    if member is not None:
        refused = [finding for finding in await member.target.accepts(content) if finding.blocking]
        if refused:
            raise SnapshotNotVerified(
                f"Nothing was touched: the snapshot of {member.service} could not be restored as it is: "
                + "; ".join(f"{finding.subject}: {finding.message}" for finding in refused),
                service=member.service,
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
        **({} if member is None else x.named(member)),
    )
    return {**dataclasses.asdict(reference), "duration_s": round(duration, 4)}


async def _content(x: Execution, member: Member | None) -> SnapshotContent:
    """What the target hands over (or the orchestrator's own snapshot), and the plan's step definitions with it."""
    if member is not None:
        content = await member.target.snapshot()
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


def snapshot_of(recorded: dict[str, Any], service: str) -> SnapshotRef:
    """The reference of a service's snapshot, as `open_execution` recorded it."""
    recorded = recorded.get("services", {}).get(service, recorded)
    return SnapshotRef(**{**recorded, "items": tuple(recorded["items"])})
