"""How the kubelet says that a probe failed, and a volume that was late but came: the wordings of its prober and volume manager."""

from __future__ import annotations

import pytest

from failback.diagnosis import diagnose
from failback.model.evidence import Evidence, FailedStep, LogPair

POD = {
    "metadata": {"name": "web-1", "namespace": "shop"},
    "spec": {"containers": [{"name": "app", "image": "web:2", "readinessProbe": {"periodSeconds": 5}}]},
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {"name": "app", "ready": False, "started": True, "restartCount": 0, "state": {"running": {}}}
        ],
    },
}


def evidence(*messages: str) -> Evidence:
    """A pod that runs and does not become ready, with the kubelet's events."""
    return Evidence(
        target="kubernetes",
        failed_step=FailedStep(7, "Deploy", "deploy"),
        pods=(POD,),
        events=tuple(
            {
                "type": "Warning",
                "reason": "FailedMount" if message.startswith("MountVolume") else "Unhealthy",
                "message": message,
                "count": 9,
                "involvedObject": {"kind": "Pod", "name": "web-1"},
            }
            for message in messages
        ),
        logs={"web-1/app": LogPair("INFO listening on 0.0.0.0:8080")},
    )


@pytest.mark.parametrize(
    ("kind", "named", "said"),
    [
        ("probe_misconfigured", "gRPC", "error: health rpc probe failed: rpc error: code = Unimplemented desc = unknown service grpc.health.v1.Health"),
        ("dependency_unreachable", "NOT_SERVING", 'service unhealthy (responded with "NOT_SERVING")'),
        ("probe_misconfigured", "redirects", 'Get "http://10.42.0.9:8080/healthz": stopped after 10 redirects'),
        ("probe_misconfigured", "host name", 'Get "http://shop.internal:8080/": dial tcp: lookup shop.internal: no such host'),
        ("probe_misconfigured", "client certificate", 'Get "https://10.42.0.9:8443/": remote error: tls: bad certificate'),
        ("probe_misconfigured", "/tmp/healthy", "cat: /tmp/healthy: No such file or directory"),
        ("probe_misconfigured", "400", "HTTP probe failed with statuscode: 400"),
        ("timeout", "timeoutSeconds", "command timed out"),
        ("probe_misconfigured", "another protocol", 'Get "http://10.42.0.9:8080/healthz": EOF'),
    ],
)  # fmt: skip
def test_a_probe_that_fails_for_how_it_asks_is_understood(kind, named, said):
    found = diagnose(evidence(f"Readiness probe failed: {said}"))

    assert found.type == kind, found.cause
    assert named in found.cause


def test_a_volume_that_was_late_is_no_cause_once_the_container_runs():
    late = 'MountVolume.SetUp failed for volume "code" : failed to sync configmap cache: timed out waiting for the condition'

    found = diagnose(evidence(late, "Readiness probe failed: command timed out"))

    assert found.type == "timeout", found.cause
