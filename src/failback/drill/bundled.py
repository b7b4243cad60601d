"""The bundled drill: a real service under load, a release that must not reach a user, then a good one."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from failback.drill.checks import Check, bad_release_checks, good_release_checks, load_check
from failback.drill.running_load import RunningLoad
from failback.executor.engine import Engine
from failback.executor.free_ports import free_port
from failback.executor.home import Home
from failback.executor.plan_file import plan_from_mapping
from failback.executor.taking_down import take_down
from failback.telemetry.events import Subscriber

SERVICE = "failback-drill"
RATE_PER_S = 200.0
_CONTROL_S = 2.0
_UP_S_MAX = 10.0


@dataclass(slots=True)
class DrillReport:
    """All that was measured; `passed` only when every check was, and passed."""

    checks: list[Check] = field(default_factory=list)
    loads: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed is not False for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "seconds": self.seconds,
            "checks": [check.as_dict() for check in self.checks],
            "loads": self.loads,
            "results": self.results,
        }


def run_bundled(
    say: Callable[[str], None],
    subscribers: Sequence[Subscriber],
    *,
    rate_per_s: float = RATE_PER_S,
    folder: Path | None = None,
) -> DrillReport:
    """Runs the drill in a folder of its own, which is removed at the end (`folder`: use and keep this one)."""
    began = time.monotonic()
    place = folder or Path(tempfile.mkdtemp(prefix="failback-drill-"))
    home = Home.at(place / "home")
    source = place / "service"
    listen = f"127.0.0.1:{free_port()}"
    report = DrillReport()
    try:
        _bring(source)
        engine = Engine(home)

        def deploy(name: str) -> dict[str, Any]:
            loaded = plan_from_mapping(_plan(source, listen), place)
            result = engine.deploy(loaded, approved=True, kind="drill", subscribers=subscribers)
            report.results[name] = result
            return result

        say("A service with two replicas goes live (release 1).")
        _release(source, 1)
        first = deploy("first")
        report.checks.append(Check("release 1 went live", first["status"] == "completed", first["status"]))
        if first["status"] == "completed":
            _under_load(report, say, deploy, source, f"http://{listen}/", rate_per_s)
    finally:
        if (home.root / "services" / SERVICE).exists():
            take_down(home, SERVICE)
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)
    report.seconds = round(time.monotonic() - began, 2)
    return report


def _under_load(
    report: DrillReport,
    say: Callable[[str], None],
    deploy: Callable[[str], Mapping[str, Any]],
    source: Path,
    url: str,
    rate_per_s: float,
) -> None:
    _await_up(url)
    say(f"Control: {rate_per_s:g} requests/s with new connections for {_CONTROL_S:g} s, and no deployment.")
    with RunningLoad(url, rate_per_s) as load:
        time.sleep(_CONTROL_S)
        report.loads["control"] = load.stop()
    report.checks.append(load_check("control run: no request fails by itself", report.loads["control"]))

    say("The bad release 2 (its config/production.json is missing), under the same load.")
    _release(source, None)
    with RunningLoad(url, rate_per_s) as load:
        bad = deploy("bad")
        time.sleep(0.5)
        report.loads["bad release"] = load.stop()
    report.checks += bad_release_checks(bad, "missing_file", ["config/production.json"])
    report.checks.append(load_check("no request failed (the client's count)", report.loads["bad release"]))
    served = _served(report.loads["bad release"])
    report.checks.append(Check("every answer came from release 1", set(served) == {"1"}, _told(served)))

    say("The fixed release 3, under the same load.")
    _release(source, 3)
    with RunningLoad(url, rate_per_s) as load:
        good = deploy("good")
        time.sleep(0.5)
        report.loads["good release"] = load.stop()
    report.checks += good_release_checks(good)
    report.checks.append(load_check("no request failed (the client's count)", report.loads["good release"]))
    served = _served(report.loads["good release"])
    report.checks.append(Check("users moved from release 1 to release 3", set(served) == {"1", "3"}, _told(served)))


def _served(load: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(seen["count"]) for name, seen in load["answered_by"].items()}


def _told(served: Mapping[str, int]) -> str:
    return (
        ", ".join(f"release {name} answered {count:,}" for name, count in sorted(served.items())) or "nobody answered"
    )


def _bring(source: Path) -> None:
    with resources.as_file(resources.files("failback.drill") / "service") as packaged:
        shutil.copytree(packaged, source, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _release(source: Path, number: int | None) -> None:
    config = source / "config" / "production.json"
    if number is None:
        config.unlink()
        return
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"release": number}) + "\n")


def _plan(source: Path, listen: str) -> dict[str, Any]:
    python = sys.executable
    return {
        "apiVersion": "failback/v1",
        "service": SERVICE,
        "environment": "drill",
        "target": {"kind": "local", "listen": listen},
        "release": {
            "path": str(source),
            "start": [python, "-I", "app.py"],
            "replicas": 2,
            "resources": {"memory": "256Mi"},
        },
        "checks": {
            "ready": {"path": "/", "timeout": 20},
            "smoke": [{"path": "/", "status": 200, "max_ms": 1000}],
            "soak": 1,
            "bake": 2,
            "drain": 5,
        },
        "steps": [
            {"name": "Build", "type": "build", "run": [python, "-m", "py_compile", str(source / "app.py")]},
            {"name": "Deploy", "type": "deploy"},
        ],
    }


def _await_up(url: str) -> None:
    deadline = time.monotonic() + _UP_S_MAX
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
