"""`backups restore` in a cluster: each object as the snapshot has it, in a namespace that was emptied as well.

Promise: safe to repeat (what is so already is not written), under the lease and the fence; replicas stay with the
autoscaler that sets them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from failback.model.errors import ReleaseError
from failback.model.snapshot import SnapshotContent
from failback.targets.base import Action, Journal
from failback.targets.kubernetes import restoring_dark, routing, settling
from failback.targets.kubernetes.cleaning import as_manifest
from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.desired import Unit, selects
from failback.targets.kubernetes.kinds import WORKLOADS, Object, labels_of, told
from failback.targets.kubernetes.record import FENCE, annotate, record_of, set_field
from failback.targets.kubernetes.site import Site

Owners = Mapping[str, Sequence[Any]]  # "Deployment/web" -> metadata.managedFields as they were

RESTORED_S_MAX = 120.0
_ORDER = ("Namespace", "ServiceAccount", "ConfigMap", "Secret", "Service")
_CONTENT = ("spec", "data", "binaryData", "stringData", "rules", "secrets", "imagePullSecrets", "type", "immutable")
_GIVEN = ("clusterIP", "clusterIPs", "healthCheckNodePort")


def objects_of(content: SnapshotContent) -> list[Object]:
    """The objects of a snapshot, in the order in which they are made again. Raises ValueError, KeyError, YAMLError."""
    configs = json.loads(content.documents["configs"])
    found: list[Object] = [
        *_loaded(content.documents["k8s"]),
        *_loaded(content.documents["service"]),
        *configs.get("configmaps", {}).values(),
        *configs.get("secrets", {}).values(),
    ]
    place = {kind: number for number, kind in enumerate(_ORDER)}
    return sorted(found, key=lambda one: place.get(one["kind"], 10 if one["kind"] in WORKLOADS else 20))


def _loaded(text: str) -> Iterator[Object]:
    # What failback itself noted on an object is for people, and never written to the cluster again.
    yield from (as_manifest(one) for one in yaml.safe_load_all(text) if one)


async def restore(site: Site, content: SnapshotContent, files: Mapping[str, str], journal: Journal) -> list[Action]:
    """Writes what differs and waits until the workloads run. Raises ReleaseError while a rollout is under way."""
    if content.revision is None:
        return [Action("the snapshot is of a service that had no release yet: `failback down` brings that state")]
    await site.lease.hold()
    objects = objects_of(content)
    owners: Owners = json.loads(content.documents["configs"]).get("managers") or {}
    scaled = scaled_by_autoscalers(objects)
    workloads = [one for one in objects if one["kind"] in WORKLOADS]
    for one in workloads:
        if record_of(await site.cluster.get(one["kind"], one["metadata"]["name"])) is not None:
            raise ReleaseError(f"{told(one)} has a rollout under way. `failback resume` ends it; then restore again.")
    # What the pods need comes first; then the pods, in the dark where something runs; then all that is about them.
    first = [one for one in objects if one["kind"] not in (*WORKLOADS, "Service")]
    made = await _write(site, first, scaled, owners, journal)
    lives = {told(one): await site.cluster.get(one["kind"], one["metadata"]["name"]) for one in workloads}
    dark = [one for one in workloads if restoring_dark.can_be_dark(site, one, lives[told(one)])]
    actions: list[Action] = []
    if dark:
        units = [_unit(one, objects) for one in dark]
        actions = await restoring_dark.restore(site, units, dark, journal, RESTORED_S_MAX)
        if any(action.ok is False for action in actions):
            return actions
        made += [told(one) for one in dark]
    made += await _write(site, [one for one in objects if one not in first], scaled, owners, journal)
    site.remember(tuple(_unit(one, objects) for one in workloads))
    settled = await asyncio.gather(
        *(settling.until_settled(site, one["kind"], one["metadata"]["name"], RESTORED_S_MAX) for one in workloads)
    )
    what = f"restored {', '.join(dict.fromkeys(made))}" if made else "everything was as the snapshot has it"
    return [Action(what), *actions, *settled]


async def _write(
    site: Site, objects: Sequence[Object], scaled: frozenset[str], owners: Owners, journal: Journal
) -> list[str]:
    """What had to be written, by name. Who owned a field owns it again, so that the user's own tools work on."""
    made: list[str] = []
    for one in objects:
        with journal.intent("object.restore", object=told(one)):
            live = await site.cluster.get(one["kind"], one["metadata"]["name"])
            if await _restored(site, one, live, scaled):
                made.append(told(one))
                before = (live or {}).get("metadata", {}).get("managedFields") or owners.get(told(one)) or ()
                if before:
                    await routing.hand_back(site, one, before)
    return made


def _unit(workload: Object, objects: Sequence[Object]) -> Unit:
    labels = labels_of(workload["spec"]["template"])
    services = [
        one["metadata"]["name"]
        for one in objects
        if one["kind"] == "Service" and selects(one["spec"].get("selector"), labels)
    ]
    return Unit(workload["kind"], workload["metadata"]["name"], tuple(services))


def scaled_by_autoscalers(objects: Sequence[Object]) -> frozenset[str]:
    """ "Deployment/web" of those whose replicas an autoscaler among the objects sets."""
    targets = [one["spec"]["scaleTargetRef"] for one in objects if one["kind"] == "HorizontalPodAutoscaler"]
    return frozenset(f"{one['kind']}/{one['name']}" for one in targets)


def as_it_was(obj: Object, live: Object, scaled: frozenset[str]) -> Object:
    """The update that gives a present object the snapshot's content, under the condition that nobody changed it."""
    shape = {key: value for key, value in live.items() if key not in (*_CONTENT, "status")}
    shape |= {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    shape["metadata"] = {**live["metadata"]}
    for kind in ("labels", "annotations"):
        both = {**(live["metadata"].get(kind) or {}), **(obj["metadata"].get(kind) or {})}
        if both:
            shape["metadata"][kind] = both
    if obj["kind"] == "Service":
        shape["spec"] = {**obj["spec"], **{key: live["spec"][key] for key in _GIVEN if key in live["spec"]}}
    if told(obj) in scaled and "replicas" in live["spec"]:
        shape["spec"] = {**obj["spec"], "replicas": live["spec"]["replicas"]}
    return shape


def differs(obj: Object, live: Mapping[str, Any], scaled: frozenset[str]) -> bool:
    """Whether a restore has something to write."""
    now, wanted = as_manifest(live), as_manifest(as_it_was(obj, dict(live), scaled))
    return any(wanted.get(key) != now.get(key) for key in {*wanted, *now} - {"metadata"})


async def _restored(site: Site, obj: Object, live: Object | None, scaled: frozenset[str]) -> bool:
    """Whether something had to be written."""
    kind, name = obj["kind"], obj["metadata"]["name"]
    if live is None:
        await site.cluster.create(obj)
        return True
    if not differs(obj, live, scaled):
        return False
    if live.get("immutable"):
        # Its content can't be changed, only exchanged; the name stays, and pods read it when they start.
        await site.cluster.delete(kind, name, uid=live["metadata"]["uid"])
        await site.cluster.create(obj)
        return True
    if kind not in (*WORKLOADS, "Service"):
        await site.cluster.replace(as_it_was(obj, live, scaled))
        return True

    def operations(current: Object) -> Patch:
        return set_field(current, ("spec",), as_it_was(obj, current, scaled)["spec"])

    await site.change(kind, name, operations)
    await site.unfence(kind, name, lambda current: annotate(current, {FENCE: None}))
    return True
