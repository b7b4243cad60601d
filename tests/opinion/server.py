"""A server that speaks the chat protocol, and misbehaves as it is told."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler"], None]


@dataclass
class ModelServer:
    """`requests`: bodies as they came; `keys`: their Authorization headers."""

    address: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    behave: Behaviour = lambda handler: None


class Handler(BaseHTTPRequestHandler):
    state: ModelServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.state.requests.append(json.loads(body) | {"path": self.path})
        self.state.keys.append(self.headers.get("Authorization", ""))
        with contextlib.suppress(OSError):
            self.state.behave(self)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def words(content: Any) -> Behaviour:
    """Answers as the protocol says, with these words of the model."""
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda handler: handler.send(200, json.dumps({"choices": [{"message": {"content": text}}]}).encode())


def raw(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    return lambda handler: handler.send(status, body, **headers)


def huge(handler: Handler) -> None:
    """Never ends."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def dripping(handler: Handler) -> None:
    """A byte at a time: each read is in time, the whole is not."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def silent(handler: Handler) -> None:
    time.sleep(30)


@contextmanager
def model_server() -> Iterator[ModelServer]:
    state = ModelServer()
    handler = type("Bound", (Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
