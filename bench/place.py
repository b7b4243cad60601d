"""A service to measure with: a folder, a home, deployments by the engine itself, and a load of its own process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from failback.executor.engine import Engine
from failback.executor.free_ports import free_port
from failback.executor.home import Home
from failback.executor.plan_file import plan_from_mapping
from failback.executor.taking_down import take_down

APP = """
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
settings = json.loads(Path("settings.json").read_text())
if settings.get("exit_at_start"):
    sys.exit("Error: it ends on purpose")
answered = 0
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        global answered
        answered += 1
        bad = settings.get("bad_after") is not None and answered > settings["bad_after"]
        body = b"x" * 64
        self.send_response(500 if bad else 200)
        self.send_header("X-Release", str(settings["release"]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Place:
    """One service of one temporary home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home.at(folder / "home")
        self.listen = f"127.0.0.1:{free_port()}"
        self.extra: dict[str, Any] = {}
        self.checks: dict[str, Any] = {"soak": 0.5, "bake": 1.0, "drain": 5}

    @property
    def url(self) -> str:
        return f"http://{self.listen}/"

    def release(self, number: int, **settings: Any) -> None:
        """What the next deployment takes."""
        app = self.folder / "app"
        app.mkdir(exist_ok=True)
        (app / "app.py").write_text(APP)
        (app / "settings.json").write_text(json.dumps({"release": number, **settings}))

    def plan(self, **changed: Any) -> dict[str, Any]:
        return {
            "service": "bench",
            "target": {"kind": "local", "listen": self.listen},
            "release": {"path": "app", "start": [sys.executable, "-I", "app.py"], "replicas": 2},
            "checks": {"smoke": [{"path": "/", "status": 200, "max_ms": 1000}], **self.checks},
            "steps": [{"name": "Deploy", "type": "deploy"}],
            **self.extra,
            **changed,
        }

    def deploy(self, **changed: Any) -> dict[str, Any]:
        """By the engine in this process."""
        loaded = plan_from_mapping(self.plan(**changed), self.folder)
        return Engine(self.home).deploy(loaded, approved=True, kind="deploy")

    def start(self, *arguments: str, fault: str = "") -> subprocess.Popen[str]:
        """The command itself, with this place's plan and home. `fault`: see failback.executor.faults."""
        (self.folder / "failback.yaml").write_text(json.dumps(self.plan()))
        return subprocess.Popen(
            [sys.executable, "-m", "failback.cli.main", *arguments, "--home", str(self.home.root)],
            cwd=self.folder,
            env=os.environ | ({"FAILBACK_FAULT": fault} if fault else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str, fault: str = "") -> subprocess.CompletedProcess[str]:
        """The same, until it has ended."""
        process = self.start(*arguments, fault=fault)
        out, err = process.communicate(timeout=180)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def await_up(self) -> None:
        """Until users get an answer."""
        for _ in range(500):
            try:
                urllib.request.urlopen(self.url, timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise TimeoutError(f"nothing answers at {self.url}")


@contextmanager
def place() -> Iterator[Place]:
    """A place that is gone afterwards, with everything that ran in it."""
    folder = Path(tempfile.mkdtemp(prefix="failback-bench-"))
    made = Place(folder)
    try:
        yield made
    finally:
        if (made.home.root / "services" / "bench").exists():
            take_down(made.home, "bench")
        shutil.rmtree(folder, ignore_errors=True)
