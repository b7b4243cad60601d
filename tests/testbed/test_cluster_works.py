"""The testbed is a real cluster: what tests rely on is there, and load loses nothing by itself."""

from __future__ import annotations

import time

import pytest

from tests.cluster.support import Cluster, answers, app, is_testbed, load, pod, run_testbed

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="this cluster is not the testbed: run under testbed/run"),
]


def test_a_deployment_starts_and_load_loses_no_request(cluster: Cluster) -> None:
    """The control run of every load test: without a deployment, no request fails, in new connections and kept ones."""
    cluster.apply(*app())
    cluster.rolled_out()

    with load(cluster.address()) as new_connections, load(cluster.address(), keepalive=8) as kept:
        time.sleep(5)

    assert new_connections.failed == 0, new_connections.report
    assert kept.failed == 0, kept.report
    assert new_connections.sent >= 900


def test_a_pod_answers_through_the_api_server(cluster: Cluster) -> None:
    """The pod proxy is the way of smoke checks from outside of the cluster's network."""
    cluster.apply(*app(env={"VERSION": "seven"}))
    cluster.rolled_out()
    name = cluster.listed("pods", "app=app")[0]["metadata"]["name"]

    answer = cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{cluster.namespace}/pods/{name}:8080/proxy/version")

    assert answer == "seven\n"


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("failback/node-app:2", "Cannot find module './config/production.json'"),
        ("failback/python-app:2", "No module named 'greetings'"),
        ("failback/app-arm64:1", "exec format error"),
    ],
)
def test_a_broken_application_exits_and_its_log_says_why(cluster: Cluster, image: str, says: str) -> None:
    cluster.apply(pod("broken", image))

    ended = cluster.wait_until(lambda: cluster.container_state("broken").get("terminated"), "the container's end")

    assert ended["exitCode"] != 0
    assert says in cluster.kubectl("logs", "broken")


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("localhost:5000/failback/app:never-built", "not found"),
        ("localhost:5001/failback/never-pulled:1", "401 Unauthorized"),
        ("localhost:5999/failback/app:1", "connection refused"),
    ],
)
def test_a_registry_refuses_for_its_own_reason(cluster: Cluster, image: str, says: str) -> None:
    """No such tag, no password, no registry: three failures that a diagnosis must tell apart."""
    cluster.apply(pod("refused", image))

    waiting = cluster.wait_until(
        lambda: says in cluster.container_state("refused").get("waiting", {}).get("message", ""), f"{image}: {says}"
    )

    assert waiting


def test_a_quota_and_a_security_policy_are_enforced(cluster: Cluster) -> None:
    """Admission is that of a usual cluster: a pod over the quota, or one that a namespace forbids, is refused."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one"}, "spec": {"hard": {"pods": "1"}}}
    cluster.apply(quota, pod("first", "failback/app:1"))
    cluster.wait_until(lambda: cluster.get("resourcequota", "one").get("status", {}).get("used"), "the quota's count")
    with pytest.raises(AssertionError, match="exceeded quota"):
        cluster.apply(pod("second", "failback/app:1"))
    cluster.kubectl("delete", "resourcequota", "one")
    cluster.kubectl("label", "namespace", cluster.namespace, "pod-security.kubernetes.io/enforce=restricted")

    with pytest.raises(AssertionError, match="violates PodSecurity"):
        cluster.apply(pod("privileged", "failback/app:1", hostNetwork=True))


def test_the_private_registry_serves_who_has_its_password(cluster: Cluster) -> None:
    """So that a refusal is about the password, and nothing else."""
    cluster.kubectl(
        *("create", "secret", "docker-registry", "login", "--docker-server=localhost:5001"),
        *("--docker-username=testbed", "--docker-password=testbed"),
    )
    cluster.apply(pod("allowed", "localhost:5001/failback/app:1", imagePullSecrets=[{"name": "login"}]))

    assert cluster.wait_until(lambda: "running" in cluster.container_state("allowed"), "the container")


def test_the_cluster_knows_what_a_pod_uses(cluster: Cluster) -> None:
    """An autoscaler and a judge of memory growth read the resource metrics API."""
    cluster.apply(*app(env={"USE_MB": 40}, replicas=1))
    cluster.rolled_out()

    used = cluster.wait_until(lambda: cluster.kubectl("top", "pods", "--no-headers", check=False), "the pod's metrics")

    _, _, memory = used.split()
    assert 40 <= int(memory.removesuffix("Mi")) <= 80


def test_a_second_node_crashes_without_a_word(cluster: Cluster) -> None:
    """All of it ends at once, and the API goes on saying what it heard last: as when a machine loses power."""
    second_node("up")
    try:
        tolerated = [{"key": "failback.testbed/second", "operator": "Exists"}]
        there = pod("there", "localhost:5000/failback/app:1", nodeName="testbed-2", tolerations=tolerated)
        cluster.apply(there)
        cluster.wait_until(lambda: "running" in cluster.container_state("there"), "the container on the second node")
        address = f"http://{cluster.get('pod', 'there')['status']['podIP']}:8080/"
        assert cluster.wait_until(lambda: answers(address), "an answer from the second node")

        second_node("crash")

        assert not answers(address)
        assert "running" in cluster.container_state("there")
    finally:
        second_node("down")


def second_node(action: str) -> None:
    done = run_testbed("second-node", action)
    assert done.returncode == 0, done.stderr
