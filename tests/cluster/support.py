"""Words for stories on a real cluster: make things in an own namespace, wait for what the API says, send load."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

WAIT_S_MAX = 60.0
PORT = 8080


def app(
    name: str = "app", env: Mapping[str, object] | None = None, replicas: int = 2, image: str = "failback/app:1"
) -> list[dict[str, Any]]:
    """A Deployment of the service that misbehaves as its environment says (testbed/app/server), and its Service."""
    container = {
        "name": "app",
        "image": image,
        "env": [{"name": key, "value": str(value)} for key, value in (env or {}).items()],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": PORT}, "periodSeconds": 1},
    }
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"port": 80, "targetPort": PORT}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
    ]


def pod(name: str, image: str, **spec: Any) -> dict[str, Any]:
    """A pod of one container that is not started again."""
    containers = [{"name": "main", "image": image}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": containers, **spec},
    }


@dataclass
class Load:
    """What the load generator counted; filled in when the load has ended."""

    report: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return int(self.report["failed"])

    @property
    def sent(self) -> int:
        return int(self.report["sent"])


@dataclass(frozen=True)
class Cluster:
    """One namespace of a cluster, by kubectl."""

    namespace: str

    @classmethod
    def with_new_namespace(cls, *, limit_s: float = WAIT_S_MAX) -> Cluster:
        made = cls(f"test-{secrets.token_hex(4)}")
        made.kubectl("create", "namespace", made.namespace)
        made.wait_until(
            lambda: made.kubectl("get", "serviceaccount", "default", "-o", "name", check=False),
            "its service account",
            limit_s,
        )
        return made

    def delete_namespace(self) -> None:
        """Does not wait: nothing else uses the name."""
        self.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """What kubectl prints; an error holds what it complained of."""
        done = subprocess.run(
            ["kubectl", f"--namespace={self.namespace}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", text=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def listed(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, f"--selector={selector}", "--output=json"))[
            "items"
        ]
        return items

    def rolled_out(self, name: str = "app", limit_s: float = WAIT_S_MAX) -> None:
        """Returns when the Deployment has all its replicas, as `kubectl rollout status` sees it."""
        self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={limit_s:.0f}s")

    def address(self, service: str = "app") -> str:
        """The Service as pods and nodes reach it (its ClusterIP), once it answers: kube-proxy writes its rules at most
        once a second, so that a request may be refused for a second after the first pod is Ready."""
        url = f"http://{self.get('service', service)['spec']['clusterIP']}/"
        self.wait_until(lambda: answers(url), f"an answer of {url}")
        return url

    def container_state(self, pod_name: str) -> dict[str, Any]:
        """What the kubelet says of the pod's first container; empty before it says anything."""
        statuses = self.get("pod", pod_name)["status"].get("containerStatuses", [])
        return dict(statuses[0]["state"]) if statuses else {}

    def wait_until(self, is_so: Callable[[], Any], what: str, limit_s: float = WAIT_S_MAX) -> Any:
        """The first true answer; an assertion that says what was waited for at the limit."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if answer := is_so():
                return answer
            time.sleep(0.2)
        raise AssertionError(f"{what}: not within {limit_s:.0f} s; {self.kubectl('get', 'pods,events', check=False)}")


def answers(url: str) -> bool:
    """Whether there is any answer, a refusal of the application included."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def load(url: str, rate: int = 200, keepalive: int = 0, patience_s: int = 5) -> Iterator[Load]:
    """Sends requests at a steady rate, whatever the service does, for as long as the block lasts. With `keepalive`
    through a pool of that many connections, else a new connection for every request. `patience_s`: a request without
    an answer by then has failed."""
    result = Load()
    with tempfile.TemporaryFile("w+") as output:
        command = ["loadgen", "-url", url, "-rate", str(rate), "-duration", "0", "-keepalive", str(keepalive)]
        command += ["-timeout", f"{patience_s}s"]
        sender = subprocess.Popen(command, stdout=output, text=True)
        try:
            yield result
        finally:
            sender.send_signal(signal.SIGTERM)
            sender.wait(timeout=30)
        output.seek(0)
        result.report = json.load(output)


def run_testbed(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of the testbed's own commands (`part`, `image`); only where the cluster is the testbed."""
    return subprocess.run(
        [str(testbed_folder() / command), *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def testbed_folder() -> Path:
    return Path(os.environ["FAILBACK_TESTBED"])


def is_testbed() -> bool:
    """Whether the cluster is the testbed, which has registries, a load generator and parts to kill."""
    return bool(os.environ.get("FAILBACK_TESTBED")) and shutil.which("loadgen") is not None
