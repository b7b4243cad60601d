"""Each way in which a release goes wrong, on a real cluster: the rule that must see it, and the limit of patience.

The limits are ten times what was seen on two busy cores: they tell "at once" from "by a time-out", no more.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import Any

import pytest

from failback.model.observation import Limits, VerdictState
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.pods import ends
from tests.cluster.support import is_testbed
from tests.cluster.watching.rig import CHECKS, LABEL, SMOKE, Rig, container, helper, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="its images are the testbed's: run under testbed/run"),
]

FROM_REGISTRY = {"imagePullPolicy": "Always"}
MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
WORK = "import time; time.sleep(4)"
LIVENESS = {"httpGet": {"path": "/livez", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}


@dataclass(frozen=True)
class Bad:
    name: str
    rule: str | tuple[str, ...]  # several, where the order of two ends decides which fact is the first sufficient one
    spec: dict[str, Any]
    says: str
    within_s: float = 25.0

    def __str__(self) -> str:
        return self.name


def from_key(kind: str) -> dict[str, Any]:
    return container(envFrom=[{kind: {"name": "not-there"}}])


AGAIN_OR_EACH = ("every-replica-exited", "exits-again")
BAD = (
    Bad(
        "tag-not-there",
        "image-not-found",
        pod(container(image="localhost:5000/failback/app:nope", **FROM_REGISTRY)),
        "no such image",
    ),
    Bad(
        "registry-says-401",
        "image-denied",
        pod(container(image="localhost:5001/failback/app:1", **FROM_REGISTRY)),
        "denies the image",
    ),
    Bad(
        "registry-away",
        "image-registry-unavailable",
        pod(container(image="10.200.0.1:5999/app:1", **FROM_REGISTRY)),
        "could not be pulled",
        120,
    ),
    Bad("image-name-no-name", "image-name-invalid", pod(container(image="UPPER/case:1")), "invalid reference format"),
    Bad("config-map-missing", "config-missing", pod(from_key("configMapRef")), 'configmap "not-there" not found'),
    Bad("secret-missing", "config-missing", pod(from_key("secretRef")), 'secret "not-there" not found'),
    Bad(
        "volume-missing",
        "volume-missing",
        pod(container(**MOUNT), volumes=[{"name": "data", "configMap": {"name": "not-there"}}]),
        'configmap "not-there" not found',
    ),
    Bad(
        "claim-missing",
        "unschedulable",
        pod(container(**MOUNT), volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "not-there"}}]),
        "not-there",
    ),
    Bad("fits-nowhere", "unschedulable", pod(container(resources={"requests": {"cpu": "100"}})), "Insufficient cpu"),
    Bad("account-missing", "pods-forbidden", pod(serviceAccountName="not-there"), "not-there"),
    Bad("command-missing", "container-not-started", pod(container(command=["/not-there"])), "/not-there"),
    Bad("command-no-program", "container-not-started", pod(container(command=["/etc/passwd"])), "permission denied"),
    Bad(
        "image-without-command",
        "container-not-created",
        pod(container(image="failback/python:1")),
        "no command specified",
    ),
    Bad(
        "must-not-be-root",
        "config-missing",
        pod(container(securityContext={"runAsNonRoot": True, "runAsUser": 0})),
        "breaks non-root policy",
    ),
    Bad(
        "key-missing",
        "config-missing",
        pod(
            container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "no"}}}])
        ),
        "couldn't find key no in ConfigMap",
    ),
    Bad("other-processor", "deterministic-exit", pod(container(image="failback/app-arm64:1")), "cannot execute"),
    Bad("node-module-missing", "deterministic-exit", pod(container(image="failback/node-app:2")), "missing module"),
    Bad(
        "python-module-missing",
        "deterministic-exit",
        pod(container(image="failback/python-app:2")),
        "missing module",
        60,
    ),
    Bad("ends-at-once", AGAIN_OR_EACH, pod(container({"EXIT_AT_START": 1})), "ended"),
    Bad(
        "init-container-ends",
        AGAIN_OR_EACH,
        pod(initContainers=[helper("setup", {"EXIT_AT_START": 2})]),
        "ended",
    ),
    Bad(
        "sidecar-ends",
        AGAIN_OR_EACH,
        pod(container(), helper("proxy", {"EXIT_AT_START": 3})),
        "ended",
    ),
    Bad(
        "native-sidecar-ends",
        AGAIN_OR_EACH,
        pod(initContainers=[helper("proxy", {"EXIT_AT_START": 3}, restartPolicy="Always")]),
        "ended",
    ),
    Bad(
        "over-its-memory",
        "killed-for-memory",
        pod(container({"USE_MB": 200}, resources={"limits": {"memory": "64Mi"}})),
        "limit of 64 MiB",
    ),
    Bad(
        "probe-asks-for-what-is-not-there",
        "ready-check-denied",
        pod(container(readinessProbe={"httpGet": {"path": "/nowhere", "port": "http"}, "periodSeconds": 1})),
        "statuscode: 404",
    ),
    Bad("ready-but-500", "smoke-wrong", pod(container({"STATUS": 500})), "answered 500"),
    Bad("ready-but-slow", "smoke-slow", pod(container({"LATENCY_S": 0.8})), "too slow"),
)


@pytest.mark.parametrize("bad", BAD, ids=str)
async def test_each_failure_has_its_rule(rig: Rig, bad: Bad) -> None:
    verdict = await rig.judge(bad.spec, within_s=bad.within_s + 60)

    rules = (bad.rule,) if isinstance(bad.rule, str) else bad.rule
    assert verdict.state is VerdictState.FAILED, verdict
    assert verdict.rule in rules, verdict
    assert bad.says in " ".join((verdict.reason, *verdict.evidence))
    assert verdict.at_s < bad.within_s, verdict


async def test_a_liveness_probe_that_kills_is_seen_by_the_kubelets_word(rig: Rig) -> None:
    """It is well at first, so that only the kubelet's own probe can find out."""
    spec = pod(container({"UNLIVE_AFTER_S": 3}, livenessProbe=LIVENESS))

    verdict = await rig.judge(spec, limits=Limits(ready_s_max=30, soak_s=20))

    assert verdict.rule == "killed-by-its-probe", verdict


