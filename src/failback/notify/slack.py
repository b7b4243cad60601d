"""Slack: an incoming webhook with blocks; other servers that take the same read its `text`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failback.notify.messages import Message
from failback.notify.sending import Lasting, post

CHANNEL = "#deployments"
_HEADER_CHARS_MAX = 150
_FIELD_CHARS_MAX = 2_000
_FIELDS_MAX = 10
_SECTION_CHARS_MAX = 3_000
_TEXT_CHARS_MAX = 3_000


async def send(told: Message, settings: Mapping[str, Any], limit_s: float) -> str:
    if not settings.get("webhook_url"):
        raise Lasting("notification_config.slack.webhook_url is empty")
    channel = str(settings.get("channel") or CHANNEL)
    await post(str(settings["webhook_url"]), as_slack(told, channel), limit_s)
    return f"Slack: {channel} channel"


def as_slack(told: Message, channel: str) -> dict[str, Any]:
    """The body. What an application printed can mention nobody, link nothing and end no code block."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": told.title[:_HEADER_CHARS_MAX], "emoji": True}},
        {
            "type": "section",
            "fields": [_marked(f"*{name}*\n", text, "", _FIELD_CHARS_MAX) for name, text in told.facts[:_FIELDS_MAX]],
        },
    ]
    for item in told.advice:
        head = f"*[{_escaped(item['priority'])}]* {_escaped(item['action'])}\n{_escaped(item['description'])}"
        blocks.append({"type": "section", "text": _marked(_cut(head, _SECTION_CHARS_MAX), "", "", _SECTION_CHARS_MAX)})
        if item["example"]:
            code = item["example"].replace("```", "'''")
            blocks.append({"type": "section", "text": _marked("```\n", code, "\n```", _SECTION_CHARS_MAX)})
    more = [_marked("`failback explain ", told.execution_id.replace("`", "'"), "`", 300)]
    if told.archive:
        more.append(_marked("Archive: ", told.archive, "", 600))
    blocks.append({"type": "context", "elements": more})
    impact = dict(told.facts).get("User impact", "")
    text = _cut(_escaped(f"{told.title}: {told.service}. User impact {impact}"), _TEXT_CHARS_MAX)
    return {"channel": channel, "text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _marked(before: str, text: str, after: str, chars_max: int) -> dict[str, Any]:
    room = chars_max - len(before) - len(after)
    # verbatim: addresses and channel names in the text are not made into links.
    return {"type": "mrkdwn", "text": before + _cut(_escaped(text), room) + after, "verbatim": True}


def _escaped(text: str) -> str:
    """Slack's own escapes: with them neither `<!channel>` nor a link can be made."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(escaped: str, chars_max: int) -> str:
    """To the length, never in the middle of an escape."""
    if len(escaped) <= chars_max:
        return escaped
    head = escaped[: chars_max - 1]
    start = head.rfind("&", -5)
    if start >= 0 and ";" not in head[start:]:
        head = head[:start]
    return head + "…"
