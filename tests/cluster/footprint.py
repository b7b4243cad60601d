"""What stands in a namespace, as far as its people would notice a change: to be compared before and after."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.cluster.support import Cluster

OURS = "failback.dev/"
KINDS = "deployments,statefulsets,daemonsets,services,replicasets,configmaps,secrets,jobs,pods,hpa"
_OWNED = ("Deployment", "StatefulSet", "DaemonSet", "Service", "HorizontalPodAutoscaler")
# Kubernetes' own counts of revisions, which a rollback moves on as well.
_COUNTS = ("deployment.kubernetes.io/", "deprecated.daemonset.template.generation")
_GENERATION = "pod-template-generation"


def footprint(cluster: Cluster) -> dict[str, Any]:
    """Name -> what a person, their tools or Kubernetes itself rely on. Pods count with their restarts."""
    text = cluster.kubectl("get", KINDS, "--output=json", "--show-managed-fields")
    found: dict[str, Any] = {}
    for one in json.loads(text)["items"]:
        name = f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] in _OWNED:
            found[name] = _whole(one)
        elif one["kind"] == "ReplicaSet":
            found[name] = {"replicas": one["spec"]["replicas"], "annotations": _annotations(one)}
        elif one["kind"] in ("ConfigMap", "Secret"):
            found[name] = {"data": one.get("data"), "labels": one["metadata"].get("labels")}
        elif one["kind"] == "Pod":
            restarts = [status["restartCount"] for status in one["status"].get("containerStatuses") or ()]
            labels = dict(one["metadata"].get("labels") or {})
            if labels.pop(_GENERATION, None) is not None:
                name = f"Pod/on {one['spec'].get('nodeName')}"  # a DaemonSet's: one a node, under any name
            found[name] = {"restarts": restarts, "labels": labels}
        else:
            found[name] = {}
    return found


def _whole(one: dict[str, Any]) -> dict[str, Any]:
    metadata = one["metadata"]
    return {
        "labels": metadata.get("labels") or {},
        "annotations": _annotations(one),
        "spec": one["spec"],
        "managers": _managers(metadata.get("managedFields") or ()),
    }


def _annotations(one: dict[str, Any]) -> dict[str, str]:
    return {
        key: value for key, value in (one["metadata"].get("annotations") or {}).items() if not key.startswith(_COUNTS)
    }


def _managers(entries: Any) -> list[Any]:
    """Who owns which field; the time of a write is no one's, and the status is the controllers'."""
    shown = []
    for entry in copy.deepcopy(list(entries)):
        if entry.get("subresource") != "status":
            entry.pop("time", None)
            shown.append(json.dumps(entry, sort_keys=True))
    return sorted(shown)


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is not as it was, each with the part that differs."""
    told = [f"{name} is gone" for name in before if name not in after]
    told += [f"{name} is left over" for name in after if name not in before]
    for name in before.keys() & after.keys():
        for part, value in before[name].items():
            if after[name][part] != value:
                told.append(f"{name}: {part} was {value}, is {after[name][part]}")
    return told


def leftovers(cluster: Cluster) -> list[str]:
    """Labels and annotations of failback on anything; those of the live revision's configuration are part of it."""
    told = []
    text = cluster.kubectl("get", KINDS, "--output=json")
    for one in json.loads(text)["items"]:
        for part in ("labels", "annotations"):
            for key in one["metadata"].get(part) or {}:
                if key.startswith(OURS) and key != f"{OURS}revision-of":
                    told.append(f"{one['kind']}/{one['metadata']['name']}: {part} {key}")
    return told


def restored(cluster: Cluster, before: dict[str, Any]) -> list[str]:
    """Differences once pods that are ending have ended; empty when everything is as it was."""
    found: list[str] = []

    def same() -> bool:
        found[:] = differences(before, footprint(cluster)) + leftovers(cluster)
        return not found

    try:
        cluster.wait_until(same, "everything as it was", limit_s=40)
    except AssertionError:
        return found
    return []
