"""Any other channel, by its address and the library apprise, which is loaded only when such a channel is used."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from failback.notify.messages import Message, as_text
from failback.notify.sending import Gate, Lasting, within


async def send(told: Message, settings: Mapping[str, Any], limit_s: float) -> str:
    url = str(settings["url"])
    kind = url.partition(":")[0]
    gate = Gate()
    arrived = await within(limit_s, gate, f"{kind}: ", lambda: _notify(url, told, gate))
    if not arrived:
        # apprise does not say whether anything was sent, so a repetition might be a second message.
        raise Lasting(f"{kind}: apprise could not deliver it, and does not say why")
    return f"{kind}: sent"


def _notify(url: str, told: Message, gate: Gate) -> bool:
    try:
        import apprise
    except ImportError:
        raise Lasting("the extra is not installed: pip install 'failback[apprise]'") from None
    logger = logging.getLogger("apprise")

    def nothing(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(nothing)  # it writes addresses, which hold tokens
    try:
        sender = apprise.Apprise()
        if not sender.add(url):
            raise Lasting("apprise does not know this kind of address")
        gate.begin()
        return bool(sender.notify(body=as_text(told), title=told.title, body_format=apprise.NotifyFormat.TEXT))
    finally:
        logger.removeFilter(nothing)
