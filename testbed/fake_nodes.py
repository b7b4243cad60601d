"""Nodes that exist only in the API, for scale: kwok says of their pods what a kubelet would, and nothing runs.

They have a taint, so that only pods that tolerate `kwok.x-k8s.io/node` land on them.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from testbed import parts, peers, processes
from testbed.settings import ADMIN_KUBECONFIG, BIN

PODS = "20000"  # a real kubelet would take 250; here it is only a number
ANNOTATION = "kwok.x-k8s.io/node"
# What a node and its pods go through, from kwok's own module: ready at once, a heartbeat, gone when deleted.
STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


def kwok() -> parts.Part:
    """The process that plays the kubelets."""
    folder = peers.build(next(peer for peer in peers.ALL if peer.name == "kwok"))
    stages = (path for stage in STAGES for path in sorted((folder / "stages" / stage).glob("*.yaml")))
    command = (
        str(folder / "kwok"),
        f"--kubeconfig={ADMIN_KUBECONFIG}",
        *(f"--config={path}" for path in stages if path.name != "kustomization.yaml"),
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
        "--node-lease-duration-seconds=40",
    )
    return parts.Part("kwok", command, first_is_ready)


def first_is_ready() -> bool:
    query = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return parts.kubectl("get", "node", "fake-0", "-o", query) == "True"


def node(number: int) -> dict[str, Any]:
    """A node that is large enough for anything."""
    amounts = {"cpu": "100000", "memory": "100Ti", "pods": PODS}
    metadata = {"name": f"fake-{number}", "annotations": {ANNOTATION: "fake"}, "labels": {"type": "kwok"}}
    taint = {"key": ANNOTATION, "value": "fake", "effect": "NoSchedule"}
    status = {"allocatable": amounts, "capacity": amounts}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": [taint]}, "status": status}


def up(count: int = 1) -> None:
    """Returns when the first of them is Ready."""
    part = kwok()
    nodes = {"apiVersion": "v1", "kind": "List", "items": [node(number) for number in range(count)]}
    command = [str(BIN / "kubectl"), f"--kubeconfig={ADMIN_KUBECONFIG}", "apply", "--filename=-"]
    subprocess.run(command, input=json.dumps(nodes), text=True, check=True, stdout=subprocess.DEVNULL)
    parts.start(part)
    parts.wait_until_ready(part)


def down() -> None:
    """Their pods go with them."""
    parts.kubectl("delete", "nodes", "--selector=type=kwok", "--ignore-not-found")
    if running := processes.recorded("kwok"):
        running.end()
