"""Phase 8's hands: the enabled channels with their resolved settings, and the delivery through the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from failback.executor.context import Execution
from failback.notify.channels import channels_of
from failback.notify.messages import message
from failback.notify.outbox import Outbox
from failback.targets.base import Action

_TITLES = {"sent": True, "failed": False, "unconfirmed": False}


def settings(x: Execution) -> dict[str, Any]:
    """`notification_config` with its values resolved."""
    shape = x.plan.notification_config.model_dump(mode="json")
    for where in ("slack.webhook_url", "pagerduty.api_key", "email.username", "email.password"):
        channel, key = where.split(".")
        shape[channel][key] = x.values.setting(f"notification_config.{where}")
    shape["urls"] = [
        x.values.setting(f"notification_config.urls.{number}") for number in range(len(shape["urls"] or ()))
    ]
    return shape


def enabled(x: Execution) -> Sequence[str]:
    """Names of the enabled channels."""
    return channels_of(x.plan.notification_config.model_dump(mode="json"))


async def notify(x: Execution, result: Mapping[str, Any]) -> Sequence[Action]:
    """Tells every enabled channel; one action each, with what came of it."""
    outbox = Outbox(x.home.database)
    try:
        with x.journal.intent("outbox.enqueue"):
            outbox.enqueue(message(x.redactor.redact_value(dict(result)), x.redactor.redact), enabled(x))
        deliveries = await outbox.deliver(x.id, settings(x))
    finally:
        outbox.close()
    return [
        Action(
            x.redactor.redact(done.action),
            ok=_TITLES[done.state],
            detail={"channel": done.channel, "attempts": done.attempts, "seconds": round(done.seconds, 3)},
        )
        for done in deliveries
    ]
