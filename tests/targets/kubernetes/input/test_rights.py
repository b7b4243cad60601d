"""What an account needs for a release, and the Role that gives what it lacks."""

from __future__ import annotations

import pytest
import yaml
from tests.targets.kubernetes.input.things import config, deployment, service

from failback.targets.kubernetes.desired import desired_of
from failback.targets.kubernetes.preflight_rights import Right, grants, needed, role


def test_the_rights_follow_from_the_release():
    job = {"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "m"}, "spec": {"template": {"spec": {}}}}
    plain = needed(desired_of([deployment(), service()]))
    more = needed(desired_of([deployment(kind="StatefulSet"), service(), job, config()]))

    assert Right("Deployment", "patch") in plain and Right("Pod", "get", "log") in plain
    assert Right("Job", "create") not in plain and Right("StatefulSet", "patch") not in plain
    assert {Right("Job", "create"), Right("StatefulSet", "patch")} <= set(more)
    assert Right("Deployment", "patch") not in more


def test_routes_are_written_only_where_something_comes_by_them():
    desired = desired_of([deployment(), service()])

    assert not any(right.kind == "HTTPRoute" for right in needed(desired))
    assert {Right("HTTPRoute", verb) for verb in ("get", "list", "patch")} <= set(needed(desired, by_route=True))


@pytest.mark.parametrize(
    ("rule", "granted"),
    [
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, True),
        ({"verbs": ["get", "patch"], "apiGroups": ["apps"], "resources": ["deployments"]}, True),
        ({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"]}, False),
        ({"verbs": ["patch"], "apiGroups": [""], "resources": ["deployments"]}, False),
        ({"verbs": ["patch"], "apiGroups": ["apps"], "resources": ["deployments/scale"]}, False),
        # For some names only: the question has to be asked for the very object.
        ({"verbs": ["patch"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"]}, False),
    ],
)
def test_a_rule_of_the_account_grants_a_right(rule, granted):
    assert grants(rule, Right("Deployment", "patch")) is granted


def test_a_subresource_is_a_right_of_its_own():
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}

    assert grants(rule, Right("Pod", "get")) and not grants(rule, Right("Pod", "get", "log"))


def test_the_role_has_exactly_what_is_missing_and_is_bound_to_the_account():
    lacking = [
        Right("Deployment", "patch"),
        Right("Secret", "get"),
        Right("ConfigMap", "get"),
        Right("Pod", "get", "log"),
    ]

    made, binding = yaml.safe_load_all(role("shop", lacking, {"username": "system:serviceaccount:ci:deployer"}))

    assert made["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps", "pods/log", "secrets"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]},
    ]
    assert made["metadata"]["namespace"] == binding["metadata"]["namespace"] == "shop"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "deployer", "namespace": "ci"}]


def test_a_person_is_bound_as_a_user():
    _, binding = yaml.safe_load_all(role("shop", [Right("Pod", "get")], {"username": "anna@example.org"}))

    assert binding["subjects"] == [
        {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "anna@example.org"}
    ]
