"""The objects of a release, from where the plan says: files, standard input, kustomize, a Helm chart, or the cluster.

Promise: every object belongs to the service's namespace and stands once; nothing in the cluster is touched. What
cannot be rendered is one ReleaseError with its place and remedy.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from failback.model.errors import ReleaseError
from failback.targets.kubernetes import helm, manifest_files, rendering
from failback.targets.kubernetes.cleaning import as_manifest
from failback.targets.kubernetes.desired import selects
from failback.targets.kubernetes.kinds import KINDS, WORKLOADS, Object, labels_of, told
from failback.targets.kubernetes.manifest_files import Found
from failback.targets.kubernetes.site import Site


def render(shape: Mapping[str, Any], service: str, namespace: str, *, first: bool = False) -> list[Object]:
    """The objects of a KubernetesReleaseSpec that has a place for them. `shape["plan_folder"]` is absolute. `first`:
    nothing of the release runs yet, and a chart may have other objects for that."""
    folder = Path(shape["plan_folder"])
    chart = shape.get("helm")
    if chart:
        objects = helm.render(chart, service, namespace, folder, first=first).objects
        return placed([Found(one, f"chart {chart['chart']}") for one in objects], namespace)
    if shape.get("kustomize"):
        text = rendering.kustomize(str(shape["kustomize"]), folder)
        return placed(manifest_files.parse(text, f"kustomize {shape['kustomize']}"), namespace)
    paths = shape.get("manifests") or ()
    paths = [paths] if isinstance(paths, str) else list(paths)
    if not paths:
        raise ReleaseError("The release names no manifests. Write release: {manifests: [k8s/]}.")
    return placed(manifest_files.read(paths, folder, shape.get("standard_input")), namespace)


def placed(found: Sequence[Found], namespace: str) -> list[Object]:
    """The objects, each in the namespace and once. Raises ReleaseError."""
    first: dict[tuple[str, str, str], str] = {}
    objects: list[Object] = []
    for one in found:
        obj = copy.deepcopy(one.obj)
        metadata = obj["metadata"]
        group = obj["apiVersion"].rpartition("/")[0]
        key = (group, obj["kind"], metadata["name"])
        if key in first:
            raise ReleaseError(
                f"{told(obj)} stands twice: in {first[key]} and in {one.where}. Take one of them out of "
                f"release/manifests."
            )
        first[key] = one.where
        known = KINDS.get(obj["kind"])
        has_namespace = known is None or known.namespaced or known.api_version != obj["apiVersion"]
        other = metadata.get("namespace")
        if has_namespace and other not in (None, "", namespace):
            raise ReleaseError(
                f"{one.where}: {told(obj)} is for the namespace {other}, and this service is deployed to {namespace}. "
                f"Write target: {{namespace: {other}}}, or give the object a plan of its own."
            )
        if known is not None and known.namespaced and known.api_version == obj["apiVersion"]:
            metadata["namespace"] = namespace
        obj.pop("status", None)
        objects.append(obj)
    return objects


async def from_cluster(site: Site, shape: Mapping[str, Any]) -> list[Object]:
    """`release: {objects: [...], image: ...}` without manifests: what runs is the release, and only its image changes.

    The named objects as they are, and the Services that reach the workloads among them. Raises ReleaseError.
    """
    objects: list[Object] = []
    for name in shape.get("objects") or ():
        kind = kind_named(name)
        live = await site.cluster.get(kind, name.partition("/")[2])
        if live is None:
            raise ReleaseError(
                f"release/objects: {name} is not in the namespace {site.cluster.namespace}. For a first deployment, "
                f"name its manifests: release: {{manifests: [k8s/]}}."
            )
        objects.append(as_manifest(live))
    labels = [labels_of(one["spec"]["template"]) for one in objects if one["kind"] in WORKLOADS]
    known = {told(one) for one in objects}
    for service in await site.cluster.find("Service"):
        selector = (service.get("spec") or {}).get("selector")
        if any(selects(selector, one) for one in labels) and told(service) not in known:
            objects.append(as_manifest(service))
    return objects


def kind_named(name: str) -> str:
    """ "deployment/web" -> "Deployment"; also the plural and kubectl's short names. Raises ReleaseError."""
    word = name.partition("/")[0].lower()
    short = {
        "deploy": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet", "svc": "Service", "cm": "ConfigMap",
        "hpa": "HorizontalPodAutoscaler", "pdb": "PodDisruptionBudget", "ing": "Ingress", "sa": "ServiceAccount",
        "pvc": "PersistentVolumeClaim",
    }  # fmt: skip
    found = short.get(word) or next(
        (kind.name for kind in KINDS.values() if word in (kind.name.lower(), kind.plural)), None
    )
    if found is None:
        raise ReleaseError(f"release/objects: failback does not know the kind of {name}. Write deployment/NAME.")
    return found
