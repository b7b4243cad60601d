"""Pods that find no node, are driven from one, or fail with it: the scheduler's, kubelet's and node controller's words."""

from __future__ import annotations

import re

from failback.diagnosis.kube import get, items, text
from failback.diagnosis.recommend import high, medium
from failback.diagnosis.recommend.kube import container_of, in_namespace, patch, workload
from failback.diagnosis.rule import Hypothesis, quoted
from failback.diagnosis.statements import Told, statement_rule
from failback.model.diagnosis import FailureType, Recommendation

_NO_NODE = r"(?P<nodes>\d+/\d+ nodes are available)|persistentvolumeclaim \"(?P<pvc>[^\"]+)\" (?:not found|is being deleted)|unbound immediate PersistentVolumeClaims|Pod was rejected|didn't match|Node didn't have enough resource"


@statement_rule(
    "pod-unschedulable",
    "FailedScheduling|Unschedulable|SchedulerError|OutOfcpu|OutOfmemory|OutOfpods|NodeAffinity|NodePorts|UnexpectedAdmissionError|NotTriggerScaleUp",
    _NO_NODE,
    source="kube-scheduler's and the kubelet's admission predicates",
)
def unschedulable(told: Told) -> Hypothesis | None:
    """No node fits; the scheduler says for each how many failed which test."""
    said = told.statement
    message = re.split(r"(?:no new claims to deallocate, )?preemption:", said.message)[0].strip().rstrip(",. ")
    claims = _claims(told)
    named = re.search(r"persistentvolumeclaim \"([^\"]+)\"", message)
    if (
        named
        or "unbound immediate PersistentVolumeClaims" in message
        or re.search(r"volume node affinity conflict|find available persistent volumes", message)
    ):
        return _claim(told, message, named.group(1) if named else ", ".join(claims))
    why, fixes = _why(told, message)
    return Hypothesis(
        FailureType.UNSCHEDULABLE if "free ports" not in message else FailureType.PORT_CONFLICT,
        f"No node can run the pod {said.owner or said.name}: {why}: {quoted(message, 320)}",
        0.97,
        fixes,
        names=("resources", "nodeSelector", "affinity", "tolerations"),
    )


def _requests(told: Told, resource: str) -> str:
    asked = [
        text(c, "resources", "requests", resource) or text(c, "resources", "limits", resource)
        for c in _containers(told)
    ]
    return " + ".join(a for a in asked if a)


def _containers(told: Told) -> list[object]:
    for pod in told.scene.evidence.pods:
        if text(pod, "metadata", "name") == told.statement.name:
            return items(pod, "spec", "containers")
    for manifest in told.scene.evidence.manifests:
        found = items(manifest, "spec", "template", "spec", "containers")
        if found:
            return found
    return [container_of(told.scene, told.statement)]


def _spec(told: Told, key: str) -> str:
    """The pod's nodeSelector, or what its affinity asks for, as text."""
    for obj in (*told.scene.evidence.pods, *(get(m, "spec", "template") for m in told.scene.evidence.manifests)):
        value = get(obj, "spec", key)
        if isinstance(value, dict) and value:
            if key == "nodeSelector":
                return ", ".join(f"{k}={v}" for k, v in value.items())
            terms = re.findall(r"'key': '([^']+)', 'operator': '(\w+)'(?:, 'values': \[([^\]]*)\])?", str(value))
            return ", ".join(f"{k} {op} {v}".strip() for k, op, v in terms)
    return ""


