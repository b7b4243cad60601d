"""Head to head on one cluster: `testbed/run python -m bench.peers` deploys the same releases with kubectl, Helm, Argo
Rollouts and failback, each under 200 requests/s with new connections, and prints what each saw and what users felt.

The peers are built from their released modules by `testbed/peers`. `--patience` is how long a tool may take to say
that a release is bad; who says nothing until then has the row "nothing said".
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

IMAGE = "localhost:5000/failback/app:1"
RATE = 200
SETTLE_S = 3.0


@dataclass(frozen=True)
class Case:
    """One bad (or good) release: what its environment adds to the good one."""

    name: str
    env: Mapping[str, str]
    bad: bool


CASES = (
    Case("exits at its start", {"EXIT_AT_START": "1"}, True),
    Case("Ready, and answers 500", {"STATUS": "500"}, True),
    Case("healthy; the old version exits at SIGTERM", {}, False),
)


@dataclass(frozen=True)
class Outcome:
    """What one tool did with one case."""

    said: str  # what the tool said of it, and after how long
    failed: int
    sent: int
    last_failure_s: float | None  # after the command's start
    left: str  # what serves at the end


class Namespace:
    """A namespace of its own, with the good release's Service; gone at the end."""

    def __init__(self) -> None:
        self.name = f"bench-{uuid.uuid4().hex[:6]}"
        run("kubectl", "create", "namespace", self.name)

    def address(self) -> str:
        return run("kubectl", "-n", self.name, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")

    def served(self) -> str:
        """The versions of the ready pods behind the Service, as they answer."""
        seen: dict[str, int] = {}
        for _ in range(10):
            done = subprocess.run(
                ["curl", "-s", "-m", "2", f"http://{self.address()}/version"],
                capture_output=True,
                text=True,
                check=False,
            )
            seen[done.stdout.strip() or "nothing"] = seen.get(done.stdout.strip() or "nothing", 0) + 1
        return ", ".join(f"version {name}" for name in sorted(seen))

    def close(self) -> None:
        run("kubectl", "delete", "namespace", self.name, "--wait=false", "--grace-period=1")


def objects(env: Mapping[str, str], *, deadline_s: int | None = None, kind: str = "Deployment") -> list[dict[str, Any]]:
    """The release: two replicas, a readiness probe, a Service. The good one exits at SIGTERM, as many services do."""
    variables = {"VERSION": "1", "ON_TERM": "exit", **env}
    workload: dict[str, Any] = {
        "apiVersion": "apps/v1" if kind == "Deployment" else "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {
                            "name": "app",
                            "image": IMAGE,
                            "env": [{"name": name, "value": value} for name, value in variables.items()],
                            "ports": [{"containerPort": 8080}],
                            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
                        }
                    ]
                },
            },
        },
    }
    if deadline_s is not None:
        workload["spec"]["progressDeadlineSeconds"] = deadline_s
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    return [workload, service]


class Kubectl:
    """`kubectl apply`, and `rollout status`, which says whether it went well; it never goes back by itself."""

    name = "kubectl apply + rollout status"

    def __init__(self, folder: Path, tuned: bool) -> None:
        self._folder = folder
        self._deadline_s = 30 if tuned else None

    def deploy(self, namespace: str, env: Mapping[str, str], patience_s: float) -> list[list[str]]:
        path = manifest(self._folder, objects(env, deadline_s=self._deadline_s))
        return [
            ["kubectl", "-n", namespace, "apply", "-f", str(path)],
            ["kubectl", "-n", namespace, "rollout", "status", "deployment/web", f"--timeout={patience_s:.0f}s"],
        ]


class Helm:
    """`helm upgrade --rollback-on-failure`; tuned: a deadline and a time-out of 30 s."""

    name = "helm upgrade --rollback-on-failure"

    def __init__(self, folder: Path, tuned: bool) -> None:
        self._folder = folder
        self._tuned = tuned

    def deploy(self, namespace: str, env: Mapping[str, str], patience_s: float) -> list[list[str]]:
        chart = self._folder / f"chart-{uuid.uuid4().hex[:6]}"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 0.1.0\n")
        (chart / "templates" / "web.yaml").write_text(
            yaml.safe_dump_all(objects(env, deadline_s=30 if self._tuned else None))
        )
        tuned = ["--timeout", "30s"] if self._tuned else []
        return [["helm", "upgrade", "--install", "web", str(chart), "-n", namespace, "--rollback-on-failure", *tuned]]


