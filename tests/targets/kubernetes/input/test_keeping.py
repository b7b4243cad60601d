"""A snapshot's documents are manifests that anybody can apply, and a restore writes only what differs."""

from __future__ import annotations

import copy
import json

import pytest
import yaml
from tests.targets.kubernetes.input.things import config, deployment, pod, running, service

from failback.model.snapshot import SnapshotContent
from failback.targets.kubernetes.backed_up import Ran
from failback.targets.kubernetes.backed_up import running as running_images
from failback.targets.kubernetes.cleaning import as_manifest
from failback.targets.kubernetes.record import FENCE, RECORD, REVISION_OF
from failback.targets.kubernetes.restoring import as_it_was, differs, objects_of, scaled_by_autoscalers
from failback.targets.kubernetes.settling import unsettled

NOBODY: frozenset[str] = frozenset()


def test_a_manifest_is_what_a_person_would_have_written():
    live = running(deployment())
    live["metadata"]["annotations"] = {
        "team": "a", "deployment.kubernetes.io/revision": "3", RECORD: "{}", FENCE: "7",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }  # fmt: skip
    live["spec"]["template"]["metadata"]["creationTimestamp"] = None

    made = as_manifest(live)

    assert made["metadata"] == {"name": "web", "namespace": "shop", "annotations": {"team": "a"}}
    assert "status" not in made and "creationTimestamp" not in made["spec"]["template"]["metadata"]
    assert as_manifest(made) == made


def test_what_a_versioned_configuration_stands_for_is_kept():
    versioned = config("cfg-3f2a")
    versioned["metadata"]["labels"] = {REVISION_OF: "cfg"}

    assert as_manifest(versioned)["metadata"]["labels"] == {REVISION_OF: "cfg"}


def test_a_service_loses_the_address_that_the_cluster_gave_it():
    given = service(clusterIP="10.96.0.7", clusterIPs=["10.96.0.7"], healthCheckNodePort=30000)

    assert as_manifest(given)["spec"].keys() == service()["spec"].keys()
    # A headless one is headless by the user's own choice.
    assert as_manifest(service(clusterIP="None"))["spec"]["clusterIP"] == "None"


def content(**documents: str) -> SnapshotContent:
    shape = {"k8s": "# nothing\n", "service": "# nothing\n", "configs": "{}", **documents}
    return SnapshotContent("web", "kubernetes", "7d9f", shape)


def test_a_restore_makes_what_others_need_first():
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runner"}}
    configs = {"namespace": "shop", "configmaps": {"cfg": config()}, "secrets": {"tok": config("tok", "Secret")}}

    found = objects_of(
        content(
            k8s=yaml.safe_dump_all([deployment(), scaler, account]),
            service=yaml.safe_dump_all([service()]),
            configs=json.dumps(configs),
        )
    )

    assert [one["kind"] for one in found] == [
        "ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment", "HorizontalPodAutoscaler",
    ]  # fmt: skip


def test_an_empty_snapshot_has_no_object():
    assert objects_of(content()) == []


def test_what_is_as_it_was_is_not_written():
    obj = as_manifest(running(deployment()))

    assert not differs(obj, running(deployment()), NOBODY)


def test_the_cluster_s_own_fields_stay_with_a_restored_service():
    live = {**service(clusterIP="10.96.0.7"), "metadata": {"name": "web", "resourceVersion": "9", "uid": "u"}}
    was = service(selector={"app": "old"})

    wanted = as_it_was(was, live, NOBODY)

    assert wanted["spec"] == {**was["spec"], "clusterIP": "10.96.0.7"}
    assert wanted["metadata"]["resourceVersion"] == "9"
    assert differs(was, live, NOBODY)


def test_replicas_stay_with_the_autoscaler():
    """It has scaled to 5 since; a restore of two would cut capacity in the middle of the load that it answered."""
    live = running(deployment(replicas=5))
    scaler = {"kind": "HorizontalPodAutoscaler", "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}}
    scaled = scaled_by_autoscalers([scaler])

    assert as_it_was(deployment(replicas=2), live, scaled)["spec"]["replicas"] == 5
    assert as_it_was(deployment(replicas=2), live, NOBODY)["spec"]["replicas"] == 2


def test_what_was_added_to_a_configuration_goes_and_what_was_there_comes_back():
    live = {**config(colour="green", more="x"), "metadata": {"name": "cfg", "resourceVersion": "3"}}

    assert as_it_was(config(colour="blue"), live, NOBODY)["data"] == {"colour": "blue"}


def test_a_workload_can_be_restored_twice():
    was = as_manifest(running(deployment()))
    live = running(deployment(replicas=3))

    once = as_it_was(was, live, NOBODY)

    assert differs(was, live, NOBODY) and not differs(was, once, NOBODY)


# -- what runs ---------------------------------------------------------------------------------------------------------


def ran(image_id: str, name: str = "web-1"):
    shape = pod(name, containers=[{"name": "app", "image": "web:1"}])
    shape["status"] = {"containerStatuses": [{"name": "app", "image": "web:1", "imageID": image_id}]}
    return shape


@pytest.mark.parametrize(
    ("image_id", "digest"),
    [
        ("registry.example.org/web@sha256:12ab", "sha256:12ab"),
        ("docker-pullable://web@sha256:12ab", "sha256:12ab"),
        ("sha256:77ff", ""),  # the id of the image's configuration, which no registry knows
        ("", ""),
    ],
)
def test_the_digest_is_what_the_kubelet_says_that_it_runs(image_id, digest):
    assert running_images("Deployment/web", [ran(image_id)]) == [Ran("Deployment/web", "app", "web:1", digest)]


def test_one_pod_that_knows_the_digest_is_enough():
    found = running_images("Deployment/web", [ran("", "web-1"), ran("web@sha256:12ab", "web-2")])

    assert [one.digest for one in found] == ["sha256:12ab"]


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({}, ""),
        ({"ready": 1}, "1 of 2 pods are ready"),
        ({"updated": 1, "total": 3}, "1 of 2 pods have its template"),
        ({"total": 3}, "1 pods of another template have not left"),
    ],
)
def test_a_workload_is_at_rest(state, why):
    assert unsettled(running(deployment(), **state)) == why


def test_a_daemonset_is_at_rest_by_its_nodes():
    live = copy.deepcopy(deployment(kind="DaemonSet", replicas=None))
    live["metadata"]["generation"] = 2
    counts = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 3, "observedGeneration": 2}

    assert unsettled({**live, "status": counts}) == ""
    assert unsettled({**live, "status": {**counts, "numberReady": 2}}) == "2 of 3 pods are ready"
    assert unsettled({**live, "status": {**counts, "updatedNumberScheduled": 1}}) == "1 of 3 pods have its template"
