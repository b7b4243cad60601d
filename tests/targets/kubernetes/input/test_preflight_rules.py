"""What is known of a rollout before it begins: each rule with a case that it finds, and one that it must not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.targets.kubernetes.input.things import Object, config, deployment, pod, running, scene, service

from failback.targets.kubernetes.desired import desired_of
from failback.targets.kubernetes.preflight_rules import examined
from failback.targets.kubernetes.record import RECORD, Moment, Record


def found(seen: Any) -> list[tuple[bool, str]]:
    return [(one.blocking, one.message) for one in examined(seen)]


def said(seen: Any, text: str) -> list[bool]:
    """Whether each finding with this text blocks; [] without one."""
    return [blocking for blocking, message in found(seen) if text in message]


def changed(obj: Object, path: str, value: Any) -> Object:
    shape = copy.deepcopy(obj)
    *parts, last = path.split("/")
    at: Any = shape
    for part in parts:
        at = at.setdefault(part, {})
    at[last] = value
    return shape


def test_an_ordinary_release_of_a_healthy_service_has_no_finding():
    assert found(scene()) == []


def test_a_first_deployment_has_no_finding():
    seen = scene(deployment(), service(), services=(), reached={}, pods={})
    first = type(seen)(**{**{name: getattr(seen, name) for name in seen.__slots__}, "live": {"Deployment/web": None}})

    assert found(first) == []


# -- the workload as it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "blocks"),
    [
        ({"updated": 1, "total": 3}, True),  # two templates side by side: which one is stable?
        ({"total": 3}, True),
        ({"ready": 1}, False),  # broken before: a release may be what mends it
        ({"ready": 0}, False),
    ],
)
def test_a_workload_in_the_middle_of_a_change_blocks_and_a_broken_one_does_not(state, blocks):
    assert [blocking for blocking, _ in found(scene(live=running(deployment(), **state)))] == [blocks]


def test_a_change_that_the_controller_has_not_seen_blocks():
    live = running(deployment())
    live["metadata"]["generation"] += 1

    assert said(scene(live=live), "has not seen the last change") == [True]


def test_a_rollout_that_was_left_behind_is_told_and_ended_by_this_deployment():
    live = running(deployment(), updated=1)
    live["metadata"]["annotations"] = {RECORD: Record("e1", "rev-1", Moment.DARK, "7d9f").text()}

    assert found(scene(live=live)) == [(False, "an earlier rollout by failback was not ended")]


def test_paused_in_the_manifest_or_in_the_cluster_blocks():
    assert said(scene(changed(deployment(), "spec/paused", True), service()), "is paused in the manifest") == [True]
    assert said(scene(live=changed(running(deployment()), "spec/paused", True)), "is paused, so") == [True]


def test_scaled_to_nothing_blocks():
    live = running(deployment(replicas=0), ready=0, updated=0, total=0)

    assert said(scene(live=live), "scaled to 0") == [True]


def test_replicas_belong_to_the_autoscaler():
    scaler = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}}
    other = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "other"}}}

    assert said(scene(autoscalers=(scaler,)), "an autoscaler sets its replicas") == [False]
    assert found(scene(autoscalers=(other,))) == []
    assert found(scene(deployment(replicas=None), service(), autoscalers=(scaler,))) == []


# -- whether two revisions can run beside one another ------------------------------------------------------------------

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


def claim(*modes: str) -> dict[tuple[str, str], Object]:
    return {("PersistentVolumeClaim", "data"): {"kind": "PersistentVolumeClaim", "spec": {"accessModes": list(modes)}}}


ALONE = [
    ("Recreate", changed(deployment(), "spec/strategy", {"type": "Recreate"}), {}),
    ("hostNetwork", deployment(hostNetwork=True), {}),
    ("hostPort", deployment(containers=[{"name": "a", "image": "a", "ports": [{"hostPort": 80}]}]), {}),
    ("held by the stable pods", deployment(volumes=[CLAIM]), {"referenced": claim("ReadWriteOnce")}),
    ("StatefulSet of one replica", deployment(kind="StatefulSet", replicas=1), {}),
]


def daemons(nodes: int) -> dict[str, Any]:
    """A DaemonSet that runs on so many nodes."""
    live = running(deployment(kind="DaemonSet", replicas=None))
    live["status"] |= {
        "desiredNumberScheduled": nodes,
        "currentNumberScheduled": nodes,
        "updatedNumberScheduled": nodes,
    }
    live["status"] |= {"numberReady": nodes, "numberAvailable": nodes}
    return live


def test_a_daemon_set_on_one_node_has_nobody_who_serves_meanwhile():
    wanted = deployment(kind="DaemonSet", replicas=None)

    assert said(scene(wanted, service(), live=daemons(1)), "DaemonSet with one pod") == [True]
    assert said(scene(wanted, service(), live=daemons(1), zero_downtime=False), "DaemonSet with one pod") == [False]
    assert found(scene(wanted, service(), live=daemons(2))) == []


def test_requests_that_stay_on_their_node_have_no_other_pod_of_a_daemon_set():
    wanted, local = deployment(kind="DaemonSet", replicas=None), service(internalTrafficPolicy="Local")

    assert said(scene(wanted, local, live=daemons(3)), "that node's pod alone") == [True]


@pytest.mark.parametrize("policy", ["internalTrafficPolicy", "externalTrafficPolicy"])
def test_requests_that_stay_on_their_node_may_find_no_new_pod_there(policy):
    assert said(scene(deployment(), service(**{policy: "Local"})), "where no new pod stands") == [False]
    assert said(scene(deployment(), service(**{policy: "Cluster"})), "where no new pod stands") == []


@pytest.mark.parametrize(("text", "workload", "more"), ALONE, ids=[row[0] for row in ALONE])
def test_of_a_first_deployment_nobody_asks_whether_it_runs_twice(text, workload, more):
    seen = scene(workload, service(), services=(), reached={}, pods={}, **more)
    nothing = {f"{workload['kind']}/web": None}
    first = type(seen)(**{**{name: getattr(seen, name) for name in seen.__slots__}, "live": nothing})

    assert said(first, text) == []


@pytest.mark.parametrize(("text", "workload", "more"), ALONE, ids=[row[0] for row in ALONE])
def test_what_cannot_run_twice_is_refused_under_zero_downtime_and_warned_of_without(text, workload, more):
    strict = [one for one in examined(scene(workload, service(), **more)) if text in one.message]
    lenient = [one for one in examined(scene(workload, service(), zero_downtime=False, **more)) if text in one.message]

    assert [(one.blocking, one.detail.get("refused")) for one in strict] == [(True, True)]
    assert "zero_downtime_required: false" in strict[0].remedy
    assert [(one.blocking, one.level) for one in lenient] == [(False, "warning")]


@pytest.mark.parametrize(
    ("workload", "more"),
    [
        (changed(deployment(), "spec/strategy", {"type": "RollingUpdate"}), {}),
        (deployment(volumes=[CLAIM]), {"referenced": claim("ReadWriteMany")}),
        (deployment(volumes=[CLAIM]), {"referenced": claim("ReadWriteOnce", "ReadOnlyMany")}),
        (deployment(kind="StatefulSet"), {}),
        (deployment(volumes=[{"name": "t", "emptyDir": {}}]), {}),
    ],
)
def test_what_can_run_twice_is_not_refused(workload, more):
    assert [one for one in examined(scene(workload, service(), **more)) if one.blocking] == []


# -- how users reach it ------------------------------------------------------------------------------------------------


def test_a_workload_that_no_service_reaches_is_never_dark():
    alone = {"services": (), "reached": {}}

    assert said(scene(deployment(), **alone), "nothing is dark") == [True]
    assert said(scene(deployment(), zero_downtime=False, **alone), "nothing is dark") == [False]
    assert found(scene(deployment(), dark_safe=True, **alone)) == []


def test_a_service_that_reaches_others_is_recognised_before_it_is_pinned():
    """`app: web` also selects a canary: a pin to one revision would cut that one off."""
    workload = deployment()
    workload["spec"]["selector"]["matchLabels"]["track"] = "stable"
    workload["spec"]["template"]["metadata"]["labels"]["track"] = "stable"
    mine = pod("web-1", {"app": "web", "track": "stable"})
    canary = pod("canary-1", {"app": "web", "track": "canary"}, owner="canary-5c4b")

    assert found(scene(workload, service(), reached={"web": (mine,)})) == []
    assert said(scene(workload, service(), reached={"web": (mine, canary)}), "(Deployment/canary)") == [True]


def test_a_strangers_pod_on_its_way_out_is_no_stranger():
    leaving = pod("old-1", {"app": "other"}, owner="old-1")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-20T11:00:00Z"

    assert found(scene(reached={"web": (pod(), leaving)})) == []


def test_a_readiness_gate_of_a_load_balancer_blocks():
    """It opens only once the Service selects the pod, so a dark pod would never be ready. The controller's webhook puts
    it into pods, not into the manifest."""
    gated = pod(readinessGates=[{"conditionType": "target-health.elbv2.k8s.aws/k8s-web"}])

    assert said(scene(pods={"Deployment/web": (gated,)}), "readiness gate") == [True]


@pytest.mark.parametrize(
    ("seen", "refused"),
    [
        (service(type="LoadBalancer", externalTrafficPolicy="Local"), True),
        (service(type="LoadBalancer", externalTrafficPolicy="Cluster"), False),
        (changed(service(), "metadata/annotations", {
            "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip"}), True),
        (changed(service(), "metadata/annotations", {
            "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "instance"}), False),
        (changed(service(), "metadata/annotations", {"cloud.google.com/neg": '{"ingress": true}'}), True),
        (changed(service(), "metadata/annotations", {"cloud.google.com/neg": '{"ingress": false}'}), False),
    ],
)  # fmt: skip
def test_load_balancers_that_learn_of_pods_on_their_own_way(seen, refused):
    findings = [one for one in examined(scene(deployment(), seen)) if one.blocking]

    assert [one.detail for one in findings] == ([{"refused": True}] if refused else [])


@pytest.mark.parametrize(("backend", "refused"), [("web", True), ("other", False)])
def test_an_ingress_with_pods_as_targets_counts_where_it_leads_here(backend, refused):
    ingress = {
        "metadata": {"name": "web", "annotations": {"alb.ingress.kubernetes.io/target-type": "ip"}},
        "spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": backend}}}]}}]},
    }

    assert bool(said(scene(ingresses=(ingress,)), "Ingress web")) is refused


def test_unready_addresses_and_headless_services_are_warned_of():
    assert said(scene(deployment(), service(publishNotReadyAddresses=True)), "publishes pods") == [False]
    assert said(scene(deployment(), service(clusterIP="None")), "is headless") == [False]


# -- how it behaves ----------------------------------------------------------------------------------------------------


def test_missing_probes_and_hooks_are_told():
    bare = deployment(containers=[{"name": "app", "image": "a"}])

    assert [message.split(":")[0] for _, message in found(scene(bare, service()))] == [
        "has no readinessProbe",
        "has no preStop hook",
    ]


def test_a_migration_is_told_to_stay():
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate"},
        "spec": {"template": {"spec": {"containers": []}}},
    }

    assert said(scene(deployment(), service(), job), "is not undone by a rollback") == [False]


# -- what it needs -----------------------------------------------------------------------------------------------------


def needing(**source: Any) -> Object:
    container = deployment()["spec"]["template"]["spec"]["containers"][0]
    return deployment(containers=[{**container, **source}])


FROM_CFG = {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "colour"}}}]}
OPTIONAL = {
    "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "colour", "optional": True}}}]
}
FROM_SECRET = {"envFrom": [{"secretRef": {"name": "tok"}}]}


@pytest.mark.parametrize(
    ("source", "brought", "present", "text"),
    [
        (FROM_CFG, (), {}, 'configmap "cfg" not found'),
        (FROM_CFG, (config("cfg", other="x"),), {}, "couldn't find key colour in ConfigMap shop/cfg. It has: other"),
        (FROM_CFG, (), {("ConfigMap", "cfg"): config("cfg", size="1")}, "couldn't find key colour"),
        (FROM_SECRET, (), {}, 'secret "tok" not found'),
        (FROM_CFG, (config("cfg", colour="blue"),), {}, ""),
        (FROM_CFG, (), {("ConfigMap", "cfg"): config("cfg", colour="blue")}, ""),
        (FROM_SECRET, (), {("Secret", "tok"): config("tok", "Secret")}, ""),
        (OPTIONAL, (), {}, ""),
    ],
)  # fmt: skip
def test_configuration_that_is_named_has_to_be_there(source, brought, present, text):
    blocking = [
        one for one in examined(scene(needing(**source), service(), *brought, referenced=present)) if one.blocking
    ]

    assert [text in one.message for one in blocking] == ([True] if text else [])


def test_a_key_in_a_secrets_plain_text_is_a_key():
    source = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "tok", "key": "a"}}}]}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tok"}, "stringData": {"a": "b"}}

    assert found(scene(needing(**source), service(), secret)) == []


def test_claims_and_accounts_have_to_be_there():
    wanted = deployment(volumes=[CLAIM], serviceAccountName="runner")
    missing = {("PersistentVolumeClaim", "data"): None, ("ServiceAccount", "runner"): None}

    messages = [one.message for one in examined(scene(wanted, service(), referenced=missing)) if one.blocking]

    assert messages == ['persistentvolumeclaim "data" not found', 'serviceaccount "runner" not found']


def test_what_may_not_be_read_is_not_called_missing():
    seen = scene(needing(**FROM_SECRET), service(), referenced={("Secret", "tok"): None}, unread=("Secret tok",))

    assert found(seen) == []


@pytest.mark.parametrize(
    ("namespace", "unread", "text"),
    [
        (None, (), "not found"),
        (None, ("Namespace",), ""),
        ({"metadata": {"deletionTimestamp": "2026-01-20T11:00:00Z"}}, (), "is being deleted"),
    ],
)
def test_the_namespace(namespace, unread, text):
    blocking = [one for one in examined(scene(namespace_object=namespace, unread=unread)) if one.blocking]

    assert [text in one.message for one in blocking] == ([True] if text else [])


def test_each_workload_of_a_release_is_examined():
    second = deployment("worker")
    desired = desired_of([deployment(), service(), second])
    lives = {unit.told: running(desired.workload(unit)) for unit in desired.units}

    seen = scene(deployment(), service(), second, live=None)
    seen = type(seen)(**{**{name: getattr(seen, name) for name in seen.__slots__}, "live": lives})

    assert [one.subject for one in examined(seen) if one.blocking] == ["Deployment/worker"]
