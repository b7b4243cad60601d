"""An application that prints what it should not: floods, lines without an end, bytes, and commands for terminals."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from bench.place import Place, place
from bench.rows import Row

_MIB = 1024 * 1024
# A title, a cleared screen, a hyperlink, a carriage return over the line's start, a turned direction, a broken JSON.
_EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x1b]8;;http://evil.example/\x07Error: click\x1b]8;;\x07"
    '\rpassed \u202e\x9b31m"},{"status":"completed" <!channel>'
)
_SCRIPT = f"""
import os, sys
evil = {_EVIL!r}.encode("utf-8", "surrogateescape")
os.write(2, evil + b"\\n")
os.write(1, b"x" * {10 * _MIB} + b"\\n")
os.write(1, bytes(range(256)) * 4096 + b"\\n")
os.write(2, b"FATAL Error: Cannot find module '" + evil + b"'\\n")
os._exit(1)
"""
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def rows() -> Iterator[Row]:
    """A flood that goes live, and a hostile end whose text goes everywhere."""
    yield _flood()
    yield _hostile()


def _flood() -> Row:
    with place() as here:
        here.release(1)
        here.deploy()
        here.release(2)
        shell = f"yes {'a' * 200} & exec {sys.executable} -I app.py"
        here.extra = {"release": {"path": "app", "start": ["sh", "-c", shell], "replicas": 2}}
        result, peak = _deployed(here)
        size = sum(path.stat().st_size for path in (here.home.root / "services").rglob("log*")) / _MIB
    met = result["status"] == "completed" and size < 64 and peak < 256
    told = f"{result['status']}, {size:.0f} MiB of logs, failback {peak:.0f} MiB"
    return Row("log flood (`yes`): goes live, logs and memory stay bounded", "< 64, < 256", told, met)


def _hostile() -> Row:
    with place() as here, _receiver() as (address, inbox):
        here.release(1)
        here.deploy()
        (here.folder / "app" / "evil.py").write_text(_SCRIPT)
        here.extra = {
            "release": {"path": "app", "start": [sys.executable, "-I", "evil.py"], "replicas": 2},
            "notification_config": {"slack": {"enabled": True, "webhook_url": address}},
        }
        result, peak = _deployed(here)
        told = here.command("explain")
        listed = here.command("history")
    said = {
        "the terminal": told.stdout + told.stderr + listed.stdout,
        "JSON": json.dumps(result, ensure_ascii=False),
        "the notification": "".join(inbox),
    }
    injected = [name for name, text in said.items() if any(_CONTROLS.search(part) for part in _strings(text))]
    injected += ["a mention"] if "<!channel>" in said["the notification"] else []
    met = not injected and result["status"] == "failed" and bool(inbox) and peak < 256
    shown = f"injected into {', '.join(injected) or 'nothing'}; {len(inbox)} notice, failback {peak:.0f} MiB"
    return Row("10 MB lines, bytes, terminal escapes in an app's output", "nothing", shown, met)


def _strings(text: str) -> Iterator[str]:
    """All strings of a JSON document, or the text itself."""
    try:
        document = json.loads(text)
    except ValueError:
        yield text
        return
    waiting = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one


def _deployed(here: Place) -> tuple[dict[str, Any], float]:
    """The result, and the most memory that the command had (MiB)."""
    process = here.start("deploy", "--yes", "--json")
    outputs: list[str] = ["", ""]
    readers = [
        threading.Thread(target=lambda at=at, pipe=pipe: outputs.__setitem__(at, pipe.read()))
        for at, pipe in enumerate((process.stdout, process.stderr))
    ]
    for reader in readers:
        reader.start()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    for reader in readers:
        reader.join()
    return json.loads(outputs[0]), used.ru_maxrss / (1024 if sys.platform == "linux" else _MIB)


@contextmanager
def _receiver() -> Iterator[tuple[str, list[str]]]:
    """A webhook on this machine, and what it got."""
    inbox: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            inbox.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", inbox
    finally:
        server.shutdown()
        server.server_close()
