"""The way back, from what the workloads' own records say: traffic, the stable template, what the failed release left.

Everything here works on any machine, with an empty home: the record and the ReplicaSets are in the cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import yaml

from failback.model.errors import TargetUnavailable
from failback.model.snapshot import SnapshotContent
from failback.targets.base import Action, Journal
from failback.targets.kubernetes import configs, deployments, names, one_by_one, rollout, routes, routing
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object, annotations_of, labels_of, told
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.names import POD_HASH
from failback.targets.kubernetes.pods import is_ready
from failback.targets.kubernetes.record import (
    EXECUTION,
    RECORD,
    ROLLOUT_OF,
    Moment,
    Record,
    execution_label,
    record_of,
)
from failback.targets.kubernetes.site import Site

_READY_S_MAX = 60.0
_GONE_S_MAX = 15.0
_LOOK_S_MAX = 0.5
_DARK_GRACE_S = 1  # nobody is served by a dark pod; it need not be waited for


async def repair(site: Site, journal: Journal) -> list[str]:
    """Ends what another execution left in the middle: undone, or finished where it had baked. Raises ServiceHeld."""
    await site.lease.hold()
    said: list[str] = []
    found = await under_way(site)
    baked = {record.execution for _, record in found if record.moment is Moment.FINISHING}
    for unit, record in found:
        if record.execution in baked:
            staged = site.staged(record.revision)
            await rollout.finish_unit(site, unit, journal, staged)
            await rollout.close_unit(site, unit, journal)
            rest = (
                "" if staged else "; the objects beside it that are no part of its pods come with the next deployment"
            )
            said.append(
                f"{unit.told}: finished the rollout of {record.execution}, which had baked and was abandoned{rest}"
            )
            continue
        for action in (
            *await protect(site, (unit,), journal),
            *await roll_back(site, (unit,), None, journal),
            *await clean_up(site, (unit,), journal),
        ):
            if action.ok is False:
                raise TargetUnavailable(
                    f"The abandoned rollout {record.execution} of {unit.told} could not be undone: {action.text}"
                )
        said.append(f"{unit.told}: undid the rollout of {record.execution}, which was abandoned ({record.moment})")
    return said


async def under_way(site: Site) -> list[tuple[Unit, Record]]:
    """Workloads of this service with a rollout under way, by our label."""
    found: list[tuple[Unit, Record]] = []
    for workload in await site.in_rollouts(f"{ROLLOUT_OF}={site.service}"):
        record = record_of(workload)
        if record is not None:
            found.append((Unit(workload["kind"], workload["metadata"]["name"], record.services), record))
    return found


async def protect(site: Site, units: Sequence[Unit], journal: Journal) -> list[Action]:
    """Phase 1. Where the new pods never had users, there is only to look."""
    await site.lease.hold()
    actions: list[Action] = []
    for unit in units:
        live, record = await site.record(unit)
        if live is None or record is None:
            actions.append(Action(f"{unit.told}: its rollout had not begun", ok=None))
        elif record.stable is None:
            actions += await _withdraw_first(site, unit, record, journal)
        elif unit.kind == "Deployment":
            actions += await _to_stable(site, unit, live, record, journal)
        else:
            actions += await one_by_one.withdraw(site, unit, live, record, journal)
    return actions


async def _to_stable(site: Site, unit: Unit, live: Object, record: Record, journal: Journal) -> list[Action]:
    pinned: list[str] = []
    actions: list[Action] = []
    stable = record.stable or ""
    for route in await routes.withdraw(site, unit.services, journal):
        actions.append(Action(f"HTTPRoute {route}: nobody comes to the new pods"))
    for name in unit.services:
        kept = routing.service_record(await site.cluster.get("Service", name))
        if kept is None:
            continue  # not pinned yet when it failed: its selector is the user's own, and no new pod is there
        pinned.append(name)
        began = time.monotonic()
        with journal.intent("traffic.switch", service=name, to=stable):
            await routing.switch(site, name, {**kept.selector, POD_HASH: stable}, kept.ports)
        took_ms = (time.monotonic() - began) * 1000
        actions.append(Action(f"Service {name}: users are on {stable}", detail={"took_ms": round(took_ms, 1)}))
    actions += await routing.confirmed(site, pinned, POD_HASH, stable, 1)
    if not pinned:
        actions.append(Action(f"{unit.told}: no Service was touched", ok=None))
    return actions


async def _withdraw_first(site: Site, unit: Unit, record: Record, journal: Journal) -> list[Action]:
    """A first deployment: the Service that this execution made goes first."""
    actions: list[Action] = []
    for name in unit.services:
        service = await site.cluster.get("Service", name)
        if service is None or labels_of(service).get(EXECUTION) != execution_label(record.execution):
            continue
        with journal.intent("service.delete", service=name):
            await site.cluster.delete("Service", name, uid=service["metadata"]["uid"])
        actions.append(Action(f"Service {name} is removed: there was none before"))
    return actions or [Action(f"{unit.told}: users never reached it, there was no Service yet")]


async def roll_back(
    site: Site, units: Sequence[Unit], content: SnapshotContent | None, journal: Journal
) -> list[Action]:
    """Phase 2: the stable template and the user's own fields in one write; full capacity, looked at."""
    await site.lease.hold()
    actions: list[Action] = []
    for unit in reversed(units):
        live, record = await site.record(unit)
        if live is None or record is None:
            actions.append(Action(f"{unit.told}: nothing of it was changed", ok=None))
            continue
        if record.stable is None:
            actions.append(await _remove_first(site, unit, live, journal))
            continue
        if record.moment is not Moment.ROLLING_BACK:
            record = await deployments.moved(site, unit, journal, moment=Moment.ROLLING_BACK)
        if unit.kind != "Deployment":
            actions += await one_by_one.restore(site, unit, live, record, journal)
            continue
        template = await _stable_template(site, live, record, content)
        live = await deployments.give_fields_back(site, unit, record.before, journal, template)
        actions.append(Action(f"{unit.told} has the template of {record.stable} and the user's own fields"))
        actions.append(await _full_capacity(site, live, record.stable or ""))
    return actions


