"""From outside of the cluster's network every request goes through the API server's pod proxy."""

from __future__ import annotations

import pytest

from failback.model.observation import VerdictState
from failback.targets.kubernetes import reaching
from tests.cluster.support import is_testbed
from tests.cluster.watching.rig import CHECKS, SMOKE, Rig, container, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="its images are the testbed's: run under testbed/run"),
]


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing_is_heard(address: str, port: int) -> None:
        return None

    monkeypatch.setattr(reaching, "_connects", nothing_is_heard)


async def test_a_good_release_is_let_through(rig: Rig) -> None:
    verdict = await rig.judge(pod(container({"VERSION": "from-outside"})))

    assert verdict.state is VerdictState.HEALTHY, verdict
    assert rig.cluster.requests["proxy pod"] >= 6


@pytest.mark.parametrize(
    ("env", "rule"), [({"STATUS": 500}, "smoke-wrong"), ({"LATENCY_S": 0.8}, "smoke-slow")], ids=["500", "slow"]
)
async def test_bad_answers_are_seen(rig: Rig, env: dict[str, object], rule: str) -> None:
    verdict = await rig.judge(pod(container(env)))

    assert verdict.rule == rule, verdict


async def test_the_proxys_own_time_is_not_the_releases(rig: Rig) -> None:
    """A limit that the way alone would break: it is allowed above what a stable pod takes by the same way."""
    tight = {**CHECKS, "smoke": [{**SMOKE, "max_ms": 300, "repeat": 5}]}

    verdict = await rig.judge(pod(container({"VERSION": "quick", "LATENCY_S": 0.05})), checks=tight)

    assert verdict.state is VerdictState.HEALTHY, verdict


async def test_a_pod_that_does_not_listen_is_seen_through_the_proxy(rig: Rig) -> None:
    """Without a probe Kubernetes calls it ready; the proxy's own words for a refused connection are understood."""
    verdict = await rig.judge(pod(container({"START_DELAY_S": 3}, readinessProbe=None)))

    assert verdict.state is VerdictState.HEALTHY, verdict
