"""What the new pods get by HTTPRoutes in a rollout: copies of requests while dark, then a first share of the users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from failback.model.release import Finding
from failback.targets.base import Journal
from failback.targets.kubernetes import names, routes
from failback.targets.kubernetes.desired import Desired, Unit
from failback.targets.kubernetes.failures import NotFound
from failback.targets.kubernetes.kinds import KINDS
from failback.targets.kubernetes.record import Record
from failback.targets.kubernetes.route_rules import FIRST_SHARE, Way, cannot_copy
from failback.targets.kubernetes.site import Site, Staged


async def mirror(site: Site, staged: Staged, journal: Journal) -> None:
    """`checks.mirror`: copies of users' requests for the dark pods, where a route can make them."""
    wanted = staged.checks.get("mirror") or {}
    if not wanted.get("enabled"):
        return
    way = Way(copies=float(wanted.get("percent") or 100.0), methods=tuple(wanted.get("methods") or ()))
    opened = []
    for unit in staged.desired.units:
        live, record = await site.record(unit)
        if live is None or record is None or record.stable is None or unit.kind != "Deployment":
            continue
        for name in unit.services:
            found = await routes.leading_to(site, [name])
            if found and not any(cannot_copy(one, name, way.methods) for one in found):
                pins = {names.POD_HASH: await names.hash_when_there(site, live)}
                await routes.open_dark_service(site, name, staged.execution, pins, journal)
                opened.append(name)
    await routes.reroute(site, staged.execution, dict.fromkeys(opened, way), journal)


async def by_route(site: Site, unit: Unit, record: Record) -> list[str]:
    """`strategy: weighted`: the Services of this workload that a route leads to. None of a first deployment: it has no
    users yet."""
    if site.settings.strategy != "weighted" or record.stable is None or unit.kind != "Deployment":
        return []
    return [name for name in unit.services if await routes.leading_to(site, [name])]


async def prepare(site: Site, staged: Staged, shared: dict[Unit, list[str]], journal: Journal) -> None:
    """The copies end, which were for the dark alone. The new pods of what will be shared are a backend that the gateway
    knows and sends nobody to: one that it gets to know with its first requests may lose those."""
    services = [name for unit in staged.desired.units for name in unit.services]
    among = [name for found in shared.values() for name in found]
    for unit, found in shared.items():
        live, _ = await site.record(unit)
        for name in found:
            if live is not None:
                pins = {names.POD_HASH: await names.hash_when_there(site, live)}
                await routes.open_dark_service(site, name, staged.execution, pins, journal)
    await routes.restore(site, [name for name in services if name not in among], journal)
    await routes.reroute(site, staged.execution, dict.fromkeys(among, Way(share=0)), journal)


async def begin(site: Site, staged: Staged, services: Sequence[str], journal: Journal) -> None:
    """A first share of the users."""
    await routes.reroute(site, staged.execution, dict.fromkeys(services, Way(share=FIRST_SHARE)), journal)


async def wanted(site: Site, checks: Mapping[str, Any]) -> bool:
    """Whether HTTPRoutes are to be written in a rollout, where the cluster knows any."""
    if not _asked_for(site, checks):
        return False
    try:
        # An account without a right to the kind is refused, whether the cluster has it or not; this all may ask.
        await site.cluster.read(f"/apis/{KINDS['HTTPRoute'].api_version}", kind="discovery")
    except NotFound:
        return False
    return True


def _asked_for(site: Site, checks: Mapping[str, Any]) -> bool:
    return site.settings.strategy == "weighted" or bool((checks.get("mirror") or {}).get("enabled"))


async def findings(site: Site, desired: Desired, checks: Mapping[str, Any]) -> list[Finding]:
    """What is asked for and no route can do: said before, since the rollout goes on without it."""
    if not _asked_for(site, checks):
        return []
    copied = checks.get("mirror") or {}
    found: list[Finding] = []
    services = [name for unit in desired.units if unit.kind == "Deployment" for name in unit.services]
    for name in services:
        leading = await routes.leading_to(site, [name])
        if not leading:
            told = [] if site.settings.strategy != "weighted" else ["all users are switched at once, none before"]
            told += ["no requests are copied"] if copied.get("enabled") else []
            message = f"no HTTPRoute of this namespace leads to it, so {' and '.join(told)}"
            found.append(Finding("warning", f"Service/{name}", message))
        for route in leading if copied.get("enabled") else ():
            if why := cannot_copy(route, name, tuple(copied.get("methods") or ())):
                subject = f"HTTPRoute/{route['metadata']['name']}"
                found.append(Finding("warning", subject, f"no requests to {name} are copied: {why}"))
    return found
