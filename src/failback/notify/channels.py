"""The channels: a new one is a file with a `send` and a row here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from failback.notify import mail, other, pagerduty, slack
from failback.notify.messages import Message

Send = Callable[[Message, Mapping[str, Any], float], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Channel:
    """`send` returns what it did, or raises Passing, Lasting or Unclear. `title`: its name for people.

    `idempotent`: the receiver itself takes the same key for the same incident, so that it may be sent again when
    nobody knows whether it arrived. `secrets`: keys of its settings that no text may show.
    """

    title: str
    send: Send
    idempotent: bool = False
    secrets: tuple[str, ...] = ()


CHANNELS: Mapping[str, Channel] = {
    "slack": Channel("Slack", slack.send, secrets=("webhook_url",)),
    "email": Channel("Email", mail.send, secrets=("password",)),
    "pagerduty": Channel("PagerDuty", pagerduty.send, idempotent=True, secrets=("api_key",)),
    "url": Channel("Other", other.send, secrets=("url",)),
}


def channels_of(config: Mapping[str, Any]) -> Sequence[str]:
    """Names of the enabled channels of a `notification_config`: "slack", "email", "pagerduty", "url-1", ..."""
    named = [name for name in CHANNELS if name != "url" and (config.get(name) or {}).get("enabled")]
    return [*named, *(f"url-{number}" for number in range(1, len(config.get("urls") or ()) + 1))]


def channel_of(name: str) -> Channel:
    return CHANNELS[name.partition("-")[0]]


def settings_of(name: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a `notification_config` (values resolved) that a channel needs. Raises KeyError, IndexError."""
    kind, _, number = name.partition("-")
    if kind == "url":
        return {"url": config["urls"][int(number) - 1]}
    settings: Mapping[str, Any] = config[kind]
    return settings


def without_secrets(text: str, name: str, settings: Mapping[str, Any]) -> str:
    """A text about a channel, which may quote what a receiver said, without that channel's own secrets."""
    for key in channel_of(name).secrets:
        if settings.get(key):
            text = text.replace(str(settings[key]), "***")
    return text
