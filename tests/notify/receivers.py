"""Real receivers: an HTTP server that answers as it is told, and an SMTP server with TLS and accounts."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

HANG_S = 30.0


class Receiver:
    """`got`: (path, body, time) of every request that was received whole, whatever was answered.

    `answers`: for the next requests, else 200: a status, (status, headers), "hang", "reset" after the request,
    "gone" before it is read, "drip" (an answer of one byte a moment), "flood" (an endless body), "quote" (an error that
    quotes the address).
    """

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any], float]] = []
        self.answers: list[Any] = []
        self.address = ""
        self.received = threading.Event()
        self.release = threading.Event()

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for where, body, _ in self.got if where == path]


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = receiver.answers.pop(0) if receiver.answers else 200
            if answer == "gone":
                _reset(self.connection)
                return
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.got.append((self.path, body, time.monotonic()))
            receiver.received.set()
            if answer == "hang":
                receiver.release.wait(HANG_S)
                answer = 200
            if answer == "reset":
                _reset(self.connection)
            elif answer == "drip":
                self._slowly(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000)
            elif answer == "flood":
                self._slowly(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"no " * 100_000)
            elif answer == "quote":
                self._answer(400, {}, f"no such hook: {receiver.address}{self.path}".encode())
            else:
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self._answer(status, headers)

        def _answer(self, status: int, headers: dict[str, str], said: bytes = b"") -> None:
            text = said or {200: b"ok", 404: b"no_service\x1b[31m", 429: b"rate_limited"}.get(status, b"")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _slowly(self, head: bytes, endless: bytes = b"") -> None:
            self.close_connection = True
            try:
                if endless:
                    self.wfile.write(head)
                    while not receiver.release.is_set():
                        self.wfile.write(endless)
                for byte in head:
                    self.wfile.write(bytes([byte]))
                    if receiver.release.wait(0.05):
                        return
            except OSError:
                pass  # the client has enough

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    receiver.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Mails:
    """`got`: envelopes that were received whole. `answers`: for the next messages, else "250 OK"; "hang", "lost"."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.answers: list[str] = []
        self.refused: set[str] = set()
        self.received = threading.Event()
        self.release = threading.Event()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append(envelope)
        self.received.set()
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer == "hang":
            await asyncio.to_thread(self.release.wait, HANG_S)
            return "250 OK"
        if answer == "lost":
            server.transport.abort()
            return "250 OK"
        return answer


@contextmanager
def smtp_receiver(
    tls: ssl.SSLContext | None = None, account: tuple[str, str] | None = None, implicit: bool = False
) -> Iterator[tuple[Mails, int]]:
    mails = Mails()

    def known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=account == (data.login.decode(), data.password.decode()), handled=False)

    settings: dict[str, Any] = {}
    if account:
        settings |= {"authenticator": known, "auth_required": True, "auth_require_tls": tls is not None}
    if tls is not None:
        settings |= {"ssl_context": tls} if implicit else {"tls_context": tls, "require_starttls": True}
    controller = Controller(mails, hostname="127.0.0.1", port=_free_port(), ready_timeout=10, **settings)
    controller.start()
    try:
        yield mails, controller.port
    finally:
        mails.release.set()
        controller.stop()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1, and the file of its authority."""
    key, cert = folder / "tls.key", folder / "tls.crt"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, "-days", "2", "-keyout", key, "-out", cert, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


@contextmanager
def full_backlog() -> Iterator[str]:
    """An address to which nobody can connect, and which does not say so."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
            waiting.append(client)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for client in waiting:
                client.close()


def _reset(connection: socket.socket) -> None:
    """Closes with a reset, as a crashed server's machine does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
