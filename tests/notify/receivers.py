"""Real receivers: an HTTP server that speaks Slack's and PagerDuty's answers, and an SMTP server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


class Receiver:
    """What an HTTP receiver got; `answers` are (status, headers, seconds) for the next requests, then 200."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[tuple[int, dict[str, str], float]] = []
        self.address = ""


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, pause = receiver.answers.pop(0) if receiver.answers else (200, {}, 0.0)
            time.sleep(pause)
            if status == 0:
                self.connection.close()
                return
            if status < 300:
                receiver.got.append((self.path, body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


class Mails:
    """An SMTP handler that keeps what it got."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append(envelope)
        return "250 OK"


@contextmanager
def smtp_receiver() -> Iterator[tuple[Mails, int]]:
    mails = Mails()
    controller = Controller(mails, hostname="127.0.0.1", port=0)
    # aiosmtpd looks at the port that was asked for; 0 is replaced by one that is free.
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        controller.port = probe.getsockname()[1]
    controller.start()
    try:
        yield mails, controller.port
    finally:
        controller.stop()