def _why(told: Told, message: str) -> tuple[str, tuple[Recommendation, ...]]:
    scene, said = told.scene, told.statement
    kind, name = workload(scene, said)
    reasons: list[str] = []
    fixes: list[Recommendation] = []
    for resource in dict.fromkeys(
        re.findall(r"Insufficient ([\w./-]*\w)", message)
        + [r.lower() for r in re.findall(r"OutOf(cpu|memory|pods)", f"{said.reason} {message}")]
        + [r.strip(",") for r in re.findall(r"Node didn't have enough resource: (\S+)", message)]
    ):
        asked = _requests(told, resource)
        reasons.append(f"insufficient {resource}{f' (the pod requests {asked})' if asked else ''}")
        fixes.append(high(f"Lower the {resource} request or add a node", f"Reduce resources.requests.{resource}{f' (now {asked})' if asked else ''} of {name} to what it needs, remove other pods, or add (or enlarge) nodes",
                          patch(scene, said, said.container or _first_name(told), f"resources: {{requests: {{{resource}: {'100m' if resource == 'cpu' else '128Mi' if resource == 'memory' else '1'}}}}}")))  # fmt: skip
    for taint in dict.fromkeys(re.findall(r"untolerated taint(?:\(s\))? ?\{([^}]*)\}", message)):
        key, _, value = taint.partition(": ")
        reasons.append(f"the node has the taint {key}{'=' + value if value else ''}, which the pod does not tolerate")
        if key.startswith("node.kubernetes.io/"):
            fixes.append(high("Bring the node back", f"The taint {key} is set by the cluster: repair the node (not ready, disk or memory pressure, unschedulable), or kubectl uncordon it, or add a node", "kubectl describe nodes | grep -A3 Taints; kubectl uncordon NODE"))  # fmt: skip
        else:
            fixes.append(high(f"Add a toleration for the taint {key}", f"Tolerate {taint} in the pod template of {name}, or remove the taint from a node that shall run it",
                              f"# kubectl patch {kind.lower()} {name}{in_namespace(scene)} --patch-file patch.yaml\nspec:\n  template:\n    spec:\n      tolerations:\n        - {{key: {key}, operator: Equal, value: \"{value}\", effect: NoSchedule}}"))  # fmt: skip
    if re.search(r"untolerated taint\(?s?\)?(?! ?\{)", message) and not reasons:
        reasons.append("the nodes have taints that the pod does not tolerate")
        fixes.append(high("Add a toleration", f"Tolerate the nodes' taints in the pod template of {name}, or remove them", "kubectl describe nodes | grep -A3 Taints"))  # fmt: skip
    if re.search(r"didn't match Pod's node affinity/selector|node selector|node affinity", message):
        wanted = _spec(told, "nodeSelector") or _spec(told, "affinity")
        reasons.append(f"no node matches the pod's nodeSelector or node affinity{f' ({wanted})' if wanted else ''}")
        fixes.append(high("Correct nodeSelector or affinity, or label a node", f"No node has the labels that {name} asks for{f': {wanted}' if wanted else ''}: correct the nodeSelector/affinity in the manifest, or label a node",
                          f"kubectl get nodes --show-labels; kubectl label node NODE {wanted.split(',')[0] if '=' in wanted else 'KEY=VALUE'}"))  # fmt: skip
    if re.search(r"anti-affinity rules", message):
        reasons.append("pod anti-affinity forbids a node where another pod of this kind runs")
        fixes.append(high("Relax the pod anti-affinity or add nodes", f"With required podAntiAffinity each replica of {name} needs a node of its own: use preferredDuringSchedulingIgnoredDuringExecution, fewer replicas, or more nodes", "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [...]}}"))  # fmt: skip
    elif re.search(r"didn't match pod affinity rules", message):
        reasons.append("no node runs a pod that the pod affinity asks for")
        fixes.append(high("Correct the pod affinity", f"The podAffinity of {name} matches no running pod: correct its labels or topologyKey, or remove it", "kubectl get pods --show-labels"))  # fmt: skip
    if "topology spread" in message:
        reasons.append("the topology spread constraints cannot be met")
        fixes.append(high("Relax topologySpreadConstraints", "Use whenUnsatisfiable: ScheduleAnyway, a larger maxSkew, or nodes in every zone", "topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}]"))  # fmt: skip
    if "free ports" in message:
        port = next(
            (
                str(p.get("hostPort"))
                for c in _containers(told)
                for p in items(c, "ports")
                if isinstance(p, dict) and p.get("hostPort")
            ),
            "",
        )
        reasons.append(f"the host port {port} is already in use on every node")
        fixes.append(high(f"Do not use hostPort {port}", f"Remove hostPort {port} (or hostNetwork) and use a Service, or let at most one such pod run on a node", patch(scene, said, said.container, f"ports: [{{containerPort: {port or 8080}}}]")))  # fmt: skip
    if re.search(r"were unschedulable", message):
        reasons.append("the nodes are cordoned (unschedulable)")
        fixes.append(high("Uncordon a node", "Make a node schedulable again, or add one", "kubectl uncordon NODE"))
    if re.search(r"Too many pods", message):
        reasons.append("the nodes run as many pods as they may (too many pods)")
        fixes.append(high("Add a node or remove pods", "Every node is at its limit of pods (maxPods): remove what is not needed, or add nodes", "kubectl get pods -A -o wide"))  # fmt: skip
    if not reasons:
        return "none passes the scheduler's tests", (high("Make a node fit", f"Change what the scheduler names for {name}, or add nodes", f"kubectl describe pod {said.name}{in_namespace(scene)}"),)  # fmt: skip
    return "; ".join(reasons), tuple(fixes)


