"""Objects that the API server cannot take: invalid, immutable, unknown, missing, in conflict."""

from __future__ import annotations

import re

from failback.diagnosis.kube import get
from failback.diagnosis.recommend import commit, high
from failback.diagnosis.recommend.kube import in_namespace, workload
from failback.diagnosis.rule import Hypothesis, quoted
from failback.diagnosis.scene import Scene
from failback.diagnosis.statements import Told, statement_rule
from failback.model.diagnosis import FailureType


@statement_rule(
    "immutable-field",
    "",
    r"(?:(?P<kind>\w+(?:\.[\w.]+)?) \"(?P<name>[^\"]+)\" is invalid: )?(?:(?P<field>[\w.\[\]]+): )?(?:Invalid value: (?P<value>.{0,400}?): )?(?:field is immutable|may not be changed|(?:updates to|is) (?P<sts>statefulset spec for fields other than|immutable after creation|immutable)|may not change once set|Forbidden: (?:updates to \w+ spec|pod updates may not change|field is immutable|spec is immutable|is immutable))",
    source="the API server's update validation",
)
def immutable(told: Told) -> Hypothesis | None:
    """A field that may not change after creation."""
    said, scene = told.statement, told.scene
    kind, name = told.get("kind").split(".")[0] or said.kind, told.get("name") or said.name
    field = told.get("field") or (m.group(1) if (m := re.search(r"(spec[\w.\[\]]*)", said.message)) else "a field")
    owner = workload(scene)
    kind, name = kind or owner[0], name or owner[1]
    return Hypothesis(
        FailureType.INVALID_MANIFEST,
        f"The {kind} {name} cannot be updated: {field} is immutable (cannot be changed after creation): {quoted(said.message, 360)}",
        0.97,
        (
            high(
                f"Keep {field} as it was, or delete and create the {kind} again",
                f"Restore the old value of {field} in the manifest of {name}; if the new one is wanted, delete and recreate the {kind} (with --cascade=orphan its pods go on serving) or give it another name",
                f"kubectl delete {kind.lower()} {name}{in_namespace(scene)} --cascade=orphan && kubectl apply -f MANIFEST",
            ),
        ),
        component=name,
        names=(field.rsplit(".", 1)[-1], name),
        facts={"field": field},
    )


_QUANTITY = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")


@statement_rule(
    "invalid-object",
    "",
    r"is invalid:? ?(?P<what>.*)|strict decoding error: (?P<strict>.*)|unknown field \"(?P<field>[^\"]+)\"|cannot unmarshal (?P<un>.*)|cannot be handled as an? (?P<handled>.*)|error (?:validating|parsing) (?P<val>.*)|ValidationError\((?P<ve>[^)]*)\): (?P<vew>.*)|(?P<missing>missing required field .*)|(?P<dup>Duplicate value: .*)|(?P<yaml>error converting YAML to JSON.*)",
    source="the API server's validation and strict decoding",
)
def invalid(told: Told) -> Hypothesis | None:
    """The object is not valid: the field and what is wrong with it."""
    said, scene = told.statement, told.scene
    if re.search(
        r"immutable|may not be changed|may not change once set|updates to statefulset|connection refused|dial tcp|quota|PodSecurity|denied the request|no matches for kind",
        said.message,
    ):
        return None
    if "already allocated" in said.message:
        return None
    kind = (
        (m.group(1) if (m := re.search(r"(\w+)(?:\.[\w.]+)? \"[^\"]*\" is invalid", said.message)) else "")
        or said.kind
        or workload(scene)[0]
    )
    name = (
        (m.group(1) if (m := re.search(r"\"([^\"]*)\" is invalid", said.message)) else "")
        or said.name
        or workload(scene)[1]
    )
    strict = re.findall(r"unknown field \"([^\"]+)\"", said.message)
    fields = strict or re.findall(
        r"((?:spec|metadata|data|status|rules|subjects|roleRef|webhooks)(?:[.\[][\w.\[\]/\"-]+)?): (?:Invalid|Required|Unsupported|Duplicate|Forbidden|Too|Not)",
        said.message,
    )
    field = ", ".join(dict.fromkeys(fields)) or told.get("ve")
    supported = re.search(r"supported values: (.+)", said.message)
    hint = f" (supported values: {supported.group(1)[:160]})" if supported else ""
    if "quantities must match" in said.message:
        wrong = _wrong_quantities(scene)
        field = field or ", ".join(f"{where}: {value}" for where, value in wrong) or "the quantity"
        hint = " (a quantity is a number with a suffix like 500m for CPU, 512Mi or 512M for memory: capital M, no b)"
    unknown = " is unknown to the API server (misspelled, or at the wrong level)" if strict else ""
    detail = quoted(told.get("what") or told.get("strict") or said.message, 380)
    return Hypothesis(
        FailureType.INVALID_MANIFEST,
        f"The {kind} {name} is invalid{f': the field {field}{unknown}' if field else ''}: {detail}",
        0.95,
        (
            high(
                f"Correct {field or 'the manifest'} of the {kind} {name}",
                f"{detail}{hint}: correct the field in the manifest, and check it before it is applied",
                f"kubectl explain {kind.lower()}.{_schema_path(field)}; kubectl apply --server-side --dry-run=server -f MANIFEST",
            ),
            commit("the manifests", f"Correct {field or name}"[:60]),
        ),
        component=name,
        names=tuple(part.rsplit(".", 1)[-1] for part in fields[:3]),
        facts={"field": field},
    )


