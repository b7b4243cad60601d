"""`explain`: one execution told as a good incident report: what users felt, what happened when, why, what to do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failback.cli.render.progress import sentence
from failback.cli.render.report import by_revision, cause_and_fixes, impact
from failback.cli.render.text import one_line, plain, seconds
from failback.telemetry.reading import read_events, read_json

if TYPE_CHECKING:
    from failback.executor.store import ExecutionRow

_LOG_LINES_MAX = 25


def incident(row: ExecutionRow, folder: Path, corrections: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
    """The report's lines. `corrections`: what people said of the cause afterwards."""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.created_at))
    yield f"{row.id}: {row.kind} of {row.service}, started {started}"
    yield ""
    if row.result is None:
        yield "! It has not ended: it runs now, or its process died. `failback resume` takes it up."
        yield ""
    else:
        yield from _summary(row.result)
        yield from cause_and_fixes(row.result)
        yield from _corrections(corrections)
    yield from _timeline(folder)
    if row.result is not None and row.result["status"] == "failed":
        yield from _evidence(read_json(folder / "evidence.json") or {})
        yield from _files(row.result)


def _summary(result: Mapping[str, Any]) -> Iterator[str]:
    rollback = result["rollback"]
    error = result.get("error")
    if error:
        yield f"✗ It failed at {error['step']}: {one_line(error['reason'], 400)}"
    else:
        yield "✓ It completed."
    yield f"  Users: {impact(result)}"
    yield from by_revision(result)
    yield f"  System: {rollback['system_status']}"
    detection = rollback.get("detection")
    if detection:
        rule = f", by the rule {detection['rule']}" if detection.get("rule") else ""
        yield f"  Detected after {seconds(detection['seconds'])}, {detection['stage']}{rule}"
    if rollback["phases"]:
        yield f"  Recovery: {rollback['phases_completed']} of 8 phases in {seconds(rollback['total_duration'])}"
    recovery = result.get("recovery") or {}
    if recovery.get("redeployed_by"):
        yield f"  Fixed by {recovery['redeployed_by']}, {seconds(recovery['total_time'])} later"
    yield ""


def _corrections(corrections: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in corrections:
        noted = f": {one_line(one['note'], 300)}" if one["note"] else ""
        yield f"! Corrected by {plain(one['by'])}: it was {one['type']}{noted}"
    if corrections:
        yield ""


def _timeline(folder: Path) -> Iterator[str]:
    yield "Timeline:"
    began: datetime | None = None
    for event in read_events(folder / "events.jsonl"):
        text = sentence(event)
        if text is None:
            continue
        at = datetime.fromisoformat(event["at"])
        began = began or at
        offset = (at - began).total_seconds()
        head, *rest = text.split("\n")
        yield f"  {offset:8.3f}  {one_line(head, 220)}"
        for line in rest:
            yield f"            {one_line(line, 220)}"
    yield ""


def _evidence(evidence: Mapping[str, Any]) -> Iterator[str]:
    yield "Evidence:"
    for replica in evidence.get("replicas", []):
        yield f"  {_replica(replica)}"
    failed = Counter(_probe(probe) for probe in evidence.get("probes", []) if not probe["passed"])
    for told, times in list(failed.items())[:10]:
        yield f"  {told}" + (f", {times} times" if times > 1 else "")
    for name, log in evidence.get("logs", {}).items():
        yield from _log(f"log of {name}", log.get("current") or log.get("previous") or "")
    yield from _log("output of the step", evidence.get("step_output", ""))
    yield from _log("changed since the last good release", evidence.get("change", ""))
    yield ""


def _probe(probe: Mapping[str, Any]) -> str:
    got = probe["status"] if probe["status"] is not None else probe.get("error") or "no answer"
    return f"{probe['kind']} {probe['path']} on {probe['replica']}: {got} (expected {probe['expected']})"


def _replica(replica: Mapping[str, Any]) -> str:
    told = [replica["name"]]
    if replica.get("oom_killed"):
        told.append("killed for memory")
    if replica.get("exit_code") is not None:
        told.append(f"exit code {replica['exit_code']}")
    if replica.get("signal"):
        told.append(replica["signal"])
    if replica.get("lived_s") is not None:
        told.append(f"lived {seconds(replica['lived_s'])}")
    if replica.get("restarts"):
        told.append(f"{replica['restarts']} restart" + "s" * (replica["restarts"] != 1))
    return ", ".join(told)


def _log(title: str, text: str) -> Iterator[str]:
    lines = plain(text).rstrip().split("\n") if text.strip() else []
    if not lines:
        return
    left_out = len(lines) - _LOG_LINES_MAX
    yield f"  --- {title}" + (f" (the last {_LOG_LINES_MAX} of {len(lines)} lines)" if left_out > 0 else "")
    for line in lines[-_LOG_LINES_MAX:]:
        yield f"  │ {line[:300]}"


def _files(result: Mapping[str, Any]) -> Iterator[str]:
    for phase in result["rollback"]["phases"]:
        for kind, path in (phase.get("archive") or {}).items():
            yield f"  {kind}: {path}"
