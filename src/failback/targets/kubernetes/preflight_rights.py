"""Whether this account may do all that a rollout will do; what is missing, as a Role that is ready to be applied."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from failback.model.errors import FailbackError, NotPermitted
from failback.model.release import Finding
from failback.targets.kubernetes import sharing
from failback.targets.kubernetes.desired import Desired
from failback.targets.kubernetes.failures import NotFound
from failback.targets.kubernetes.kinds import KINDS, Object
from failback.targets.kubernetes.site import Site


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one kind (and subresource) in the service's namespace."""

    kind: str
    verb: str
    sub: str = ""


# `update` is what a backup is restored with; so its check, a dry run of the restore, asks for it as well.
_ALWAYS = (
    ("Pod", "get list watch delete"),
    ("Service", "get list watch create patch update delete"),
    ("EndpointSlice", "list watch"),
    ("ConfigMap", "get list create patch update delete"),
    ("Secret", "get list create patch update delete"),
    ("ServiceAccount", "get"),
    ("Event", "list watch"),
    ("Lease", "get create update delete"),
    ("HorizontalPodAutoscaler", "get list create update"),
    ("PodDisruptionBudget", "get list create update"),
    ("Ingress", "get list create update"),
    ("ResourceQuota", "list"),
)
_OF_WORKLOADS = {
    "Deployment": (
        ("Deployment", "get list watch create patch update delete"),
        ("ReplicaSet", "get list watch patch delete"),
    ),
    "StatefulSet": (
        ("StatefulSet", "get list watch create patch update delete"),
        ("ControllerRevision", "list delete"),
        ("Pod", "patch"),
    ),
    "DaemonSet": (
        ("DaemonSet", "get list watch create patch update delete"),
        ("ControllerRevision", "list delete"),
        ("Pod", "patch"),
    ),
}
_ROUTES = ("HTTPRoute", "get list patch")
_JOBS = ("Job", "get list watch create patch delete")


def needed(desired: Desired, *, by_route: bool = False) -> list[Right]:
    """Every right that the rollout of this release uses, and its rollback. `by_route`: users or copies of their
    requests are to come to the new pods by HTTPRoutes."""
    rows: list[tuple[str, str]] = list(_ALWAYS)
    for kind in sorted({unit.kind for unit in desired.units}):
        rows += _OF_WORKLOADS[kind]
    if desired.jobs:
        rows.append(_JOBS)
    if by_route:
        rows.append(_ROUTES)
    rows += [(one["kind"], "get create patch update") for one in desired.others]
    rights = {Right(kind, verb) for kind, verbs in rows for verb in verbs.split()}
    return sorted(rights | {Right("Pod", "get", "log")})


def always_needed(kinds: Iterable[str] = ("Deployment",), *, by_route: bool = False) -> list[Right]:
    """What any rollout uses; for `doctor`, which has no release."""
    rows = [*_ALWAYS, *(row for kind in kinds for row in _OF_WORKLOADS[kind]), *((_ROUTES,) if by_route else ())]
    return sorted({Right(kind, verb) for kind, verbs in rows for verb in verbs.split()} | {Right("Pod", "get", "log")})


async def missing(site: Site, rights: Sequence[Right]) -> list[Right]:
    """Those that the API server says no to: one question for all, and one more for each that its answer leaves open."""
    granted = await _rules(site)
    open_ones = [right for right in rights if not any(grants(rule, right) for rule in granted)]

    async def lacks(right: Right) -> bool:
        try:
            return not await site.cluster.can(right.verb, right.kind, sub=right.sub)
        except NotFound:
            return False  # a kind that is not in our table: its dry run tells

    answers = await asyncio.gather(*(lacks(right) for right in open_ones))
    return [right for right, lacking in zip(open_ones, answers, strict=True) if lacking]


@asynccontextmanager
async def explained(site: Site, kinds: Iterable[str], desired: Desired | None) -> AsyncIterator[None]:
    """What is refused inside for want of a right is refused with all rights that the rollout lacks, as a manifest:
    whoever grants them wants to be asked once. `kinds` of workloads; `desired` where the release is known already."""
    try:
        yield
    except NotPermitted as refused:
        if (refused.fields.get("api_error") or {}).get("reason") != "Forbidden":
            raise
        by_route = await sharing.wanted(site, {})
        if desired is not None:
            rights = needed(desired, by_route=by_route)
        else:
            rights = always_needed(sorted(kinds) or ("Deployment",), by_route=by_route)
        lacking = await missing(site, rights)
        if not lacking:
            raise
        told = await finding(site, lacking)
        message = f"{told.message}. {told.remedy}"
        raise NotPermitted(message, api_error=refused.fields["api_error"], missing=told.detail["missing"]) from refused


