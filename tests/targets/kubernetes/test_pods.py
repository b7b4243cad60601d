"""What a pod's status says, told from what looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from failback.model.observation import Waiting
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.pods import (
    Port,
    doubts_its_node,
    ends,
    evicted,
    is_lost,
    is_node_gone,
    is_owned_by,
    is_ready,
    is_running,
    memory_limits,
    port_of,
    quantity,
    waiting,
)
from tests.targets.kubernetes.objects import ended, pod, running, terminated, waits


def test_the_first_end_is_told_while_the_container_is_still_down() -> None:
    (end,) = ends(pod(ended(code=1)))

    assert (end.number, end.code, end.current, end.lived_s) == (1, 1, True, 5.0)


def test_after_a_restart_the_end_is_the_former_runs() -> None:
    """Its log is the previous one by then."""
    (end,) = ends(pod(running(restarts=1, last=terminated(1))))

    assert (end.number, end.current) == (1, False)


def test_a_restarted_container_that_ended_again_tells_of_both_ends() -> None:
    both = ended(code=2, restarts=1)
    both["lastState"] = {"terminated": terminated(1)}

    assert [(end.number, end.code) for end in ends(pod(both))] == [(1, 1), (2, 2)]


def test_an_init_containers_good_end_is_no_end() -> None:
    assert list(ends(pod(running(), init=(ended("setup", 0),)))) == []


def test_a_containers_good_end_is_one() -> None:
    """A server that ends cleanly is gone all the same."""
    (end,) = ends(pod(ended(code=0)))

    assert end.code == 0


def test_a_sidecar_is_no_init_container() -> None:
    """An init container that always restarts runs beside the others: its ends count as theirs do."""
    spec = {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]}

    (end,) = ends(pod(running(), init=(ended("proxy", 0),), spec=spec))

    assert not end.init


@pytest.mark.parametrize(("code", "name"), [(137, "SIGKILL"), (143, "SIGTERM"), (255, None), (1, None), (0, None)])
def test_codes_above_128_are_signals_where_there_is_one(code: int, name: str | None) -> None:
    """255 is what runtimes say when they know nothing better."""
    (end,) = ends(pod(ended(code=code)))

    assert end.signal == name


def test_a_pod_of_which_nothing_is_said_waits_for_a_node() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    fresh = pod(conditions=(unscheduled,), status={"phase": "Pending"})

    assert waiting(fresh) == (Waiting("Scheduling", "0/1 nodes are available"),)


def test_the_main_containers_waiting_has_no_name_and_others_do() -> None:
    two = pod(waits("app", "ErrImagePull", "no such tag"), waits("proxy"))

    assert waiting(two) == (Waiting("ErrImagePull", "no such tag"), Waiting("ContainerCreating", "", "proxy"))


def test_a_pod_runs_when_all_its_containers_do() -> None:
    assert is_running(pod(running(), running("proxy")))
    assert not is_running(pod(running(), waits("proxy")))
    assert not is_running(pod(running(), deletionTimestamp="2026-01-20T11:00:09Z"))


def test_a_pod_that_leaves_is_not_ready_whatever_its_condition_says() -> None:
    assert is_ready(pod(running(), ready=True))
    assert not is_ready(pod(running(), ready=True, deletionTimestamp="2026-01-20T11:00:09Z"))


def test_evicted_is_told_with_the_kubelets_words() -> None:
    """So is any other reason for which a whole pod was ended; not one that failed by its own container's end."""
    out = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}

    assert evicted(pod(status=out)) == "Evicted: The node was low on resource: memory."
    assert evicted(pod(ended(), status={"phase": "Failed"})) == ""
    assert evicted(pod(running())) == ""


def test_a_node_that_shut_down_is_no_eviction() -> None:
    gone = pod(status={"phase": "Failed", "reason": "Terminated", "message": "imminent node shutdown"})

    assert is_lost(gone)
    assert evicted(gone) == ""


