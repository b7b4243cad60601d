"""What the API server refuses: rights, admission, quotas, invalid and immutable fields, unknown kinds.

The same sentences come as a Status object, as an event of a controller that may not create pods, and as kubectl's or helm's output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.kube import items, text
from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.recommend.kube import in_namespace, patch, role, workload
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.diagnosis.statements import Told, stated, statement_rule, statements
from failback.facts.document import Document
from failback.model.diagnosis import Citation, FailureType

_FORBIDDEN = re.compile(
    r"(?:(?P<obj>[\w.-]+(?: \"[^\"]*\")?) is forbidden: )?User \\?\"(?P<user>[^\"\\]+)\\?\" cannot (?P<verb>\w+) (?:resource \\?\"(?P<res>[^\"\\]+)\\?\"(?: in API group \\?\"(?P<group>[^\"\\]*)\\?\")?|path \\?\"(?P<path>[^\"\\]+)\\?\")(?:[^\n]*? in the namespace \\?\"(?P<ns>[^\"\\]+)\\?\"| at the cluster scope)?"
)


@scene_rule("rbac-forbidden", "the API server's RBAC authorizer: user, verb, resource, API group, namespace")
def forbidden(scene: Scene) -> Iterable[Hypothesis]:
    """A verb on a resource is not granted: one Role with all verbs that were refused to one user."""
    found: list[tuple[re.Match[str], Citation, Document | None, int]] = []
    for statement in statements(scene):
        found += [(m, statement.cited()[0], None, 0) for m in _FORBIDDEN.finditer(statement.message)]
    for document in scene.documents:
        for index in document.hits("cannot "):
            line = document.lines[index]
            if "User" in line and not scene.is_foreign(document, index):
                found += [(m, scene.cite(document, index), document, index) for m in _FORBIDDEN.finditer(line)]
    users: dict[tuple[str, str], list[tuple[re.Match[str], Citation, Document | None, int]]] = {}
    for entry in found:
        users.setdefault((entry[0].group("user"), entry[0].group("ns") or ""), []).append(entry)
    for (user, namespace), entries in users.items():
        yield _role_for(scene, user, namespace, entries)


def _role_for(
    scene: Scene, user: str, namespace: str, entries: list[tuple[re.Match[str], Citation, Document | None, int]]
) -> Hypothesis:
    verbs: dict[tuple[str, str], list[str]] = {}
    for match, *_ in entries:
        known = verbs.setdefault((match.group("group") or "", match.group("res") or match.group("path") or ""), [])
        if match.group("verb") not in known:
            known.append(match.group("verb"))
    rules = [(group, resource, tuple(names)) for (group, resource), names in verbs.items()]
    shown = "; ".join(
        f"{', '.join(names)} {resource}{f' ({group})' if group else ''}" for group, resource, names in rules[:4]
    )
    where = f"in the namespace {namespace}" if namespace else "at the cluster scope"
    account = user.split(":")[-1]
    match, _citation, document, index = entries[0]
    return Hypothesis(
        FailureType.RBAC_FORBIDDEN,
        f"{user} may not {shown} {where} (forbidden by RBAC): {quoted(match.group(0), 260)}",
        0.97,
        (
            high(
                f"Grant {account} the verbs {shown}",
                f"Create a {'Role and RoleBinding' if namespace else 'ClusterRole and ClusterRoleBinding'} that allow {user} exactly these verbs {where}",
                role(user, namespace, rules),
            ),
            medium("Check the grant", "After it was applied", f"kubectl auth can-i {rules[0][2][0]} {rules[0][1]}{in_namespace(scene, namespace)} --as={user}"),
        ),
        citations=tuple(dict.fromkeys(citation for _, citation, _, _ in entries))[:4],
        component=account,
        names=(account, "ClusterRole", "RoleBinding"),
        stated=document is None,
        document=document,
        index=index,
        facts={"user": user, "verb": match.group("verb"), "resource": match.group("res") or ""},
    )  # fmt: skip


@statement_rule(
    "quota",
    "",
    r"exceeded quota: (?P<quota>[^,]+), requested: (?P<req>.+?), used: (?P<used>.+?), limited: (?P<lim>.+?)(?=$|[;\n\]])|failed quota: (?P<fq>[^:]+): must specify (?P<must>.+?)(?=$|[;\n])|insufficient quota to match these scopes|status unknown for quota: (?P<uq>\S+)",
    source="the ResourceQuota admission plug-in",
)
def quota(told: Told) -> Hypothesis | None:
    """A ResourceQuota refuses the object."""
    said, scene = told.statement, told.scene
    name = told.get("quota") or told.get("fq") or told.get("uq")
    _kind, owner = workload(scene, said)
    if told.get("must"):
        missing = told.get("must")
        fields = re.findall(r"(limits|requests)\.(\w+)", missing) or [
            ("requests", m) for m in re.findall(r"\b(cpu|memory)\b", missing)
        ]
        body = _resources(fields)
        return Hypothesis(
            FailureType.QUOTA_EXCEEDED,
            f"The quota {name} demands that every container sets {missing}, and {owner} does not: {quoted(said.message, 300)}",
            0.96,
            (high(f"Set {missing} for the containers of {owner}", f"With the quota {name} each container needs its requests and limits ({missing}); a LimitRange can give defaults", patch(scene, said, _container(scene), body)),),
            names=(name, "resources"),
        )  # fmt: skip
    return Hypothesis(
        FailureType.QUOTA_EXCEEDED,
        f"The quota {name} is exceeded: requested {told.get('req')}, used {told.get('used')}, limited to {told.get('lim')}: {quoted(said.message, 260)}",
        0.97,
        (
            high(f"Raise the quota {name} or ask for less", f"Increase the ResourceQuota {name} above {told.get('lim')}, lower the requests, limits or replicas of {owner} ({told.get('req')}), or delete what is not needed",
                 f"kubectl patch resourcequota {name}{in_namespace(scene)} --type merge -p '{{\"spec\": {{\"hard\": {{\"{told.get('lim').split('=')[0]}\": \"NEW\"}}}}}}'"),
            medium("A surge needs room too", "A rolling update runs old and new pods at the same time", "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}"),
        ),
        component=owner,
        names=(name, "resources", "replicas"),
        facts={"quota": name},
    )  # fmt: skip


def _resources(fields: list[tuple[str, str]]) -> str:
    values = {"cpu": "100m", "memory": "128Mi"}
    groups: dict[str, list[str]] = {}
    for group, resource in fields:
        groups.setdefault(group, []).append(f"{resource}: {values.get(resource, '1')}")
    return "resources: {" + ", ".join(f"{group}: {{{', '.join(entries)}}}" for group, entries in groups.items()) + "}"


def _container(scene: Scene) -> str:
    for manifest in scene.evidence.manifests:
        for entry in items(manifest, "spec", "template", "spec", "containers"):
            return text(entry, "name")
    return "app"


@statement_rule(
    "limit-range",
    "",
    r"(?P<edge>maximum|minimum) (?P<res>[\w./-]+) usage per (?P<per>\w+) is (?P<lim>[\w.]+?)(?:, but (?P<what>request|limit) is (?P<have>[\w.]+?)|\. No (?P<none>limit|request) is specified)(?=[\s,.;\]]|$)|(?P<ratio>max limit to request ratio per \w+ is [\w.]+)",
    source="the LimitRanger admission plug-in",
)
def limit_range(told: Told) -> Hypothesis | None:
    """A LimitRange refuses a container or claim."""
    said, scene = told.statement, told.scene
    _kind, owner = workload(scene, said)
    res = told.get("res") or "memory"
    shown = told.match.group(0)
    body = f"resources: {{requests: {{{res}: {told.get('lim') or '128Mi'}}}, limits: {{{res}: {told.get('lim') or '128Mi'}}}}}"
    return Hypothesis(
        FailureType.QUOTA_EXCEEDED,
        f"A LimitRange refuses {owner}: {shown}: {quoted(said.message, 280)}",
        0.96,
        (
            high(
                f"Keep {res} within the LimitRange ({told.get('edge')} {told.get('lim')})",
                f"Change the {told.get('what') or told.get('none') or 'request and limit'} of {res}{' from ' + told.get('have') if told.get('have') else ''} to fit {told.get('lim')}, or change the LimitRange of the namespace",
                patch(scene, said, _container(scene), body),
            ),
        ),
        component=owner,
        names=("resources", res),
    )


@statement_rule(
    "pod-security",
    "",
    r"violates PodSecurity \"?(?P<level>[\w:.-]+)\"?: (?P<what>.+?)(?=$|\n)",
    source="the Pod Security admission plug-in",
)
def pod_security(told: Told) -> Hypothesis | None:
    """Pod Security refuses the pod and says which fields it wants."""
    said, scene = told.statement, told.scene
    if said.message.startswith("Warning") and "is forbidden" not in said.message and said.reason != "FailedCreate":
        return None
    what = told.get("what")
    level = told.get("level").split(":")[0]
    wanted: list[str] = []
    if "allowPrivilegeEscalation" in what:
        wanted.append("allowPrivilegeEscalation: false")
    if "unrestricted capabilities" in what or "capabilities.drop" in what:
        wanted.append('capabilities: {drop: ["ALL"]}')
    if "runAsNonRoot" in what or "runAsUser=0" in what:
        wanted.append("runAsNonRoot: true, runAsUser: 1000")
    if "seccompProfile" in what:
        wanted.append("seccompProfile: {type: RuntimeDefault}")
    if re.search(r"privileged \(", what) or "privileged=true" in what:
        wanted.append("privileged: false")
    others = [
        w
        for w in (
            "hostNetwork",
            "hostPID",
            "hostIPC",
            "hostPath",
            "hostPort",
            "host namespaces",
            "procMount",
            "sysctls",
        )
        if w in what
    ]
    body = f"securityContext: {{{', '.join(wanted)}}}" if wanted else "securityContext: {}"
    _kind, owner = workload(scene, said)
    return Hypothesis(
        FailureType.ADMISSION_DENIED,
        f"Pod Security ({level}) refuses the pods of {owner}: {quoted(what, 420)}",
        0.97,
        (
            high(
                f"Set the securityContext that {level} demands",
                f"Change the pod template of {owner}: {', '.join(wanted) or 'see the message'}{'; remove ' + ', '.join(others) if others else ''} ({quoted(what, 200)}); or label the namespace with a lower level",
                patch(scene, said, re.search(r"containers? \"([^\"]+)\"", what).group(1) if re.search(r"containers? \"([^\"]+)\"", what) else _container(scene), body),  # type: ignore[union-attr]
            ),
        ),
        component=owner,
        names=("securityContext", *others),
    )  # fmt: skip


@statement_rule(
    "admission-webhook",
    "",
    r"admission webhook \"(?P<hook>[^\"]+)\" denied the request(?: without explanation)?:? ?(?P<why>.*)|ValidatingAdmissionPolicy '(?P<policy>[^']+)'(?: with binding '[^']*')? denied request: (?P<vwhy>.*)|failed calling webhook \"(?P<broken>[^\"]+)\": (?P<bwhy>.*)|denied the request|(?P<plugin>PodNodeSelector|NodeRestriction|AlwaysPullImages|EventRateLimit|OwnerReferencesPermissionEnforcement) ",
    source="validating and mutating admission webhooks and policies",
)
def webhook(told: Told) -> Hypothesis | None:
    """A webhook or policy refuses the object, or the webhook itself does not answer."""
    said, scene = told.statement, told.scene
    if told.get("broken"):
        name = told.get("broken")
        return Hypothesis(
            FailureType.ADMISSION_DENIED,
            f"The admission webhook {name} cannot be called (it fails or is not reachable), so the API server refuses the object: {quoted(told.get('bwhy') or said.message, 300)}",
            0.93,
            (
                high(f"Repair the webhook {name}", f"Start the service behind {name} (its pods, endpoints and certificate), or remove its ValidatingWebhookConfiguration / MutatingWebhookConfiguration, or set failurePolicy: Ignore", "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations; kubectl get endpoints -A"),
            ),
            component=name,
        )  # fmt: skip
    name = told.get("hook") or told.get("policy") or told.get("plugin") or "an admission controller"
    why = told.get("why") or told.get("vwhy") or said.message
    _kind, owner = workload(scene, said)
    return Hypothesis(
        FailureType.ADMISSION_DENIED,
        f"{'The policy' if told.get('policy') else 'The admission webhook'} {name} denied the object {owner}: {quoted(why, 420)}",
        0.96,
        (
            high(
                f"Change the manifest to what {name} demands",
                f"Correct the object {owner}: {quoted(why, 300)}; or ask the owner of the policy for an exception",
                f"# what the policy says: {quoted(why, 200)}\nkubectl apply --server-side --dry-run=server -f MANIFEST",
            ),
            commit("the manifests", f"Meet {name}"[:60]),
        ),
        component=owner,
        names=(name,),
    )


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


def _schema_path(field: str) -> str:
    """A field's path as `kubectl explain` wants it: without indices and keys."""
    return re.sub(r"[^a-zA-Z.]", "", re.sub(r"\[[^]]*\]", "", field.split(",")[0])) or "spec"


