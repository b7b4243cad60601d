"""A Deployment's way forward: dark beside the stable pods, one switch, then the user's own fields again.

Promise: whatever the instant at which this process dies, and if nobody ever comes back, users are served by a full set
of pods that had passed: no old pod may leave (`minReadySeconds` makes no new pod "available", `maxUnavailable` is 0, no
deadline ends), and the Services name one revision by its hash.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from failback.model.errors import ReleaseError, TargetUnavailable
from failback.targets.base import Action, Journal
from failback.targets.kubernetes import configs, merging, names, rolling, routing
from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object, annotations_of, labels_of, told
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.names import POD_HASH
from failback.targets.kubernetes.pods import is_ready
from failback.targets.kubernetes.record import (
    FENCE,
    RECORD,
    ROLLOUT_OF,
    Moment,
    Record,
    annotate,
    label,
    record_of,
    set_field,
)
from failback.targets.kubernetes.site import Site, Staged

# What Kubernetes takes for "never": no new pod becomes available, and no deadline is over.
NEVER_AVAILABLE_S = 2147483646
NO_DEADLINE_S = 2147483647
LEAVE_S_MAX = 120.0
_COPIED_S = 0.2  # by then the controller has copied annotations, where it still does
_SEEN_S_MAX = 2.0
_TIDY_TRIES = 5
_TEMPORARY = {
    "Deployment": ("strategy", "minReadySeconds", "progressDeadlineSeconds"),
    "StatefulSet": ("updateStrategy", "minReadySeconds"),
    "DaemonSet": ("updateStrategy", "minReadySeconds"),
}


async def announce(site: Site, unit: Unit, record: Record, journal: Journal) -> None:
    """The record alone, before anything beside the workload (a Service's pin, a ConfigMap) is touched: whoever finds
    it knows what may have been made, and undoes it."""
    if record.stable is None:
        raise TargetUnavailable(f"{unit.told} has no revision of its own template: it is not settled.")

    def operations(current: Object) -> Patch:
        if record_of(current) is not None:
            return []
        return [*annotate(current, {RECORD: record.text()}), *label(current, {ROLLOUT_OF: site.service})]

    with journal.intent("rollout.announce", workload=unit.told):
        await site.change(unit.kind, unit.name, operations)


async def launch(site: Site, unit: Unit, staged: Staged, record: Record, journal: Journal) -> None:
    """Starts the new pods beside the stable ones; users stay pinned to those."""
    for service in unit.services if rolling.pins_of(record) else ():
        if await site.cluster.get("Service", service) is not None:
            with journal.intent("service.pin", service=service, to=record.stable):
                await routing.pin(site, service, staged.execution, rolling.pins_of(record))
    live = await site.cluster.get(unit.kind, unit.name)
    if live is None:
        raise ReleaseError(f"{unit.told} was deleted while it was rolled out.")
    template = (await merged(site, unit, staged, live))["spec"]["template"]
    with journal.intent("workload.launch", workload=unit.told):
        live = await site.change(unit.kind, unit.name, lambda current: _launch_patch(current, template))
    new = await names.hash_when_there(site, live)
    if new != record.stable:
        owner = names.set_of_hash(live, await names.replica_sets(site, live), new)
        if owner is not None:
            await configs.give_to(site, staged.desired.configs, owner)


async def new_record(site: Site, unit: Unit, staged: Staged, live: Object) -> Record:
    """What a rollout begins with: the fields that it changes for a time, as they are and as the release wants them."""
    wanted = await merged(site, unit, staged, live)
    return Record(
        execution=staged.execution,
        revision=staged.revision,
        moment=Moment.ANNOUNCED,
        stable=await names.hash_of_template(site, live),
        before={key: live["spec"].get(key) for key in _TEMPORARY[unit.kind]},
        after={key: wanted["spec"].get(key) for key in _TEMPORARY[unit.kind]},
        managers=tuple(live["metadata"].get("managedFields") or ()),
        services=unit.services,
        known=await names.controller_revisions(site, live),
        plan_service=site.service,
        launched_at=time.time(),
        way=staged.ways.get(unit.told, rolling.DARK),
    )


async def merged(site: Site, unit: Unit, staged: Staged, live: Object) -> Object:
    """The workload as the API server itself would merge the manifest with what others own; a former revision's
    template goes in as it is."""
    wanted = staged.desired.workload(unit)
    if staged.direct:
        return {**live, "spec": {**live["spec"], "template": wanted["spec"]["template"]}}
    return await merging.merged(site.cluster, applicable(wanted, live), live)


def applicable(wanted: Object, live: Object | None) -> Object:
    """The manifest as it is applied: `replicas` stays with who scales (an autoscaler, a person), once it runs."""
    shape = {**wanted, "spec": {**wanted["spec"]}}
    if live is not None and "replicas" in shape["spec"] and scaled_by_others(live):
        del shape["spec"]["replicas"]
    return shape


def scaled_by_others(live: Object) -> bool:
    """Whether `spec.replicas` was set through the scale subresource: by an autoscaler, or `kubectl scale`."""
    return any(
        entry.get("subresource") == "scale" and "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        for entry in live["metadata"].get("managedFields") or ()
    )


def _launch_patch(current: Object, template: Any) -> Patch:
    """Template, temporary fields and how far it has come: one write, so that none is ever without the other."""
    record = record_of(current)
    if record is None:
        raise TargetUnavailable(f"{told(current)} lost its rollout record: somebody removed its annotations.")
    if record.moment is not Moment.ANNOUNCED:
        return []
    return [
        *annotate(current, {RECORD: launched(record).text()}),
        *set_field(current, ("spec", "template"), template),
        *rolling.temporary_fields(current, record.way, NEVER_AVAILABLE_S, NO_DEADLINE_S),
    ]


def launched(record: Record) -> Record:
    """The same from the moment on in which the workload has the new template."""
    return dataclasses.replace(record, moment=Moment.DARK, launched_at=time.time())


async def enough_ready(site: Site, live: Object, new: str, stable: str | None) -> None:
    """At the cut-over, read at that moment: as many new pods ready as old ones. Raises ReleaseError.

    The pods themselves are counted: a controller that is behind tells of another moment."""
    there = await _ready(site, live, new)
    before = await _ready(site, live, stable) if stable else 0
    if there < max(1, before):
        raise ReleaseError(
            f"{live['metadata']['name']}: {there} new pods are ready and {before} serve: users were not switched to "
            f"fewer."
        )


async def _ready(site: Site, live: Object, revision_hash: str) -> int:
    found = await site.cluster.find("Pod", labels=names.pods_of(live, revision_hash))
    return sum(is_ready(pod) for pod in found)


async def moved(site: Site, unit: Unit, journal: Journal, **changes: Any) -> Record:
    """Writes how far the rollout has come into its record."""

    def operations(current: Object) -> Patch:
        record = record_of(current)
        if record is None:
            raise TargetUnavailable(f"{unit.told} lost its rollout record: somebody removed its annotations.")
        return annotate(current, {RECORD: dataclasses.replace(record, **changes).text()})

    with journal.intent("record.write", workload=unit.told, **{key: str(value) for key, value in changes.items()}):
        changed = await site.change(unit.kind, unit.name, operations)
    record = record_of(changed)
    if record is None:
        raise TargetUnavailable(f"{unit.told} lost its rollout record while it was written.")
    return record


async def give_fields_back(
    site: Site, unit: Unit, values: Mapping[str, Any], journal: Journal, template: Any = None
) -> Object:
    """The user's own strategy, `minReadySeconds` and deadline, and (on the way back) the stable template: one write."""

    def operations(current: Object) -> Patch:
        found = [] if template is None else set_field(current, ("spec", "template"), template)
        for key, value in values.items():
            found += set_field(current, ("spec", key), value)
        return found

    with journal.intent("workload.restore", workload=unit.told, template=template is not None):
        return await site.change(unit.kind, unit.name, operations)


async def others_leave(site: Site, live: Object, staying: str, *, gone: bool = False) -> Action:
    """Waits until every pod of another revision is on its way out (`gone`: is gone)."""

    def left(pods: dict[str, Object]) -> list[Object]:
        return [
            pod
            for pod in pods.values()
            if labels_of(pod).get(POD_HASH) != staying
            and (gone or "deletionTimestamp" not in pod["metadata"])
            and labels_of(pod).get(POD_HASH)
        ]

    began = time.monotonic()
    async with Mirror(site.cluster, "Pod", labels=names.pods_of(live)) as pods:
        done = await pods.until(lambda objects: not left(objects), LEAVE_S_MAX)
        remaining = [pod["metadata"]["name"] for pod in left(pods.objects)]
    text = f"the other revision's pods leave ({time.monotonic() - began:.1f} s)"
    if not done:
        text = f"still there after {LEAVE_S_MAX:.0f} s: {', '.join(remaining)}"
    return Action(text, ok=done, detail={"remaining": remaining})


async def close_record(site: Site, unit: Unit, before: Sequence[Any]) -> None:
    """The last write: no record, no fence, no label of ours; fields belong to whom they belonged."""

    def operations(current: Object) -> Patch:
        return [*annotate(current, {RECORD: None, FENCE: None}), *label(current, {ROLLOUT_OF: None})]

    live = await site.cluster.get(unit.kind, unit.name)
    if live is None:
        return
    if record_of(live) is not None:
        live = await site.unfence(unit.kind, unit.name, operations)
    await routing.hand_back(site, live, before)
    await _tidy_sets(site, live)


async def _tidy_sets(site: Site, live: Object) -> None:
    """The controller copies a Deployment's annotations to its ReplicaSets; ours are taken away there too, and once more
    where it did so from an older picture of the Deployment."""
    if live["kind"] != "Deployment":
        return

    async def one(name: str) -> None:
        await site.cluster.change("ReplicaSet", name, lambda current: annotate(current, {RECORD: None, FENCE: None}))

    def marked(objects: dict[str, Object]) -> list[str]:
        mine = [each for each in objects.values() if names.owned_by(each, live)]
        return [each["metadata"]["name"] for each in mine if {RECORD, FENCE} & annotations_of(each).keys()]

    async with Mirror(site.cluster, "ReplicaSet", labels=names.selector_text(live["spec"]["selector"])) as sets:
        for _ in range(_TIDY_TRIES):
            await asyncio.gather(*(one(name) for name in marked(sets.objects)))
            await sets.until(lambda objects: not marked(objects), _SEEN_S_MAX)
            if not await sets.until(lambda objects: bool(marked(objects)), _COPIED_S):
                return
