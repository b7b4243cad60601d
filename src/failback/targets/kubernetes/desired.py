"""What a release wants to be in the cluster: its objects, sorted by the part they play in a rollout. Pure.

ConfigMaps and Secrets are part of the revision: each becomes an immutable object named after its content, and the pod
template points at that one. So the stable pods keep theirs, whatever restarts them, and a rollback brings it back.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from failback.model.errors import ReleaseError
from failback.targets.kubernetes.kinds import WORKLOADS, Object, labels_of, told
from failback.targets.kubernetes.record import REVISION_OF

_HASH_CHARS = 10
_NAME_CHARS_MAX = 253


@dataclass(frozen=True, slots=True)
class Unit:
    """One workload and the Services that users reach it by."""

    kind: str
    name: str
    services: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Desired:
    """A release, ready to be rolled out.

    `workloads`: one a unit, their templates pointing at the versioned configuration. `services`: those of the units;
    their ports and selectors change in the cut-over. `configs`: new, versioned, made before the gate. `jobs`: run
    before the rollout (migrations). `others`: everything else, and the ConfigMaps and Secrets under their plain
    names; applied after the bake, in this order.
    """

    units: tuple[Unit, ...]
    workloads: tuple[Object, ...]
    services: tuple[Object, ...]
    configs: tuple[Object, ...]
    jobs: tuple[Object, ...]
    others: tuple[Object, ...]

    def workload(self, unit: Unit) -> Object:
        return next(one for one in self.workloads if one["kind"] == unit.kind and one["metadata"]["name"] == unit.name)

    def service(self, name: str) -> Object | None:
        return next((one for one in self.services if one["metadata"]["name"] == name), None)

    def everything(self) -> Iterator[Object]:
        yield from (*self.configs, *self.jobs, *self.workloads, *self.services, *self.others)

    def digest(self) -> str:
        """ "sha256:..." of all that is wanted."""
        text = json.dumps([_plain(one) for one in self.everything()], sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def desired_of(objects: Sequence[Object], named: Sequence[str] = (), image: str | None = None) -> Desired:
    """Sorts rendered objects. `named`: "deployment/web" and the like, where the manifests hold more than the service.

    `image` goes into the workload's main container (the first one). Raises ReleaseError where there is no workload.
    """
    objects = [copy.deepcopy(one) for one in objects]
    wanted = {one.lower() for one in named}
    workloads = [one for one in objects if one["kind"] in WORKLOADS and (not wanted or told(one).lower() in wanted)]
    if not workloads:
        found = ", ".join(told(one) for one in objects) or "no object"
        raise ReleaseError(
            f"The release has no workload{' of those named' if wanted else ''}: failback looks for a Deployment, "
            f"StatefulSet or DaemonSet and found {found}. Name it: release/objects: [deployment/NAME]."
        )
    if image is not None:
        for workload in workloads:
            workload["spec"]["template"]["spec"]["containers"][0]["image"] = image
    configs, renamed = _versioned(objects)
    for workload in workloads:
        point_at(workload["spec"]["template"]["spec"], renamed)
    units = tuple(Unit(one["kind"], one["metadata"]["name"], tuple(_services_of(one, objects))) for one in workloads)
    names = {name for unit in units for name in unit.services}
    services = [one for one in objects if one["kind"] == "Service" and one["metadata"]["name"] in names]
    jobs = [one for one in objects if one["kind"] == "Job"]
    for job in jobs:
        point_at(job["spec"]["template"]["spec"], renamed)
    taken = [id(one) for one in (*workloads, *services, *jobs)]
    others = sorted((one for one in objects if id(one) not in taken), key=lambda one: _ORDER.get(one["kind"], 50))
    return Desired(units, tuple(workloads), tuple(services), tuple(configs), tuple(jobs), tuple(others))


# What others need comes first: names and rights before what uses them, what limits or routes last.
_ORDER = {
    "Namespace": 0, "CustomResourceDefinition": 1, "ServiceAccount": 2, "Role": 3, "ClusterRole": 3, "RoleBinding": 4,
    "ClusterRoleBinding": 4, "ConfigMap": 5, "Secret": 5, "PersistentVolumeClaim": 6, "Service": 7,
    "HorizontalPodAutoscaler": 60, "PodDisruptionBudget": 61, "Ingress": 70, "HTTPRoute": 70,
}  # fmt: skip


def selects(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether a Service's selector names a pod with these labels; one without a selector names none."""
    return bool(selector) and all(labels.get(key) == value for key, value in (selector or {}).items())


