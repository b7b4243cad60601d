"""A small real service in a home of its own, deployed by the installed command: what the stories are told with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from failback.drill.running_load import RunningLoad
from failback.targets.local.ports import free_ports

FAILBACK = [sys.executable, "-m", "failback.cli.main"]

APP = """
import http.server, json, os, signal, sys, time
from pathlib import Path

settings = json.loads(Path("settings.json").read_text())
began = time.monotonic()
answered = 0
if settings.get("say"):
    print(settings["say"], flush=True)
if settings.get("exit_at_start") is not None:
    sys.stderr.write("it ends on purpose\\n")
    sys.exit(settings["exit_at_start"])
if settings.get("once"):
    marker = Path(settings["once"])
    if not marker.exists():
        marker.write_text("x")
        sys.exit(9)
time.sleep(settings.get("start_s", 0))
if settings.get("ignore_term"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        global answered
        answered += 1
        status = 200
        if settings.get("bad_after") is not None and answered > settings["bad_after"]:
            status = 500
        if settings.get("status"):
            status = settings["status"]
        time.sleep(settings.get("slow_s", 0))
        if settings.get("say_on_request"):
            print(settings["say_on_request"], flush=True)
        body = json.dumps({"release": settings["release"], "env": os.environ.get("SHOWN", "")}).encode()
        self.send_response(status)
        self.send_header("X-Release", str(settings["release"]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


print("release", settings["release"], "listens", flush=True)
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@dataclass
class World:
    """One home, one plan folder, one service. `extra` joins the plan's mapping at the top."""

    folder: Path
    service: str = "story"
    extra: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=lambda: free_ports(1)[0])

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def release(self, number: int, **settings: Any) -> None:
        """Writes the release that the next deployment takes."""
        app = self.folder / "app"
        app.mkdir(parents=True, exist_ok=True)
        (app / "app.py").write_text(APP)
        (app / "settings.json").write_text(json.dumps({"release": number, **settings}))
        self.write_plan()

    def plan(self) -> dict[str, Any]:
        plan: dict[str, Any] = {
            "apiVersion": "failback/v1",
            "service": self.service,
            "target": {"kind": "local", "listen": f"127.0.0.1:{self.port}"},
            "release": {"path": "app", "start": [sys.executable, "-I", "app.py"], "replicas": 2},
            "checks": {
                "ready": {"path": "/", "timeout": 15},
                "smoke": [{"path": "/", "status": 200, "max_ms": 2000}],
                "soak": 0.3,
                "bake": 0.6,
                "drain": 3,
            },
            "steps": [
                {"name": "Build", "type": "build", "run": "true"},
                {"name": "Deploy", "type": "deploy"},
            ],
        }
        return joined(plan, self.extra)

    def write_plan(self) -> None:
        (self.folder / "failback.yaml").write_text(json.dumps(self.plan(), indent=1))

    def run(self, *arguments: str, fault: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end. `fault`: FAILBACK_FAULT."""
        return subprocess.run(
            [*FAILBACK, *arguments, "--home", str(self.home)],
            cwd=self.folder,
            env=self.environment(fault),
            capture_output=True,
            text=True,
            timeout=120,
            **options,
        )

    def start(self, *arguments: str, fault: str = "", **options: Any) -> subprocess.Popen[str]:
        """Starts the command and goes on."""
        return subprocess.Popen(
            [*FAILBACK, *arguments, "--home", str(self.home)],
            cwd=self.folder,
            env=self.environment(fault),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def environment(self, fault: str = "") -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FAILBACK")}
        return kept | self.env | ({"FAILBACK_FAULT": fault} if fault else {})

    def deploy(self, **options: Any) -> dict[str, Any]:
        """Deploys and returns the result; the exit code is `exit_code` in it."""
        done = self.run("deploy", "--yes", "--json", **options)
        assert done.stdout, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result | {"exit_code": done.returncode, "stderr": done.stderr}

    def status(self) -> dict[str, Any]:
        done = self.run("status", "--json")
        assert done.returncode == 0, done.stderr
        state: dict[str, Any] = json.loads(done.stdout)["services"][0]
        return state

    def load(self, rate_per_s: float = 100.0, *, keep_alive: bool = False) -> RunningLoad:
        return RunningLoad(self.url, rate_per_s, keep_alive=keep_alive)

    def processes(self) -> list[psutil.Process]:
        """Every process of a replica of this home, whatever became of its records."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.home) in process.cwd() and "app.py" in " ".join(process.cmdline()):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def problems(self) -> list[str]:
        """What is not as it should be between two deployments: empty means stable, and nothing is left over."""
        state = self.status()
        found = []
        live = [r for r in state["replicas"] if r["running"] and r["revision"] == state["stable"]]
        if len(live) != 2:
            found.append(f"{len(live)} replicas of {state['stable']} run: {state['replicas']}")
        found += [f"{r['name']} is left over" for r in state["replicas"] if r["revision"] != state["stable"]]
        found += [
            f"{r['id']} is {r['state']}" for r in state["revisions"] if r["state"] in ("staged", "dark", "failed")
        ]
        if len(self.processes()) != 2:
            found.append(f"{len(self.processes())} processes")
        if state["proxy"].get("routed") != state["stable"]:
            found.append(f"routed to {state['proxy'].get('routed')}")
        found += [
            f"{path} is left over"
            for path in (self.home / "services" / self.service).rglob(".*-*")
            if "staging" in path.name
        ]
        return found

    def end(self) -> None:
        """Takes everything down; nothing of a story outlives it."""
        if (self.home / "services" / self.service).exists():
            self.run("down", self.service)
        for process in self.processes():
            process.kill()


def joined(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """The one mapping over the other, key by key."""
    made = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = joined(made[key], value) if both else value
    return made
