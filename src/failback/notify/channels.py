"""Sends one message on one channel. Each sender says what it did, or raises Passing or Lasting."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

import httpx

from failback.notify.messages import SUBJECT, Message, as_html, as_pagerduty, as_slack, as_text

_CONNECT_S_MAX = 3.0
_ANSWER_S_MAX = 5.0
_RETRY_AFTER_S_MAX = 10.0


class Passing(Exception):
    """It did not arrive, and may the next time. `pause_s`: what the receiver asked for."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Lasting(Exception):
    """It did not arrive, and never will as things are."""


async def slack(told: Message, config: Mapping[str, Any]) -> str:
    await _post(str(config["webhook_url"]), as_slack(told, str(config.get("channel") or "#deployments")))
    return f"Slack: {config.get('channel') or '#deployments'} channel"


async def pagerduty(told: Message, config: Mapping[str, Any]) -> str:
    await _post(str(config["address"]), as_pagerduty(told, str(config["api_key"])))
    return f"PagerDuty: incident {told.incident} created"


async def email(told: Message, config: Mapping[str, Any]) -> str:
    recipients = [str(one) for one in config.get("recipients") or ()]
    if not recipients:
        raise Lasting("notification_config.email has no recipients")
    await asyncio.to_thread(_send_mail, _mail(told, config, recipients), config, recipients)
    return f"Email: {', '.join(recipients)}"


async def by_url(told: Message, config: Mapping[str, Any]) -> str:
    """Any other channel, by the library apprise and its address."""
    try:
        import apprise
    except ImportError:
        raise Lasting("the extra is not installed: pip install 'failback[apprise]'") from None
    sender = apprise.Apprise()
    if not sender.add(str(config["url"])):
        raise Lasting("apprise does not know this kind of address")
    if not await asyncio.to_thread(sender.notify, body=as_text(told), title=told.title):
        raise Passing("apprise could not deliver it")
    return f"{str(config['url']).split(':', 1)[0]}: sent"


SENDERS: Mapping[str, Callable[[Message, Mapping[str, Any]], Awaitable[str]]] = {
    "slack": slack,
    "email": email,
    "pagerduty": pagerduty,
    "url": by_url,
}
# Sent again after a kill in the middle: the receiver itself takes the same key for the same incident.
IDEMPOTENT = frozenset({"pagerduty"})


async def _post(address: str, body: Mapping[str, Any]) -> None:
    if not address:
        raise Lasting("no address is configured")
    limits = httpx.Timeout(_ANSWER_S_MAX, connect=_CONNECT_S_MAX)
    try:
        async with httpx.AsyncClient(timeout=limits) as client:
            answer = await client.post(address, json=body)
    except httpx.HTTPError as cause:
        # The address itself may be the secret, and httpx likes to quote it.
        raise Passing(type(cause).__name__) from None
    except (httpx.InvalidURL, UnicodeError):
        raise Lasting("its address is no URL") from None
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Passing(f"answered {answer.status_code}", _pause(answer.headers.get("Retry-After")))
    if answer.status_code >= 300:
        raise Lasting(f"answered {answer.status_code}")


def _pause(header: str | None) -> float | None:
    return min(_RETRY_AFTER_S_MAX, float(header)) if header and header.isdigit() else None


def _mail(told: Message, config: Mapping[str, Any], recipients: list[str]) -> EmailMessage:
    mail = EmailMessage()
    sender = str(config.get("sender") or "failback@localhost")
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = f"{SUBJECT}: {told.service}"
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = f"<{told.execution_id}@{sender.rpartition('@')[2] or 'failback'}>"
    mail.set_content(as_text(told))
    mail.add_alternative(as_html(told), subtype="html")
    return mail


def _send_mail(mail: EmailMessage, config: Mapping[str, Any], recipients: list[str]) -> None:
    host, port = str(config.get("server") or "localhost"), int(config.get("port") or 25)
    tls = str(config.get("tls") or "auto")
    try:
        context = ssl.create_default_context()
        kind: Callable[..., smtplib.SMTP] = smtplib.SMTP
        if tls == "tls" or (tls == "auto" and port == 465):
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_ANSWER_S_MAX, context=context)
        else:
            server = kind(host, port, timeout=_ANSWER_S_MAX)
        with server:
            server.ehlo()
            if tls == "starttls" or (tls == "auto" and port != 465 and server.has_extn("starttls")):
                server.starttls(context=context)
                server.ehlo()
            if config.get("username") and not isinstance(server, smtplib.SMTP_SSL) and not isinstance(server.sock, ssl.SSLSocket):
                if tls != "none":
                    raise Lasting(f"{host}:{port} offers no TLS, and a password is not sent in the clear (tls: none allows it)")
            if config.get("username"):
                server.login(str(config["username"]), str(config.get("password") or ""))
            server.send_message(mail, to_addrs=recipients)
    except smtplib.SMTPAuthenticationError:
        raise Lasting(f"{host}:{port} refuses the user name and password") from None
    except smtplib.SMTPResponseException as cause:
        reason = f"{host}:{port} answered {cause.smtp_code}"
        raise (Passing if 400 <= cause.smtp_code < 500 else Lasting)(reason) from None
    except smtplib.SMTPRecipientsRefused:
        raise Lasting(f"{host}:{port} refuses the recipients") from None
    except smtplib.SMTPNotSupportedError as cause:
        raise Lasting(f"{host}:{port}: {cause}") from None
    except ssl.SSLError as cause:
        raise Lasting(f"{host}:{port}: TLS failed ({cause.reason})") from None
    except (OSError, smtplib.SMTPException) as cause:
        raise Passing(f"{host}:{port}: {type(cause).__name__}") from None