def _services_of(workload: Object, objects: Sequence[Object]) -> Iterator[str]:
    labels = labels_of(workload["spec"]["template"])
    for one in objects:
        if one["kind"] == "Service" and selects((one.get("spec") or {}).get("selector"), labels):
            yield one["metadata"]["name"]


def _versioned(objects: Sequence[Object]) -> tuple[list[Object], dict[tuple[str, str], str]]:
    """Each ConfigMap and Secret under the name of its content; (kind, plain name) -> that name."""
    copies: list[Object] = []
    renamed: dict[tuple[str, str], str] = {}
    for one in objects:
        if one["kind"] not in ("ConfigMap", "Secret"):
            continue
        content = {key: one[key] for key in ("data", "binaryData", "stringData", "type") if one.get(key)}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_HASH_CHARS]
        plain = one["metadata"]["name"]
        name = f"{plain[: _NAME_CHARS_MAX - _HASH_CHARS - 1]}-{digest}"
        labels = {**labels_of(one), REVISION_OF: plain[:63].rstrip("-.")}
        copies.append(
            {
                "apiVersion": "v1",
                "kind": one["kind"],
                "metadata": {"name": name, "labels": labels},
                "immutable": True,
                **content,
            }
        )
        renamed[one["kind"], plain] = name
    return copies, renamed


def point_at(pod: Object, renamed: Mapping[tuple[str, str], str]) -> None:
    """Lets a pod template's references to ConfigMaps and Secrets name the versioned ones, in place."""

    def swap(holder: Any, key: str, kind: str) -> None:
        if isinstance(holder, dict) and (kind, holder.get(key)) in renamed:
            holder[key] = renamed[kind, holder[key]]

    for volume in pod.get("volumes") or ():
        swap(volume.get("configMap"), "name", "ConfigMap")
        swap(volume.get("secret"), "secretName", "Secret")
        for source in (volume.get("projected") or {}).get("sources") or ():
            swap(source.get("configMap"), "name", "ConfigMap")
            swap(source.get("secret"), "name", "Secret")
    for container in (*(pod.get("containers") or ()), *(pod.get("initContainers") or ())):
        for source in container.get("envFrom") or ():
            swap(source.get("configMapRef"), "name", "ConfigMap")
            swap(source.get("secretRef"), "name", "Secret")
        for variable in container.get("env") or ():
            swap((variable.get("valueFrom") or {}).get("configMapKeyRef"), "name", "ConfigMap")
            swap((variable.get("valueFrom") or {}).get("secretKeyRef"), "name", "Secret")


def references(pod: Object) -> Iterator[tuple[str, str, str | None, bool]]:
    """(kind, name, key or None for all of it, optional) of every ConfigMap and Secret that a pod template needs."""
    for volume in pod.get("volumes") or ():
        for source, kind, name in (
            (volume.get("configMap"), "ConfigMap", "name"),
            (volume.get("secret"), "Secret", "secretName"),
        ):
            yield from _file_references(source, kind, name)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _file_references(source.get("configMap"), "ConfigMap", "name")
            yield from _file_references(source.get("secret"), "Secret", "name")
    for container in (*(pod.get("containers") or ()), *(pod.get("initContainers") or ())):
        for source in container.get("envFrom") or ():
            for reference, kind in ((source.get("configMapRef"), "ConfigMap"), (source.get("secretRef"), "Secret")):
                if reference:
                    yield kind, reference["name"], None, bool(reference.get("optional"))
        for variable in container.get("env") or ():
            origin = variable.get("valueFrom") or {}
            for reference, kind in (
                (origin.get("configMapKeyRef"), "ConfigMap"),
                (origin.get("secretKeyRef"), "Secret"),
            ):
                if reference:
                    yield kind, reference["name"], reference["key"], bool(reference.get("optional"))
    for reference in pod.get("imagePullSecrets") or ():
        yield "Secret", reference["name"], None, True


def _file_references(
    source: Mapping[str, Any] | None, kind: str, name: str
) -> Iterator[tuple[str, str, str | None, bool]]:
    if not source or not source.get(name):
        return
    optional = bool(source.get("optional"))
    keys = [item["key"] for item in source.get("items") or ()]
    for key in keys or [None]:
        yield kind, source[name], key, optional


def _plain(obj: Object) -> Any:
    return {key: value for key, value in obj.items() if key != "status"}
