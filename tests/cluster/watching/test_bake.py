"""After the cut-over: what was well in the dark may not be so for long."""

from __future__ import annotations

import asyncio
import time

import pytest

from failback.model.observation import Limits, VerdictState
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.watching import Judged
from tests.cluster.support import is_testbed
from tests.cluster.watching.rig import LABEL, Rig, container, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="its images are the testbed's: run under testbed/run"),
]
BAKE = Limits(soak_s=0.5, bake_s=4)


async def cut_over(rig: Rig) -> float:
    change = [{"op": "add", "path": f"/spec/selector/{LABEL}", "value": rig.hash}]
    await rig.cluster.patch("Service", "web", change)
    return time.time()


async def switched_back(rig: Rig) -> None:
    change = [{"op": "add", "path": f"/spec/selector/{LABEL}", "value": rig.stable}]
    await rig.cluster.patch("Service", "web", change)


async def test_a_good_release_bakes(rig: Rig) -> None:
    await rig.judge(pod(container({"VERSION": "baked"})), limits=BAKE)
    try:
        verdict = await rig.look(limits=BAKE, cut_over=await cut_over(rig))
    finally:
        await switched_back(rig)

    assert verdict.state is VerdictState.HEALTHY, verdict
    assert "0 of " in verdict.reason
    assert "requests of failback's own" in verdict.reason


async def test_a_release_that_ends_while_it_bakes(rig: Rig) -> None:
    await rig.judge(pod(container({"EXIT_AFTER_S": 5})), limits=BAKE)
    try:
        verdict = await rig.look(limits=Limits(bake_s=60), cut_over=await cut_over(rig))
    finally:
        await switched_back(rig)

    assert verdict.state is VerdictState.FAILED, verdict
    assert verdict.rule in ("every-replica-exited", "exits-again", "crash-loop", "requests-fail", "stopped-answering")


async def test_a_release_that_begins_to_fail_while_it_bakes(rig: Rig) -> None:
    """Half of its answers: the dark requests may have been lucky, the ones during the bake are compared."""
    await rig.launch(pod(container({"ERROR_PERCENT": 50})))
    await rig.ready(rig.hash)
    try:
        verdict = await rig.look(limits=Limits(bake_s=20), cut_over=await cut_over(rig))
    finally:
        await switched_back(rig)

    assert verdict.rule == "requests-fail", verdict


async def test_what_the_stable_revision_fails_at_too_is_not_the_new_ones_fault(rig: Rig) -> None:
    """A shared dependency that is away: both answer 503 here."""
    await rig.launch(pod(container({"VERSION": "innocent"})))
    await rig.ready(rig.hash)
    checks = {"ready": {"path": "/"}, "smoke": [{"path": "/not-there", "status": (200,)}]}
    try:
        verdict = await rig.look(checks, Limits(bake_s=6), cut_over=await cut_over(rig))
    finally:
        await switched_back(rig)

    assert verdict.state is VerdictState.HEALTHY, verdict
    assert rig.views[-1].traffic is not None
    assert rig.views[-1].traffic.new.failed > 0


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
async def test_other_workloads_are_looked_at_by_their_own_hash(rig: Rig, kind: str) -> None:
    """Their pods carry controller-revision-hash, and their events are about the workload itself."""
    name = f"other-{kind.lower()}"
    labels = {"app": name}
    await rig.cluster.create(
        {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod(container({"EXIT_AT_START": 1}))},
                **({"serviceName": name, "replicas": 1} if kind == "StatefulSet" else {}),
            },
        }
    )
    found = []
    for _ in range(100):
        found = await rig.cluster.find("Pod", labels=f"app={name}")
        if found:
            break
        await asyncio.sleep(0.1)
    revision = found[0]["metadata"]["labels"]["controller-revision-hash"]
    rig.launched = time.time()
    judged = Judged(Unit(kind, name), "controller-revision-hash", revision, None, 1, ())

    verdict = await rig.look(of=judged)

    assert verdict.rule in ("exits-again", "crash-loop"), verdict
