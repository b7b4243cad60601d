"""Takes the evidence of a failure before anything of it is deleted, and keeps it for the diagnosis and for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from failback.executor.context import Execution, Outcome
from failback.executor.phase import Recovery, Touched
from failback.executor.remembering import note_change
from failback.model.evidence import Evidence, FailedStep
from failback.targets.local.release_files import own_files

_FILES_MAX = 2000


async def collect(recovery: Recovery) -> Outcome:
    """Keeps `evidence.json`. What the target can't tell is a note in it: the way back does not depend on it."""
    x = recovery.x
    failure = recovery.failure
    note = ""
    failed = recovery.failed
    evidence = Evidence(target=next((member.target.kind for member in x.members.values()), "none"))
    if failed is not None and not failure.get("findings"):
        try:
            evidence = await failed.target.evidence(failed.revision)
        except Exception as error:  # noqa: BLE001 - recorded below; phase 4 must run all the same
            note = f"the target's evidence could not be taken: {type(error).__name__}: {error}"
    output = x.files / "steps" / f"{failure['number']:02d}.log" if failure["number"] else None
    evidence = dataclasses.replace(
        evidence,
        service=failed.member.service if failed is not None else x.row.service,
        failed_step=FailedStep(failure["number"] or 0, failure["step"], failure["type"]),
        step_output=_read(output) if output is not None and output.exists() else _reason(failure, evidence),
        api_error=failure.get("api_error") if evidence.api_error is None else evidence.api_error,
        events=evidence.events or tuple(_foreseen(failure)),
        exit_code=failure.get("exit_code") if evidence.exit_code is None else evidence.exit_code,
        verdict_rule=failure.get("rule") or evidence.verdict_rule,
        verdict_reason=failure["reason"],
        timed_out_after_s=failure["duration"] if failure.get("timed_out") else None,
        release_files=evidence.release_files or tuple(_files(x, failed)),
    )
    x.keep("evidence.json", evidence.as_dict())
    if x.members:
        await note_change(x)
    x.emit("evidence-kept", note=note, logs=len(evidence.logs), replicas=len(evidence.replicas))
    return {"status": "succeeded", "note": note}


def load(x: Execution) -> Evidence:
    """What `collect` kept; at least the failure's own words when that is unreadable."""
    kept = x.kept("evidence.json")
    if kept is None:
        failed = x.failed_outcome() or {}
        return Evidence(target="none", service=x.row.service, verdict_reason=str(failed.get("reason", "")))
    return Evidence.from_dict(kept)


def _reason(failure: Outcome, evidence: Evidence) -> str:
    """A step without output of its own: what failback says of it, unless the target's evidence speaks."""
    return "" if evidence.logs or evidence.pods or evidence.replicas else str(failure["reason"])


def _foreseen(failure: Outcome) -> Iterator[dict[str, Any]]:
    """What preflight found, as the cluster itself would have said it: nothing was started, so nobody has."""
    for finding in failure.get("findings") or ():
        said = finding["detail"].get("foreseen")
        if said:
            about = {"kind": said["kind"], "name": said["name"]}
            yield {"type": "Warning", "reason": said["reason"], "message": said["message"], "involvedObject": about}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _files(x: Execution, failed: Touched | None) -> list[str]:
    """Paths of the release that would have been made, so that recommendations can name real files."""
    plan = x.plan if failed is None else x.plan.alone(failed.member.service)
    path = getattr(plan.release, "path", None)
    if path is None:
        return []
    root = (x.folder / path).resolve()
    return sorted(own_files(root, _FILES_MAX))
