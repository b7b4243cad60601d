"""Volumes that cannot be provisioned, attached or mounted."""

from __future__ import annotations

import re

from failback.diagnosis.kube import container_states
from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.kube import in_namespace, patch, workload
from failback.diagnosis.rule import Hypothesis, quoted
from failback.diagnosis.scene import Scene
from failback.diagnosis.statements import Told, statement_rule
from failback.model.diagnosis import FailureType


def _started(scene: Scene, pod: str) -> bool:
    """True where a container of the pod has run: its volumes were mounted, and what the kubelet said before was overcome."""
    return any(
        state.end_code is not None or state.restarts or state.ready
        for found in scene.pods()
        for state in container_states(found)
        if state.pod == pod and not state.init
    ) or any(
        "running" in (status.get("state") or {})
        for found in scene.pods()
        if (found.get("metadata") or {}).get("name") == pod
        for status in (found.get("status") or {}).get("containerStatuses") or ()
    )


@statement_rule(
    "pod-volume",
    "FailedMount|FailedAttachVolume|FailedMapVolume|VolumeResizeFailed|FailedBinding|ProvisioningFailed|FailedUnMount|CreateContainerError|FailedCreatePodContainer|Failed|VolumeMismatch|WaitForFirstConsumer|WaitForPodScheduled|ExternalProvisioning",
    r"(?:MountVolume|AttachVolume|MapVolume|MountDevice)[.\w]* failed for volume \"(?P<vol>[^\"]+)\"\s*:?\s*(?P<why>.*)|Unable to attach or mount volumes: unmounted volumes=\[(?P<un>[^\]]*)\](?P<uwhy>.*)|(?P<multi>Multi-Attach error) for volume \"(?P<mvol>[^\"]+)\"(?P<mwhy>.*)|storageclass\.storage\.k8s\.io \"(?P<sc>[^\"]+)\" not found|failed to provision volume with StorageClass \"(?P<sc2>[^\"]+)\": (?P<pwhy>.*)|hostPath type check failed: (?P<host>\S+)(?P<hwhy>.*)|no persistent volumes available for this claim|no volume plugin matched|(?P<sub>failed to (?:create|prepare) subPath[^\n]*)|not a directory: Are you trying to mount a directory onto a file",
    source="kubelet's volume manager, attach/detach and persistent volume controllers",
)
def volume(told: Told) -> Hypothesis | None:
    """A volume is named and cannot be used. Missing ConfigMaps and Secrets have a rule of their own."""
    said, scene = told.statement, told.scene
    message = quoted(said.message, 340)
    if re.search(
        r"(?:configmap|secret)s? \"[^\"]+\" not found|references non-existent|object \S+ not registered", said.message
    ):
        return None
    if _started(scene, said.name):
        return None
    name = told.get("vol") or told.get("mvol") or told.get("un") or ""
    why = told.get("why") or told.get("uwhy") or told.get("pwhy") or ""
    kind, owner = workload(scene, said)
    storage = told.get("sc") or told.get("sc2")
    if storage:
        return Hypothesis(
            FailureType.VOLUME_FAILURE,
            f"The storage class {storage} {'does not exist (not found)' if told.get('sc') else 'cannot provision a volume'}, so the claim {said.name} stays unbound: {message}",
            0.97,
            (
                high(f"Correct storageClassName {storage}", f"Use a StorageClass that exists in the claim {said.name} (kubectl get storageclass), or create the class {storage} with its provisioner; a claim's class cannot be changed, so delete and create it again", f"kubectl get storageclass; kubectl get pvc {said.name}{in_namespace(scene)} -o yaml | sed 's/storageClassName: {storage}/storageClassName: EXISTING/' | kubectl replace --force -f -"),
            ),
            component=said.name,
            names=(storage, said.name),
        )  # fmt: skip
    if told.get("host") or "hostPath type check failed" in said.message or "is not a directory" in why:
        path = told.get("host") or (
            m.group(1) if (m := re.search(r"hostPath type check failed: (\S+)", said.message)) else ""
        )
        return Hypothesis(
            FailureType.VOLUME_FAILURE,
            f"The host path {path} of the volume {name} does not exist on the node or is of another kind: {message}",
            0.96,
            (
                high(f"Correct the hostPath {path}", f"Create {path} on every node, set type: DirectoryOrCreate, or use a PersistentVolumeClaim or emptyDir instead", f"volumes: [{{name: {name or 'data'}, hostPath: {{path: {path}, type: DirectoryOrCreate}}}}]"),
            ),
            names=(path, name),
        )  # fmt: skip
    if told.get("multi"):
        return Hypothesis(
            FailureType.VOLUME_FAILURE,
            f"The volume {name} is still attached to another node (ReadWriteOnce, Multi-Attach error), so the new pod cannot mount it: {message}",
            0.96,
            (
                high(f"Let the old pod release {name} first", f"A ReadWriteOnce volume serves one node at a time: use strategy Recreate for {owner}, keep both pods on one node, or use a ReadWriteMany class", f"# kubectl patch {kind.lower()} {owner}{in_namespace(scene)} --patch-file patch.yaml\nspec:\n  strategy: {{type: Recreate, rollingUpdate: null}}"),
            ),
            names=(name,),
        )  # fmt: skip
    detail = _detail(why or said.message)
    return Hypothesis(
        FailureType.VOLUME_FAILURE,
        f"The volume {name or said.name} cannot be mounted or attached{f': {detail[0]}' if detail[0] else ''}: {message}",
        0.9 if why or name else 0.85,
        (
            high(
                f"Repair the volume {name or said.name}",
                detail[1]
                or f"Check the claim, its volume and the driver that mounts {name or said.name}, and the volumes section of {owner}",
                f"kubectl describe pvc,pv{in_namespace(scene)}; kubectl get volumeattachments",
            ),
        ),
        names=tuple(part for part in (name,) if part),
    )


