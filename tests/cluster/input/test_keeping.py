"""A snapshot holds all that a service needs, is verified by the server's own dry run, and brings the service back."""

from __future__ import annotations

import dataclasses
import time

import pytest
import yaml

from failback.targets.kubernetes import keeping, restoring
from failback.targets.kubernetes.desired import Unit
from tests.cluster.input.rig import Rig, config, with_container
from tests.cluster.support import answers, app, is_testbed, load

pytestmark = pytest.mark.cluster

UNITS = (Unit("Deployment", "app", ("app",)),)
SCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "app"},
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"}, "maxReplicas": 4},
}
BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "app"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "app"}}},
}
CONFIGURED = {
    "envFrom": [{"configMapRef": {"name": "settings"}}],
    "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}],
}


def everything(**container):
    return [
        *with_container(app(), **{**CONFIGURED, **container}),
        config("settings", COLOUR="blue"),
        config("token", "Secret", token="s3cret-value"),
        SCALER,
        BUDGET,
    ]


def image(rig: Rig) -> str:
    return rig.cluster.get("deployment", "app")["spec"]["template"]["spec"]["containers"][0]["image"]


async def test_a_snapshot_holds_all_and_is_verified(rig):
    rig.serve(*everything())
    began = time.monotonic()

    content = await keeping.snapshot(rig.site, UNITS)
    refused = await keeping.accepts(rig.site, content)

    took_s = time.monotonic() - began
    assert refused == []
    assert {"Deployment/app", "Service/app", "HorizontalPodAutoscaler/app", "PodDisruptionBudget/app",
            "ConfigMap settings", "Secret token"} <= set(content.items)  # fmt: skip
    pods = rig.cluster.listed("pods")
    assert content.revision == pods[0]["metadata"]["labels"]["pod-template-hash"]
    # An image that was imported into the node, and not pulled, has no digest.
    digest = pods[0]["status"]["containerStatuses"][0]["imageID"].partition("@")[2]
    assert f"image failback/app:1 ({digest or 'digest not known'})" in content.items
    kept = next(yaml.safe_load_all(content.documents["k8s"]))
    assert not digest or digest in kept["metadata"]["annotations"]["failback.dev/images"]
    assert took_s < 5.0  # usually 0.3 s


async def test_the_documents_can_be_applied_by_kubectl_alone(rig):
    """For the day on which failback is gone."""
    rig.serve(*everything())
    content = await keeping.snapshot(rig.site, UNITS)

    for document in ("k8s", "service"):
        rig.cluster.kubectl("apply", "--dry-run=server", "-f", "-", text=content.documents[document])


async def test_nothing_ran_is_a_snapshot_too(rig):
    content = await keeping.snapshot(rig.site, UNITS)

    assert (content.revision, content.items) == (None, ("nothing ran before",))
    assert await keeping.accepts(rig.site, content) == []


async def test_a_snapshot_that_could_not_be_restored_is_not_verified(rig):
    rig.serve(*app())
    content = await keeping.snapshot(rig.site, UNITS)
    broken = content.documents["service"].replace("port: 80", "port: 99999")

    found = await keeping.accepts(
        rig.site, dataclasses.replace(content, documents={**content.documents, "service": broken})
    )

    assert {one.subject for one in found if one.blocking} == {"Service/app"}
    assert {"over what runs", "in an emptied namespace"} == {
        place for one in found for place in ("over what runs", "in an emptied namespace") if place in one.message
    }


async def test_a_restore_of_what_is_as_it_was_writes_nothing(rig):
    rig.serve(*everything())
    content = await keeping.snapshot(rig.site, UNITS)
    before = rig.cluster.get("deployment", "app")["metadata"]["generation"]

    actions = await keeping.restore(rig.site, content, {}, rig.journal)

    assert actions[0].text == "everything was as the snapshot has it"
    assert rig.cluster.get("deployment", "app")["metadata"]["generation"] == before


@pytest.mark.skipif(not is_testbed(), reason="needs the testbed's load generator")
async def test_a_restore_over_what_runs_loses_no_request(rig):
    """The snapshot's pods come in the dark, users switch in one patch, and all fields are the user's own again."""
    rig.serve(*everything())
    content = await keeping.snapshot(rig.site, UNITS)
    before = rig.cluster.get("deployment", "app")
    rig.cluster.apply(*everything(env=[{"name": "OTHER", "value": "1"}])[:2], config("settings", COLOUR="green"))
    rig.cluster.rolled_out()
    rig.cluster.wait_until(lambda: len(rig.pods()) == 2, "the first pods to leave: what they drop is not this story's")

    with load(rig.cluster.address(), rate=100) as requests:
        began = time.monotonic()
        actions = await keeping.restore(rig.site, content, {}, rig.journal)
        took_s = time.monotonic() - began

    assert [one.text for one in actions if one.ok is False] == []
    assert (requests.failed, requests.sent > 0) == (0, True), requests.report
    now = rig.cluster.get("deployment", "app")
    assert now["spec"] == before["spec"]
    assert not [key for key in now["metadata"].get("annotations", {}) if key.startswith("failback.dev/")]
    assert rig.cluster.get("service", "app")["spec"]["selector"] == {"app": "app"}
    assert rig.cluster.get("configmap", "settings")["data"] == {"COLOUR": "blue"}
    assert took_s < 50.0  # usually 4 s


async def test_a_restore_whose_pods_do_not_start_switches_nobody(rig, monkeypatch):
    rig.serve(*app())
    content = await keeping.snapshot(rig.site, UNITS)
    broken = content.documents["k8s"].replace("image: failback/app:1", "image: registry.invalid/app:1")
    monkeypatch.setattr(restoring, "RESTORED_S_MAX", 5.0)

    actions = await keeping.restore(
        rig.site, dataclasses.replace(content, documents={**content.documents, "k8s": broken}), {}, rig.journal
    )

    assert actions[0].ok is False
    assert "What ran before serves as it did" in actions[0].text
    assert image(rig) == "failback/app:1"
    assert answers(rig.cluster.address())
    rig.cluster.rolled_out()


async def test_a_service_comes_back_to_an_emptied_namespace(rig):
    rig.serve(*everything())
    content = await keeping.snapshot(rig.site, UNITS)
    rig.cluster.kubectl("delete", "deployment,service,configmap,secret,hpa,pdb", "--all", "--wait")

    actions = await keeping.restore(rig.site, content, {}, rig.journal)

    assert [one.text for one in actions if one.ok is False] == []
    assert answers(rig.cluster.address())
    assert rig.cluster.get("secret", "token")["data"] == {"token": "czNjcmV0LXZhbHVl"}
    assert rig.cluster.get("hpa", "app") and rig.cluster.get("pdb", "app")


async def test_the_users_own_tool_works_on_after_a_restore(rig):
    """Server-side apply is refused where another manager owns a field that it changes: nothing may stay failback's."""
    for one in (*app(), config("settings", COLOUR="blue")):
        rig.cluster.kubectl("apply", "--server-side", "--field-manager=team", "-f", "-", text=yaml.safe_dump(one))
    rig.cluster.rolled_out()
    content = await keeping.snapshot(rig.site, UNITS)
    rig.cluster.kubectl("delete", "deployment,service", "--all", "--wait")

    await keeping.restore(rig.site, content, {}, rig.journal)

    changed = with_container(app(replicas=3), env=[{"name": "A", "value": "1"}])
    for one in changed:
        rig.cluster.kubectl("apply", "--server-side", "--field-manager=team", "-f", "-", text=yaml.safe_dump(one))
    rig.cluster.rolled_out()
