"""Whether the second revision has room beside the first: quotas exactly, nodes roughly. Pure.

The stable pods stay until the new ones have baked, so what a rollout needs is every pod of the new revision at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from failback.model.release import Finding
from failback.targets.kubernetes import rolling
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object, labels_of
from failback.targets.kubernetes.preflight_findings import foresee, refused
from failback.targets.kubernetes.preflight_scene import Scene
from failback.targets.kubernetes.quantities import Amounts, asked, quantity, shown, summed, times

_QUOTA_NAMES = {
    "pods": ("requests", None), "count/pods": ("requests", None), "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"), "requests.cpu": ("requests", "cpu"), "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"), "limits.memory": ("limits", "memory"),
    "requests.ephemeral-storage": ("requests", "ephemeral-storage"),
    "limits.ephemeral-storage": ("limits", "ephemeral-storage"),
}  # fmt: skip


def surge(scene: Scene, unit: Unit) -> int:
    """How many pods come beside those that run."""
    if unit.kind != "Deployment":
        return 0  # one is exchanged for another
    live = scene.live.get(unit.told) or scene.desired.workload(unit)
    return int(live["spec"].get("replicas", 1))


def room(scene: Scene, pods: Mapping[str, Object]) -> Iterator[Finding]:
    """`pods`: "Deployment/web" -> the pod's spec with the defaults that the API server fills in."""
    needed = [
        (unit, pods.get(unit.told) or scene.template(unit)["spec"], surge(scene, unit)) for unit in scene.desired.units
    ]
    yield from _quotas(scene, needed)
    yield from _nodes(scene, needed)


def _quotas(scene: Scene, needed: Sequence[tuple[Unit, Object, int]]) -> Iterator[Finding]:
    for quota in scene.quotas or ():
        spec = quota.get("spec") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue  # holds for some pods only; the dry run of a pod tells where it is full
        status = quota.get("status") or {}
        lacking: list[str] = []
        asks: list[str] = []
        for key, hard in (status.get("hard") or {}).items():
            if key not in _QUOTA_NAMES:
                continue
            free = quantity(hard) - quantity((status.get("used") or {}).get(key, "0"))
            kind, resource = _QUOTA_NAMES[key]
            wants = sum(
                count * (1.0 if resource is None else asked(pod, kind).get(resource, 0.0)) for _, pod, count in needed
            )
            if wants > free + 1e-9:
                name = resource or "pods"
                lacking.append(f"{key}: {shown(name, wants)} more needed, {shown(name, max(free, 0.0))} free of {hard}")
                used = (status.get("used") or {}).get(key, "0")
                asks.append(f"requested: {key}={shown(name, wants)}, used: {key}={used}, limited: {key}={hard}")
        if lacking:
            name = quota["metadata"]["name"]
            message = (
                f"exceeded quota: {name} has no room for the new pods beside the stable ones ({'; '.join(lacking)})"
            )
            remedy = f"Raise the quota {name}, or scale down first; the room is needed only during the rollout."
            for unit, _, count in needed:
                if not count:
                    continue
                said = f'pods "{unit.name}-" is forbidden: exceeded quota: {name}, {", ".join(asks)}'
                detail = foresee(unit, "FailedCreate", said)
                if scene.live.get(unit.told) is None:
                    yield Finding("error", unit.told, message, remedy, True, detail)
                else:
                    yield refused(scene, unit, message, remedy, rolling.ROLLING, detail)


def _nodes(scene: Scene, needed: Sequence[tuple[Unit, Object, int]]) -> Iterator[Finding]:
    if scene.nodes is None:
        why = "this account may not list nodes, or there are more than a rough sum is worth"
        yield Finding("info", "capacity", f"not looked at: {why}. The scheduler will tell")
        return
    for unit, pod, count in needed:
        if not count and scene.live.get(unit.told) is not None:
            continue
        fitting = [node for node in scene.nodes if _eligible(node, pod)]
        wants = asked(pod)
        if not fitting:
            message = (
                f"no node takes its pods: 0/{len(scene.nodes)} nodes match its selector and tolerations and are ready"
            )
            remedy = "Correct nodeSelector or tolerations, or add such a node."
            why = (
                "node(s) didn't match Pod's node affinity/selector" if pod.get("nodeSelector") else _untolerated(scene)
            )
            yield _short(scene, unit, message, remedy, f"{len(scene.nodes)} {why}", never=True)
            continue
        if not any(_fits(wants, _allocatable(node)) for node in fitting):
            largest = max(fitting, key=lambda node: _allocatable(node).get("memory", 0.0))
            has = _told(_allocatable(largest))
            message = f"one pod asks for {_told(wants)}, and the largest node that takes it has {has}"
            lacks = next(key for key, value in wants.items() if value > _allocatable(largest).get(key, 0.0))
            why = f"{len(fitting)} Insufficient {lacks}"
            yield _short(scene, unit, message, "Ask for less, or add a larger node.", why, never=True)
            continue
        if scene.node_pods is None:
            continue
        placed = _placed(fitting, scene.node_pods, wants, max(count, 1))
        if placed < max(count, 1):
            message = (f"there is room for {placed} of its {max(count, 1)} new pods beside what runs "
                       f"(each asks for {_told(wants)})")  # fmt: skip
            remedy = "Add a node, scale something down, or ask for less."
            why = f"{len(fitting)} Insufficient {_scarcest(wants)}"
            yield _short(scene, unit, message, remedy, why, sure=not pod.get("priority"))


