"""What a finished execution came to, as text: the report after `deploy`, and the head of `explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from failback.cli.render.progress import action_line
from failback.cli.render.text import one_line, plain, seconds
from failback.model.execution import impact_with_count


def report(result: Mapping[str, Any], *, actions: bool = True) -> str:
    """The whole report, plain text; the caller colours whole lines by their first sign. `actions`: of each phase."""
    lines = _completed(result) if result["status"] == "completed" else _failed(result, actions)
    return "\n".join(lines) + "\n"


def _completed(result: Mapping[str, Any]) -> Iterator[str]:
    deployment = result["deployment"]
    yield f"✓ {result['service']}: completed in {seconds(deployment['duration'])} ({result['execution_id']})"
    yield f"  Steps: {deployment['steps_completed']} of {len(result['steps'])} succeeded"
    yield f"  User impact: {impact(result)}"
    yield from by_revision(result)
    yield f"  System status: {result['rollback']['system_status']}"
    for note in result.get("notes", []):
        yield f"! {plain(note)}"


def _failed(result: Mapping[str, Any], actions: bool) -> Iterator[str]:
    rollback = result["rollback"]
    error = result.get("error", {})
    yield f"✗ {result['service']}: failed at {error.get('step', '?')} ({result['execution_id']})"
    yield f"  {one_line(error.get('reason', ''), 400)}"
    if result.get("refused"):
        yield "  Refused: nothing was touched."
        return
    found = rollback["detection"]
    yield f"  Detected after {seconds(found['seconds'])}, {found['stage']}" + (
        f" (rule {found['rule']})" if found.get("rule") else ""
    )
    yield ""
    for phase in rollback["phases"]:
        mark = {"succeeded": "✓", "failed": "✗", "skipped": "–"}[phase["status"]]
        yield f"{mark} Phase {phase['number']}: {phase['phase']} ({seconds(phase['duration'])})"
        for taken in phase["actions"] if actions or phase["status"] == "failed" else ():
            yield f"    {action_line(taken)}"
    yield ""
    yield from cause_and_fixes(result)
    yield f"{'✓' if rollback['system_status'] == 'STABLE' else '✗'} System status: {rollback['system_status']}"
    yield f"  User impact: {impact(result)}"
    yield from by_revision(result)
    yield f"  Rollback: {rollback['phases_completed']} of 8 phases in {seconds(rollback['total_duration'])}"
    yield f"  Everything about it: failback explain {result['execution_id']}"


def impact(result: Mapping[str, Any]) -> str:
    """The impact with the count that shows it, and where the count comes from."""
    source = result["traffic"].get("source")
    told = impact_with_count(result["rollback"]["user_impact"], result["traffic"])
    counted = result["traffic"].get("requests") is not None and source not in (None, "none", "probe")
    return f"{told} (counted by the {source})" if counted else told


def by_revision(result: Mapping[str, Any]) -> Iterator[str]:
    """Requests by service (of several) and by revision, so that the stable one's usual errors stand apart."""
    for name, one in (result["traffic"].get("by_service") or {}).items():
        yield f"    {name}: {plain(impact_with_count(one['user_impact'], one))} ({one['source']})"
    for name, counts in (result["traffic"].get("by_revision") or {}).items():
        if counts["requests"]:
            yield f"    {name}: {counts['failed']:,} of {counts['requests']:,} requests failed"


def cause_and_fixes(result: Mapping[str, Any]) -> Iterator[str]:
    """Root cause with the lines it rests on, then what to do."""
    cause = result.get("root_cause")
    if cause:
        yield f"Cause: {plain(cause['cause'])}"
        yield f"  {cause['type']}, {cause['component']}, confidence {cause['confidence']:.0%}"
        for citation in cause["evidence"][:4]:
            yield f"  {citation['source']}: {one_line(citation['text'])}"
        if cause.get("recurrence"):
            yield f"  Seen before: {one_line(cause['recurrence']['text'], 300)}"
        yield ""
    yield from second_opinion(result.get("second_opinion"))
    advice = recommendations(result)
    if advice:
        yield "What to do:"
        for item in advice:
            yield f"  [{item['priority']}] {plain(item['action'])}"
            if item.get("description"):
                yield f"      {one_line(item['description'], 300)}"
            for line in plain(item.get("example", "")).rstrip().splitlines():
                yield f"      │ {line}"
            if item.get("verified"):
                yield f"      verified: {plain(item['verified'])}"
        yield ""


def second_opinion(told: Mapping[str, Any] | None) -> Iterator[str]:
    """A language model's own words, marked as such, or why there are none."""
    if not told:
        return
    took = seconds(told["seconds"])
    if told["status"] != "answered":
        yield f"A language model ({plain(told['model'])}) was asked: {plain(told['reason'])} ({took})"
        yield ""
        return
    sure = "" if told.get("confidence") is None else f", {told['confidence']:.0%} sure by its own word"
    yield f"A language model's opinion ({plain(told['model'])}, {took}; failback checked its citations, nothing else):"
    yield f"  {one_line(told['cause'], 500)} ({told['type']}{sure})"
    for citation in told["evidence"][:4]:
        yield f"  {citation['source']}: {one_line(citation['text'])}"
    if told["suggestion"]:
        yield f"  It suggests: {one_line(told['suggestion'], 1000)}"
    yield ""


def recommendations(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of phase 6."""
    for phase in result["rollback"]["phases"]:
        if phase["number"] == 6:
            return list(phase.get("recommendations", []))
    return []
