"""What can be known to fail fails before a pod is started, in the API server's own words; and healthy releases pass."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from failback.diagnosis import diagnose
from failback.model.evidence import Evidence, FailedStep
from failback.model.release import Finding
from tests.cluster.input.rig import Rig, config, with_container, with_pod
from tests.cluster.support import app, is_testbed

pytestmark = pytest.mark.cluster

FROM_CONFIG = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
FROM_SECRET = {"envFrom": [{"secretRef": {"name": "token"}}]}
FROM_KEY = {"env": [{"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}}]}
GIANT = {"resources": {"requests": {"memory": "900Gi"}}}


def cause_of(finding: Finding) -> str:
    """The kind of cause that the diagnosis finds in what preflight said, as the executor hands it over."""
    said = finding.detail.get("foreseen")
    event = {**said, "type": "Warning", "involvedObject": {"kind": said["kind"], "name": said["name"]}} if said else {}
    evidence = Evidence(
        target="kubernetes",
        failed_step=FailedStep(1, "Deploy", "deploy"),
        api_error=finding.detail.get("api_error"),
        events=(event,) if event else (),
        verdict_reason=finding.message,
    )
    return str(diagnose(evidence).type)


async def test_a_healthy_release_of_a_service_that_runs_passes(rig):
    """And nothing of it is left in the cluster."""
    rig.serve(*app())
    before = rig.pods()

    found = await rig.preflight(*with_container(app(), **FROM_CONFIG), config("settings", colour="blue"))

    assert [one for one in found if one.level in ("error", "warning")] == []
    assert rig.pods() == before
    assert rig.cluster.listed("configmaps", "failback.dev/revision-of") == []


async def test_a_healthy_first_deployment_passes(rig):
    assert [one for one in await rig.preflight(*app()) if one.level in ("error", "warning")] == []


BROKEN: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "configmap": (with_container(app(), **FROM_CONFIG), 'configmap "settings" not found', "missing_configuration"),
    "secret": (with_container(app(), **FROM_SECRET), 'secret "token" not found', "missing_configuration"),
    "key": (
        [*with_container(app(), **FROM_KEY), config("settings", color="blue")],
        "couldn't find key colour in ConfigMap",
        "missing_configuration",
    ),
    "claim": (
        with_pod(app(), volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]),
        'persistentvolumeclaim "data" not found',
        "volume_failure",
    ),
    "account": (
        with_pod(app(), serviceAccountName="runner"),
        'serviceaccount "runner" not found',
        "missing_configuration",
    ),
    "unschedulable": (with_container(app(), **GIANT), "one pod asks for 900Gi memory", "unschedulable"),
    "no such node": (with_pod(app(), nodeSelector={"disk": "tape"}), "no node takes its pods", "unschedulable"),
    "invalid": (
        with_container(app(), ports=[{"containerPort": 99999}]),
        "must be between 1 and 65535",
        "invalid_manifest",
    ),
    "bad name": (with_container(app(), image="UPPER CASE"), "no image reference", "image_not_found"),
    "priority": (
        with_pod(app(), priorityClassName="urgent"),
        "no PriorityClass with name urgent",
        "invalid_manifest",
    ),
    "unknown kind": (
        [*app(), {"apiVersion": "example.org/v1", "kind": "Wotsit", "metadata": {"name": "w"}}],
        'no matches for kind "Wotsit" in version "example.org/v1"',
        "invalid_manifest",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_release_that_must_fail_fails_here(rig, name):
    """Beside a service that runs, which nothing happens to."""
    objects, said, cause = BROKEN[name]
    rig.serve(*app())
    before = rig.pods()

    found = await rig.blocks(*objects)

    assert [one for one in found if said in one.message], found
    assert all(one.remedy for one in found)
    assert rig.pods() == before
    if cause:
        assert cause_of(next(one for one in found if said in one.message)) == cause


async def test_an_immutable_field_is_the_servers_own_word(rig):
    rig.serve(*app())
    changed = app()
    changed[0]["spec"]["selector"]["matchLabels"] = {"app": "app", "tier": "front"}
    changed[0]["spec"]["template"]["metadata"]["labels"] = {"app": "app", "tier": "front"}

    found = [one for one in await rig.blocks(*changed) if "field is immutable" in one.message]

    assert [one.subject for one in found] == ["Deployment/app"]
    assert cause_of(found[0]) == "invalid_manifest"


async def test_a_quota_without_room_for_the_surge(rig):
    """Two pods run, two more would come: the quota of three is full before the rollout could say so."""
    rig.serve(*app())
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "3"}},
    }
    rig.cluster.apply(quota)
    rig.cluster.wait_until(
        lambda: rig.cluster.get("resourcequota", "small").get("status", {}).get("used"), "the quota's first count"
    )

    found = await rig.blocks(*app())

    assert ["pods: 2 more needed, 1 free of 3" in one.message for one in found] == [True]
    assert cause_of(found[0]) == "quota_exceeded"


async def test_a_quota_with_room_is_no_finding(rig):
    rig.serve(*app())
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "large"},
        "spec": {"hard": {"pods": "4"}},
    }
    rig.cluster.apply(quota)
    rig.cluster.wait_until(
        lambda: rig.cluster.get("resourcequota", "large").get("status", {}).get("used"), "the quota's first count"
    )

    assert await rig.blocks(*app()) == []


async def test_admission_looks_at_pods_and_so_does_preflight(rig):
    """The Deployment itself would be accepted; only the ReplicaSet's first pod would be refused, minutes later."""
    rig.cluster.kubectl(
        "label", "namespace", rig.cluster.namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite"
    )

    found = await rig.blocks(*app())

    assert ["violates PodSecurity" in one.message for one in found] == [True]
    assert cause_of(found[0]) == "admission_denied"


