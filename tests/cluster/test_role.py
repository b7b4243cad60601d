"""The Role that failback asks for is enough for all that it does, and it asks before anything is touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.place import Place, failed, place, told
from tests.cluster.release import Release
from tests.cluster.spoiling import act_as

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
ASKED_FOR = "apply this (kubectl apply -f -):\n"


@pytest.fixture
def stranger() -> Iterator[Place]:
    """A namespace in which failback's account may do nothing."""
    with place() as made:
        act_as(made, "little")
        yield made


def release(kind: str, number: int) -> Release:
    """With everything that a team keeps beside its workload."""
    made = Release(number, kind)
    made.others.append(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "app"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "app"}}},
        }
    )
    if kind == "Deployment":
        made.others += [migration(), autoscaler()]
    return made


def migration() -> dict[str, Any]:
    container = {"name": "migrate", "image": "failback/app:1", "env": [{"name": "EXIT_AT_START", "value": "0"}]}
    pod = {"containers": [container], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate"},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }


def autoscaler() -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "minReplicas": 2,
            "maxReplicas": 3,
        },
    }


def grant(made: Place, result: dict[str, Any]) -> None:
    """Somebody applies what the refusal says, as it stands there."""
    assert (result["exit_code"], result["status"]) in {(5, "failed"), (3, "failed")}, failed(result)
    manifest = result["error"]["reason"].partition(ASKED_FOR)[2]
    assert "kind: Role" in manifest, failed(result)
    made.cluster.kubectl("apply", "-f", "-", text=manifest)


@pytest.mark.parametrize(
    "kind",
    [
        "Deployment",
        pytest.param("StatefulSet", marks=pytest.mark.long),
        pytest.param("DaemonSet", marks=pytest.mark.long),
    ],
)
def test_the_role_that_is_asked_for_is_enough(stranger: Place, kind: str) -> None:
    """Given an account without rights, when a service is deployed, then it is refused with a Role, nothing is touched,
    and with that Role releases good and bad, the way back, a drill and a restore do what they do for anybody."""
    if kind == "DaemonSet":  # on one node its pods have nobody who would serve meanwhile
        stranger.extra = {"rollback_config": {"zero_downtime_required": False}}
    stranger.write(release(kind, 1).objects())
    result = stranger.deploy()
    assert result["rollback"]["user_impact"] == "ZERO", failed(result)
    assert stranger.cluster.listed("pods") == stranger.cluster.listed("leases") == []
    grant(stranger, result)
    result = stranger.deploy()
    if result["exit_code"] != 0:  # the first answer could not know the release, which it was not allowed to compare
        grant(stranger, result)
        result = stranger.deploy()
    assert result["exit_code"] == 0, failed(result)

    stranger.write(release(kind, 2).objects())
    result = stranger.deploy()
    assert result["exit_code"] == 0, failed(result)

    bad = release(kind, 3)
    bad.env(EXIT_AT_START=1)
    stranger.write(bad.objects())
    result = stranger.deploy()
    assert (result["exit_code"], result["rollback"]["system_status"]) == (3, "STABLE"), failed(result)
    phases = {phase["number"]: phase["status"] for phase in result["rollback"]["phases"]}
    assert set(phases.values()) <= {"succeeded", "skipped"}, failed(result)
    assert result["root_cause"]["type"] != "rbac_forbidden"

    stranger.write(release(kind, 2).objects())
    back = told(stranger.run("rollback", "app", "--yes", "--json"))
    assert back["exit_code"] == 0, failed(back)
    drill = stranger.run("drill", "-f", "failback.yaml", "--yes", "--json")
    assert drill.returncode == 0, drill.stdout + drill.stderr
    snapshot = max(one["id"] for one in json.loads(stranger.run("backups", "list", "--json").stdout))
    restored = stranger.run("backups", "restore", snapshot, "--yes")
    assert restored.returncode == 0, restored.stdout + restored.stderr
