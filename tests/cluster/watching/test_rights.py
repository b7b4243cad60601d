"""An account that may see little: what it can't see is not known, and condemns nobody."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from failback.model.observation import VerdictState
from tests.cluster.support import Cluster, is_testbed
from tests.cluster.watching.rig import Rig, container, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="its images are the testbed's: run under testbed/run"),
]
NEEDED = [
    {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "watch", "patch", "create"]},
    {
        "apiGroups": ["apps"],
        "resources": ["deployments", "replicasets"],
        "verbs": ["get", "list", "watch", "patch", "create"],
    },
]
LOGS = {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}


def give(cluster: Cluster, rules: list[dict[str, object]]) -> None:
    """An account with a Role of these rules."""
    cluster.kubectl("create", "serviceaccount", "little")
    about = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "little"}}
    cluster.apply({**about, "kind": "Role", "rules": rules})
    cluster.kubectl("create", "rolebinding", "little", "--role=little", f"--serviceaccount={cluster.namespace}:little")


@pytest.fixture(params=["pods-alone", "and-their-logs"])
async def limited(
    cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    """A rig whose account sees its own pods, and perhaps their logs: no events, no nodes, no pods/proxy."""
    give(cluster, [*NEEDED, LOGS] if request.param == "and-their-logs" else NEEDED)
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
    config["users"][0]["user"] = {"token": cluster.kubectl("create", "token", "little").strip()}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    made = Rig(tmp_path, cluster.namespace)
    await made.serve()
    yield made
    await made.close()


async def test_a_good_release_is_let_through(limited: Rig) -> None:
    verdict = await limited.judge(pod(container({"VERSION": "seen"})))

    assert verdict.state is VerdictState.HEALTHY, verdict


async def test_a_bad_release_is_still_seen_by_its_pods(limited: Rig) -> None:
    verdict = await limited.judge(pod(container(image="failback/node-app:2")))

    assert verdict.rule in ("deterministic-exit", "every-replica-exited"), verdict
