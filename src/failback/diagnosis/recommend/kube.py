"""What to do about Kubernetes objects: patches and manifests with the real names, ready to be applied."""

from __future__ import annotations

from collections.abc import Iterable

from failback.diagnosis.kube import get, items, name_of, text
from failback.diagnosis.recommend import high, medium
from failback.diagnosis.scene import Scene
from failback.diagnosis.statements import Statement
from failback.model.diagnosis import Recommendation

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")


def workload(scene: Scene, statement: Statement | None = None) -> tuple[str, str]:
    """(kind, name) of the workload that a statement speaks of, from the manifests, else from the pod's name."""
    owner = statement.owner if statement else ""
    found = [(text(m, "kind"), name_of(m)) for m in scene.evidence.manifests if text(m, "kind") in _WORKLOADS]
    for kind, name in found:
        if not owner or name == owner or (statement and statement.name.startswith(name + "-")):
            return kind, name
    if found and not owner:
        return found[0]
    return ("Deployment", owner or scene.evidence.service or "NAME")


def namespace(scene: Scene) -> str:
    """The namespace of the objects; "" where none is named."""
    for obj in (*scene.evidence.pods, *scene.evidence.manifests):
        if text(obj, "metadata", "namespace"):
            return text(obj, "metadata", "namespace")
    return ""


def in_namespace(scene: Scene, name: str = "") -> str:
    """ " -n shop", or "" where no namespace is known."""
    found = name or namespace(scene)
    return f" -n {found}" if found else ""


def patch(scene: Scene, statement: Statement | None, container: str, body: str, *, init: bool = False) -> str:
    """A strategic merge patch of one container of the workload, as YAML with the command that applies it."""
    kind, name = workload(scene, statement)
    inner = "\n".join(f"          {line}" for line in body.split("\n"))
    return (
        f"# kubectl patch {kind.lower()} {name}{in_namespace(scene)} --patch-file patch.yaml\n"
        f"spec:\n  template:\n    spec:\n      {'initContainers' if init else 'containers'}:\n        - name: {container or 'app'}\n{inner}"
    )


def role(user: str, namespace_: str, rules: Iterable[tuple[str, str, tuple[str, ...]]]) -> str:
    """A Role (ClusterRole without a namespace) with exactly these (API group, resource, verbs), and its binding."""
    kind = "Role" if namespace_ else "ClusterRole"
    account = user.split(":")[-1] if user.startswith("system:serviceaccount:") else ""
    name = f"{(account or user).replace(':', '-').replace('@', '-').lower()}-failback"
    where = f"\n  namespace: {namespace_}" if namespace_ else ""
    lines = "\n".join(f'  - apiGroups: ["{group}"]\n    resources: ["{resource}"]\n    verbs: [{", ".join(repr(v).replace(chr(39), chr(34)) for v in verbs)}]' for group, resource, verbs in rules)  # fmt: skip
    subject = (
        f"  - kind: ServiceAccount\n    name: {account}\n    namespace: {user.split(':')[-2]}"
        if account
        else f"  - kind: User\n    name: {user}\n    apiGroup: rbac.authorization.k8s.io"
    )
    return (
        f"apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}{where}\nrules:\n{lines}\n---\n"
        f"apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\nmetadata:\n  name: {name}{where}\n"
        f"roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {name}\nsubjects:\n{subject}"
    )


def add_key(
    scene: Scene, kind: str, name: str, key: str, statement: Statement | None = None
) -> tuple[Recommendation, ...]:
    """A ConfigMap or Secret, or a key in one, that pods refer to and that is not there."""
    where = in_namespace(scene)
    if kind == "Secret":
        make = f"kubectl create secret generic {name}{where} --from-literal={key or 'KEY'}=VALUE --dry-run=client -o yaml | kubectl apply -f -"
    else:
        make = f"kubectl create configmap {name}{where} --from-literal={key or 'KEY'}=VALUE --dry-run=client -o yaml | kubectl apply -f -"
    if key:
        make = f'kubectl patch {kind.lower()} {name}{where} --type merge -p \'{{"{"stringData" if kind == "Secret" else "data"}": {{"{key}": "VALUE"}}}}\''
    what = f"the key {key} to the {kind} {name}" if key else f"the {kind} {name}"
    owner = workload(scene, statement)
    near = near_names(scene, kind, name)
    hint = f" (there is {near}: the name may only be misspelled)" if near else ""
    return (
        high(
            f"{'Add' if key else 'Create'} {what}",
            f"{'Define' if key else 'Create'} {what}{where.replace(' -n', ' in namespace')} before the pods start, or correct the reference in the {owner[0]} {owner[1]}{hint} (optional: true makes it optional)",
            make,
        ),
        medium(
            f"Deploy the {kind} together with the workload",
            f"Keep the {kind} {name} in the same manifests, so that it is applied first",
            "",
        ),
    )


def near_names(scene: Scene, kind: str, name: str) -> str:
    """An object of the manifests with nearly this name; "" where there is none."""
    wanted = name.replace("-", "")[:5]
    for manifest in scene.evidence.manifests:
        found = name_of(manifest)
        if text(manifest, "kind") == kind and found != name and found.replace("-", "").startswith(wanted[:4]):
            return found
    return ""


def container_of(scene: Scene, statement: Statement) -> object:
    """The container's entry in the pod's spec, or in the manifest's template, that a statement speaks of."""
    specs = [get(pod, "spec") for pod in scene.evidence.pods if name_of(pod) == statement.name]
    specs += [get(m, "spec", "template", "spec") for m in scene.evidence.manifests if text(m, "kind") in _WORKLOADS]
    specs += [get(m, "spec") for m in scene.evidence.manifests if text(m, "kind") == "Pod"]
    specs += [get(pod, "spec") for pod in scene.evidence.pods]
    for spec in specs:
        for key in ("containers", "initContainers"):
            for entry in items(spec, key):
                if not statement.container or text(entry, "name") == statement.container:
                    return entry
    return {}
