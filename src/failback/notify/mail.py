"""E-mail by SMTP: text and HTML, with or without TLS and an account."""

from __future__ import annotations

import base64
import contextlib
import html
import smtplib
import socket
import ssl
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from failback.notify.messages import SUBJECT, Message, as_text, clean
from failback.notify.sending import Gate, Lasting, Passing, Unclear, within

SENDER = "failback@localhost"
_SMTPS_PORT = 465
_GOODBYE_S_MAX = 1.0
_LOGGED_IN = 235


async def send(told: Message, settings: Mapping[str, Any], limit_s: float) -> str:
    recipients = [str(one) for one in settings.get("recipients") or ()]
    if not recipients:
        raise Lasting("notification_config.email has no recipients")
    transfer = _Transfer(settings, limit_s)
    mail = as_mail(told, str(settings.get("sender") or SENDER), recipients)
    refused = await within(limit_s, transfer.gate, f"{transfer.where}: ", lambda: transfer.run(mail, recipients))
    reached = [one for one in recipients if one not in refused]
    return f"Email: {', '.join(reached)}" + (f" (the server refused {', '.join(refused)})" if refused else "")


def as_mail(told: Message, sender: str, recipients: list[str]) -> EmailMessage:
    """The mail; its Message-ID follows from the execution, so that a server can know a repetition."""
    mail = EmailMessage()
    # The subject is the spec's; which service it is about stands in the sender's name, which every client shows too.
    user, _, domain = sender.rpartition("@")
    mail["From"] = Address(f"failback: {told.service}" if told.service else "failback", user, domain)
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = SUBJECT
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = f"<{_token(told.dedup_key)}@{_token(domain) or 'failback'}>"
    mail["Auto-Submitted"] = "auto-generated"  # no out-of-office answers, please
    mail["X-Priority"] = "1" if not told.stable else "2"
    mail.set_content(as_text(told))
    mail.add_alternative(as_html(told), subtype="html")
    return mail


def as_html(told: Message) -> str:
    """The same for mail readers; everything from outside is escaped."""
    rows = "".join(f"<tr><th align=left>{_h(name)}</th><td>{_h(text)}</td></tr>" for name, text in told.facts)
    advice = "".join(
        f"<li><b>[{_h(item['priority'])}] {_h(item['action'])}</b><br>{_h(item['description'])}"
        + (f"<pre>{_h(item['example'])}</pre>" if item["example"] else "")
        + "</li>"
        for item in told.advice
    )
    archive = f"<p>Archive: {_h(told.archive)}</p>" if told.archive else ""
    return (
        f"<!doctype html><html><body><h2>{_h(told.title)}</h2><table>{rows}</table><h3>What to do</h3><ol>{advice}</ol>"
        f"<p>Everything about it: <code>failback explain {_h(told.execution_id)}</code></p>{archive}</body></html>"
    )


