"""An object of the cluster as a manifest: what a person would have written, without what the cluster added. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.record import PREFIX, REVISION_OF

_KEPT = ("name", "namespace", "labels", "annotations", "finalizers")
_ADDED_ANNOTATIONS = (
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
    "control-plane.alpha.kubernetes.io/",
    "autoscaling.alpha.kubernetes.io/",
)
# What the cluster gives to a Service; a new one gets its own.
_GIVEN_TO_SERVICES = ("clusterIP", "clusterIPs", "healthCheckNodePort")
_GIVEN_TO_JOBS = ("controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name")


def as_manifest(live: Mapping[str, Any]) -> Object:
    """The object to be applied or created again, in any namespace or cluster that has its kind."""
    shape: Object = copy.deepcopy({key: value for key, value in live.items() if key != "status"})
    metadata = shape.get("metadata") or {}
    shape["metadata"] = {key: metadata[key] for key in _KEPT if metadata.get(key)}
    for kind in ("annotations", "labels"):
        entries = {key: value for key, value in (metadata.get(kind) or {}).items() if not _added(key)}
        shape["metadata"].pop(kind, None)
        if entries:
            shape["metadata"][kind] = entries
    spec = shape.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    if isinstance(template, dict):
        template.get("metadata", {}).pop("creationTimestamp", None)
    if shape.get("kind") == "Service" and isinstance(spec, dict) and spec.get("clusterIP") != "None":
        for key in _GIVEN_TO_SERVICES:
            spec.pop(key, None)
    if shape.get("kind") == "Job" and isinstance(spec, dict) and not spec.get("manualSelector"):
        spec.pop("selector", None)
        labels = (template or {}).get("metadata", {}).get("labels") or {}
        for key in _GIVEN_TO_JOBS:
            labels.pop(key, None)
    return shape


def _added(key: str) -> bool:
    ours = key.startswith(f"{PREFIX}/") and key != REVISION_OF
    return ours or any(key.startswith(prefix) for prefix in _ADDED_ANNOTATIONS)
