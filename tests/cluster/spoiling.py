"""What other people do to a namespace between preflight and the first pod."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import yaml

from tests.cluster.place import Place
from tests.cluster.registry import Registry
from tests.cluster.release import Release

Spoil = Callable[[Place], object]
_NODE_LABEL = "failback.testbed/fits"


def configmap(name: str) -> Callable[[Place, Release], None]:
    """The release needs a key of a ConfigMap that somebody else made."""

    def breaks(place: Place, release: Release) -> None:
        place.cluster.kubectl("create", "configmap", name, "--from-literal=key=value")
        release.needs({"configMapKeyRef": {"name": name, "key": "key"}})

    return breaks


def secret(name: str) -> Callable[[Place, Release], None]:
    def breaks(place: Place, release: Release) -> None:
        place.cluster.kubectl("create", "secret", "generic", name, "--from-literal=key=value")
        release.needs({"secretKeyRef": {"name": name, "key": "key"}})

    return breaks


def drop(kind: str, name: str) -> Spoil:
    return lambda place: place.cluster.kubectl("delete", kind, name)


def configmap_loses_key(name: str) -> Spoil:
    patch = json.dumps([{"op": "replace", "path": "/data", "value": {"other": "value"}}])
    return lambda place: place.cluster.kubectl("patch", "configmap", name, "--type=json", f"--patch={patch}")


def quota(name: str, pods: int) -> Spoil:
    """No room beside the stable pods, as soon as the controller has counted."""

    def spoil(place: Place) -> None:
        place.cluster.kubectl("create", "quota", name, f"--hard=pods={pods}")
        place.cluster.wait_until(lambda: place.cluster.get("quota", name).get("status", {}).get("used"), "its count")

    return spoil


def account_vanishes(place: Place, release: Release) -> None:
    place.cluster.kubectl("create", "serviceaccount", "runner")
    release.pod["serviceAccountName"] = "runner"


def label_namespace(label: str) -> Spoil:
    return lambda place: place.cluster.kubectl("label", "namespace", place.cluster.namespace, label)


def registry_refuses(place: Place, release: Release) -> None:
    """An image out of a registry that will change its mind."""
    registry = place.keep(Registry())
    release.container["image"] = f"{registry.address}/failback/app:1"
    release.container["imagePullPolicy"] = "Always"


def node_label(place: Place, release: Release) -> None:
    """The pods want a node with a label, which there is."""
    label = f"{_NODE_LABEL}-{place.cluster.namespace}"
    place.cluster.kubectl("label", "nodes", "--all", f"{label}=yes")
    place.at_end(lambda: place.cluster.kubectl("label", "nodes", "--all", f"{label}-", check=False))
    release.pod["nodeSelector"] = {label: "yes"}


def unlabel_node(place: Place) -> None:
    place.cluster.kubectl("label", "nodes", "--all", f"{_NODE_LABEL}-{place.cluster.namespace}-")


def admission_rule(place: Place, _: Release) -> None:
    """A policy that denies pods of version 2 where the namespace is labelled so; it takes a while to be known."""
    name = place.cluster.namespace
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                ]
            },
            "validations": [{"expression": "false", "message": f"no pods in {name}"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"closed": name}}},
        },
    }
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        place.at_end(functools.partial(place.cluster.kubectl, "delete", kind, name, check=False))
    place.cluster.apply(policy, binding)


def deny_pods(place: Place) -> None:
    """Closes the namespace, and waits until the API server says so."""
    cluster = place.cluster
    cluster.kubectl("label", "namespace", cluster.namespace, f"closed={cluster.namespace}")
    tried = ("run", "tried", "--image=failback/app:1", "--dry-run=server", "--output=name")
    cluster.wait_until(lambda: not cluster.kubectl(*tried, check=False), "the policy's answer")


def limited_account(place: Place, _: Release) -> None:
    """failback runs as an account that may do everything here, until somebody takes its rights."""
    cluster = place.cluster
    act_as(place, "deployer")
    cluster.apply(_role("*"))
    account = f"{cluster.namespace}:deployer"
    cluster.kubectl("create", "rolebinding", "deployer", "--role=deployer", f"--serviceaccount={account}")


def act_as(place: Place, account: str) -> None:
    """failback runs as a new service account from now on, which may do nothing yet."""
    cluster = place.cluster
    cluster.kubectl("create", "serviceaccount", account)
    token = cluster.kubectl("create", "token", account).strip()
    config = yaml.safe_load(cluster.kubectl("config", "view", "--minify", "--raw"))
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    path = place.folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    place.env["KUBECONFIG"] = str(path)


def withdraw_rights(place: Place) -> None:
    """It may not change Deployments any more."""
    place.cluster.apply(_role("get", "list", "watch"))


def _role(*verbs: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "deployer"},
        "rules": [
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": list(verbs)},
            {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": ["apps"], "resources": ["statefulsets", "daemonsets", "replicasets"], "verbs": ["*"]},
            {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["*"]},
            *(
                {"apiGroups": [group], "resources": ["*"], "verbs": ["*"]}
                for group in ("batch", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "autoscaling",
                              "policy", "networking.k8s.io", "gateway.networking.k8s.io")
            ),
        ],
    }  # fmt: skip
