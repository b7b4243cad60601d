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
