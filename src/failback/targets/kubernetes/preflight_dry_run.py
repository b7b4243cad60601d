"""The API server's own dry run of everything that a rollout will write: what it would refuse, in its own words.

Nothing is kept by it. A pod of the template is tried as well, since admission and quotas look at pods, not at the
Deployment that makes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from failback.model.errors import FailbackError, NotPermitted
from failback.model.release import Finding
from failback.targets.kubernetes import merging
from failback.targets.kubernetes.deployments import applicable
from failback.targets.kubernetes.desired import Desired, Unit
from failback.targets.kubernetes.failures import AlreadyExists, Conflict, NotFound
from failback.targets.kubernetes.kinds import Object, told
from failback.targets.kubernetes.site import Site

_POD_OF = "Pod of "
_REMEDIES = (
    (
        "field is immutable",
        "This field can't be changed on an object that exists: keep it, or give the object a new name.",
    ),
    ("exceeded quota", "Raise the quota, or ask for less."),
    ("violates PodSecurity", "Set the securityContext that the namespace's policy asks for."),
    (
        "admission webhook",
        "An admission policy of the cluster refuses it: follow its message, or ask who owns the policy.",
    ),
    ("unknown field", "Correct the name of the field, or its place."),
    ("maximum cpu usage", "Ask for less, or raise the namespace's LimitRange."),
    ("maximum memory usage", "Ask for less, or raise the namespace's LimitRange."),
    ("no matches for kind", "Install what brings this kind, or correct apiVersion and kind."),
    ("PriorityClass", "Make the PriorityClass, or take priorityClassName out."),
)


async def dry_run(
    site: Site, desired: Desired, live: Mapping[str, Object | None]
) -> tuple[list[Finding], dict[str, Object]]:
    """What would be refused; and each workload's pod ("Deployment/web" -> spec) as the server fills it in."""
    pods: dict[str, Object] = {}

    async def pod(unit: Unit) -> None:
        made = await site.cluster.create(_pod(site, desired.workload(unit)), dry_run=True)
        pods[unit.told] = made["spec"]

    async def workload(unit: Unit) -> None:
        known = live.get(unit.told)
        await merging.merged(site.cluster, applicable(desired.workload(unit), known), known)

    async def new(obj: Object) -> None:
        await site.cluster.create(obj, dry_run=True)

    async def job(obj: Object) -> None:
        metadata = {key: value for key, value in obj["metadata"].items() if key != "name"}
        await site.cluster.create({**obj, "metadata": {**metadata, "generateName": "failback-check-"}}, dry_run=True)

    async def changed(obj: Object) -> None:
        await site.cluster.apply(obj, dry_run=True)

    tries = [
        *((told(desired.workload(unit)), workload(unit)) for unit in desired.units),
        *((f"{_POD_OF}{unit.told}", pod(unit)) for unit in desired.units),
        *((told(one), new(one)) for one in desired.configs),
        *((told(one), job(one)) for one in desired.jobs),
        *((told(one), changed(one)) for one in (*desired.services, *desired.others)),
    ]
    answers = await asyncio.gather(*(work for _, work in tries), return_exceptions=True)
    findings: list[Finding] = []
    for (subject, _), error in zip(tries, answers, strict=True):
        if isinstance(error, FailbackError):
            findings += _finding(subject, error)
        elif isinstance(error, BaseException):
            raise error
    return _each_once(findings), pods


def _pod(site: Site, workload: Object) -> Object:
    template = workload["spec"]["template"]
    metadata = {key: template["metadata"][key] for key in ("labels", "annotations") if template["metadata"].get(key)}
    spec = template["spec"]
    if workload["kind"] == "StatefulSet":
        claims = [one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates") or ()]
        spec = {**spec, "volumes": [*(spec.get("volumes") or ()), *({"name": name, "emptyDir": {}} for name in claims)]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "generateName": "failback-check-"},
        "spec": spec,
    }


def _finding(subject: str, error: FailbackError) -> list[Finding]:
    """A refusal, unless it says no more than that something is there, or that a right is lacking (looked at apart)."""
    if isinstance(error, NotPermitted) and subject.startswith(_POD_OF):
        message = "could not be tried (this account may not create pods): admission shows only when the rollout begins"
        return [Finding("info", subject.removeprefix(_POD_OF), message, "Grant `create pods`, or leave it so.")]
    if isinstance(error, AlreadyExists | NotPermitted):
        return []
    status: Mapping[str, Any] = error.fields.get("api_error") or {}
    message = str(status.get("message") or error.message)
    if isinstance(error, Conflict) and "Apply failed with" not in message:
        return []  # written by somebody else at this very moment
    if isinstance(error, NotFound) and 'namespaces "' in message:
        return []  # said once for the namespace
    kind = subject.rpartition(" ")[2]
    remedy = next((text for sign, text in _REMEDIES if sign in message), "Correct the manifest.")
    return [Finding("error", kind, message, remedy, blocking=True, detail={"api_error": dict(status)})]


def _each_once(findings: list[Finding]) -> list[Finding]:
    """What a workload and its pod are both refused for is one thing."""
    found: dict[tuple[str, str], Finding] = {}
    for one in findings:
        found.setdefault((one.subject, one.message.rpartition(": ")[2]), one)
    return list(found.values())