def _wrong_quantities(scene: Scene) -> list[tuple[str, str]]:
    """(where, value) of requests and limits in the manifests that are no quantity; the API server does not say which."""
    found = []
    for manifest in scene.evidence.manifests:
        spec = get(manifest, "spec", "template", "spec") or get(manifest, "spec")
        for container in get(spec, "containers") or ():
            for kind in ("requests", "limits"):
                for resource, value in (get(container, "resources", kind) or {}).items():
                    if not _QUANTITY.fullmatch(str(value)):
                        found.append((f"resources.{kind}.{resource}", str(value)))
    return found


def _schema_path(field: str) -> str:
    """A field's path as `kubectl explain` wants it: without indices and keys."""
    return re.sub(r"[^a-zA-Z.]", "", re.sub(r"\[[^]]*\]", "", field.split(",")[0])) or "spec"


@statement_rule(
    "unknown-kind",
    "",
    r"no matches for kind \"(?P<kind>[^\"]+)\" in version \"(?P<version>[^\"]+)\"|no kind \"(?P<kind2>[^\"]+)\" is registered for version \"(?P<v2>[^\"]+)\"",
    source="the API server's discovery",
)
def unknown_kind(told: Told) -> Hypothesis | None:
    """An API version that this cluster does not serve, or a custom resource whose definition is not installed."""
    kind, version = told.get("kind") or told.get("kind2"), told.get("version") or told.get("v2")
    if not kind:
        return None
    current = {"extensions/v1beta1": "networking.k8s.io/v1 or apps/v1", "networking.k8s.io/v1beta1": "networking.k8s.io/v1", "apps/v1beta1": "apps/v1", "apps/v1beta2": "apps/v1", "policy/v1beta1": "policy/v1", "batch/v1beta1": "batch/v1", "autoscaling/v2beta1": "autoscaling/v2", "autoscaling/v2beta2": "autoscaling/v2", "rbac.authorization.k8s.io/v1beta1": "rbac.authorization.k8s.io/v1", "apiextensions.k8s.io/v1beta1": "apiextensions.k8s.io/v1"}.get(version, "")  # fmt: skip
    removed = (
        f": it was removed, use {current}"
        if current
        else ": its API version is not served here, or its CustomResourceDefinition is not installed"
    )
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY if current else FailureType.INVALID_MANIFEST,
        f"The cluster does not know the kind {kind} in version {version}{removed}: {quoted(told.statement.message, 260)}",
        0.92,
        (
            high(
                f"Use an apiVersion of {kind} that the cluster serves{f' ({current})' if current else ''}",
                f"Change apiVersion {version} of {kind} in the manifest{f' to {current}' if current else ''}, or install the CustomResourceDefinition (CRD, operator) that defines it first",
                f"kubectl api-resources | grep -i {kind}; sed -i 's#apiVersion: {version}#apiVersion: {current or 'GROUP/VERSION'}#' MANIFEST",
            ),
        ),
        names=(kind, version),
    )