def _detail(why: str) -> tuple[str, str]:
    """(what is wrong, what to do) from the mount's own error."""
    server = re.search(r"(?:Mounting arguments|mount\.nfs|nfs)[^\n]*?([\w.-]+):(/\S*)", why)
    if re.search(r"mount\.nfs|nfs", why, re.IGNORECASE):
        what = (
            f"the NFS server {server.group(1)} (path {server.group(2)}) cannot be mounted"
            if server
            else "the NFS server cannot be mounted"
        )
        return (
            what,
            "Check the NFS server's address and export, the network to it, and that nfs-common is installed on the node",
        )
    driver = re.search(r"driver name (\S+) not found|CSI driver (\S+)|csi driver \"?([\w.-]+)", why)
    if driver:
        name = next(g for g in driver.groups() if g)
        return (
            f"the CSI driver {name} is not registered on the node",
            f"Install or repair the CSI driver {name} on the node (its DaemonSet must run there), or use another storage class",
        )
    if "timed out waiting" in why:
        return "it was not ready in time", ""
    if "permission denied" in why.lower():
        return "permission denied", "Check the driver's credentials and the rights on the storage"
    if re.search(r"no such (?:file|device)|does not exist|not found", why):
        return "what it names does not exist", "Correct the volume's path, name or id; create what it names"
    if re.search(r"wrong fs type|bad superblock|unknown filesystem", why):
        return "its file system cannot be read", "Repair or format the volume, and correct fsType"
    return "", ""


@statement_rule(
    "claim-pending",
    "FailedBinding|ProvisioningFailed",
    r"no persistent volumes available for this claim and no storage class is set|no volume plugin matched|(?P<mode>access ?modes?)|requested (?:volume|storage)[^\n]*|insufficient",
    source="the persistent volume controller",
)
def claim_pending(told: Told) -> Hypothesis | None:
    """A claim that nothing can satisfy."""
    said = told.statement
    return Hypothesis(
        FailureType.VOLUME_FAILURE,
        f"The claim {said.name} stays pending (unbound): no persistent volume fits and no storage class can make one: {quoted(said.message)}",
        0.93,
        (
            high(
                f"Give the claim {said.name} a storage class or a volume",
                f"Set storageClassName of {said.name} to a class that exists (kubectl get storageclass), mark one as default, or create a PersistentVolume with the same size and access mode",
                f"kubectl get storageclass,pv; kubectl describe pvc {said.name}{in_namespace(told.scene)}",
            ),
        ),
        component=said.name,
        names=(said.name,),
    )


@statement_rule(
    "read-only-mount",
    "FailedMount|CreateContainerError|RunContainerError|StartError",
    r"(?:read-only file system|mkdirat? [^\n]*read-only)[^\n]*",
    source="runc: a mount point that cannot be made",
)
def read_only(told: Told) -> Hypothesis | None:
    """A mount point inside a read-only mount cannot be created."""
    said = told.statement
    path = re.search(r"(?:mkdir|create mountpoint for|mkdirat)\s+(\S+)|rootfs at \\?\"([^\"\\]+)", said.message)
    shown = next((g for g in path.groups() if g), "") if path else ""
    return Hypothesis(
        FailureType.VOLUME_FAILURE,
        f"A volume cannot be mounted at {shown or 'its path'}, because that path lies in a read-only mount: {quoted(said.message, 320)}",
        0.9,
        (
            high(
                "Mount it elsewhere",
                f"Do not nest {shown or 'a mount'} in a ConfigMap, Secret or read-only volume: choose another mountPath, or a projected volume",
                patch(told.scene, said, said.container, "volumeMounts: [{name: data, mountPath: /data}]"),
            ),
        ),
    )