async def test_a_workload_in_the_middle_of_a_change_is_not_disturbed(rig):
    rig.serve(*app())
    rig.cluster.apply(*with_container(app(), image="registry.invalid/app:1"))

    found = await rig.blocks(*app())

    assert ["in the middle of another change" in one.message for one in found] == [True]


async def test_a_service_that_reaches_another_workload_too(rig):
    """`app: shared` selects both; a pin to one revision of the first would cut off the second."""
    first, service = app()
    other = app("other")[0]
    for one in (first, other):
        one["spec"]["template"]["metadata"]["labels"]["team"] = "shared"
    service["spec"]["selector"] = {"team": "shared"}
    rig.serve(first, other, service)
    rig.cluster.rolled_out("other")

    found = await rig.blocks(first, service)

    assert ["also reaches pods of others (Deployment/other)" in one.message for one in found] == [True]


@pytest.mark.parametrize(
    ("labels", "annotations", "refused"),
    [
        (
            {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
            {},
            True,
        ),
        (
            {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
            {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"},
            False,
        ),
        ({}, {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/app"}, True),
        ({}, {"meta.helm.sh/release-name": "shop"}, False),
    ],
)
async def test_what_a_reconciler_would_undo_is_not_begun(rig, labels, annotations, refused):
    """Its own object is not in this cluster (a hub reconciles from afar), so it is taken to act by itself."""
    deployment, service = app()
    deployment["metadata"] |= {"labels": labels, "annotations": annotations}
    rig.serve(deployment, service)

    found = await rig.blocks(*app())

    assert [one.detail.get("reconciler") is not None for one in found] == ([True] if refused else [])


# -- registries: the testbed has its own -----------------------------------------------------------------------------

needs_registries = pytest.mark.skipif(not is_testbed(), reason="needs the testbed's registries")


@needs_registries
async def test_a_tag_that_is_not_there(rig):
    found = await rig.blocks(*app(), image="localhost:5000/failback/app:nope")

    assert ["MANIFEST_UNKNOWN" in one.message for one in found] == [True]
    assert cause_of(found[0]) == "image_not_found"


@needs_registries
@pytest.mark.parametrize(("password", "blocking"), [("testbed", False), ("wrong", True)])
async def test_pull_credentials_are_tried_as_the_nodes_would(rig, password, blocking):
    login = base64.b64encode(f"testbed:{password}".encode()).decode()
    secret = config(
        "pull", "Secret", **{".dockerconfigjson": json.dumps({"auths": {"localhost:5001": {"auth": login}}})}
    )
    secret["type"] = "kubernetes.io/dockerconfigjson"
    objects = with_pod(app(), imagePullSecrets=[{"name": "pull"}])

    refused = [
        one
        for one in await rig.blocks(*objects, secret, image="localhost:5001/failback/app:1")
        if "refuses" in one.message
    ]

    assert bool(refused) is blocking
    assert [cause_of(one) for one in refused] == (["image_access_denied"] if blocking else [])
    assert password == "testbed" or "wrong" not in refused[0].message


# -- rights ------------------------------------------------------------------------------------------------------------


def as_account(rig: Rig, folder: Path, rules: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Rig:
    """The same namespace through the eyes of a service account that has these rights alone."""
    namespace = rig.cluster.namespace
    rig.cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "some"},
            "rules": rules,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "some"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"},
            "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": namespace}],
        },
    )
    token = rig.cluster.kubectl("create", "token", "deployer").strip()
    shape = yaml.safe_load(rig.cluster.kubectl("config", "view", "--raw", "--minify"))
    shape["users"] = [{"name": shape["users"][0]["name"], "user": {"token": token}}]
    (folder / "kubeconfig").write_text(yaml.safe_dump(shape))
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
    (folder / "other").mkdir()
    return Rig.of(rig.cluster, folder / "other")


READING = [{"apiGroups": ["", "apps", "batch", "discovery.k8s.io", "autoscaling", "policy", "networking.k8s.io"],
            "resources": ["*"], "verbs": ["get", "list", "watch"]}]  # fmt: skip


async def test_missing_rights_are_one_finding_with_a_role_that_mends_it(rig, tmp_path, monkeypatch):
    rig.serve(*app())
    admin = os.environ["KUBECONFIG"]
    narrow = as_account(rig, tmp_path, READING, monkeypatch)

    found = await narrow.blocks(*app())
    await narrow.site.close()

    assert [one.subject for one in found] == ["permissions"]
    assert "patch deployments" in found[0].message and "get pods" not in found[0].message
    assert cause_of(found[0]) == "rbac_forbidden"
    role = found[0].remedy.partition("\n")[2]
    subprocess.run(["kubectl", "--kubeconfig", admin, "apply", "-f", "-"], input=role, text=True, check=True)
    again = Rig.of(rig.cluster, tmp_path / "other")
    found = await again.preflight(*app())
    assert [one for one in found if one.blocking] == []
    assert [one.level for one in found if "may not create pods" in one.message] == ["info"]
    await again.site.close()


async def test_an_account_that_may_not_even_look_is_told_what_it_lacks(rig, tmp_path, monkeypatch):
    narrow = as_account(rig, tmp_path, [], monkeypatch)

    found = await narrow.preflight(*app())
    await narrow.site.close()

    assert [one.subject for one in found] == ["permissions"]
    assert "deployer may not" in found[0].message