def _short(
    scene: Scene, unit: Unit, message: str, remedy: str, why: str, *, sure: bool = True, never: bool = False
) -> Finding:
    """`why`: the scheduler's word for it. `never`: there would be no room for a single pod without the stable ones."""
    detail = foresee(unit, "FailedScheduling", f"0/{len(scene.nodes or ())} nodes are available: {why}.")
    if _autoscaled(scene):
        return Finding("info", unit.told, f"{message}; nodes are added on demand here, which takes its time")
    if not sure:
        return Finding("warning", unit.told, f"{message}; pods of lower priority may have to leave", remedy)
    if never or scene.live.get(unit.told) is None:
        return Finding("error", unit.told, message, remedy, True, detail)
    return refused(scene, unit, message, remedy, rolling.ROLLING, detail)


def _untolerated(scene: Scene) -> str:
    taints = [taint for node in scene.nodes or () for taint in (node.get("spec") or {}).get("taints") or ()]
    if taints:
        return f"node(s) had untolerated taint {{{taints[0].get('key')}: {taints[0].get('value', '')}}}"
    return "node(s) were unschedulable"


def _scarcest(wants: Amounts) -> str:
    return next((key for key in ("memory", "cpu") if wants.get(key)), "pods")


_ADDED_BY = (
    "karpenter.sh/nodepool",
    "karpenter.sh/provisioner-name",
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
)


def _autoscaled(scene: Scene) -> bool:
    """Whether nodes may be added on demand; where that is not known, a lack of room is no certainty."""
    return any(label in labels_of(node) for node in scene.nodes or () for label in _ADDED_BY)


def _eligible(node: Object, pod: Mapping[str, Any]) -> bool:
    spec = node.get("spec") or {}
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    labels = labels_of(node)
    chosen = all(labels.get(key) == value for key, value in (pod.get("nodeSelector") or {}).items())
    taints = [one for one in spec.get("taints") or () if one.get("effect") in ("NoSchedule", "NoExecute")]
    tolerations = pod.get("tolerations") or ()
    return (
        ready
        and not spec.get("unschedulable")
        and chosen
        and all(any(_tolerates(entry, taint) for entry in tolerations) for taint in taints)
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint.get("key"):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _allocatable(node: Object) -> Amounts:
    return {key: quantity(value) for key, value in ((node.get("status") or {}).get("allocatable") or {}).items()}


def _fits(wants: Amounts, free: Amounts) -> bool:
    return free.get("pods", 1.0) >= 1.0 and all(free.get(key, 0.0) >= value for key, value in wants.items() if value)


def _placed(nodes: Sequence[Object], pods: Sequence[Object], wants: Amounts, count: int) -> int:
    """How many of the new pods find a place, node after node."""
    placed = 0
    for node in nodes:
        mine = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") == node["metadata"]["name"]]
        used = summed([asked(pod["spec"]) for pod in mine])
        free = {key: value - used.get(key, 0.0) for key, value in _allocatable(node).items()}
        free["pods"] = free.get("pods", 110.0) - len(mine)
        while placed < count and _fits(wants, free):
            placed += 1
            free = {key: value - times(wants, 1).get(key, 0.0) for key, value in free.items()}
            free["pods"] -= 1
    return placed


def _told(amounts: Amounts) -> str:
    parts = [f"{shown(key, amounts[key])} {key}" for key in ("cpu", "memory") if amounts.get(key)]
    return " and ".join(parts) or "nothing"