class _Transfer:
    """One SMTP conversation. `gate` stands before the content."""

    def __init__(self, settings: Mapping[str, Any], limit_s: float) -> None:
        host, port = str(settings.get("server") or "localhost"), int(settings.get("port") or 25)
        self.where = clean(f"{host}:{port}", 300)
        self._host, self._port = host, port
        self._tls = str(settings.get("tls") or "auto")
        self._user, self._password = str(settings.get("username") or ""), str(settings.get("password") or "")
        self._limit_s = limit_s
        self.gate = Gate()

    def run(self, mail: EmailMessage, recipients: list[str]) -> list[str]:
        """Blocking. Returns the recipients that the server refused; raises Passing, Lasting or Unclear."""
        try:
            server = self._connected()
            try:
                self._log_in(server)
                refused = server.send_message(mail, to_addrs=recipients)
            finally:
                _part_from(server)
        except smtplib.SMTPServerDisconnected:
            raise self._lost("closed the connection") from None
        except smtplib.SMTPAuthenticationError as cause:
            kind = Passing if 400 <= cause.smtp_code < 500 else Lasting
            raise kind(f"{self.where} refuses the user name and password ({cause.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused as cause:
            codes = sorted({code for code, _ in cause.recipients.values()})
            kind = Passing if all(400 <= code < 500 for code in codes) else Lasting
            raise kind(f"{self.where} refuses the recipients ({', '.join(map(str, codes))})") from None
        except smtplib.SMTPResponseException as cause:
            kind = Passing if 400 <= cause.smtp_code < 500 else Lasting
            raise kind(f"{self.where} answered {cause.smtp_code} {_said(cause.smtp_error)}".rstrip()) from None
        except smtplib.SMTPException as cause:
            raise Lasting(f"{self.where}: {type(cause).__name__}: {clean(cause, 200)}") from None
        except ssl.SSLError as cause:
            if self.gate.begun:
                raise self._lost("TLS failed") from None
            raise Lasting(f"{self.where}: TLS failed ({cause.reason or 'unknown'})") from None
        except OSError as cause:
            raise self._lost(cause.strerror or type(cause).__name__) from None
        return list(refused)

    def _connected(self) -> smtplib.SMTP:
        implicit = self._tls == "tls" or (self._tls == "auto" and self._port == _SMTPS_PORT)
        server: smtplib.SMTP
        if implicit:
            server = _TlsServer(
                self.gate, self._host, self._port, _own_name(), timeout=self._limit_s, context=_context()
            )
        else:
            server = _PlainServer(self.gate, self._host, self._port, _own_name(), timeout=self._limit_s)
        server.ehlo()
        offered = server.has_extn("starttls")
        if not implicit and self._tls in ("auto", "starttls"):
            if offered:
                server.starttls(context=_context())
                server.ehlo()
            elif self._tls == "starttls":
                server.close()
                raise Lasting(f"{self.where} offers no STARTTLS, and the plan demands it")
        return server

    def _log_in(self, server: smtplib.SMTP) -> None:
        if not self._user:
            return
        if not isinstance(server.sock, ssl.SSLSocket) and self._tls != "none":
            raise Lasting(f"{self.where} offers no TLS, and a password is not sent in the clear (tls: none allows it)")
        if (self._user + self._password).isascii():
            server.login(self._user, self._password)
            return
        # smtplib takes ASCII alone; the protocol says UTF-8.
        if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
            raise Lasting(f"{self.where} offers no way to log in with a name or password that is not ASCII")
        plain = base64.b64encode(f"\0{self._user}\0{self._password}".encode()).decode()
        code, said = server.docmd("AUTH", f"PLAIN {plain}")
        if code != _LOGGED_IN:
            raise smtplib.SMTPAuthenticationError(code, said)

    def _lost(self, why: str) -> Passing | Unclear:
        return (Unclear if self.gate.begun else Passing)(f"{self.where}: {why}")


class _PlainServer(smtplib.SMTP):
    def __init__(self, gate: Gate, *arguments: Any, **named: Any) -> None:
        self._gate = gate
        super().__init__(*arguments, **named)

    def data(self, msg: Any) -> Any:
        self._gate.begin()
        return super().data(msg)


class _TlsServer(smtplib.SMTP_SSL):
    def __init__(self, gate: Gate, *arguments: Any, **named: Any) -> None:
        self._gate = gate
        super().__init__(*arguments, **named)

    def data(self, msg: Any) -> Any:
        self._gate.begin()
        return super().data(msg)


def _part_from(server: smtplib.SMTP) -> None:
    """What the server says to a good-bye changes nothing: the message is taken, or it is not."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        if server.sock is not None:
            server.sock.settimeout(_GOODBYE_S_MAX)
            server.quit()
    server.close()


def _own_name() -> str:
    """For the greeting, without asking a name server, which may be as slow as it likes."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def _context() -> ssl.SSLContext:
    """Certificates are checked; SSL_CERT_FILE names another authority, as for every program."""
    return ssl.create_default_context()


def _said(error: bytes | str) -> str:
    return clean(error.decode("utf-8", "replace") if isinstance(error, bytes) else error, 200)


def _token(text: str) -> str:
    return "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in text)


def _h(text: str) -> str:
    return html.escape(text)
