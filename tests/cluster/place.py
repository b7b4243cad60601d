"""A service in a namespace of its own, deployed there by the installed command: what the stories are told with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil
import yaml

from tests.cluster.support import Cluster, is_testbed

FAILBACK = [sys.executable, "-m", "failback.cli.main"]
CHECKS: Mapping[str, Any] = {
    "ready": {"path": "/healthz", "timeout": 20},
    "smoke": [{"path": "/", "status": 200, "max_ms": 1000}],
    "soak": 1,
    "bake": 1.5,
    "drain": 1,
}
COMMAND_S_MAX = 150.0
_PATIENCE_S = 20  # a request that is answered late on a busy machine is not lost; one that is lost never is


class Closed(Protocol):
    """Something that has an end."""

    def close(self) -> None: ...


Thing = TypeVar("Thing", bound=Closed)


@dataclass
class Place:
    """One namespace, one plan folder, one home. `extra` joins the plan's mapping at the top."""

    cluster: Cluster
    folder: Path
    service: str = "app"
    checks: dict[str, Any] = field(default_factory=lambda: dict(CHECKS))
    extra: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)  # what ends with the place
    kept: list[Any] = field(default_factory=list)

    def keep(self, thing: Thing) -> Thing:
        """Something to be closed with the place, and found by its type until then."""
        self.stack.callback(thing.close)
        self.kept.append(thing)
        return thing

    def of(self, kind: type[Thing]) -> Thing:
        return next(one for one in self.kept if isinstance(one, kind))

    def at_end(self, what: Callable[[], Any]) -> None:
        self.stack.callback(what)

    home_folder: Path | None = None

    @property
    def home(self) -> Path:
        return self.home_folder or self.folder / "home"

    def write(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """The release that the next deployment takes, and the plan for it."""
        manifests = self.folder / "k8s"
        manifests.mkdir(exist_ok=True)
        (manifests / "release.yaml").write_text(yaml.safe_dump_all(objects))
        (self.folder / "failback.yaml").write_text(json.dumps(self.plan(), indent=1))

    def plan(self) -> dict[str, Any]:
        return {
            "apiVersion": "failback/v1",
            "service": self.service,
            "target": {"kind": "kubernetes", "namespace": self.cluster.namespace},
            "release": {"manifests": ["k8s/"]},
            "checks": self.checks,
            "steps": [{"name": "Build", "type": "build", "run": "true"}, {"name": "Deploy", "type": "deploy"}],
            **self.extra,
        }

    def start(self, *arguments: str, fault: str = "", home: Path | None = None) -> subprocess.Popen[str]:
        """Starts the command and goes on. `fault`: see failback.executor.faults."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FAILBACK_")}
        return subprocess.Popen(
            [*FAILBACK, *arguments, "--home", str(home or self.home)],
            cwd=self.folder,
            env=kept | self.env | ({"FAILBACK_FAULT": fault} if fault else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, fault: str = "", home: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The same, until it has ended."""
        return ended(self.start(*arguments, fault=fault, home=home))

    def deploy(self, *, fault: str = "", home: Path | None = None) -> dict[str, Any]:
        """Deploys; the result with its exit code."""
        return told(self.run("deploy", "--yes", "--json", fault=fault, home=home))

    @contextmanager
    def stopped_at(self, point: str, *, home: Path | None = None) -> Iterator[subprocess.Popen[str]]:
        """A deployment that stands still at a point while the block runs, and then goes on."""
        process = self.start("deploy", "--yes", "--json", fault=f"stop:{point}", home=home)
        self.cluster.wait_until(
            lambda: psutil.Process(process.pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE), point
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Waits for the command; one that hangs is ended, and its output told."""
    try:
        out, err = process.communicate(timeout=COMMAND_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"not ended after {COMMAND_S_MAX:.0f} s: {out[-2000:]} {err[-4000:]}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The result that a command printed."""
    assert done.stdout.strip(), f"exit code {done.returncode}: {done.stderr}"
    result: dict[str, Any] = json.loads(done.stdout)
    return result | {"exit_code": done.returncode, "stderr": done.stderr}


@contextmanager
def place() -> Iterator[Place]:
    """A place that is gone afterwards, with everything in it."""
    cluster = Cluster.with_new_namespace()
    folder = Path(tempfile.mkdtemp(prefix="failback-cluster-"))
    made = Place(cluster, folder)
    try:
        yield made
    finally:
        made.stack.close()
        cluster.delete_namespace()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def load(url: str, rate: int = 200, keepalive: int = 0) -> Iterator[dict[str, Any]]:
    """Users' requests for as long as the block lasts, by the testbed's generator; elsewhere none are sent. What it
    counted is in the mapping afterwards."""
    from tests.cluster import support

    counted: dict[str, Any] = {}
    if not is_testbed():
        yield counted
        return
    with support.load(url, rate, keepalive, _PATIENCE_S) as sent:
        yield counted
    counted |= sent.report


def failed(result: Mapping[str, Any]) -> str:
    """A result in a few lines, for the message of an assertion."""
    rollback = result.get("rollback") or {}
    phases = [
        f"{one['number']} {one['status']} {one['duration']} {[a['text'] for a in one['actions'] if a['ok'] is False]}"
        for one in rollback.get("phases") or ()
    ]
    shown = {key: result.get(key) for key in ("status", "exit_code", "error", "notes", "root_cause", "traffic")}
    shown |= {"system": rollback.get("system_status"), "detection": rollback.get("detection"), "phases": phases}
    return json.dumps(shown, indent=1, default=str) + str(result.get("stderr", ""))[-1500:]


def wait_s(seconds: float) -> None:
    """Lets users' requests come for a while."""
    time.sleep(seconds)
