"""What can be known of a rollout before it begins, from the objects alone: one rule a question. Pure.

A rule yields Findings. "refused" in a Finding's detail: the release may be good, but the guarantee that the plan
demands cannot be kept for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from failback.model.release import Finding
from failback.targets.kubernetes.backed_up import scales
from failback.targets.kubernetes.desired import Unit, references, selects
from failback.targets.kubernetes.kinds import Object, annotations_of, labels_of
from failback.targets.kubernetes.preflight_findings import blocking, refused
from failback.targets.kubernetes.preflight_scene import Scene
from failback.targets.kubernetes.preflight_twice import runs_twice, stays_on_its_node
from failback.targets.kubernetes.record import REVISION_OF, record_of
from failback.targets.kubernetes.settling import unsettled

Rule = Callable[[Scene, Unit], Iterator[Finding]]


# -- the workload as it is ---------------------------------------------------------------------------------------------


def settled(scene: Scene, unit: Unit) -> Iterator[Finding]:
    live = scene.live.get(unit.told)
    if live is None:
        return
    if record_of(live) is not None:
        message = "an earlier rollout by failback was not ended"
        yield Finding("warning", unit.told, message, "This deployment ends it first; so does `failback resume`.")
        return
    why = unsettled(live)
    if not why:
        return
    if "pods are ready" in why and _one_template(live):
        message = f"was broken before this release: {why}"
        yield Finding(
            "warning", unit.told, f"{message}. It will be judged as no worse than that", detail={"broken": why}
        )
        return
    name = f"{unit.kind.lower()}/{unit.name} -n {scene.namespace}"
    yield blocking(
        unit,
        f"is in the middle of another change: {why}",
        f"Wait for it: `kubectl rollout status {name}`. If it is stuck, undo it: `kubectl rollout undo {name}`.",
    )


def _one_template(live: Object) -> bool:
    status = live.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(live["metadata"].get("generation") or 0):
        return False
    total = int(status.get("replicas") or status.get("currentNumberScheduled") or 0)
    updated = int(status.get("updatedReplicas") or status.get("updatedNumberScheduled") or 0)
    return updated == total or (
        status.get("currentRevision") is not None and status.get("currentRevision") == status.get("updateRevision")
    )


def paused(scene: Scene, unit: Unit) -> Iterator[Finding]:
    live, wanted = scene.live.get(unit.told), scene.desired.workload(unit)
    if wanted["spec"].get("paused"):
        yield blocking(
            unit, "is paused in the manifest, so no pod of the new release would start", "Take out spec/paused."
        )
    elif live is not None and live["spec"].get("paused"):
        remedy = f"Resume it: `kubectl rollout resume deployment/{unit.name} -n {scene.namespace}`."
        yield blocking(unit, "is paused, so no pod of the new release would start", remedy)


def has_replicas(scene: Scene, unit: Unit) -> Iterator[Finding]:
    live, wanted = scene.live.get(unit.told), scene.desired.workload(unit)
    if unit.kind == "DaemonSet":
        return
    if live is not None and live["spec"].get("replicas") == 0:
        remedy = f"Scale it first: `kubectl scale {unit.kind.lower()}/{unit.name} --replicas=2 -n {scene.namespace}`."
        yield blocking(unit, "is scaled to 0, so nothing of the release could be judged", remedy)
    elif live is None and wanted["spec"].get("replicas") == 0:
        yield blocking(unit, "has 0 replicas in the manifest, so nothing could be judged", "Give it at least one.")


def replicas_are_the_autoscalers(scene: Scene, unit: Unit) -> Iterator[Finding]:
    wanted = scene.desired.workload(unit)
    scaled = any(scales(one) == (unit.kind, unit.name) for one in scene.autoscalers)
    if scaled and "replicas" in wanted["spec"]:
        message = "an autoscaler sets its replicas, so those of the manifest are not applied"
        yield Finding("info", unit.told, message, "Take spec/replicas out of the manifest.")


# -- how users reach it ------------------------------------------------------------------------------------------------


def reached_by_a_service(scene: Scene, unit: Unit) -> Iterator[Finding]:
    if list(scene.services_of(unit)):
        return
    if scene.dark_safe:
        return
    message = "no Service reaches its pods: it works from the moment it starts (a consumer, a loop), so nothing is dark"
    remedy = (
        "If running both revisions at once is safe, write checks: {dark_safe: true}. If users call it, add its Service."
    )
    yield refused(scene, unit, message, remedy)


def service_is_its_own(scene: Scene, unit: Unit) -> Iterator[Finding]:
    """A pin would cut off whatever else a Service selects."""
    workload = scene.live.get(unit.told) or scene.desired.workload(unit)
    mine = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    for service in scene.services_of(unit):
        name = service["metadata"]["name"]
        strangers = [
            pod for pod in scene.reached.get(name, ())
            if not selects(mine, labels_of(pod)) and "deletionTimestamp" not in pod["metadata"]
        ]  # fmt: skip
        if strangers:
            owners = ", ".join(sorted({_owner(pod) for pod in strangers}))
            yield blocking(
                unit,
                f"Service {name} also reaches pods of others ({owners}), which a switch to one revision would cut off",
                f"Give the pods of {unit.name} a label of their own, and name it in the selector of {name}.",
            )


def _owner(pod: Object) -> str:
    for one in pod["metadata"].get("ownerReferences") or ():
        name = str(one["name"])
        if one["kind"] == "ReplicaSet":
            return f"Deployment/{name.rpartition('-')[0] or name}"
        return f"{one['kind']}/{name}"
    return f"Pod/{pod['metadata']['name']}"


def load_balancers(scene: Scene, unit: Unit) -> Iterator[Finding]:
    """Those that learn of pods on a way of their own, which takes longer than the switch."""
    gates = [gate.get("conditionType", "?") for gate in scene.template(unit)["spec"].get("readinessGates") or ()]
    for pod in scene.pods.get(unit.told, ()):
        gates += [gate.get("conditionType", "?") for gate in pod["spec"].get("readinessGates") or ()]
    if gates:
        yield blocking(
            unit,
            f"its pods wait for a readiness gate ({sorted(set(gates))[0]}), which opens only once the Service selects "
            f"them: dark pods would never be ready",
            "Use instance targets, or take the gate away (for the AWS controller: the namespace's label "
            "elbv2.k8s.aws/pod-readiness-gate-inject).",
        )
    names = set()
    for service in scene.services_of(unit):
        name = service["metadata"]["name"]
        names.add(name)
        spec = service.get("spec") or {}
        if spec.get("externalTrafficPolicy") == "Local" and spec.get("type") in ("LoadBalancer", "NodePort"):
            message = (
                f"Service {name} has externalTrafficPolicy: Local, so its load balancer finds out by health checks of "
                f"its own which nodes have the new pods"
            )
            yield refused(scene, unit, message, "Write externalTrafficPolicy: Cluster.")
        if (how := _targets_pods(annotations_of(service))) and not gates:
            message = f"the load balancer of Service {name} has pods as targets ({how}), and learns of new ones late"
            yield refused(scene, unit, message, "Use instance targets.")
    for ingress in scene.ingresses:
        how = _targets_pods(annotations_of(ingress))
        if how and not gates and names & set(_backends(ingress)):
            message = f"Ingress {ingress['metadata']['name']}: its load balancer has pods as targets ({how})"
            yield refused(scene, unit, message, "Use instance targets.")


_POD_TARGETS = (
    ("service.beta.kubernetes.io/aws-load-balancer-nlb-target-type", "ip"),
    ("service.beta.kubernetes.io/aws-load-balancer-type", "nlb-ip"),
    ("alb.ingress.kubernetes.io/target-type", "ip"),
)


def _targets_pods(annotations: Any) -> str:
    for key, value in _POD_TARGETS:
        if annotations.get(key) == value:
            return f"{key}: {value}"
    neg = str(annotations.get("cloud.google.com/neg", ""))
    return "cloud.google.com/neg" if '"ingress":true' in neg.replace(" ", "") or "exposed_ports" in neg else ""


def _backends(ingress: Object) -> Iterator[str]:
    for rule in (ingress.get("spec") or {}).get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            name = ((path.get("backend") or {}).get("service") or {}).get("name")
            if name:
                yield name


def unready_addresses(scene: Scene, unit: Unit) -> Iterator[Finding]:
    for service in scene.services_of(unit):
        spec = service.get("spec") or {}
        name = service["metadata"]["name"]
        if spec.get("publishNotReadyAddresses"):
            message = f"Service {name} publishes pods that are not ready: one that crashes gets requests all the same"
            yield Finding("warning", unit.told, message, "Take out publishNotReadyAddresses if users call it.")
        if spec.get("clusterIP") == "None" and unit.kind == "Deployment":
            message = f"Service {name} is headless: clients keep what DNS told them, so the switch reaches them late"
            yield Finding("warning", unit.told, message, "Let users come through a Service with an address.")


# -- how it behaves ----------------------------------------------------------------------------------------------------


def probed(scene: Scene, unit: Unit) -> Iterator[Finding]:
    containers = scene.template(unit)["spec"].get("containers") or ()
    if containers and not any(one.get("readinessProbe") for one in containers):
        message = "has no readinessProbe: Kubernetes counts a pod as ready before it listens"
        yield Finding("warning", unit.told, message, "Add one, so that a restarting pod gets no requests.")


def ends_in_order(scene: Scene, unit: Unit) -> Iterator[Finding]:
    containers = scene.template(unit)["spec"].get("containers") or ()
    if list(scene.services_of(unit)) and not any((one.get("lifecycle") or {}).get("preStop") for one in containers):
        message = ("has no preStop hook: if the application ends at once at SIGTERM, connections that clients keep "
                   "open to the old pods are cut (new ones are not touched)")  # fmt: skip
        yield Finding(
            "info", unit.told, message, "Add lifecycle: {preStop: {sleep: {seconds: 5}}}, or drain at SIGTERM."
        )


# -- what it needs -----------------------------------------------------------------------------------------------------


def has_what_it_names(scene: Scene, unit: Unit) -> Iterator[Finding]:
    """Every ConfigMap, Secret, key, claim and account of the template, in the release or in the cluster."""
    brought = {(one["kind"], one["metadata"]["name"]): one for one in scene.desired.everything()}
    pod = scene.template(unit)["spec"]
    said: set[tuple[str, str, str | None]] = set()
    for kind, name, key, optional in references(pod):
        if optional or (kind, name, key) in said or f"{kind} {name}" in scene.unread:
            continue
        said.add((kind, name, key))
        found = brought.get((kind, name)) or scene.referenced.get((kind, name))
        word = kind.lower()
        if found is None:
            remedy = (
                f"Add it to the manifests, or make it: kubectl create {_creating(kind)} {name} -n {scene.namespace} ..."
            )
            yield blocking(unit, f'{word} "{name}" not found', remedy, "CreateContainerConfigError")
        elif key is not None and key not in _keys(found):
            # A versioned one is told by the name that stands in the manifests.
            name = labels_of(found).get(REVISION_OF, name)
            known = ", ".join(sorted(_keys(found))[:8]) or "none"
            message = f"couldn't find key {key} in {kind} {scene.namespace}/{name}. It has: {known}"
            remedy = f"Add the key to {kind} {name}, or correct its name."
            yield blocking(unit, message, remedy, "CreateContainerConfigError")
    for volume in pod.get("volumes") or ():
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim and ("PersistentVolumeClaim", claim) not in brought and _absent(scene, "PersistentVolumeClaim", claim):
            remedy = "Add it to the manifests, or make it first."
            yield blocking(unit, f'persistentvolumeclaim "{claim}" not found', remedy, "FailedScheduling")
    account = pod.get("serviceAccountName")
    named = account and account != "default" and ("ServiceAccount", account) not in brought
    if named and _absent(scene, "ServiceAccount", account):
        remedy = f"Add it to the manifests, or make it: kubectl create serviceaccount {account} -n {scene.namespace}"
        yield blocking(unit, f'serviceaccount "{account}" not found', remedy, "FailedCreate")


def _absent(scene: Scene, kind: str, name: str) -> bool:
    return f"{kind} {name}" not in scene.unread and scene.referenced.get((kind, name)) is None


def _creating(kind: str) -> str:
    return "configmap" if kind == "ConfigMap" else "secret generic"


def _keys(config: Object) -> set[str]:
    return {key for part in ("data", "binaryData", "stringData") for key in config.get(part) or ()}


RULES: tuple[Rule, ...] = (
    settled,
    paused,
    has_replicas,
    replicas_are_the_autoscalers,
    runs_twice,
    stays_on_its_node,
    reached_by_a_service,
    service_is_its_own,
    load_balancers,
    unready_addresses,
    probed,
    ends_in_order,
    has_what_it_names,
)


def of_the_release(scene: Scene) -> Iterator[Finding]:
    """What concerns the release as a whole."""
    if scene.namespace_object is None and "Namespace" not in scene.unread:
        remedy = f"Make it: `kubectl create namespace {scene.namespace}`."
        message = f'namespaces "{scene.namespace}" not found'
        yield Finding("error", f"Namespace/{scene.namespace}", message, remedy, blocking=True)
    elif (scene.namespace_object or {}).get("metadata", {}).get("deletionTimestamp"):
        message = "is being deleted, so nothing can be made in it"
        yield Finding("error", f"Namespace/{scene.namespace}", message, "Wait until it is gone.", blocking=True)
    for job in scene.desired.jobs:
        message = "runs before the rollout; what it changes in a database is not undone by a rollback"
        remedy = (
            "Let the stable release work with the changed database as well: expand first, contract in a later release."
        )
        yield Finding("info", f"Job/{job['metadata']['name']}", message, remedy)


def examined(scene: Scene) -> Iterator[Finding]:
    """All rules for all workloads."""
    yield from of_the_release(scene)
    for unit in scene.desired.units:
        for rule in RULES:
            yield from rule(scene, unit)
