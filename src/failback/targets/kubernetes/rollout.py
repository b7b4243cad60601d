"""The way forward for all workloads of a release: stage, launch in the dark, switch, finish. What differs between kinds
of workloads stands in a module each (`deployments`, `one_by_one`)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from failback.model.errors import ReleaseError
from failback.model.release import Revision, RevisionState
from failback.targets.base import Action, Journal
from failback.targets.kubernetes import (
    configs,
    deployments,
    jobs,
    names,
    one_by_one,
    rolling,
    routes,
    routing,
    sharing,
)
from failback.targets.kubernetes.desired import Desired, Unit
from failback.targets.kubernetes.kinds import KINDS, Object, annotations_of, labels_of, told
from failback.targets.kubernetes.record import (
    EXECUTION,
    RECORD,
    ROLLOUT_OF,
    Moment,
    Record,
    execution_label,
    record_of,
)
from failback.targets.kubernetes.site import Site, Staged

Switching = Callable[[list[str]], Awaitable[None]]  # with the Services of which users get a share only
Counting = Callable[[], Awaitable[None]]
_NO_RECORD = Record(execution="", revision="", moment=Moment.DARK, stable=None)


def stage(
    site: Site,
    desired: Desired,
    checks: Mapping[str, Any],
    execution_id: str,
    journal: Journal,
    *,
    direct: bool = False,
    ways: Mapping[str, str] | None = None,
) -> Revision:
    """Keeps what will be rolled out; the same execution gets the same revision again."""
    digest = desired.digest()
    name = f"rev-{hashlib.sha256(f'{digest} {execution_id}'.encode()).hexdigest()[:10]}"
    staged = Staged(name, execution_id, digest, desired, dict(checks), time.time(), dict(ways or {}), direct)
    with journal.intent("revision.stage", revision=name, digest=digest):
        site.keep_staged(staged)
        site.remember(desired.units)
    return as_revision(staged)


def as_revision(staged: Staged) -> Revision:
    """What the executor gets to know of it."""
    replicas = sum(int(one["spec"].get("replicas", 1)) for one in staged.desired.workloads)
    return Revision(
        id=staged.revision,
        digest=staged.digest,
        state=RevisionState.STAGED,
        replicas=replicas,
        created_at=staged.created_at,
        details={
            "execution": staged.execution,
            "workloads": [unit.told for unit in staged.desired.units],
            "images": images_of(staged.desired),
        },
    )


def images_of(desired: Desired) -> list[str]:
    """The images that the release's workloads name."""
    return [
        container["image"]
        for workload in desired.workloads
        for container in workload["spec"]["template"]["spec"]["containers"]
    ]


async def launch(site: Site, staged: Staged, journal: Journal) -> None:
    """Configuration, then Jobs, then each workload's new pods, without users."""
    await site.lease.hold()
    await _announce(site, staged, journal)
    made = await configs.make(site, staged.desired.configs, staged.execution, journal)
    await jobs.run(site, staged, journal)
    for unit in staged.desired.units:
        live = await site.cluster.get(unit.kind, unit.name)
        record = record_of(live)
        if live is None or (record is not None and record.stable is None and record.execution == staged.execution):
            await _first(site, unit, staged, made, journal)
            continue
        live, record = await under_way(site, unit, staged)
        if unit.kind == "Deployment":
            await deployments.launch(site, unit, staged, record, journal)
        else:
            await one_by_one.launch(site, unit, staged, live, record, journal)
    await sharing.mirror(site, staged, journal)


async def _announce(site: Site, staged: Staged, journal: Journal) -> None:
    """On each workload that runs: what is about to happen, before the first thing beside it is touched."""
    for unit in staged.desired.units:
        live = await site.cluster.get(unit.kind, unit.name)
        if live is not None and record_of(live) is None:
            record = await deployments.new_record(site, unit, staged, live)
            await deployments.announce(site, unit, record, journal)


async def _first(site: Site, unit: Unit, staged: Staged, made: Sequence[str], journal: Journal) -> None:
    """A first deployment: the workload alone; its Service comes after the gate."""
    wanted = staged.desired.workload(unit)
    with journal.intent("workload.create", workload=unit.told):
        live = await site.cluster.get(unit.kind, unit.name)
        if live is None:
            record = Record(
                execution=staged.execution,
                revision=staged.revision,
                moment=Moment.DARK,
                stable=None,
                services=unit.services,
                created=(*made, unit.told),
                plan_service=site.service,
                launched_at=time.time(),
            )
            shape = {**wanted, "metadata": {**wanted["metadata"]}}
            shape["metadata"]["annotations"] = {**annotations_of(wanted), RECORD: record.text()}
            shape["metadata"]["labels"] = {
                **labels_of(wanted),
                ROLLOUT_OF: site.service,
            }
            live = await site.cluster.apply(shape)
    if unit.kind == "Deployment":
        new = await names.hash_when_there(site, live)
        owner = names.set_of_hash(live, await names.replica_sets(site, live), new)
        await configs.give_to(site, staged.desired.configs, owner or live)
    else:
        await configs.give_to(site, staged.desired.configs, live)


