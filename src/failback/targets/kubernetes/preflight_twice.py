"""Whether two revisions of a workload can be there at once, and whether somebody serves meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from failback.model.release import Finding
from failback.targets.kubernetes import rolling
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.preflight_findings import blocking, refused
from failback.targets.kubernetes.preflight_scene import Scene


def runs_twice(scene: Scene, unit: Unit) -> Iterator[Finding]:
    """Whether two revisions can run beside one another at all; of a first one nobody asks that."""
    live, wanted = scene.live.get(unit.told), scene.desired.workload(unit)
    pod = scene.template(unit)["spec"]
    if unit.kind != "Deployment" and (wanted["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
        message = "its updateStrategy is OnDelete: no pod would be exchanged"
        yield blocking(unit, message, "Write updateStrategy: {type: RollingUpdate}.")
    if live is None:
        return
    if unit.kind == "Deployment" and (wanted["spec"].get("strategy") or {}).get("type") == "Recreate":
        message = "its strategy is Recreate: the manifest says that two revisions may not run at once"
        yield refused(scene, unit, message, "If they may, write strategy: {type: RollingUpdate}.", rolling.OWN)
    if unit.kind != "Deployment" and list(scene.services_of(unit)):
        yield from _someone_serves(scene, unit, live, wanted)
    if pod.get("hostNetwork"):
        yield refused(scene, unit, "its pods use the network of their node (hostNetwork), so two revisions would want "
                      "the same port", "Use the pod's own network and a Service.", rolling.OWN)  # fmt: skip
    ports = sorted(
        {
            port["hostPort"]
            for one in pod.get("containers") or ()
            for port in one.get("ports") or ()
            if port.get("hostPort")
        }
    )
    if ports and not pod.get("hostNetwork"):
        message = (
            f"its pods take port {', '.join(map(str, ports))} of their node (hostPort), which one pod alone can have"
        )
        yield refused(scene, unit, message, "Take out hostPort and use a Service.", rolling.OWN)
    if unit.kind == "Deployment":
        yield from _volumes(scene, unit, pod)


def _someone_serves(scene: Scene, unit: Unit, live: Object, wanted: Object) -> Iterator[Finding]:
    """Whether another pod can take the requests of the one that is being exchanged."""
    if unit.kind == "StatefulSet" and int(wanted["spec"].get("replicas", live["spec"].get("replicas", 1))) < 2:
        yield refused(scene, unit, "it is a StatefulSet of one replica, which is stopped before the new one starts",
                      "Give it two replicas.")  # fmt: skip
    if unit.kind != "DaemonSet":
        return
    if int((live.get("status") or {}).get("desiredNumberScheduled") or 0) < 2:
        yield refused(scene, unit, "it is a DaemonSet with one pod, which is stopped before the new one starts",
                      "Let it run on two nodes, or make it a Deployment.")  # fmt: skip
    local = [one["metadata"]["name"] for one in scene.services_of(unit) if _is_local(one)]
    if local:
        message = f"the Service {local[0]} sends each node's requests to that node's pod alone, and that is exchanged"
        yield refused(scene, unit, message, "Write internalTrafficPolicy (externalTrafficPolicy): Cluster.")


def stays_on_its_node(scene: Scene, unit: Unit) -> Iterator[Finding]:
    """A switch to new pods is one to other nodes as well, and kube-proxy does not cross over for such a Service."""
    if unit.kind != "Deployment" or scene.live.get(unit.told) is None:
        return
    for service in scene.services_of(unit):
        if _is_local(service):
            yield Finding(
                "warning",
                f"Service/{service['metadata']['name']}",
                "keeps requests on their node (Local): where no new pod stands, they are lost at the switch",
                "Write internalTrafficPolicy (externalTrafficPolicy): Cluster, or spread the pods over all nodes.",
            )


def _is_local(service: Object) -> bool:
    spec = service.get("spec") or {}
    return "Local" in (spec.get("internalTrafficPolicy"), spec.get("externalTrafficPolicy"))


def _volumes(scene: Scene, unit: Unit, pod: Object) -> Iterator[Finding]:
    brought = {one["metadata"]["name"]: one for one in scene.desired.others if one["kind"] == "PersistentVolumeClaim"}
    for volume in pod.get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if not name:
            continue
        claim = scene.referenced.get(("PersistentVolumeClaim", name)) or brought.get(name)
        modes = set(((claim or {}).get("spec") or {}).get("accessModes") or ())
        if claim is not None and modes and not modes & {"ReadWriteMany", "ReadOnlyMany"}:
            message = f"its volume {name} ({', '.join(sorted(modes))}) is held by the stable pods"
            remedy = "Use a ReadWriteMany volume, or a StatefulSet with a volume a pod."
            yield refused(scene, unit, message, remedy, rolling.OWN)
