"""Failures and disturbances from around the pods: limits of the namespace, floods of log, parts that restart."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from failback.model.observation import Limits, VerdictState
from tests.cluster.support import Cluster, is_testbed, run_testbed
from tests.cluster.watching.rig import CHECKS, Rig, container, helper, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="its images are the testbed's: run under testbed/run"),
]
FLOOD = "import sys\nwhile True: sys.stdout.buffer.write(bytes(range(256)) * 4096)"


@pytest.fixture
async def alone(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Rig]:
    """A rig in a namespace of its own, for stories that change the namespace itself."""
    made = Rig(tmp_path, cluster.namespace)
    await made.serve()
    yield made
    await made.close()


async def test_a_quota_that_refuses_the_pods(alone: Rig) -> None:
    """The stable pods stay, so nothing is freed by waiting."""
    await alone.cluster.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": "2"}}}
    )
    await asyncio.sleep(1)  # the controller counts what is there

    verdict = await alone.judge(pod(container({"VERSION": "more"})))

    assert verdict.rule == "quota-exceeded", verdict
    assert "small" in verdict.reason


async def test_an_admission_rule_that_denies_the_pods(alone: Rig) -> None:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    await alone.cluster.merge("Namespace", alone.cluster.namespace, {"metadata": {"labels": restricted}})

    verdict = await alone.judge(pod(container(securityContext={"privileged": True})))

    assert verdict.rule == "admission-denied", verdict


async def test_a_pod_over_its_own_storage_limit_is_evicted(rig: Rig) -> None:
    """The limit is the pod's own, on every node."""
    fill = "import time; open('/data/big', 'wb').write(bytes(40_000_000)); time.sleep(600)"
    filler = helper(
        "filler",
        image="failback/python:1",
        command=["python3", "-c", fill],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    spec = pod(container(), filler, volumes=[{"name": "data", "emptyDir": {"sizeLimit": "10Mi"}}])

    verdict = await rig.judge(spec, limits=Limits(soak_s=100, ready_s_max=60), within_s=120)

    assert verdict.rule == "evicted-over-own-limit", verdict


async def test_memory_that_grows_is_seen_before_the_kernel_kills(rig: Rig) -> None:
    spec = pod(container({"LEAK_MB_PER_S": 4}, resources={"limits": {"memory": "128Mi"}}))

    verdict = await rig.judge(spec, limits=Limits(soak_s=100), within_s=90)

    assert verdict.state is VerdictState.FAILED
    assert verdict.rule.startswith("memory-"), verdict


async def test_a_flood_of_binary_log_costs_neither_memory_nor_the_verdict(rig: Rig) -> None:
    """As much as the node can write, without a single line's end."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flooding = helper("flood", image="failback/python:1", command=["python3", "-c", FLOOD])

    verdict = await rig.judge(pod(container(), flooding), limits=Limits(soak_s=5))

    assert verdict.state is VerdictState.HEALTHY, verdict
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024, "kilobytes"


async def test_an_api_server_that_restarts_condemns_nobody(rig: Rig) -> None:
    """While it is away nothing is judged; afterwards everything is known again."""
    await rig.launch(pod(container({"VERSION": "calm"})))
    looking = asyncio.create_task(rig.look(limits=Limits(ready_s_max=10, soak_s=12)))
    await asyncio.sleep(2)

    restarted = await asyncio.to_thread(run_testbed, "part", "restart", "kube-apiserver")

    assert restarted.returncode == 0, restarted.stderr
    verdict = await asyncio.wait_for(looking, 90)
    assert verdict.state is VerdictState.HEALTHY, verdict


async def test_a_kubelet_that_restarts_condemns_nobody(rig: Rig) -> None:
    await rig.launch(pod(container({"VERSION": "calmer"})))
    looking = asyncio.create_task(rig.look(limits=Limits(ready_s_max=10, soak_s=12)))
    await asyncio.sleep(3)

    restarted = await asyncio.to_thread(run_testbed, "part", "restart", "kubelet")

    assert restarted.returncode == 0, restarted.stderr
    verdict = await asyncio.wait_for(looking, 90)
    assert verdict.state is VerdictState.HEALTHY, verdict


async def test_a_node_that_goes_away_condemns_nobody(alone: Rig) -> None:
    """Its pods answer nobody, and for 45 s nobody says why. They are the node's loss, not the release's failure."""
    on_second = {
        "nodeSelector": {"kubernetes.io/hostname": "testbed-2"},
        "tolerations": [{"key": "failback.testbed/second", "operator": "Exists"}],
    }
    spec = pod(container(image="localhost:5000/failback/app:1"), **on_second)
    checks = {**CHECKS, "ready": {"path": "/healthz", "timeout": 30.0}}
    up = await asyncio.to_thread(run_testbed, "second-node", "up")
    assert up.returncode == 0, up.stderr
    await alone.launch(spec)
    looking = asyncio.create_task(alone.look(checks, Limits(ready_s_max=10, soak_s=600)))
    try:
        await alone.ready(alone.hash)
        await asyncio.sleep(3)
        await asyncio.to_thread(run_testbed, "second-node", "crash")

        done, _ = await asyncio.wait({looking}, timeout=80)

        assert not done, looking.result()
        assert alone.verdict is not None
        assert alone.verdict.rule == "node-lost", alone.verdict
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await asyncio.to_thread(run_testbed, "second-node", "down")
