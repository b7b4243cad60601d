"""Two small real services in one plan: `search`, then `shop`, which comes after it in the graph."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from failback.drill.running_load import RunningLoad
from failback.targets.local.ports import free_ports
from tests.local.world import APP, World, joined

SEARCH, SHOP = SERVICES = ("search", "shop")


@dataclass
class Pair(World):
    """As World, with a plan for both services. `of`: what joins a service's part of the plan."""

    service: str = "platform"
    ports: dict[str, int] = field(default_factory=lambda: dict(zip(SERVICES, free_ports(2), strict=True)))
    of: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, service: str, number: int, **settings: Any) -> None:
        """Writes the release of one service that the next deployment takes."""
        app = self.folder / service
        app.mkdir(parents=True, exist_ok=True)
        (app / "app.py").write_text(APP)
        (app / "settings.json").write_text(json.dumps({"release": number, **settings}))
        self.write_plan()

    def release(self, number: int, **settings: Any) -> None:
        """A good release of `search`, and one of `shop` with these settings."""
        self.write(SEARCH, number)
        self.write(SHOP, number, **settings)

    def plan(self) -> dict[str, Any]:
        plan: dict[str, Any] = {
            "apiVersion": "failback/v1",
            "service": self.service,
            "services": {name: joined(self.part(name), self.of.get(name, {})) for name in (SHOP, SEARCH)},
            "steps": [
                {"name": "Build", "type": "build", "run": "true"},
                {"name": "Deploy search", "type": "deploy", "service": SEARCH},
                {"name": "Deploy shop", "type": "deploy", "service": SHOP},
            ],
        }
        return joined(plan, self.extra)

    def part(self, service: str) -> dict[str, Any]:
        """What stands below `services`."""
        return {
            "target": {"kind": "local", "listen": f"127.0.0.1:{self.ports[service]}"},
            "release": {"path": service, "start": [sys.executable, "-I", "app.py"], "replicas": 2},
            "checks": {
                "ready": {"path": "/", "timeout": 30},
                "smoke": [{"path": "/", "status": 200, "max_ms": 5000}],
                "soak": 0.3,
                "bake": 0.6,
                "drain": 3,
            },
        }

    @contextlib.contextmanager
    def loads(self, rate_per_s: float = 50.0) -> Iterator[dict[str, RunningLoad]]:
        """Users of both services."""
        with contextlib.ExitStack() as both:
            yield {
                name: both.enter_context(RunningLoad(f"http://127.0.0.1:{port}/", rate_per_s))
                for name, port in self.ports.items()
            }

    def states(self) -> dict[str, dict[str, Any]]:
        """What `status` says of each service."""
        done = self.run("status", "--json")
        assert done.returncode == 0, done.stderr
        return {state["service"]: state for state in json.loads(done.stdout)["services"]}

    def problems(self) -> list[str]:
        """What is not as it should be between two deployments, of either service."""
        found = []
        for name, state in self.states().items():
            live = [r for r in state["replicas"] if r["running"] and r["revision"] == state["stable"]]
            if len(live) != 2 or len(state["replicas"]) != 2:
                found.append(f"{name}: the replicas are {state['replicas']}, and {state['stable']} is stable")
            bad = [r["id"] for r in state["revisions"] if r["state"] in ("staged", "dark", "failed")]
            found += [f"{name}: {revision} is left over" for revision in bad]
            if state["proxy"].get("routed") != state["stable"]:
                found.append(f"{name}: routed to {state['proxy'].get('routed')}, not {state['stable']}")
        if len(self.processes()) != 2 * len(SERVICES):
            found.append(f"{len(self.processes())} processes")
        return found

    def answers(self) -> dict[str, str]:
        """Which release answers users now, by service."""
        import urllib.request

        found = {}
        for name, port in self.ports.items():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                found[name] = answer.headers["X-Release"]
        return found

    def end(self) -> None:
        for name in SERVICES:
            if (self.home / "services" / name).exists():
                self.run("down", name)
        for process in self.processes():
            process.kill()