async def _rules(site: Site) -> Sequence[Mapping[str, Any]]:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "metadata": {},
        "spec": {"namespace": site.cluster.namespace},
    }
    try:
        answer = await site.cluster.create(review)
    except FailbackError:
        return ()
    return list((answer.get("status") or {}).get("resourceRules") or ())


def grants(rule: Mapping[str, Any], right: Right) -> bool:
    """Whether one rule of the account covers the right. Pure."""
    kind = KINDS.get(right.kind)
    if kind is None or rule.get("resourceNames"):
        return False
    return (
        bool({right.verb, "*"} & set(rule.get("verbs") or ()))
        and bool({kind.group, "*"} & set(rule.get("apiGroups") or ()))
        and bool({_resource(right), "*"} & set(rule.get("resources") or ()))
    )


async def finding(site: Site, lacking: Sequence[Right]) -> Finding:
    """The missing rights, with the manifest that grants exactly them."""
    who = await whoami(site)
    text = ", ".join(sorted({f"{right.verb} {_resource(right)}" for right in lacking}))
    name = str(who.get("username") or "this account")
    return Finding(
        "error",
        "permissions",
        f"{name} may not {text} in the namespace {site.cluster.namespace}",
        "Let somebody who may grant it apply this (kubectl apply -f -):\n" + role(site.cluster.namespace, lacking, who),
        blocking=True,
        detail={
            "missing": [f"{right.verb} {_resource(right)}" for right in lacking],
            "api_error": _forbidden(site.cluster.namespace, name, lacking[0]),
        },
    )


def _forbidden(namespace: str, name: str, right: Right) -> Mapping[str, Any]:
    """The Status with which the API server would refuse the first of them."""
    kind = KINDS.get(right.kind)
    group = kind.group if kind is not None else ""
    message = (
        f'{_resource(right)} is forbidden: User "{name}" cannot {right.verb} resource "{_resource(right)}" in API '
        f'group "{group}" in the namespace "{namespace}"'
    )
    return {"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": message}


async def whoami(site: Site) -> Mapping[str, Any]:
    """The account as the API server knows it; empty where it does not say (before Kubernetes 1.28)."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}}
    try:
        answer = await site.cluster.create(review)
    except FailbackError:
        return {}
    user: Mapping[str, Any] = (answer.get("status") or {}).get("userInfo") or {}
    return user


def role(namespace: str, lacking: Sequence[Right], who: Mapping[str, Any]) -> str:
    """A Role with exactly these verbs, and its binding to the account. Pure.

    Its name follows from what it grants: applying the next one never takes away what an earlier one gave.
    """
    by_resource: dict[tuple[str, str], list[str]] = {}
    for right in lacking:
        by_resource.setdefault((KINDS[right.kind].group, _resource(right)), []).append(right.verb)
    by_verbs: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), verbs in by_resource.items():
        by_verbs.setdefault((group, tuple(sorted(set(verbs)))), []).append(resource)
    rules = [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": list(verbs)}
        for (group, verbs), resources in sorted(by_verbs.items())
    ]
    name = f"failback-{hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:6]}"
    metadata = {"name": name, "namespace": namespace}
    documents: list[Object] = [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [_subject(str(who.get("username") or "NAME"))],
        },
    ]
    return str(yaml.dump_all(documents, Dumper=_Plain, sort_keys=False))


class _Plain(yaml.SafeDumper):
    """Without anchors: the manifest is for people."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _subject(username: str) -> Object:
    parts = username.split(":")
    if username.startswith("system:serviceaccount:") and len(parts) == 4:
        return {"kind": "ServiceAccount", "name": parts[3], "namespace": parts[2]}
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": username}


def _resource(right: Right) -> str:
    kind = KINDS.get(right.kind)
    plural = kind.plural if kind is not None else f"{right.kind.lower()}s"
    return f"{plural}/{right.sub}" if right.sub else plural
