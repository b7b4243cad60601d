"""How Kubernetes itself names a revision: the ReplicaSet of a template and its hash, the selectors of its pods."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from failback.model.errors import TargetUnavailable
from failback.targets.kubernetes.desired import Unit, selects
from failback.targets.kubernetes.kinds import Object, annotations_of, labels_of
from failback.targets.kubernetes.mirror import CONTROLLERS_S_MAX, Mirror
from failback.targets.kubernetes.record import RECORD, SERVING, Record
from failback.targets.kubernetes.site import Site

POD_HASH = "pod-template-hash"
CONTROLLER_HASH = "controller-revision-hash"


def hash_label(kind: str) -> str:
    """The label by which pods of one revision of such a workload are told from others."""
    return POD_HASH if kind == "Deployment" else CONTROLLER_HASH


def selector_text(selector: Mapping[str, Any], **more: str) -> str:
    """A workload's `spec.selector` (and further labels) as a label selector of the API."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        key, values = one["key"], ",".join(one.get("values") or ())
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[one["operator"]]
        )
    parts += [f"{key.replace('__', '-')}={value}" for key, value in more.items()]
    return ",".join(parts)


def pods_of(workload: Object, revision_hash: str | None = None) -> str:
    """The label selector of a workload's pods, of one revision or of all."""
    text = selector_text(workload["spec"]["selector"])
    return text if revision_hash is None else f"{text},{hash_label(workload['kind'])}={revision_hash}"


def plain_template(template: Mapping[str, Any]) -> Object:
    """A ReplicaSet's pod template as the Deployment has it: without the hash that the controller adds."""
    shape: Object = copy.deepcopy(dict(template))
    (shape.get("metadata") or {}).get("labels", {}).pop(POD_HASH, None)
    return shape


def set_of_template(workload: Object, sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet that has the Deployment's template now; None while the controller has not made it."""
    wanted = plain_template(workload["spec"]["template"])
    mine = [one for one in sets if owned_by(one, workload)]
    found = [one for one in mine if plain_template(one["spec"]["template"]) == wanted]
    # Two of one template: the oldest is the one that the controller takes.
    return min(found, key=lambda one: str(one["metadata"]["creationTimestamp"]), default=None)


def set_of_hash(workload: Object, sets: Sequence[Object], revision_hash: str) -> Object | None:
    return next(
        (one for one in sets if owned_by(one, workload) and labels_of(one).get(POD_HASH) == revision_hash), None
    )


def owned_by(obj: Object, owner: Object) -> bool:
    uid = owner["metadata"]["uid"]
    return any(reference.get("uid") == uid for reference in obj["metadata"].get("ownerReferences") or ())


async def replica_sets(site: Site, workload: Object) -> list[Object]:
    """The Deployment's own ReplicaSets."""
    sets = await site.cluster.find("ReplicaSet", labels=selector_text(workload["spec"]["selector"]))
    return [one for one in sets if owned_by(one, workload)]


async def hash_of_template(site: Site, workload: Object) -> str | None:
    """The hash of the revision that the workload's template names now; None while there is none yet."""
    if workload["kind"] != "Deployment":
        status = workload.get("status") or {}
        revision = status.get("updateRevision") or status.get("currentRevision")
        return revision if revision is not None else await _newest_controller_revision(site, workload)
    found = set_of_template(workload, await replica_sets(site, workload))
    return None if found is None else labels_of(found)[POD_HASH]


async def failed_hash(site: Site, workload: Object, record: Record) -> str | None:
    """The revision that a rollout under way brought, even after the stable template is back in its place."""
    now = await hash_of_template(site, workload)
    if now != record.stable or record.stable is None:
        return now
    if workload["kind"] == "Deployment":
        for one in await replica_sets(site, workload):
            # The controller copies the record of a Deployment to the ReplicaSet that it makes.
            if labels_of(one).get(POD_HASH) != record.stable and RECORD in annotations_of(one):
                return labels_of(one).get(POD_HASH)
        return now
    pods = await site.cluster.find("Pod", labels=pods_of(workload))
    others = {labels_of(pod).get(CONTROLLER_HASH) for pod in pods if owned_by(pod, workload)} - {record.stable, None}
    return next(iter(sorted(str(one) for one in others)), now)


def services_of(unit: Unit, workload: Object, live: Sequence[Object]) -> tuple[str, ...]:
    """The Services of a release by which the workload's pods are reached: of its manifests, and those that run."""
    labels = labels_of(workload["spec"]["template"])
    found = [one["metadata"]["name"] for one in live if selects_apart_from_pins(one, labels)]
    return tuple(dict.fromkeys((*unit.services, *found)))


def selects_apart_from_pins(service: Object, labels: Mapping[str, str]) -> bool:
    """Whether a Service names pods with these labels, a pin that failback has set left aside."""
    selector = (service.get("spec") or {}).get("selector") or {}
    return selects({key: value for key, value in selector.items() if key not in (POD_HASH, SERVING)}, labels)


async def hash_when_there(site: Site, workload: Object) -> str:
    """The same, waiting for the controller to make the ReplicaSet. Raises TargetUnavailable."""
    found: list[str] = []

    def there(objects: dict[str, Object]) -> bool:
        one = set_of_template(workload, list(objects.values()))
        if one is not None:
            found.append(labels_of(one)[POD_HASH])
        return one is not None

    async with Mirror(site.cluster, "ReplicaSet", labels=selector_text(workload["spec"]["selector"])) as sets:
        if await sets.until(there, CONTROLLERS_S_MAX):
            return found[-1]
    raise TargetUnavailable(
        f"The Deployment controller did not make a ReplicaSet of {workload['metadata']['name']} within "
        f"{CONTROLLERS_S_MAX:.0f} s. Is the controller manager running?"
    )


async def controller_revisions(site: Site, workload: Object) -> tuple[str, ...]:
    """Names of those that a StatefulSet or DaemonSet has; none of a Deployment."""
    if workload["kind"] == "Deployment":
        return ()
    return tuple(one["metadata"]["name"] for one in await _controller_revisions(site, workload))


async def _controller_revisions(site: Site, workload: Object) -> list[Object]:
    found = await site.cluster.find("ControllerRevision", labels=selector_text(workload["spec"]["selector"]))
    return [one for one in found if owned_by(one, workload)]


async def _newest_controller_revision(site: Site, workload: Object) -> str | None:
    revisions = await _controller_revisions(site, workload)
    newest = max(revisions, key=lambda one: int(one.get("revision") or 0), default=None)
    return None if newest is None else labels_of(newest).get(CONTROLLER_HASH) or newest["metadata"]["name"]
