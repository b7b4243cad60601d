"""Tools that put a workload back to what their source says: Argo CD, Flux, Helm, and what they would undo.

A rollout sets fields for a while; a reconciler that watches the object would take them away in the middle. So it has to
be told to leave them, or failback refuses, with the way to do both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from failback.model.errors import NotPermitted
from failback.model.release import Finding
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.failures import NotFound
from failback.targets.kubernetes.kinds import Object, annotations_of, labels_of, told
from failback.targets.kubernetes.preflight_scene import Scene
from failback.targets.kubernetes.site import Site

ARGO, FLUX, HELM = "Argo CD", "Flux", "Helm"
_FLUX_SKIPS = (
    ("kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
    ("kustomize.toolkit.fluxcd.io/ssa", "Ignore"),
    ("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"),
)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """One tool that has an object in its care: its application, Kustomization, HelmRelease or release."""

    tool: str
    kind: str
    namespace: str  # "" where the object does not say
    name: str


def reconcilers_of(obj: Object) -> list[Reconciler]:
    """Which tools have the object in their care, as its labels, annotations and managers say. Pure."""
    labels, annotations = labels_of(obj), annotations_of(obj)
    managers = {str(entry.get("manager")) for entry in obj["metadata"].get("managedFields") or ()}
    found: list[Reconciler] = []
    tracking = annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0]
    if tracking or "argocd.argoproj.io/instance" in labels or any(one.startswith("argocd") for one in managers):
        name = tracking or labels.get("argocd.argoproj.io/instance") or labels.get("app.kubernetes.io/instance", "?")
        # An application outside of Argo CD's own namespace is named "namespace_name".
        namespace, _, bare = name.rpartition("_")
        found.append(Reconciler(ARGO, "Application", namespace, bare))
    for kind, prefix in (("Kustomization", "kustomize.toolkit.fluxcd.io"), ("HelmRelease", "helm.toolkit.fluxcd.io")):
        if f"{prefix}/name" in labels:
            found.append(Reconciler(FLUX, kind, labels.get(f"{prefix}/namespace", ""), labels[f"{prefix}/name"]))
    release = annotations.get("meta.helm.sh/release-name")
    if release and not any(one.kind == "HelmRelease" for one in found):
        found.append(Reconciler(HELM, "release", annotations.get("meta.helm.sh/release-namespace", ""), release))
    return found


def heals(tool: Reconciler, obj: Object, policy: Object | None) -> bool | None:
    """Whether the tool puts changes of the object back by itself; None: nobody let us read that. Pure."""
    if tool.tool == HELM:
        return False
    if tool.tool == FLUX and any(annotations_of(obj).get(key) == value for key, value in _FLUX_SKIPS):
        return False
    if policy is None:
        return None
    spec = policy.get("spec") or {}
    if tool.tool == ARGO:
        return bool(((spec.get("syncPolicy") or {}).get("automated") or {}).get("selfHeal"))
    if spec.get("suspend"):
        return False
    return tool.kind == "Kustomization" or (spec.get("driftDetection") or {}).get("mode") == "enabled"


async def reconciled(site: Site, scene: Scene) -> list[Finding]:
    """What those tools would undo of a rollout, and the way that leaves both at peace."""
    cared_for = [(obj, tool) for obj in dict(_objects(scene)).values() for tool in reconcilers_of(obj)]
    tools = list(dict.fromkeys(tool for _, tool in cared_for if tool.tool != HELM))
    policies = dict(zip(tools, await asyncio.gather(*(_policy(site, tool) for tool in tools)), strict=True))
    return [finding_of(scene.namespace, obj, tool, heals(tool, obj, policies.get(tool))) for obj, tool in cared_for]


def _objects(scene: Scene) -> Iterator[tuple[str, Object]]:
    live_services = {one["metadata"]["name"] for one in scene.services}
    for unit in scene.desired.units:
        live = scene.live.get(unit.told)
        if live is not None:
            yield told(live), live
        yield from ((told(one), one) for one in _services(scene, unit) if one["metadata"]["name"] in live_services)


def _services(scene: Scene, unit: Unit) -> Iterator[Object]:
    yield from scene.services_of(unit)


async def _policy(site: Site, tool: Reconciler) -> Object | None:
    """The tool's own object, which says whether it acts by itself; None where it may not be read."""
    try:
        if tool.namespace:
            return await site.cluster.get(tool.kind, tool.name, namespace=tool.namespace)
        found = await site.cluster.find(tool.kind, fields=f"metadata.name={tool.name}", everywhere=True)
    except (NotPermitted, NotFound):
        return None
    return found[0] if len(found) == 1 else None


def finding_of(namespace: str, obj: Object, tool: Reconciler, by_itself: bool | None) -> Finding:
    """What a person has to know of it. Pure."""
    if tool.tool == HELM:
        message = (
            f"belongs to the Helm release {tool.name}; its labels and annotations stay, so `helm upgrade` works on"
        )
        return Finding(
            "info", told(obj), message, "Keep the chart's values in step: Helm does not know of this release."
        )
    if by_itself is False:
        message = f"is in the care of {tool.tool} ({tool.name}), which does not put changes back by itself"
        return Finding("info", told(obj), message, "Bring the release into its source, or its next change undoes it.")
    fields = (
        "spec/selector"
        if obj["kind"] == "Service"
        else "spec/template, minReadySeconds, progressDeadlineSeconds and strategy"
    )
    unknown = "" if by_itself else f" (as far as can be seen: this account may not read {tool.kind} {tool.name})"
    return Finding(
        "error",
        told(obj),
        f"{tool.tool} ({tool.name}) puts {fields} back to its source, in the middle of a rollout as well{unknown}",
        _remedy(namespace, obj, tool),
        blocking=True,
        detail={"reconciler": tool.tool, "name": tool.name},
    )


def _remedy(namespace: str, obj: Object, tool: Reconciler) -> str:
    if tool.tool == ARGO:
        return (
            f"Switch its self-healing off: `argocd app set {tool.name} --self-heal=false`; switch it on again when the "
            f"new image is in its source."
        )
    if tool.kind == "HelmRelease":
        suspend = f"flux suspend helmrelease {tool.name} -n {tool.namespace}"
        return f"Suspend it: `{suspend}`; resume it when the new image is in its source."
    name = f"{obj['kind'].lower()} {obj['metadata']['name']} -n {namespace}"
    suspend = f"flux suspend kustomization {tool.name} -n {tool.namespace}"
    alone = f"kubectl annotate {name} kustomize.toolkit.fluxcd.io/reconcile=disabled"
    return f"Suspend it: `{suspend}`; resume it when the new image is in its source. For this object alone: `{alone}`."
