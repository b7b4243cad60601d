"""PagerDuty: Events v2, at PagerDuty or at a server that speaks the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failback.notify.messages import Message, clean
from failback.notify.sending import Lasting, post

ADDRESS = "https://events.pagerduty.com/v2/enqueue"
_SUMMARY_CHARS_MAX = 1_024


async def send(told: Message, settings: Mapping[str, Any], limit_s: float) -> str:
    if not settings.get("api_key"):
        raise Lasting("notification_config.pagerduty.api_key is empty")
    body = as_pagerduty(told, str(settings["api_key"]))
    await post(str(settings.get("address") or ADDRESS), body, limit_s)
    return f"PagerDuty: incident {told.incident} created"


def as_pagerduty(told: Message, routing_key: str) -> dict[str, Any]:
    """The event. Its dedup_key makes a repetition harmless: the receiver knows the incident already."""
    return {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": told.dedup_key,
        "client": "failback",
        "payload": {
            "summary": clean(f"{told.incident} {told.service}: {told.title}", _SUMMARY_CHARS_MAX),
            "source": told.service or "failback",
            "component": told.service or "failback",
            "class": "deployment failure",
            # HIGH in the spec's words: users are served, and a person has to act; critical when it is not stable.
            "severity": "error" if told.stable else "critical",
            "custom_details": {
                "priority": "HIGH",
                "incident": told.incident,
                **dict(told.facts),
                "recommendations": [f"[{item['priority']}] {item['action']}" for item in told.advice],
                "archive": told.archive,
                "more": f"failback explain {told.execution_id}",
            },
        },
    }