@statement_rule(
    "unknown-kind",
    "",
    r"no matches for kind \"(?P<kind>[^\"]+)\" in version \"(?P<version>[^\"]+)\"|the server could not find the requested resource|resource mapping not found for name: \"(?P<name>[^\"]*)\"|no kind \"(?P<kind2>[^\"]+)\" is registered for version \"(?P<v2>[^\"]+)\"",
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


@scene_rule("forbidden-other", "the API server's Forbidden for a reason that no admission plug-in of ours explains")
def forbidden_other(scene: Scene) -> Iterable[Hypothesis]:
    """Forbidden without RBAC's sentence, or Unauthorized."""
    for statement in statements(scene):
        said = statement.message
        if (
            statement.reason == "Unauthorized"
            or "You must be logged in to the server" in said
            or "the server has asked for the client to provide credentials" in said
        ):
            yield stated(Hypothesis(FailureType.RBAC_FORBIDDEN, f"The API server does not accept the credentials (Unauthorized): the token or certificate is missing, expired or wrong: {quoted(said)}", 0.9, (high("Renew the cluster's credentials", "Provide a valid kubeconfig or service account token for the deployment step", "kubectl config view --minify; kubectl auth whoami"),)), statement)  # fmt: skip
        elif "attempting to grant RBAC permissions not currently held" in said:
            yield stated(Hypothesis(FailureType.RBAC_FORBIDDEN, f"The deployer may not grant rights that it does not have itself (RBAC escalation): {quoted(said, 400)}", 0.94, (high("Give the deployer the same rights, or the verb escalate/bind", "Grant the deployer what the Role contains, or the verbs escalate and bind on roles, or let an administrator apply the Role", "verbs: [\"bind\", \"escalate\"]"),)), statement)  # fmt: skip