async def _stable_template(site: Site, live: Object, record: Record, content: SnapshotContent | None) -> Any:
    """As the ReplicaSet keeps it, else as the snapshot does."""
    found = names.set_of_hash(live, await names.replica_sets(site, live), record.stable or "")
    if found is not None:
        return names.plain_template(found["spec"]["template"])
    for document in yaml.safe_load_all((content.documents if content else {}).get("k8s", "")):
        if isinstance(document, dict) and told(document) == told(live):
            return document["spec"]["template"]
    raise TargetUnavailable(
        f"The ReplicaSet {record.stable} of {told(live)} is gone, and no snapshot has its template."
    )


async def _full_capacity(site: Site, live: Object, stable: str) -> Action:
    wanted = int(live["spec"].get("replicas", 1))

    def ready(pods: dict[str, Object]) -> int:
        return sum(is_ready(pod) for pod in pods.values())

    async with Mirror(site.cluster, "Pod", labels=names.pods_of(live, stable)) as pods:
        good = await pods.until(lambda objects: ready(objects) >= wanted, _READY_S_MAX)
        there = ready(pods.objects)
    return Action(f"{stable}: {there} of {wanted} pods ready", ok=good, detail={"ready": there, "wanted": wanted})


async def _remove_first(site: Site, unit: Unit, live: Object, journal: Journal) -> Action:
    with journal.intent("workload.delete", workload=unit.told):
        await site.cluster.delete(unit.kind, unit.name, uid=live["metadata"]["uid"])
    async with Mirror(site.cluster, "Pod", labels=names.pods_of(live)) as pods:
        gone = await pods.until(
            lambda objects: all("deletionTimestamp" in one["metadata"] for one in objects.values()), _GONE_S_MAX
        )
    return Action(f"{unit.told} is removed: as before, nothing ran", ok=gone)