async def test_a_liveness_probe_that_will_kill_is_asked_beforehand(rig: Rig) -> None:
    """By default the kubelet kills after three failures, ten seconds apart: users would have been on it for long."""
    spec = pod(container({"UNLIVE_AFTER_S": 0.1}, livenessProbe={"httpGet": {"path": "/livez", "port": "http"}}))

    verdict = await rig.judge(spec)

    assert verdict.rule == "smoke-wrong", verdict
    assert "/livez" in verdict.reason


async def test_a_release_that_is_never_ready_fails_at_the_plans_limit(rig: Rig) -> None:
    limits = Limits(ready_s_max=6, soak_s=1)

    verdict = await rig.judge(pod(container({"NEVER_READY": 1})), limits=limits)

    assert verdict.rule == "not-ready-in-time", verdict
    assert "statuscode: 503" in " ".join(verdict.evidence)


async def test_errors_on_some_requests_are_seen_when_the_plan_asks_often_enough(rig: Rig) -> None:
    """5 % of 200 answers: about ten."""
    often = {**CHECKS, "smoke": [{**SMOKE, "repeat": 200}]}

    verdict = await rig.judge(pod(container({"ERROR_PERCENT": 5})), checks=often)

    assert verdict.rule in ("smoke-often-wrong", "smoke-wrong"), verdict


async def test_error_lines_that_the_stable_revision_never_prints(rig: Rig) -> None:
    """It answers well and is ready; its own log says that it is not well."""
    lines = "\n".join(["payment: ERROR cannot charge card: provider said no"] * 5)
    spec = pod(container({"ERROR_LINES": lines, "READY_AFTER_S": 0, "START_DELAY_S": 0}))

    verdict = await rig.judge(spec)

    told = " ".join((verdict.reason, *verdict.evidence))
    assert "cannot charge card" in told, verdict


async def test_without_smoke_checks_what_the_stable_revision_answers_is_the_standard(rig: Rig) -> None:
    verdict = await rig.judge(pod(container({"STATUS": 503})), checks={"ready": {"path": "/"}, "smoke": []})

    assert verdict.rule == "smoke-wrong", verdict


HEALTHY = {
    "plain": pod(container({"VERSION": "two"})),
    "starts-for-25-seconds": pod(container({"START_DELAY_S": 25})),
    "no-readiness-probe": pod(container({"START_DELAY_S": 2}, readinessProbe=None)),
    "init-container-works-for-a-while": pod(
        container({"VERSION": "three"}),
        initContainers=[helper("setup", image="failback/python:1", command=["python3", "-c", WORK])],
    ),
    "native-sidecar": pod(container({"VERSION": "four"}), initContainers=[helper("proxy", restartPolicy="Always")]),
}


@pytest.mark.parametrize("name", HEALTHY)
async def test_healthy_releases_are_let_through(rig: Rig, name: str) -> None:
    verdict = await rig.judge(HEALTHY[name])

    assert verdict.state is VerdictState.HEALTHY, verdict


async def test_one_flaky_restart_is_forgiven(rig: Rig, request: pytest.FixtureRequest) -> None:
    """The first pod that finds the marker missing ends; its restart and the other pod find it."""
    folder = f"/tmp/failback-flaky-{rig.cluster.namespace}"
    request.addfinalizer(lambda: shutil.rmtree(folder, ignore_errors=True))
    shared = {
        "name": "once",
        "hostPath": {"path": folder, "type": "DirectoryOrCreate"},
    }
    spec = pod(
        container(
            {"FAIL_ONCE_FILE": "/once/done"},
            volumeMounts=[{"name": "once", "mountPath": "/once"}],
            securityContext={"runAsUser": 0},
        ),
        volumes=[shared],
    )

    verdict = await rig.judge(spec)

    assert verdict.state is VerdictState.HEALTHY, verdict
    assert sum(len(one.exits) for one in rig.views[-1].replicas) == 1


async def test_a_deterministic_exit_is_judged_when_the_api_shows_it(rig: Rig) -> None:
    """From the change that shows the end, as another watch sees it, to the verdict: the log is read in between."""
    shown: list[float] = []

    def see(change: str, one: dict[str, Any]) -> None:
        if any(ends(one)) and not shown:
            shown.append(time.monotonic())

    await rig.launch(pod(container(image="failback/node-app:2")))
    async with Mirror(rig.cluster, "Pod", labels=f"{LABEL}={rig.hash}", on_change=see):
        verdict = await rig.look()
        took_s = time.monotonic() - shown[0]

    print(f"shown to verdict: {took_s:.3f} s, launch to verdict: {verdict.at_s:.3f} s")
    assert verdict.rule == "deterministic-exit", verdict
    assert took_s < 2.0, "ten times what the bar says"