async def cut_over(site: Site, staged: Staged, journal: Journal, switching: Switching | None) -> None:
    """All users to the new pods, or a first share of them. `switching` is called when all is ready for that; without it
    nobody looks at a share, so there is none. Raises ReleaseError where fewer of them are ready than serve now."""
    shared: dict[Unit, list[str]] = {}
    for unit in staged.desired.units:
        _, record = await under_way(site, unit, staged)
        if switching is not None and (found := await sharing.by_route(site, unit, record)):
            shared[unit] = found
    await sharing.prepare(site, staged, shared, journal)
    for unit in staged.desired.units:
        live, record = await under_way(site, unit, staged)
        if unit.kind == "Deployment":
            new = await names.hash_when_there(site, live)
            if record.way == rolling.DARK:
                await deployments.enough_ready(site, live, new, record.stable)
        else:
            await one_by_one.serve_first(site, unit, staged, journal)
    if switching is not None:
        await switching([name for found in shared.values() for name in found])
    for unit in staged.desired.units:
        live, record = await under_way(site, unit, staged)
        if record.moment is Moment.DARK:
            await deployments.moved(site, unit, journal, moment=Moment.SWITCHED, switched_at=time.time())
        if unit in shared:
            await sharing.begin(site, staged, shared[unit], journal)
        elif unit.kind == "Deployment":
            await _switch(site, unit, staged, live, journal)


async def extend(site: Site, staged: Staged, journal: Journal, counting: Counting) -> None:
    """The rest of the users, where the cut-over gave the new revision a share of them. `counting` is called when no
    more of them come by that share. Raises ReleaseError."""
    for unit in staged.desired.units:
        live, record = await under_way(site, unit, staged)
        if unit.kind == "Deployment" and record.way != rolling.DARK and record.stable is not None:
            await rolling.follow(site, unit, staged, record, journal)
        elif unit.kind == "Deployment" and site.settings.strategy == "weighted":
            # By the Service first: then both ways lead to the new pods, and the route can be the user's own again.
            await _switch(site, unit, staged, live, journal)
            await deployments.moved(site, unit, journal, switched_at=time.time())  # the stable pods drain from here on
            await routes.withdraw(site, unit.services, journal)
            await counting()
            await routes.restore(site, unit.services, journal)
        if unit.kind != "Deployment" and record.stable is not None:
            await one_by_one.exchange_rest(site, unit, staged, journal)
            await one_by_one.switch(site, unit, staged, journal)


async def _switch(site: Site, unit: Unit, staged: Staged, live: Object, journal: Journal) -> None:
    new = await names.hash_when_there(site, live)
    dark = (record_of(live) or _NO_RECORD).way == rolling.DARK
    for name in unit.services:
        wanted = staged.desired.service(name)
        current = await site.cluster.get("Service", name)
        if current is None and wanted is not None:
            with journal.intent("service.create", service=name):
                await create_service(site, wanted, staged.execution)
            continue
        if routing.service_record(current) is None:
            continue  # never pinned: users are on whatever is ready
        base, ports = await routing.as_wanted(site, name, wanted)
        with journal.intent("traffic.switch", service=name, to=new if dark else "both"):
            await routing.switch(site, name, {**base, names.POD_HASH: new} if dark else base, ports)
    if not dark:
        return
    pinned = [name for name in unit.services if routing.service_record(await site.cluster.get("Service", name))]
    routing.must_hold(await routing.confirmed(site, pinned, names.POD_HASH, new, 1), f"{unit.told} was not switched")


async def create_service(site: Site, wanted: Object, execution: str) -> Object:
    """The Service of a first deployment, marked so that its rollback removes it."""
    shape = {**wanted, "metadata": {**wanted["metadata"]}}
    shape["metadata"]["labels"] = {**labels_of(wanted), EXECUTION: execution_label(execution)}
    return await site.cluster.apply(shape)


async def decide(site: Site, staged: Staged, journal: Journal) -> None:
    """Writes into every record that the rollout is to be finished, so that another machine does not undo a part."""
    for unit in staged.desired.units:
        _, record = await site.record(unit)
        if record is None or record.execution != staged.execution:
            continue
        if record.moment is not Moment.FINISHING:
            await deployments.moved(site, unit, journal, moment=Moment.FINISHING)


