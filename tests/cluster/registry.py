"""A registry that changes its mind: passes everything on to the testbed's own, until it is told to refuse."""

from __future__ import annotations

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UPSTREAM = "localhost:5000"
_NO_SUCH = (404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})
_DENIED = (401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]})
_REFUSALS = {"no such image": _NO_SUCH, "denied": _DENIED}


class Registry:
    """`address`: as it stands in the name of an image. `refuse`: what it says from now on."""

    def __init__(self) -> None:
        self.refusal: str | None = None
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if registry.refusal is not None:
                    status, said = _REFUSALS[registry.refusal]
                    self._answer(status, [("Content-Type", "application/json")], json.dumps(said).encode())
                    return
                upstream = http.client.HTTPConnection(UPSTREAM, timeout=20)
                asked = {key: value for key, value in self.headers.items() if key.lower() in ("accept", "range")}
                upstream.request(self.command, self.path, headers=asked)
                answer = upstream.getresponse()
                passed = [
                    (key, value)
                    for key, value in answer.getheaders()
                    if key.lower() in ("content-type", "docker-content-digest", "location")
                ]
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self._answer(answer.status, passed, answer.read(), length)
                upstream.close()

            do_HEAD = do_GET

            def _answer(
                self, status: int, headers: list[tuple[str, str]], body: bytes, length: str | None = None
            ) -> None:
                self.send_response(status)
                for key, value in headers:
                    self.send_header(key, value)
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="registry"')
                self.send_header("Content-Length", length or str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def refuse(self, how: str) -> None:
        self.refusal = how

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