async def clean_up(site: Site, units: Sequence[Unit], journal: Journal, execution: str | None = None) -> list[Action]:
    """Phase 4: the failed ReplicaSet, its pods, what was made for it; then no field of ours is left. `execution`: whose
    objects go, where no workload is left that could tell."""
    await site.lease.hold()
    actions: list[Action] = []
    executions = {record.execution for _, record in await under_way(site)} | ({execution} if execution else set())
    for unit in reversed(units):
        live, record = await site.record(unit)
        if live is None or record is None:
            continue
        if record.stable is not None and unit.kind == "Deployment":
            actions += await _remove_failed_sets(site, live, record, journal)
        for route in await routes.restore(site, unit.services, journal):
            actions.append(Action(f"HTTPRoute {route}: its own rules"))
        await routes.close_dark_services(site, unit.services, journal)
        for name in unit.services:
            with journal.intent("service.unpin", service=name):
                await routing.let_go(site, name, forward=False)
        if unit.kind != "Deployment":
            if record.stable is not None:
                actions += await one_by_one.remove_failed(site, live, record, journal)
            actions.append(await one_by_one.unlabel(site, live))
        with journal.intent("record.remove", workload=unit.told):
            await deployments.close_record(site, unit, record.managers)
        site.forget_staged(record.revision)
        actions.append(Action(f"{unit.told}: no field, label or annotation of failback is left"))
    for each in sorted(executions):
        actions += await configs.remove(site, each, journal)
    return actions or [Action("nothing of the failed release was left", ok=None)]


async def _remove_failed_sets(site: Site, live: Object, record: Record, journal: Journal) -> list[Action]:
    actions: list[Action] = []
    dark = record.switched_at is None
    for failed in await names.replica_sets(site, live):
        revision_hash = labels_of(failed).get(POD_HASH, "")
        if revision_hash == record.stable or RECORD not in annotations_of(failed):
            continue
        name = failed["metadata"]["name"]
        with journal.intent("replicaset.delete", name=name):
            await site.cluster.delete("ReplicaSet", name, uid=failed["metadata"]["uid"])
            pods = await site.cluster.find("Pod", labels=names.pods_of(live, revision_hash))
            await asyncio.gather(
                *(
                    site.cluster.delete(
                        "Pod",
                        pod["metadata"]["name"],
                        uid=pod["metadata"]["uid"],
                        grace_s=_DARK_GRACE_S if dark else None,
                    )
                    for pod in pods
                )
            )
        actions.append(Action(f"removed ReplicaSet {name}", ok=await site.cluster.get("ReplicaSet", name) is None))
        actions.append(await _pods_gone(site, live, revision_hash))
    return actions


async def _pods_gone(site: Site, live: Object, revision_hash: str) -> Action:
    """Every pod's deletion is accepted, and nothing makes new ones. What still ends its last requests, within its own
    grace time, is told; a short wait tells most of them as gone."""

    def staying(pods: dict[str, Object]) -> list[str]:
        return [name for name, pod in pods.items() if "deletionTimestamp" not in pod["metadata"]]

    async with Mirror(site.cluster, "Pod", labels=names.pods_of(live, revision_hash)) as pods:
        accepted = await pods.until(lambda objects: not staying(objects), _GONE_S_MAX)
        await pods.until(lambda objects: not objects, _LOOK_S_MAX)
        remaining, leaving = staying(pods.objects), len(pods.objects)
    if not accepted:
        return Action(f"pods of {revision_hash} still there: {', '.join(remaining)}", ok=False)
    return Action(f"pods of {revision_hash}: none left" + (f", {leaving} are ending" if leaving else ""))