class Argo:
    """A Rollout of Argo Rollouts (canary, no metrics backend); tuned: a deadline of 30 s that aborts."""

    name = "Argo Rollouts"

    def __init__(self, folder: Path, tuned: bool) -> None:
        self._folder = folder
        self._tuned = tuned

    def deploy(self, namespace: str, env: Mapping[str, str], patience_s: float) -> list[list[str]]:
        shape = objects(env, kind="Rollout")
        shape[0]["spec"]["strategy"] = {"canary": {}}
        if self._tuned:
            shape[0]["spec"] |= {"progressDeadlineSeconds": 30, "progressDeadlineAbort": True}
        path = manifest(self._folder, shape)
        plugin = ["kubectl", "argo", "rollouts", "-n", namespace]
        return [
            ["kubectl", "-n", namespace, "apply", "-f", str(path)],
            [*plugin, "status", "web", "--timeout", f"{patience_s:.0f}s"],
        ]


class Failback:
    """`failback deploy --yes` with one smoke check; nothing is tuned."""

    name = "failback deploy"

    def __init__(self, folder: Path, tuned: bool) -> None:
        self._folder = folder

    def deploy(self, namespace: str, env: Mapping[str, str], patience_s: float) -> list[list[str]]:
        path = manifest(self._folder, objects(env))
        plan = {
            "apiVersion": "failback/v1",
            "service": "web",
            "target": {"kind": "kubernetes", "namespace": namespace},
            "release": {"manifests": [str(path)]},
            "checks": {"smoke": [{"path": "/", "status": 200}]},
        }
        file = self._folder / f"plan-{uuid.uuid4().hex[:6]}.yaml"
        file.write_text(yaml.safe_dump(plan))
        home = self._folder / "home"
        return [["failback", "deploy", "-f", str(file), "--home", str(home), "--yes", "--json"]]


TOOLS: tuple[tuple[type[Kubectl] | type[Helm] | type[Argo] | type[Failback], tuple[bool, ...]], ...] = (
    (Kubectl, (False, True)),
    (Helm, (False, True)),
    (Argo, (False, True)),
    (Failback, (False,)),
)


def main() -> int:
    """Prints the table; 0 when all that was asked for could be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds a tool may take (default 60)")
    parser.add_argument("--only", default="", help="a word of the tool's name")
    arguments = parser.parse_args()
    print(f"{'TOOL':<44}{'RELEASE':<44}{'WHAT IT SAID':<46}{'FAILED REQUESTS':<38}AT THE END")
    for name, version in versions().items():
        print(f"  {name}: {version}")
    with argo_controller():
        for kind, settings in TOOLS:
            for tuned in settings:
                if arguments.only not in kind.name or not there(kind.name):
                    continue
                for case in CASES:
                    row(kind, tuned, case, arguments.patience)
                killed_row(kind, tuned)
    return 0


@contextmanager
def argo_controller() -> Iterator[None]:
    """The controller of Argo Rollouts with its custom resources, for as long as the bench runs, where it is built."""
    program = shutil.which("rollouts-controller")
    if program is None:
        yield
        return
    crds = Path(program).resolve().parent / "crds"
    run("kubectl", "apply", "--server-side", "-k", str(crds))
    controller = subprocess.Popen(
        [program, "--kubeconfig", os.environ["KUBECONFIG"], "--leader-elect=false"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        controller.terminate()
        controller.wait()
        run("kubectl", "delete", "-k", str(crds), "--wait=false")


def row(kind: Callable[[Path, bool], Any], tuned: bool, case: Case, patience_s: float) -> None:
    """One tool, one case."""
    with place(kind, tuned) as (namespace, tool, _):
        outcome = measured(namespace, tool, case, patience_s)
    felt = f"{outcome.failed:,} of {outcome.sent:,}"
    if outcome.last_failure_s is not None:
        felt += f", the last at {outcome.last_failure_s:.1f} s"
    show(kind, tuned, case.name, outcome.said, felt, outcome.left)


def measured(namespace: Namespace, tool: Any, case: Case, patience_s: float) -> Outcome:
    """The good release is live; the case's release is deployed under load."""
    with load(namespace.address()) as report:
        time.sleep(SETTLE_S)
        began = time.time()
        said = _run_all(tool.deploy(namespace.name, {"VERSION": "2", **case.env}, patience_s), patience_s)
        time.sleep(SETTLE_S)
    last = report["last_failure_unix_s"]
    return Outcome(
        said,
        int(report["failed"]),
        int(report["sent"]),
        None if last is None else max(0.0, float(last) - began),
        namespace.served(),
    )


