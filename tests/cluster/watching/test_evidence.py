"""What is kept of a failure: enough to say why, and nothing that must not be kept."""

from __future__ import annotations

import json

import pytest

from failback.diagnosis.engine import diagnose
from failback.targets.kubernetes.evidence import evidence
from tests.cluster.support import is_testbed
from tests.cluster.watching.rig import Rig, container, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="its images are the testbed's: run under testbed/run"),
]


async def test_a_crash_is_explained_by_what_was_kept(rig: Rig) -> None:
    await rig.judge(pod(container(image="failback/node-app:2")))

    kept = await evidence(rig.site, [rig.judged()], change="-1\n+2\n")

    assert len(kept.pods) == 2
    assert any("Cannot find module './config/production.json'" in pair.current for pair in kept.logs.values())
    assert [one["kind"] for one in kept.manifests][:2] == ["Deployment", "Service"]
    assert kept.change == "-1\n+2\n"
    assert kept.log_baseline, "the stable revision's logs tell what is new"
    told = diagnose(kept)
    assert "config/production.json" in told.cause


async def test_a_failure_without_pods_is_kept_with_what_refused_them(rig: Rig) -> None:
    await rig.judge(pod(serviceAccountName="not-there"))

    kept = await evidence(rig.site, [rig.judged()])

    assert kept.pods == ()
    assert any(event["reason"] == "FailedCreate" and "not-there" in event["message"] for event in kept.events)


async def test_what_we_asked_is_kept_with_the_answers(rig: Rig) -> None:
    await rig.judge(pod(container({"STATUS": 500, "ERROR_TEXT": "no stock"})))

    kept = await evidence(rig.site, [rig.judged()])

    assert any(probe.status == 500 and not probe.passed for probe in kept.probes)


async def test_no_secret_is_kept(rig: Rig) -> None:
    """In an environment variable, in a Secret that the template names, and in the log."""
    await rig.cluster.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": {"key": "hunter2-secret"}}
    )
    spec = pod(
        container(
            {"PASSWORD": "hunter2-secret", "LOG_LINES": "logged in with hunter2-secret"},
            envFrom=[{"secretRef": {"name": "login"}}],
        )
    )
    await rig.judge(spec)

    kept = await evidence(rig.site, [rig.judged()])

    text = json.dumps(kept.as_dict())
    assert "logged in with ***" in text
    assert {one["kind"] for one in kept.manifests} >= {"Secret"}
    assert "hunter2" not in text
    assert "aHVudGVyMi1zZWNyZXQ" not in text, "nor as base64"


async def test_the_end_of_a_long_log_is_what_is_kept(rig: Rig) -> None:
    """Three megabytes of long lines, and then why it ended."""
    script = (
        "import sys\nfor n in range(1000): print(n, 'x' * 3000)\nsys.exit('ModuleNotFoundError: No module named shop')"
    )
    loud = container(image="failback/python:1", command=["python3", "-c", script])

    verdict = await rig.judge(pod(loud))

    kept = await evidence(rig.site, [rig.judged()])
    assert "No module named shop" in " ".join(verdict.evidence), verdict
    assert any("No module named shop" in pair.current + pair.previous for pair in kept.logs.values())
    assert all(len(pair.current) <= 65536 for pair in kept.logs.values())


async def test_what_cannot_be_read_is_left_out(rig: Rig) -> None:
    """A workload that is gone: the way back does not depend on its evidence."""
    rig.hash = "gone"

    kept = await evidence(rig.site, [rig.judged()])

    assert kept.pods == ()
    assert kept.target == "kubernetes"
