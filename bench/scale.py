"""What failback costs in a large cluster: `testbed/run python -m bench.scale`, on kwok's fake nodes.

One deployment among 10 and among 1,000 other Deployments has to cost the same requests, since everything is watched by
its own labels and names; then many executions at once in one worker: memory and requests of each.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.peers import run
from failback.executor.engine import Engine
from failback.executor.home import Home
from failback.executor.plan_file import load_plan
from failback.targets.kubernetes import cluster

IMAGE = "registry.invalid/app:1"  # no fake node pulls it


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--others", type=int, nargs="*", default=[10, 1000])
    parser.add_argument("--at-once", type=int, default=100)
    arguments = parser.parse_args()
    asked = counted()
    namespace = f"scale-{uuid.uuid4().hex[:6]}"
    run("kubectl", "create", "namespace", namespace)
    with tempfile.TemporaryDirectory(prefix="failback-scale-") as folder:
        try:
            there = 0
            for others in arguments.others:
                fill(namespace, there, others)
                there = others
                requests, took = one_deployment(Path(folder), namespace, f"one-{others}", asked)
                print(f"one deployment among {others:,} others: {sum(requests.values())} requests, {took:.1f} s")
                print(f"  {dict(requests.most_common(8))}", flush=True)
            at_once(Path(folder), namespace, arguments.at_once, asked)
        finally:
            run("kubectl", "delete", "namespace", namespace, "--wait=false")
    return 0


def counted() -> list[cluster.Cluster]:
    """Every API client that is made from now on, so that its requests can be read at the end."""
    made: list[cluster.Cluster] = []
    original = cluster.Cluster.__init__

    def remembering(self: cluster.Cluster, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        made.append(self)

    cluster.Cluster.__init__ = remembering  # type: ignore[method-assign]
    return made


def deployment(name: str, version: str) -> dict[str, Any]:
    """One replica on a fake node."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "nodeSelector": {"type": "kwok"},
                    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
                    "containers": [{"name": "app", "image": IMAGE, "env": [{"name": "VERSION", "value": version}]}],
                },
            },
        },
    }


def fill(namespace: str, start: int, end: int) -> None:
    """So many Deployments, each with its pod Ready on a fake node."""
    shapes = [deployment(f"other-{number}", "1") for number in range(start, end)]
    for at in range(0, len(shapes), 200):
        text = yaml.safe_dump_all(shapes[at : at + 200])
        subprocess.run(
            ["kubectl", "-n", namespace, "apply", "--server-side", "-f", "-"],
            input=text,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        found = json.loads(run("kubectl", "-n", namespace, "get", "deployments", "-o", "json"))["items"]
        if sum(int(one["status"].get("readyReplicas", 0)) for one in found) >= end:
            return
        time.sleep(2)
    raise RuntimeError(f"the {end} Deployments did not become ready")


def plan(folder: Path, namespace: str, name: str, version: str) -> Path:
    path = folder / f"{name}-{version}"
    path.mkdir()
    # Without a Service: nothing answers on a fake node, so there is nothing to ask and nobody to switch.
    (path / "release.yaml").write_text(yaml.safe_dump(deployment(name, version)))
    shape = {
        "apiVersion": "failback/v1",
        "service": name,
        "target": {"kind": "kubernetes", "namespace": namespace},
        "release": {"manifests": ["release.yaml"]},
        "checks": {"soak": 1, "bake": 1, "drain": 0, "dark_safe": True},
    }
    (path / "failback.yaml").write_text(yaml.safe_dump(shape))
    return path / "failback.yaml"


def one_deployment(folder: Path, namespace: str, name: str, asked: list[cluster.Cluster]) -> tuple[Counter[str], float]:
    """A healthy rollout of a second version: requests by verb and kind, seconds."""
    engine = Engine(Home.at(folder / "home"))
    completed(engine.deploy(load_plan(plan(folder, namespace, name, "1")), approved=True))
    asked.clear()
    began = time.monotonic()
    completed(engine.deploy(load_plan(plan(folder, namespace, name, "2")), approved=True))
    return sum((one.requests for one in asked), Counter()), time.monotonic() - began


def at_once(folder: Path, namespace: str, count: int, asked: list[cluster.Cluster]) -> None:
    """So many executions side by side in this process, each of a service of its own."""
    engine = Engine(Home.at(folder / "home"))
    plans = [load_plan(plan(folder, namespace, f"many-{number}", "1")) for number in range(count)]
    asked.clear()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    barrier = threading.Barrier(count)

    def deploy(loaded: Any) -> Mapping[str, Any]:
        barrier.wait()
        return engine.deploy(loaded, approved=True)

    with concurrent.futures.ThreadPoolExecutor(max_workers=count) as pool:
        results: Sequence[Mapping[str, Any]] = list(pool.map(deploy, plans))
    took = time.monotonic() - began
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    requests = sum(sum(one.requests.values()) for one in asked)
    good = sum(result["status"] == "completed" for result in results)
    print(
        f"{count} executions at once in one worker: {good} completed in {took:.0f} s; each {grown_kib / count:.0f} KiB "
        f"of memory and {requests / count:.0f} requests"
    )


def completed(result: Mapping[str, Any]) -> None:
    if result["status"] != "completed":
        raise RuntimeError(json.dumps(result.get("error")))


if __name__ == "__main__":
    sys.exit(main())
