"""What is told, from the result of an execution: one message, and its form for each kind of channel. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from failback.model.execution import impact_with_count

_LINE_CHARS_MAX = 500
_EXAMPLE_CHARS_MAX = 1_500
_RECOMMENDATIONS_MAX = 4
_SLACK_TEXT_MAX = 2_900
_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

TITLE = "🚨 Deployment Failed - Automatic Rollback Completed"
TITLE_UNSTABLE = "🚨 Deployment Failed - System Not Stable, Action Required Now"
TITLE_UNTOUCHED = "🚨 Deployment Failed - Nothing Was Changed"
SUBJECT = "Deployment Failure - Action Required"


@dataclass(frozen=True, slots=True)
class Message:
    """Facts and advice; `incident` is the name under which a pager keeps it."""

    execution_id: str
    service: str
    title: str
    facts: tuple[tuple[str, str], ...]
    advice: tuple[Mapping[str, Any], ...]
    archive: str
    stable: bool

    @property
    def incident(self) -> str:
        return f"INC-{self.execution_id.rsplit('_', 1)[-1]}"


def message(result: Mapping[str, Any]) -> Message:
    """The message of a failed execution."""
    rollback = result["rollback"]
    error = result.get("error") or {}
    cause = result.get("root_cause") or {}
    stable = rollback["system_status"] == "STABLE"
    phases = {phase["number"]: phase for phase in rollback["phases"]}
    untouched = phases.get(1, {}).get("status") == "skipped"
    title = TITLE_UNSTABLE if not stable else TITLE_UNTOUCHED if untouched else TITLE
    facts = [
        ("Service", result["service"]),
        ("Failed at", f"step {result['deployment']['failed_at_step']} ({error.get('step')}): {error.get('reason')}"),
        ("Cause", f"{cause.get('cause', 'not determined')} ({cause.get('type', 'unknown')})"),
        ("User impact", impact_with_count(rollback["user_impact"], result["traffic"])),
        ("System status", rollback["system_status"]),
        ("Execution", result["execution_id"]),
    ]
    return Message(
        execution_id=result["execution_id"],
        service=result["service"],
        title=title,
        facts=tuple((name, clean(text)) for name, text in facts),
        advice=tuple(phases.get(6, {}).get("recommendations", []))[:_RECOMMENDATIONS_MAX],
        archive=str((phases.get(7, {}).get("archive") or {}).get("execution", "")),
        stable=stable,
    )


def clean(text: object, chars_max: int = _LINE_CHARS_MAX) -> str:
    """Text of the application on one line: nothing in it may act as a control."""
    line = " ".join(_CONTROLS.sub("", str(text)).split())
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def as_text(told: Message) -> str:
    """Plain text, for mail and for any other channel."""
    lines = [told.title, ""]
    lines += [f"{name}: {text}" for name, text in told.facts]
    if told.advice:
        lines += ["", "What to do:"]
    for item in told.advice:
        lines.append(f"[{item['priority']}] {clean(item['action'])}")
        lines.append(f"    {clean(item['description'])}")
        lines += [f"    | {line}" for line in _example(item).splitlines()]
    lines += ["", f"Everything about it: failback explain {told.execution_id}"]
    if told.archive:
        lines.append(f"Archive: {told.archive}")
    return "\n".join(lines) + "\n"


def as_html(told: Message) -> str:
    """The same, for mail readers; everything from outside is escaped."""
    rows = "".join(f"<tr><th align=left>{_h(name)}</th><td>{_h(text)}</td></tr>" for name, text in told.facts)
    advice = "".join(
        f"<li><b>[{_h(item['priority'])}] {_h(clean(item['action']))}</b><br>{_h(clean(item['description']))}"
        f"<pre>{_h(_example(item))}</pre></li>"
        for item in told.advice
    )
    return f"<h2>{_h(told.title)}</h2><table>{rows}</table><ol>{advice}</ol><p>failback explain {_h(told.execution_id)}</p>"


def as_slack(told: Message, channel: str) -> dict[str, Any]:
    """An incoming webhook's body with blocks."""
    fields = [{"type": "mrkdwn", "text": f"*{name}*\n{_slack(text)}"[:_SLACK_TEXT_MAX]} for name, text in told.facts]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": told.title[:150]}},
        {"type": "section", "fields": fields[:10]},
    ]
    for item in told.advice:
        text = f"*[{item['priority']}] {_slack(clean(item['action']))}*\n{_slack(clean(item['description']))}"
        example = _example(item)
        if example:
            text += f"\n```{_slack(example).replace('```', chr(39) * 3)}```"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text[:_SLACK_TEXT_MAX]}})
    blocks.append(
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"`failback explain {_slack(told.execution_id)}`"}]}
    )
    return {"channel": channel, "text": f"{told.title}: {_slack(told.service)}", "blocks": blocks}


def as_pagerduty(told: Message, routing_key: str) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2; the same execution is the same incident, however often it is sent."""
    return {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": told.execution_id,
        "payload": {
            "summary": clean(f"{told.incident} {told.service}: {told.title}", 1000),
            "source": told.service,
            # HIGH in the spec's words: the service runs, and a person has to act; critical when it does not run.
            "severity": "error" if told.stable else "critical",
            "custom_details": {
                "priority": "HIGH",
                "incident": told.incident,
                **{name: text for name, text in told.facts},
                "recommendations": [f"[{item['priority']}] {clean(item['action'])}" for item in told.advice],
            },
        },
    }


def _example(item: Mapping[str, Any]) -> str:
    return "\n".join(
        _CONTROLS.sub("", line) for line in str(item.get("example", ""))[:_EXAMPLE_CHARS_MAX].splitlines()
    )


def _slack(text: str) -> str:
    """Slack's own escapes: with them no `<!channel>` or link can be made."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _h(text: str) -> str:
    return html.escape(str(text))


def channels_of(config: Mapping[str, Any]) -> Sequence[str]:
    """Names of the enabled channels of a `notification_config`."""
    named = [name for name in ("slack", "email", "pagerduty") if (config.get(name) or {}).get("enabled")]
    return [*named, *(f"url-{number}" for number in range(1, len(config.get("urls") or ()) + 1))]