def killed_row(kind: Any, tuned: bool) -> None:
    """SIGKILL in the middle of a good rollout, then the same command again."""
    with place(kind, tuned) as (namespace, tool, _), load(namespace.address()) as report:
        time.sleep(SETTLE_S)
        commands = tool.deploy(namespace.name, {"VERSION": "2"}, 30.0)
        for command in commands[:-1]:
            subprocess.run(command, capture_output=True, check=False)
        last = subprocess.Popen(commands[-1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(2.0)
        last.kill()
        last.wait()
        again = _run_all(tool.deploy(namespace.name, {"VERSION": "3"}, 60.0), 60.0)
        time.sleep(SETTLE_S)
        left = namespace.served()
    show(
        kind,
        tuned,
        "killed after 2 s; then the next release",
        again,
        f"{report['failed']:,} of {report['sent']:,}",
        left,
    )


def _run_all(commands: list[list[str]], patience_s: float) -> str:
    """What the tool says in the end, and after how long."""
    began = time.monotonic()
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience_s)
        except subprocess.TimeoutExpired:
            return f"nothing said within {patience_s:.0f} s"
        if done.returncode != 0:
            break
    took = time.monotonic() - began
    text = (done.stdout + "\n" + done.stderr).strip()
    if "failback" in commands[-1][0]:
        return _of_failback(done.stdout, took)
    if done.returncode == 0:
        return f"success after {took:.1f} s"
    if took >= patience_s - 1 and "timed out" in text:
        return f"nothing said within {patience_s:.0f} s"
    if "another operation" in text:
        return "refused: another operation is in progress"
    return f"failed after {took:.1f} s"


def _of_failback(output: str, took: float) -> str:
    result = json.loads(output)
    if result["status"] == "completed":
        return f"success after {took:.1f} s"
    found = result["rollback"]["detection"]
    return (
        f"bad after {found['seconds']:.1f} s, {result['rollback']['system_status']} "
        f"{result['rollback']['total_duration']:.1f} s later"
    )


@contextmanager
def place(kind: Any, tuned: bool) -> Iterator[tuple[Namespace, Any, Path]]:
    """A namespace in which the tool itself has deployed the good release."""
    namespace = Namespace()
    folder = Path(tempfile.mkdtemp(prefix="failback-bench-"))
    tool = kind(folder, tuned)
    try:
        for command in tool.deploy(namespace.name, {}, 60.0):
            run(*command)
        yield namespace, tool, folder
    finally:
        namespace.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def load(address: str) -> Iterator[dict[str, Any]]:
    """Steady requests on new connections; the report is filled in when the block ends."""
    process = subprocess.Popen(
        ["loadgen", "-url", f"http://{address}/", "-rate", str(RATE), "-duration", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    report: dict[str, Any] = {}
    try:
        yield report
    finally:
        process.terminate()
        report.update(json.loads(process.communicate(timeout=60)[0]))


def versions() -> dict[str, str]:
    """Of every tool that is here."""
    asked = {
        "kubectl": ["kubectl", "version", "--client", "-o", "json"],
        "helm": ["helm", "version", "--short"],
        "Argo Rollouts": ["kubectl-argo-rollouts", "version", "--short"],
        "failback": ["failback", "--version"],
    }
    found = {}
    for name, command in asked.items():
        if shutil.which(command[0]):
            text = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
            found[name] = json.loads(text)["clientVersion"]["gitVersion"] if name == "kubectl" else text.splitlines()[0]
        else:
            found[name] = "not built: testbed/peers"
    return found


def there(name: str) -> bool:
    """Whether the tool is built, and its controller runs."""
    program = {"helm": "helm", "Argo": "kubectl-argo-rollouts"}.get(name.split()[0], "kubectl")
    return shutil.which(program) is not None


def show(kind: Any, tuned: bool, *cells: str) -> None:
    name = kind.name + (", tuned" if tuned else "")
    print(f"{name:<44}{cells[0]:<44}{cells[1]:<46}{cells[2]:<38}{cells[3]}", flush=True)


def manifest(folder: Path, shape: list[dict[str, Any]]) -> Path:
    path = folder / f"release-{uuid.uuid4().hex[:6]}.yaml"
    path.write_text(yaml.safe_dump_all(shape))
    return path


def run(*command: str) -> str:
    """Runs it; its output. Raises RuntimeError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-800:]}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
