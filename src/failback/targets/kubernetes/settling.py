"""Whether a workload is at rest: its controller has seen the last write, and every pod is there, of it, and good."""

from __future__ import annotations

from failback.targets.base import Action
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.site import Site


def unsettled(workload: Object) -> str:
    """Why it is not at rest; "" when it is. Pure."""
    status = workload.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(workload["metadata"].get("generation") or 0):
        return "its controller has not seen the last change yet"
    kind = workload["kind"]
    if kind == "DaemonSet":
        wanted = int(status.get("desiredNumberScheduled") or 0)
        updated, ready = int(status.get("updatedNumberScheduled") or 0), int(status.get("numberReady") or 0)
    else:
        wanted = int(workload["spec"].get("replicas", 1))
        updated, ready = int(status.get("updatedReplicas") or 0), int(status.get("readyReplicas") or 0)
        if kind == "StatefulSet" and status.get("currentRevision") == status.get("updateRevision"):
            updated = int(status.get("replicas") or 0)
    total = wanted if kind == "DaemonSet" else int(status.get("replicas") or 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods have its template"
    if total > wanted:
        return f"{total - wanted} pods of another template have not left"
    if ready < wanted:
        return f"{ready} of {wanted} pods are ready"
    return ""


async def until_settled(site: Site, kind: str, name: str, limit_s: float) -> Action:
    """Waits until it is at rest; an Action that tells."""

    def settled(objects: dict[str, Object]) -> bool:
        return name in objects and not unsettled(objects[name])

    async with Mirror(site.cluster, kind, fields=f"metadata.name={name}") as mirror:
        good = await mirror.until(settled, limit_s)
        last = mirror.objects.get(name)
    if good and last is not None:
        ready = (last.get("status") or {}).get("readyReplicas", (last.get("status") or {}).get("numberReady", 0))
        return Action(f"{kind}/{name}: {ready or 0} pods ready")
    why = "it is gone" if last is None else unsettled(last)
    return Action(f"{kind}/{name} is not at rest after {limit_s:.0f} s: {why}", ok=False)
