"""Versioned ConfigMaps and Secrets of a revision: made before it, owned by its ReplicaSet, removed with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from failback.targets.base import Action, Journal
from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.failures import AlreadyExists
from failback.targets.kubernetes.kinds import Object, labels_of, told
from failback.targets.kubernetes.pods import is_leaving
from failback.targets.kubernetes.record import EXECUTION, execution_label
from failback.targets.kubernetes.site import Site


async def make(site: Site, configs: Sequence[Object], execution: str, journal: Journal) -> list[str]:
    """Creates those that are not there; names of what this execution made ("ConfigMap/web-3f2a9c01d4")."""

    async def one(config: Object) -> str | None:
        kind, name = config["kind"], config["metadata"]["name"]
        known = await site.cluster.get(kind, name)
        if known is None:
            shape = {**config, "metadata": {**config["metadata"]}}
            shape["metadata"]["labels"] = {**labels_of(config), EXECUTION: execution_label(execution)}
            with journal.intent("config.create", object=told(config)):
                try:
                    known = await site.cluster.create(shape)
                except AlreadyExists:  # made by this very execution, before it was killed or the answer got lost
                    known = await site.cluster.get(kind, name) or shape
        return told(config) if labels_of(known).get(EXECUTION) == execution_label(execution) else None

    return [made for made in await asyncio.gather(*(one(config) for config in configs)) if made is not None]


async def give_to(site: Site, configs: Sequence[Object], owner: Object) -> None:
    """The ReplicaSet (or workload) owns them beside other owners: they go when the last one goes."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }

    def operations(config: Object) -> Patch:
        owners = config["metadata"].get("ownerReferences") or []
        if any(one["uid"] == reference["uid"] for one in owners):
            return []
        if not owners:
            return [{"op": "add", "path": "/metadata/ownerReferences", "value": [reference]}]
        return [{"op": "add", "path": "/metadata/ownerReferences/-", "value": reference}]

    await asyncio.gather(
        *(site.cluster.change(config["kind"], config["metadata"]["name"], operations) for config in configs)
    )


async def keep(site: Site, execution: str) -> None:
    """The revision stays: what was made for it is not this execution's to remove any more."""
    for kind in ("ConfigMap", "Secret", "Job"):
        for one in await _made(site, kind, f"{EXECUTION}={execution_label(execution)}"):
            await site.cluster.merge(kind, one["metadata"]["name"], {"metadata": {"labels": {EXECUTION: None}}})


async def remove(site: Site, execution: str, journal: Journal) -> list[Action]:
    """Deletes what this execution made and nobody keeps; each is looked for again."""
    actions: list[Action] = []
    for kind in ("ConfigMap", "Secret", "Job", "Service"):
        selector = f"{EXECUTION}={execution_label(execution)}"
        found = await _made(site, kind, selector)
        if not found:
            continue
        names = [one["metadata"]["name"] for one in found]
        with journal.intent("objects.delete", kind=kind, names=names):
            await asyncio.gather(
                *(site.cluster.delete(kind, one["metadata"]["name"], uid=one["metadata"]["uid"]) for one in found)
            )
        left = [one for one in await site.cluster.find(kind, labels=selector) if not is_leaving(one)]
        actions.append(Action(f"removed {kind} {', '.join(names)}", ok=not left))
    return actions


async def _made(site: Site, kind: str, selector: str) -> list[Object]:
    return await (site.find_allowed(kind, selector) if kind == "Job" else site.cluster.find(kind, labels=selector))
