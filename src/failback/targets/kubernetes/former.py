"""Former revisions: what a rollback to one of them wants, and the removal of a service with all that belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from failback.model.errors import ReleaseError
from failback.targets.base import Action, Journal
from failback.targets.kubernetes import names, one_by_one
from failback.targets.kubernetes.desired import Desired, Unit
from failback.targets.kubernetes.kinds import Object, labels_of, told
from failback.targets.kubernetes.names import POD_HASH
from failback.targets.kubernetes.record import REVISION_OF
from failback.targets.kubernetes.site import Site


async def desired(site: Site, units: Sequence[Unit], revision: str) -> Desired:
    """The workloads with the template that this revision had. Raises ReleaseError where it is not kept any more."""
    workloads = []
    for unit in units:
        live = await site.cluster.get(unit.kind, unit.name)
        if live is None:
            raise ReleaseError(f"{unit.told} is not there, so there is nothing to go back from.")
        template = await _template(site, live, revision)
        workloads.append(
            {
                "apiVersion": live["apiVersion"],
                "kind": unit.kind,
                "metadata": {"name": unit.name},
                "spec": {**live["spec"], "template": template},
            }
        )
    return Desired(tuple(units), tuple(workloads), (), (), (), ())


async def _template(site: Site, live: Object, revision: str) -> Object:
    if live["kind"] != "Deployment":
        return dict(await one_by_one.template_of(site, live, revision))
    sets = await names.replica_sets(site, live)
    found = names.set_of_hash(live, sets, revision)
    if found is None:
        known = ", ".join(sorted(labels_of(one).get(POD_HASH, "?") for one in sets)) or "none"
        raise ReleaseError(
            f"{told(live)} has no revision {revision} any more (revisionHistoryLimit). It has: {known}.",
            revision=revision,
        )
    return names.plain_template(found["spec"]["template"])


async def remove(site: Site, units: Sequence[Unit], journal: Journal) -> list[Action]:
    """`down`: the workloads, their Services and versioned configuration. Claims and data of volumes stay."""
    actions: list[Action] = []
    for unit in units:
        for kind, name in (*(("Service", service) for service in unit.services), (unit.kind, unit.name)):
            with journal.intent("object.delete", object=f"{kind}/{name}"):
                there = await site.cluster.delete(kind, name)
            actions.append(Action(f"removed {kind} {name}" if there else f"{kind} {name} was not there"))
    for kind in ("ConfigMap", "Secret"):
        mine = [one for one in await site.cluster.find(kind, labels=REVISION_OF) if _of(one, units)]
        await asyncio.gather(*(site.cluster.delete(kind, one["metadata"]["name"]) for one in mine))
        if mine:
            actions.append(Action(f"removed {len(mine)} versions of {kind}s"))
    await site.cluster.delete("Lease", site.lease.name)
    return actions


def _of(config: Object, units: Sequence[Unit]) -> bool:
    """Owned by nothing but ReplicaSets and workloads of these names: they are being deleted as well."""
    owners = config["metadata"].get("ownerReferences") or []
    return bool(owners) and all(
        any(owner["name"] == unit.name or owner["name"].startswith(f"{unit.name}-") for unit in units)
        for owner in owners
    )