@statement_rule(
    "object-missing",
    "",
    r"error looking up service account (?P<sa>\S+): serviceaccounts? \"[^\"]+\" not found|no PriorityClass with name (?P<pc>\S+) was found|namespaces? \"(?P<ns>[^\"]+)\" not found|(?P<kind>[\w.]+) \"(?P<name>[^\"]+)\" not found|pod rejected: RuntimeClass \"(?P<rc>[^\"]+)\" not found|(?:unable to (?:fetch|find)|failed to get) RuntimeClass[^\"]*\"(?P<rc2>[^\"]+)\"",
    source="the API server's NotFound and the admission plug-ins' look-ups",
)
def object_missing(told: Told) -> Hypothesis | None:
    """An object that another one refers to does not exist."""
    said, scene = told.statement, told.scene
    if said.reason in (
        "CreateContainerConfigError",
        "FailedMount",
        "FailedScheduling",
        "Failed",
        "ErrImagePull",
        "ImagePullBackOff",
        "ProvisioningFailed",
    ):
        return None
    kind = (
        "ServiceAccount"
        if told.get("sa")
        else "PriorityClass"
        if told.get("pc")
        else "Namespace"
        if told.get("ns")
        else "RuntimeClass"
        if told.get("rc") or told.get("rc2")
        else told.get("kind").split(".")[0]
    )
    name = told.get("sa") or told.get("pc") or told.get("ns") or told.get("rc") or told.get("rc2") or told.get("name")
    short = name.rsplit("/", 1)[-1].rstrip(".,:")
    make = {"ServiceAccount": f"kubectl create serviceaccount {short}{in_namespace(scene, name.split('/')[0] if '/' in name else '')}", "Namespace": f"kubectl create namespace {short}", "PriorityClass": f"kubectl create priorityclass {short} --value=1000"}.get(kind, f"kubectl get {kind.lower()}{in_namespace(scene)}")  # fmt: skip
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION if kind in ("ServiceAccount", "configmaps", "secrets") else FailureType.INVALID_MANIFEST,
        f"The {kind} {short} does not exist (not found), and the release needs it: {quoted(said.message, 320)}",
        0.9 if kind in ("ServiceAccount", "PriorityClass", "Namespace", "RuntimeClass") else 0.78,
        (
            high(f"Create the {kind} {short} or correct its name", f"Create {short} before the release (add it to the manifests), or correct the reference to it (serviceAccountName, priorityClassName, namespace)", make),
        ),
        names=(short,),
    )  # fmt: skip


@statement_rule(
    "conflict",
    "",
    r"(?P<exists>[\w.]+ \"(?P<name>[^\"]+)\" already exists)|the object has been modified; please apply your changes|Apply failed with (?P<n>\d+) conflicts?: (?P<what>.+)|(?P<port>provided port is already allocated|port is already allocated)|(?P<busy>another operation \(install/upgrade/rollback\) is in progress)|invalid ownership metadata|provided IP is already allocated|(?P<term>because it is being terminated)",
    source="the API server's Conflict and AlreadyExists, helm's lock",
)
def conflict(told: Told) -> Hypothesis | None:
    """Somebody else has the name, the field or the port."""
    said, scene = told.statement, told.scene
    message = quoted(said.message, 340)
    if told.get("port"):
        port = re.search(r"nodePort: Invalid value: (\d+)|Invalid value: (\d+)", said.message)
        number = next((g for g in port.groups() if g), "") if port else ""
        return Hypothesis(
            FailureType.PORT_CONFLICT,
            f"The node port {number} of the Service {said.name} is already in use by another Service (already allocated): {message}",
            0.96,
            (high(f"Choose another nodePort than {number}", "Remove nodePort (the cluster then picks a free one), or use one that no Service has", f"kubectl get svc -A | grep {number}"),),
            component=said.name,
        )  # fmt: skip
    if told.get("term"):
        return Hypothesis(FailureType.INVALID_MANIFEST, f"The namespace is being terminated, so nothing can be created in it: {message}", 0.93, (high("Wait until the namespace is gone, then create it again", "Or deploy into another namespace; finalizers may hold it", "kubectl get namespace -o json | jq '.items[] | select(.status.phase==\"Terminating\")'"),))  # fmt: skip
    what = told.get("what") or told.get("exists") or message
    return Hypothesis(
        FailureType.INVALID_MANIFEST,
        f"The object is in conflict with what is there: {quoted(what, 200)}: {message}",
        0.82,
        (
            high(
                "Resolve the conflict",
                f"{'Another manager owns these fields: take them out of the manifest, or force the ownership' if told.get('n') else 'The object exists already: update it instead (apply), give it another name, or delete the old one'}",
                f"kubectl apply --server-side --force-conflicts -f MANIFEST   # or: kubectl get {(told.get('exists') or said.kind or 'all').split(' ')[0].split('.')[0]} {told.get('name') or said.name}{in_namespace(scene)} -o yaml",
            ),
        ),
        component=told.get("name") or said.name,
    )
