"""Whether the second revision has room beside the first."""

from __future__ import annotations

import pytest
from tests.targets.kubernetes.input.things import deployment, node, running, scene, service

from failback.targets.kubernetes.preflight_room import room
from failback.targets.kubernetes.quantities import asked, quantity, shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", 0.25),
        ("1", 1.0),
        ("1.5", 1.5),
        ("1Gi", 2.0**30),
        ("500M", 5e8),
        ("1e3", 1000.0),
        ("x", 0.0),
        (None, 0.0),
    ],
)
def test_quantities(text, value):
    assert quantity(text) == value


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("requests.cpu", 0.25, "250m"), ("cpu", 2.0, "2"), ("memory", 1.5 * 2**30, "1.5Gi"), ("pods", 3.0, "3")],
)
def test_quantities_are_shown_as_people_write_them(name, value, text):
    assert shown(name, value) == text


def container(cpu: str = "", memory: str = "", limit: str = "", **more):
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    return {
        "name": "a",
        "image": "a",
        "resources": {"requests": requests, "limits": {"memory": limit} if limit else {}},
        **more,
    }


def test_a_pod_asks_for_its_containers_or_its_largest_init_container():
    """Init containers run one after another, before the others; a sidecar runs beside them."""
    pod = {
        "containers": [container("100m", "64Mi"), container("100m", "64Mi")],
        "initContainers": [container("1", "32Mi"), container("500m", "16Mi"), container("50m", restartPolicy="Always")],
        "overhead": {"cpu": "10m"},
    }

    assert asked(pod) == {"cpu": 1.01, "memory": 128 * 2.0**20}


def test_a_limit_without_a_request_is_the_request():
    assert asked({"containers": [container(limit="64Mi")]}) == {"memory": 64 * 2.0**20}


def messages(seen, pods=None):
    return [(one.blocking, one.level, one.message) for one in room(seen, pods or {})]


def quota(name: str = "all", hard: dict[str, str] | None = None, used: dict[str, str] | None = None, **spec):
    return {"metadata": {"name": name}, "spec": spec, "status": {"hard": hard or {}, "used": used or {}}}


@pytest.mark.parametrize(
    ("hard", "used", "text"),
    [
        ({"pods": "3"}, {"pods": "2"}, "pods: 2 more needed, 1 free of 3"),
        ({"pods": "4"}, {"pods": "2"}, ""),
        ({"requests.cpu": "300m"}, {"requests.cpu": "200m"}, "requests.cpu: 200m more needed, 100m free of 300m"),
        ({"memory": "1Gi"}, {"memory": "0"}, ""),
        ({"services": "1"}, {"services": "1"}, ""),
    ],
)
def test_a_quota_needs_room_for_every_new_pod_at_once(hard, used, text):
    """The stable pods stay until the new ones have baked."""
    workload = deployment(containers=[container("100m", "64Mi")])

    found = messages(scene(workload, service(), nodes=(node(),), quotas=(quota(hard=hard, used=used),)))

    assert [text in message for _, _, message in found] == ([True] if text else [])
    assert all(blocking for blocking, _, _ in found)


def test_the_quota_counts_what_the_server_fills_in():
    """A LimitRange gives requests to pods that have none."""
    filled = {"Deployment/web": {"containers": [container("1")]}}
    full = quota(hard={"cpu": "1"}, used={"cpu": "0"})

    assert messages(scene(nodes=(node(),), quotas=(full,))) == []
    assert len(messages(scene(nodes=(node(),), quotas=(full,)), filled)) == 1


def test_a_quota_for_some_pods_only_is_left_to_the_dry_run():
    assert messages(scene(nodes=(node(),), quotas=(quota(hard={"pods": "0"}, scopes=["BestEffort"]),))) == []


def on(name: str, cpu: str, count: int = 1):
    return tuple(
        {"metadata": {"name": f"p{number}"}, "spec": {"nodeName": name, "containers": [container(cpu)]}}
        for number in range(count)
    )


BIG = deployment(containers=[container("1")])


@pytest.mark.parametrize(
    ("nodes", "pods", "more", "found"),
    [
        ((node(cpu="4"),), on("n1", "1", 2), {}, []),
        ((node(cpu="4"),), on("n1", "1", 3), {}, [(True, "room for 1 of its 2")]),
        ((node(cpu="4"),), on("n1", "1", 3), {"zero_downtime": False}, [(False, "room for 1 of its 2")]),
        ((node(cpu="4"), node("n2", cpu="4")), on("n1", "1", 3), {}, []),
        (
            (node(cpu="500m"),),
            (),
            {},
            [(True, "one pod asks for 1 cpu, and the largest node that takes it has 500m cpu")],
        ),
        ((node(cpu="4", pods="3"),), on("n1", "10m", 2), {}, [(True, "room for 1 of its 2")]),
        ((node(cpu="4", unschedulable=True),), (), {}, [(True, "0/1 nodes")]),
        ((node(taints=[{"key": "gpu", "effect": "NoSchedule"}]),), (), {}, [(True, "0/1 nodes")]),
        ((node(taints=[{"key": "gpu", "effect": "PreferNoSchedule"}]),), (), {}, []),
        # Where nodes are added on demand, a lack of room is no certainty.
        ((node(cpu="1", labels={"karpenter.sh/nodepool": "a"}),), on("n1", "1"), {}, [(False, "added on demand")]),
        (None, (), {}, [(False, "may not list nodes")]),
    ],
)
def test_nodes_need_room_for_the_surge(nodes, pods, more, found):
    seen = messages(scene(BIG, service(), nodes=nodes, node_pods=pods, **more))

    assert [blocking for blocking, _, _ in seen] == [blocking for blocking, _ in found]
    assert all(text in message for (_, _, message), (_, text) in zip(seen, found, strict=True))


def test_a_toleration_and_a_selector_choose_the_nodes():
    tainted = node("n1", taints=[{"key": "gpu", "value": "a", "effect": "NoSchedule"}], labels={"disk": "ssd"})
    tolerant = {"tolerations": [{"key": "gpu", "value": "a"}], "nodeSelector": {"disk": "ssd"}}

    fits = scene(deployment(**tolerant), service(), nodes=(tainted,), node_pods=())
    wrong = scene(
        deployment(**{**tolerant, "nodeSelector": {"disk": "hdd"}}), service(), nodes=(tainted,), node_pods=()
    )

    assert messages(fits) == []
    assert len(messages(wrong)) == 1


def test_pods_of_priority_may_push_others_out():
    seen = scene(BIG, service(), nodes=(node(cpu="1"),), node_pods=on("n1", "1"))

    found = messages(seen, {"Deployment/web": {"containers": [container("1")], "priority": 1000}})

    assert [(blocking, level) for blocking, level, _ in found] == [(False, "warning")]


def test_pods_that_are_exchanged_one_by_one_need_no_room():
    workload = deployment(kind="StatefulSet", containers=[container("1")])
    seen = scene(workload, service(), live=running(workload), nodes=(node(cpu="1"),), node_pods=on("n1", "1"))

    assert messages(seen) == []
