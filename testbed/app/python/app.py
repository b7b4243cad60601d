"""A small web service in Python, in two modules: without the second it does not start."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from greetings import GREETING


class Handler(BaseHTTPRequestHandler):
    """Every path answers the greeting."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Version", os.environ.get("VERSION", "1"))
        self.end_headers()
        self.wfile.write(GREETING.encode())

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Quiet: thousands of requests are not interesting."""


def stop(*_: object) -> None:
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler)
print("listening on", server.server_address[1], flush=True)
server.serve_forever()
