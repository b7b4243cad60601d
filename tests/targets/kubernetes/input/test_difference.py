"""What `plan` shows of a release: the change, never a secret's value, and what others changed meanwhile."""

from __future__ import annotations

import copy

from tests.targets.kubernetes.input.things import config, deployment, running

from failback.targets.kubernetes.difference import _diff, _drift
from failback.targets.kubernetes.drift import Drift, drift_of


def test_only_what_changes_is_shown():
    live = running(deployment())
    after = copy.deepcopy(live)
    after["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.org/web:2"
    after["metadata"]["generation"] += 1

    text = "".join(_diff("shop", live, after))

    assert text.startswith("--- Deployment/web (shop) now\n+++ Deployment/web (shop) after\n")
    assert [line for line in text.splitlines()[2:] if line[0] in "+-"] == [
        "-      - image: registry.example.org/web:1",
        "+      - image: registry.example.org/web:2",
    ]


def test_what_is_as_it_was_is_not_shown():
    live = running(deployment())

    assert list(_diff("shop", live, copy.deepcopy(live))) == []


def test_a_new_object_is_shown_whole():
    assert "".join(_diff("shop", None, config(colour="blue"))).startswith(
        "--- nothing\n+++ ConfigMap/cfg (shop) after\n"
    )


def test_of_a_secret_only_the_changed_keys_are_named():
    was = config("tok", "Secret", token="b2xk", same="c2FtZQ==")
    will = config("tok", "Secret", token="bmV3", same="c2FtZQ==", more="bW9yZQ==")

    text = "".join(_diff("shop", was, will)) + "".join(_diff("shop", None, will))

    assert "# Secret/tok: other values of token\n" in text
    assert "+  more: '***'" in text
    assert not [value for value in ("b2xk", "bmV3", "bW9yZQ", "c2FtZQ") if value in text]


# -- drift -------------------------------------------------------------------------------------------------------------

FAILBACK = {
    "manager": "failback",
    "operation": "Apply",
    "time": "2026-01-20T11:00:00Z",
    "fieldsV1": {"f:spec": {"f:replicas": {}}},
}


def by(manager: str, fields: dict, at: str = "2026-01-21T08:00:00Z", **more):
    return {"manager": manager, "operation": "Update", "time": at, "fieldsV1": fields, **more}


IMAGE = {
    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:image": {}}}}}},
    "f:status": {"f:replicas": {}},
}


def managed(*entries):
    live = running(deployment())
    live["metadata"]["managedFields"] = list(entries)
    return live


def test_a_field_that_somebody_edited_is_drift():
    assert drift_of(managed(FAILBACK, by("kubectl-edit", IMAGE))) == [
        Drift(
            "spec.template.spec.containers[app].image",
            "registry.example.org/web:1",
            "kubectl-edit",
            "2026-01-21T08:00:00Z",
        )
    ]


def test_what_was_there_before_or_is_a_controllers_is_no_drift():
    """Earlier writes are what failback found; the status and what controllers set is theirs all the time."""
    assert drift_of(managed(FAILBACK, by("kubectl-edit", IMAGE, at="2026-01-19T00:00:00Z"))) == []
    assert drift_of(managed(FAILBACK, by("kube-controller-manager", {"f:spec": {"f:replicas": {}}}))) == []
    assert drift_of(managed(FAILBACK, by("agent", {"f:status": {"f:x": {}}}, subresource="status"))) == []
    assert drift_of(managed(FAILBACK, by("kubectl", {"f:metadata": {"f:annotations": {"f:a": {}}}}))) == []


def test_where_failback_never_wrote_nothing_is_drift():
    assert drift_of(managed(by("kubectl-client-side-apply", IMAGE))) == []


def test_what_becomes_of_the_drift_is_said():
    live = managed(FAILBACK, by("kubectl-edit", IMAGE))
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.org/web:hot-fix"
    kept, overwritten = copy.deepcopy(live), copy.deepcopy(live)
    overwritten["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.org/web:2"

    assert next(_drift(live, kept)).endswith(
        "= registry.example.org/web:hot-fix (by kubectl-edit, 2026-01-21T08:00:00Z): stays"
    )
    assert next(_drift(live, overwritten)).endswith("this release overwrites it")


def test_a_secrets_drift_has_no_value():
    live = {**config("tok", "Secret", token="c2VjcmV0"), "metadata": {"name": "tok", "managedFields": [
        FAILBACK, by("kubectl-edit", {"f:data": {"f:token": {}}})]}}  # fmt: skip

    assert "c2VjcmV0" not in next(_drift(live, live))