def test_who_is_not_ready_though_its_containers_are_doubts_its_node() -> None:
    """The node controller changes the one condition alone; the kubelet changes both."""
    containers_ready = {"type": "ContainersReady", "status": "True"}

    assert doubts_its_node(pod(running(), ready=False, conditions=(containers_ready,)))
    assert not doubts_its_node(pod(running(ready=False), ready=False))
    assert not doubts_its_node(pod(running(), ready=True, conditions=(containers_ready,)))


def test_a_pod_that_waits_for_its_load_balancer_does_not_doubt_its_node() -> None:
    gated = {"readinessGates": [{"conditionType": "target-health.elbv2.k8s.aws/web"}]}
    containers_ready = {"type": "ContainersReady", "status": "True"}

    assert not doubts_its_node(pod(running(), ready=False, conditions=(containers_ready,), spec=gated))


def test_a_node_is_gone_when_nobody_hears_from_it() -> None:
    def node(status: str, **spec: Any) -> dict[str, Any]:
        return {"spec": spec, "status": {"conditions": [{"type": "Ready", "status": status}]}}

    assert not is_node_gone(node("True"))
    assert is_node_gone(node("Unknown"))
    assert is_node_gone(node("True", taints=[{"key": "node.kubernetes.io/unreachable"}]))
    assert is_node_gone(None)


def test_a_deployments_pods_are_known_by_their_replica_set() -> None:
    mine = pod(ownerReferences=[{"kind": "ReplicaSet", "name": "web-7d9f", "controller": True}])

    assert is_owned_by(mine, Unit("Deployment", "web"))
    assert not is_owned_by(mine, Unit("Deployment", "we"))
    assert not is_owned_by(mine, Unit("StatefulSet", "web"))
    assert not is_owned_by(pod(), Unit("Deployment", "web"))


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("128Mi", 134217728),
        ("1Gi", 2**30),
        ("1e9", 10**9),
        ("500k", 500000),
        ("1500m", 1),
        ("77", 77),
        ("0.5Gi", 2**29),
    ],
)
def test_quantities(text: str, bytes_: int) -> None:
    assert quantity(text) == bytes_


def test_limits_are_of_those_containers_that_have_one() -> None:
    spec = {"containers": [{"name": "app", "resources": {"limits": {"memory": "64Mi"}}}, {"name": "proxy"}]}

    assert memory_limits(pod(spec=spec)) == {"app": 64 * 2**20}


class TestPort:
    """Which port a request of ours goes to."""

    def pod(self, **container: Any) -> dict[str, Any]:
        ports = [{"name": "admin", "containerPort": 9090}, {"name": "web", "containerPort": 8080}]
        return pod(spec={"containers": [{"name": "app", "ports": ports, **container}]})

    def service(self, *ports: dict[str, Any]) -> dict[str, Any]:
        return {"spec": {"ports": list(ports)}}

    def test_the_services_named_target(self) -> None:
        assert port_of(self.pod(), [self.service({"port": 80, "targetPort": "web"})]) == Port(8080)

    def test_the_one_that_speaks_http_of_several(self) -> None:
        ports = ({"name": "metrics", "port": 9090}, {"name": "http", "port": 80, "targetPort": 8080})

        assert port_of(self.pod(), [self.service(*ports)]) == Port(8080)

    def test_https_is_spoken_where_the_service_says_so(self) -> None:
        assert port_of(self.pod(), [self.service({"name": "https", "port": 8443})]) == Port(8443, tls=True)

    def test_without_a_service_the_probes(self) -> None:
        probed = self.pod(readinessProbe={"httpGet": {"path": "/", "port": "admin"}})

        assert port_of(probed, []) == Port(9090)

    def test_without_anything_the_first_declared(self) -> None:
        assert port_of(self.pod(), []) == Port(9090)

    def test_a_pod_that_declares_nothing_has_none(self) -> None:
        assert port_of(pod(running()), []) is None
