"""What is told, from the result of an execution: facts and advice, safe to show anywhere. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from failback.model.execution import impact_with_count

LINE_CHARS_MAX = 500
EXAMPLE_CHARS_MAX = 1_200
EXAMPLE_LINES_MAX = 20
RECOMMENDATIONS_MAX = 4
_RAW_CHARS_MAX = 100_000  # of one text from outside, before anything is looked for in it
_ID_CHARS_MAX = 255

# Whole escape sequences first, then what is left of controls, direction overrides and invisible characters.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_])"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

TITLE = "🚨 Deployment Failed - Automatic Rollback Completed"
TITLE_UNSTABLE = "🚨 Deployment Failed - System Not Stable, Action Required Now"
TITLE_UNTOUCHED = "🚨 Deployment Failed - Nothing Was Changed"
SUBJECT = "Deployment Failure - Action Required"


@dataclass(frozen=True, slots=True)
class Message:
    """Facts and advice, already cleaned, redacted and bounded; each channel only escapes and lays them out.

    `advice`: mappings with "priority", "action", "description", "example" (of several lines). `archive`: a path.
    """

    execution_id: str
    service: str
    title: str
    facts: tuple[tuple[str, str], ...]
    advice: tuple[Mapping[str, str], ...]
    archive: str
    stable: bool

    @property
    def incident(self) -> str:
        """The name under which people find it, as in the spec: INC-1737354000."""
        return f"INC-{self.execution_id.rsplit('_', 1)[-1]}"

    @property
    def dedup_key(self) -> str:
        """The same execution is the same incident, however often it is sent."""
        if len(self.execution_id) <= _ID_CHARS_MAX:
            return self.execution_id
        return hashlib.sha256(self.execution_id.encode()).hexdigest()


def message(result: Mapping[str, Any], redact: Callable[[str], str] = lambda text: text) -> Message:
    """The message of a failed execution, from the contract's result. `redact` takes secrets out of a text."""

    def said(text: object, chars_max: int = LINE_CHARS_MAX) -> str:
        return clean(text, chars_max, redact)

    rollback = result.get("rollback") or {}
    cause = result.get("root_cause") or {}
    status = str(rollback.get("system_status") or "UNKNOWN")
    phases = {phase["number"]: phase for phase in rollback.get("phases") or ()}
    untouched = phases.get(1, {}).get("status") == "skipped"
    stable = status == "STABLE"
    facts = (
        ("Service", result.get("service", "")),
        ("Failed at", _failed_at(result)),
        ("Cause", f"{cause.get('cause') or 'not determined'} ({cause.get('type') or 'unknown'})"),
        ("Seen before", (cause.get("recurrence") or {}).get("text") or ""),
        ("User impact", impact_with_count(str(rollback.get("user_impact")), result.get("traffic") or {})),
        ("System status", status),
        ("Execution", result["execution_id"]),
    )
    archive = phases.get(7, {}).get("archive") or {}
    return Message(
        execution_id=str(result["execution_id"]),
        service=said(result.get("service", "")),
        title=TITLE_UNSTABLE if not stable else TITLE_UNTOUCHED if untouched else TITLE,
        facts=tuple((name, said(text)) for name, text in facts if text),
        advice=tuple(
            {
                "priority": said(item.get("priority", "")),
                "action": said(item.get("action", "")),
                "description": said(item.get("description", "")),
                "example": _example(item.get("example", ""), redact),
            }
            for item in (phases.get(6, {}).get("recommendations") or ())[:RECOMMENDATIONS_MAX]
        ),
        archive=said(archive.get("execution", "")),
        stable=stable,
    )


def clean(text: object, chars_max: int = LINE_CHARS_MAX, redact: Callable[[str], str] = lambda text: text) -> str:
    """Text from outside on one line of bounded length: nothing in it acts as a control, no secret is in it."""
    line = " ".join(_plain(text, redact).split())
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def as_text(told: Message) -> str:
    """Plain text, for mail and for any other channel."""
    lines = [told.title, ""]
    lines += [f"{name}: {text}" for name, text in told.facts]
    if told.advice:
        lines += ["", "What to do:"]
    for item in told.advice:
        lines.append(f"[{item['priority']}] {item['action']}")
        if item["description"]:
            lines.append(f"    {item['description']}")
        lines += [f"    | {line}" for line in item["example"].splitlines()]
    lines += ["", f"Everything about it: failback explain {told.execution_id}"]
    if told.archive:
        lines.append(f"Archive: {told.archive}")
    return "\n".join(lines) + "\n"


def _failed_at(result: Mapping[str, Any]) -> str:
    error = result.get("error") or {}
    number = (result.get("deployment") or {}).get("failed_at_step")
    steps = {step.get("number"): step for step in result.get("steps") or ()}
    name = error.get("step") or steps.get(number, {}).get("name") or ""
    detection = (result.get("rollback") or {}).get("detection") or {}
    reason = error.get("reason") or steps.get(number, {}).get("reason") or detection.get("reason") or "no reason given"
    where = " ".join(part for part in (f"step {number}" if number else "", f"({name})" if name else "") if part)
    return f"{where}: {reason}" if where else str(reason)


def _plain(text: object, redact: Callable[[str], str]) -> str:
    """Redacted twice: a secret may be broken by controls in the middle, and whole only without them."""
    raw = redact(str(text))[:_RAW_CHARS_MAX].replace("\r\n", "\n").replace("\r", "\n")
    without = _CONTROLS.sub(lambda match: " " if match[0] in "\u2028\u2029\x0b\x0c" else "", _ESCAPES.sub("", raw))
    return redact(without)


def _example(text: object, redact: Callable[[str], str]) -> str:
    lines = _plain(text, redact).expandtabs(4).splitlines()[:EXAMPLE_LINES_MAX]
    joined = "\n".join(line.rstrip() for line in lines)
    return joined if len(joined) <= EXAMPLE_CHARS_MAX else joined[: EXAMPLE_CHARS_MAX - 1] + "…"
