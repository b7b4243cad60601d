"""Ten small services whose second release breaks: six by their configuration, four by what no setting can end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_SERVE = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
{start}
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = answer(self.path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *args):
        pass
{answer}
class Server(ThreadingHTTPServer):
    daemon_threads = True
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
_OK = 'def answer(path):\n    return 200, "ok"\n'
_FLASK = """
import os
from flask import Flask
app = Flask(__name__)
@app.get("/")
def index():
    return "ok"
if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]))
"""


def app(start: str, answer: str = _OK) -> str:
    return _SERVE.format(start=start, answer=answer)


@dataclass(frozen=True, slots=True)
class Breakage:
    """`expected`: what the verified fix has to name; None: nothing may be verified.

    `files(release)`: path in the plan's folder -> content; `extra(release)`: joins the plan.
    """

    name: str
    expected: str | None
    files: Callable[[int], Mapping[str, str]]
    extra: Callable[[int], Mapping[str, Any]] = lambda release: {}
    try_timeout: int = 60

    def plan(self, release: int, port: int) -> dict[str, Any]:
        plan: dict[str, Any] = {
            "apiVersion": "failback/v1",
            "service": "fixed",
            "target": {"kind": "local", "listen": f"127.0.0.1:{port}"},
            "release": {"path": "app", "start": [sys.executable, "app.py"], "replicas": 2},
            "checks": {
                "ready": {"path": "/", "timeout": 10},
                "smoke": [{"path": "/", "status": 200}],
                "soak": 1.0,
                "bake": 1.0,
                "drain": 2,
            },
            "steps": [{"name": "Deploy", "type": "deploy"}],
            "diagnosis": {"try_fixes": True, "try_timeout": self.try_timeout},
        }
        for key, value in self.extra(release).items():
            known = plan.get(key)
            plan[key] = {**known, **value} if isinstance(known, dict) else value
        return plan


def _memory(release: int) -> Mapping[str, str]:
    """The new release loads a table that needs more than it may have."""
    size = 8 if release == 1 else 90
    return {"app/app.py": app(f"table = [bytes([n % 251]) * 1048576 for n in range({size})]")}


def _missing_variable(release: int) -> Mapping[str, Any]:
    env = {"REGION": "eu-west-1", "LOG": "plain"}
    return {"release": {**_release(), "env": env if release == 1 else {"LOG": "plain"}}}


def _release() -> dict[str, Any]:
    return {"path": "app", "start": [sys.executable, "app.py"], "replicas": 2}


def _invalid_variable(release: int) -> Mapping[str, Any]:
    return {"release": {**_release(), "env": {"POOL_SIZE": "8" if release == 1 else "eight"}}}


def _ready_path(release: int) -> Mapping[str, str]:
    routes = 'def answer(path):\n    return (200, "ok") if path in ("/", "/health") else (404, "no such page")\n'
    return {"app/app.py": app(f"release = {release}", routes)}


def _ready_check(release: int) -> Mapping[str, Any]:
    path = "/health" if release == 1 else "/healthz"
    checks = {"ready": {"path": path, "timeout": 10}, "smoke": [{"path": "/", "status": 200}], "soak": 1.0, "bake": 1.0}
    return {"checks": checks}


def _missing_file(release: int) -> Mapping[str, str]:
    files = {"app/app.py": app(f"settings = json.load(open('config/production.json')); release = {release}")}
    if release == 1:
        files["app/config/production.json"] = json.dumps({"name": "shop", "port": 3000}, indent=2) + "\n"
    return files


def _flask(release: int) -> Mapping[str, str]:
    """Werkzeug is pinned no longer; the build of release 2 takes 3.x, which Flask 2.2.2 cannot use."""
    pins = "Flask==2.2.2\nWerkzeug==2.2.3\n" if release == 1 else "Flask==2.2.2\n"
    return {"app/app.py": _FLASK, "app/requirements.txt": pins}


def _flask_plan(release: int) -> Mapping[str, Any]:
    pip = f"{sys.executable} -m pip install -q --disable-pip-version-check"
    install = f"{pip} --upgrade --target app/lib -r app/requirements.txt"
    return {
        "release": {"path": "app", "start": "PYTHONPATH=lib exec " + sys.executable + " app.py", "replicas": 2},
        "steps": [
            {"name": "Build", "type": "build", "run": install, "timeout": 300},
            {"name": "Deploy", "type": "deploy"},
        ],
    }


def _code(release: int) -> Mapping[str, str]:
    return {"app/app.py": app("prices = load_prices()" if release == 2 else "prices = {}")}


def _answers_500(release: int) -> Mapping[str, str]:
    """A fault of the program; its settings changed as well, and have nothing to do with it."""
    fault = 'def answer(path):\n    total = {"a": 1}\n    return 200, str(total["b"])\n'
    return {
        "app/app.py": app("settings = json.load(open('settings.json'))", fault if release == 2 else _OK),
        "app/settings.json": json.dumps({"theme": "dark" if release == 2 else "light"}) + "\n",
    }


def _unreachable(release: int) -> Mapping[str, str]:
    """What it needs is away: nothing of the release is to blame."""
    connect = "import socket\nsocket.create_connection(('127.0.0.1', 9), timeout=2)"
    return {"app/app.py": app(connect if release == 2 else "release = 1")}


def _leak(release: int) -> Mapping[str, str]:
    """It takes memory without end: a higher limit is reached, too."""
    grow = """
import threading, time
cache = []
def fill():
    while True:
        cache.append(bytes([len(cache) % 251]) * 4194304)
        time.sleep(0.005)
threading.Thread(target=fill, daemon=True).start()
"""
    return {"app/app.py": app(grow if release == 2 else "release = 1")}


def _limit(release: int) -> Mapping[str, Any]:
    return {"release": {**_release(), "resources": {"memory": "64Mi"}}}


BREAKAGES: tuple[Breakage, ...] = (
    Breakage("memory-too-low", "Mi", _memory, _limit),
    Breakage(
        "variable-missing",
        "REGION=eu-west-1",
        lambda release: {"app/app.py": app("region = os.environ['REGION']")},
        _missing_variable,
    ),
    Breakage("ready-path-wrong", "ready path /health", _ready_path, _ready_check),
    Breakage("file-missing", "config/production.json", _missing_file),
    Breakage("dependency-unpinned", "Werkzeug==2.2.3", _flask, _flask_plan, try_timeout=240),
    Breakage(
        "variable-invalid",
        "POOL_SIZE=8",
        lambda release: {"app/app.py": app("pool = int(os.environ['POOL_SIZE'])")},
        _invalid_variable,
    ),
    Breakage("code-error", None, _code),
    Breakage("answers-500", None, _answers_500),
    Breakage("dependency-away", None, _unreachable),
    Breakage("memory-leak", None, _leak, _limit, try_timeout=90),
)