def _first_name(told: Told) -> str:
    return next((text(c, "name") for c in _containers(told) if text(c, "name")), "app")


def _claims(told: Told) -> list[str]:
    found = []
    for obj in (*told.scene.evidence.pods, *(get(m, "spec", "template") for m in told.scene.evidence.manifests)):
        found += [text(v, "persistentVolumeClaim", "claimName") for v in items(obj, "spec", "volumes")]
    return list(dict.fromkeys(name for name in found if name))


def _claim(told: Told, message: str, claim: str) -> Hypothesis:
    gone = "not found" in message
    zone = re.search(r"volume node affinity conflict", message)
    shown = claim or "of the pod"
    why = (
        "does not exist (not found)"
        if gone
        else "lies in another zone or node than the nodes that fit"
        if zone
        else "is not bound to a volume (unbound, pending)"
    )
    classes = [
        (text(m, "metadata", "name"), text(m, "spec", "storageClassName"))
        for m in told.scene.evidence.manifests
        if text(m, "kind") == "PersistentVolumeClaim"
    ]
    named = next((c for n, c in classes if c and (not claim or n in claim)), "")
    return Hypothesis(
        FailureType.VOLUME_FAILURE,
        f"The persistent volume claim {shown} {why}{f'; its storage class is {named}' if named else ''}: {quoted(message, 300)}",
        0.92,
        (
            high(
                f"Create or bind the claim {shown}",
                f"Create the PersistentVolumeClaim {shown} (or correct claimName), with a storageClassName that exists{f' (now {named})' if named else ''} and a provisioner that works, or provide a matching PersistentVolume",
                f"kubectl get pvc,pv,storageclass{in_namespace(told.scene)}; kubectl describe pvc {claim or 'NAME'}{in_namespace(told.scene)}",
            ),
        ),
        names=tuple(part for part in (claim, named) if part),
        facts={"claim": claim},
    )


@statement_rule(
    "pod-evicted",
    "Evicted|TerminationByKubelet|FreeDiskSpaceFailed|Preempted|PreemptionByScheduler",
    r"low on resource: (?P<res>[\w-]+)|(?P<pod>Pod ephemeral local storage usage exceeds the total limit of containers (?P<plimit>[\w.]+))|[Cc]ontainer (?P<c>\S+) exceeded its local ephemeral storage limit \"(?P<climit>[^\"]+)\"|Usage of EmptyDir volume \"(?P<vol>[^\"]+)\" exceeds the limit \"(?P<vlimit>[^\"]+)\"|had condition: \[(?P<cond>\w+)\]|(?P<pre>[Pp]reempted|preempt)",
    source="kubelet's eviction manager",
)
def evicted(told: Told) -> Hypothesis | None:
    """The kubelet drove the pod from its node."""
    said, scene = told.statement, told.scene
    message = quoted(said.message, 320)
    resource = told.get("res") or told.get("cond")
    if told.get("pre"):
        return Hypothesis(FailureType.UNSCHEDULABLE, f"The pod {said.name} was preempted by one of higher priority: {message}", 0.85, (high("Give it a priority class or add nodes", "A pod of higher priority needed its place", "spec: {priorityClassName: high}"),))  # fmt: skip
    if "memory" in resource.lower():
        return Hypothesis(
            FailureType.MEMORY_LIMIT,
            f"The pod {said.owner} was evicted because its node ran low on memory: {message}",
            0.86,
            (
                high("Request the memory that is used", f"Set resources.requests.memory of {said.owner} to its real use (and a limit), so that it lands on a node with enough memory; or add nodes", patch(scene, said, said.container, "resources: {requests: {memory: 256Mi}, limits: {memory: 512Mi}}")),
            ),
        )  # fmt: skip
    limit = told.get("plimit") or told.get("climit") or told.get("vlimit")
    what = (
        f"the emptyDir volume {told.get('vol')}"
        if told.get("vol")
        else f"container {told.get('c')}"
        if told.get("c")
        else "the pod"
    )
    why = (
        f"{what} used more ephemeral storage (disk) than its limit of {limit}"
        if limit
        else f"its node ran low on disk ({resource})"
    )
    body = f"resources: {{limits: {{ephemeral-storage: {_double(limit)}}}}}"
    return Hypothesis(
        FailureType.DISK_FULL,
        f"The pod {said.owner} was evicted: {why}: {message}",
        0.96,
        (
            high("Raise the limit or write less", f"Increase {'the sizeLimit of the emptyDir ' + told.get('vol') if told.get('vol') else 'resources.limits.ephemeral-storage'}{f' above {limit}' if limit else ''}, clean up or rotate what is written (logs, temporary files, caches), or use a PersistentVolume",
                 f"volumes: [{{name: {told.get('vol')}, emptyDir: {{sizeLimit: {_double(limit)}}}}}]" if told.get("vol") else patch(scene, said, told.get("c") or said.container, body)),
            *((high("Free disk space on the node", "Remove unused images and logs there (image garbage collection), or use nodes with larger disks", "crictl rmi --prune; df -h"),) if not limit else ()),
        ),
        facts={"limit": limit},
    )  # fmt: skip