async def finish(site: Site, staged: Staged, journal: Journal) -> list[Action]:
    """Baked: the old pods leave while no endpoint names them; then everything is the user's own again."""
    actions: list[Action] = []
    await decide(site, staged, journal)
    units = [unit for unit in staged.desired.units if await _is_ours(site, unit, staged)]
    for unit in units:
        actions += await finish_unit(site, unit, journal, staged, float(staged.checks.get("drain") or 0.0))
    if not units:  # finished before this process was killed, or by somebody else: nothing may be written any more
        site.forget_staged(staged.revision)
        return actions
    for other in staged.desired.others:
        with journal.intent("object.apply", object=told(other)):
            await _apply_other(site, other)
    if staged.desired.others:
        actions.append(Action(f"applied {', '.join(told(one) for one in staged.desired.others)}"))
    # The records go last of all: while one is there, somebody comes who goes on to this end.
    for unit in units:
        actions += await close_unit(site, unit, journal)
    site.forget_staged(staged.revision)
    return actions


async def _is_ours(site: Site, unit: Unit, staged: Staged) -> bool:
    _, record = await site.record(unit)
    return record is not None and record.execution == staged.execution


async def finish_unit(
    site: Site, unit: Unit, journal: Journal, staged: Staged | None, drain_s: float = 0.0
) -> list[Action]:
    """One workload, but for its record. `staged` None: on another machine, where only the record tells what was under
    way."""
    live, record = await site.record(unit)
    if live is None or record is None:
        return []
    if record.moment is not Moment.FINISHING:
        record = await deployments.moved(site, unit, journal, moment=Moment.FINISHING)
    actions: list[Action] = []
    if record.stable is not None:
        wait_s = max(drain_s, routing.PROXIES_S_MIN)
        await asyncio.sleep(max(0.0, min(wait_s, (record.switched_at or 0.0) + wait_s - time.time())))
        if unit.kind == "Deployment":
            new = await names.hash_when_there(site, live)
            live = await deployments.give_fields_back(site, unit, record.after, journal)
            if new != record.stable:
                actions.append(await deployments.others_leave(site, live, new, gone=await _shows_unready(site, unit)))
        else:
            actions += await one_by_one.finish(site, unit, record, journal)
    await routes.restore(site, unit.services, journal)
    await routes.close_dark_services(site, unit.services, journal)
    for name in unit.services:
        with journal.intent("service.unpin", service=name):
            await routing.let_go(site, name, forward=True)
    if staged is not None and not staged.direct:
        with journal.intent("objects.apply", workload=unit.told):
            await _apply(site, unit, staged, live)
    return actions


async def close_unit(site: Site, unit: Unit, journal: Journal) -> list[Action]:
    """The end of a finished rollout: nothing of failback is left on the workload."""
    _, record = await site.record(unit)
    if record is None:
        return []
    await configs.keep(site, record.execution)
    with journal.intent("record.remove", workload=unit.told):
        await deployments.close_record(site, unit, record.managers)
    return [Action(f"{unit.told}: the user's own fields and selectors are restored")]


async def _apply(site: Site, unit: Unit, staged: Staged, live: Object) -> None:
    """The manifests themselves, now that nothing of them differs from what runs but what the gate does not see."""
    await site.cluster.apply(deployments.applicable(staged.desired.workload(unit), live))
    for name in unit.services:
        wanted = staged.desired.service(name)
        if wanted is not None:
            before = ((await site.cluster.get("Service", name)) or {}).get("metadata", {}).get("managedFields") or ()
            await routing.hand_back(site, await site.cluster.apply(wanted), before)


async def _apply_other(site: Site, wanted: Object) -> None:
    """What belongs to the release beside its pods. What another tool had applied stays that tool's: otherwise its own
    next change of a field that differs now would be refused."""
    known = KINDS.get(wanted["kind"])
    live = None
    if known is not None and known.api_version == wanted["apiVersion"]:
        live = await site.cluster.get(wanted["kind"], wanted["metadata"]["name"])
    applied = await site.cluster.apply(wanted)
    if live is not None:
        await routing.hand_back(site, applied, live["metadata"].get("managedFields") or ())


async def _shows_unready(site: Site, unit: Unit) -> bool:
    """Whether a Service names pods that are on their way out as well: they must be gone before it is let go."""
    for name in unit.services:
        service = await site.cluster.get("Service", name)
        if service is not None and service["spec"].get("publishNotReadyAddresses"):
            return True
    return False


async def under_way(site: Site, unit: Unit, staged: Staged) -> tuple[Object, Record]:
    """The workload and the record of this very rollout on it. Raises ReleaseError."""
    live, record = await site.record(unit)
    if live is None or record is None:
        raise ReleaseError(
            f"{unit.told} has no rollout under way any more: it was deleted, or another machine ended the rollout."
        )
    if record.execution != staged.execution:
        raise ReleaseError(
            f"{unit.told} has the rollout of another execution under way ({record.execution}), which ended this one."
        )
    return live, record