def _double(limit: str) -> str:
    match = re.fullmatch(r"(\d+)(\w*)", limit)
    return f"{int(match.group(1)) * 2}{match.group(2)}" if match else "1Gi"


@statement_rule(
    "node-trouble",
    "NodeNotReady|FailedCreatePodSandBox|NodeLost|TaintManagerEviction|DeletionByTaintManager|NetworkNotReady|FailedKillPod|ContainerGCFailed|KubeletNotReady|NodeStatusUnknown|SandboxChanged|FailedNodeAllocatableEnforcement|NodeShutdown|Terminated|NodeHasDiskPressure|ContainerStatusUnknown|InvalidDiskCapacity|RunContainerError|ContainerCreating",
    r"(?P<ready>[Nn]ode (?:\S+ )?(?:is|status is now:?) ?[Nn]ot ?[Rr]eady|NodeNotReady)|failed to (?:setup network|create pod sandbox|get sandbox image|reserve sandbox|create containerd task: failed to create shim task: context deadline)|(?P<cni>cni plugin not initialized|network is not ready|NetworkPluginNotReady|plugin type=\"(?P<plugin>[^\"]+)\"[^\n]*failed)|[Uu]nable to connect to (?:the )?(?:container )?runtime|container runtime is down|Marking for deletion Pod|node shutdown|imminent node shutdown|PLEG is not healthy|could not be located when the pod was",
    source="node controller, kubelet, CNI and container runtime",
)
def node_trouble(told: Told) -> Hypothesis | None:
    """The node, the runtime or the network plug-in is at fault, not the release."""
    said = told.statement
    message = quoted(said.message, 320)
    if said.reason in ("RunContainerError", "ContainerCreating") and "sandbox" not in message:
        return None
    node = (
        said.name
        if said.kind == "Node"
        else next((text(p, "spec", "nodeName") for p in told.scene.evidence.pods if text(p, "spec", "nodeName")), "")
    )
    address = re.search(r"no IP addresses available|failed to allocate for range|no available IP", said.message)
    what = (
        "no IP address is left for pods on it"
        if address
        else f"its network plug-in (CNI{' ' + told.get('plugin') if told.get('plugin') else ''}) cannot set up the pod's network"
        if told.get("cni") or "network" in message
        else "it shuts down"
        if "shutdown" in message
        else "it is not ready (kubelet or runtime do not answer)"
    )
    return Hypothesis(
        FailureType.NODE_FAILURE,
        f"The node{f' {node}' if node else ''} is at fault, not the release: {what}: {message}",
        0.94 if said.reason != "SandboxChanged" else 0.5,
        (
            high(
                f"Repair or replace the node{f' {node}' if node else ''}",
                f"Check the kubelet, the container runtime and the network plug-in (CNI) on the node{f' {node}' if node else ''}; drain it and let the pods run on another node, then deploy again",
                f"kubectl describe node {node or 'NODE'}; kubectl drain {node or 'NODE'} --ignore-daemonsets --delete-emptydir-data",
            ),
            medium("Deploy again when the node is back", "The release itself needs no change", ""),
        ),
        component=node or said.name,
        names=(),
    )
