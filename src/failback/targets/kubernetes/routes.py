"""Gateway API: a share of users by weight, and copies of requests for the dark pods, where an HTTPRoute is there.

While a rollout is under way the Service stays pinned to the stable pods, and a second one, `<service>-failback`, names
the new ones. The route's rules as they were stand in its annotation, in the same write; restoring is one patch.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from failback.model.errors import ReleaseError
from failback.targets.base import Journal
from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.failures import NotFound
from failback.targets.kubernetes.kinds import Object, annotations_of, labels_of
from failback.targets.kubernetes.record import EXECUTION, FENCE, RECORD, annotate, execution_label, set_field
from failback.targets.kubernetes.route_rules import Rules, Way, as_shape, as_ways, dark_name, routes_to, shaped
from failback.targets.kubernetes.routing import hand_back
from failback.targets.kubernetes.site import Site

_TAKEN_S_MAX = 5.0  # a gateway that is slower than this, or says nothing, is not waited for
_DATA_PLANE_S = 0.5  # from what the control plane says of a route until every proxy of it has the route
_LOOK_S = 0.1


async def leading_to(site: Site, services: Sequence[str]) -> list[Object]:
    """The HTTPRoutes by which users come to these Services; none where the cluster has no such kind."""
    try:
        found = await site.find_allowed("HTTPRoute")
    except NotFound:
        return []
    return [one for one in found if _services_of(one, services)]


def _services_of(route: Mapping[str, Any], services: Sequence[str]) -> list[str]:
    return [name for name in services if any(routes_to(rule, name) for rule in _kept(route)["rules"])]


def _kept(route: Mapping[str, Any]) -> dict[str, Any]:
    """The user's own rules and their owners, whatever stands there for a time; and what each Service wants."""
    text = annotations_of(route).get(RECORD)
    if text:
        shape: dict[str, Any] = json.loads(text)
        return shape
    rules: Rules = (route.get("spec") or {}).get("rules") or ()
    return {"rules": rules, "managers": route["metadata"].get("managedFields") or [], "ways": {}}


async def open_dark_service(
    site: Site, service: str, execution: str, pins: Mapping[str, str], journal: Journal
) -> None:
    """Makes the Service of the new pods: the ports of the user's own, and these labels beside its selector. Raises
    ReleaseError where a Service of that name is somebody else's."""
    name = dark_name(service)
    live, there = await asyncio.gather(site.cluster.get("Service", service), site.cluster.get("Service", name))
    if live is None:
        return
    selector = {**(live["spec"].get("selector") or {}), **pins}
    if there is not None:
        if EXECUTION not in labels_of(there):
            raise ReleaseError(f"Service {name} is there already, and failback needs that name for the new pods.")
        if there["spec"].get("selector") == selector:
            return
        await site.cluster.delete("Service", name, uid=there["metadata"]["uid"])  # an older execution's
    ports = [
        {key: value for key, value in port.items() if key != "nodePort"} for port in live["spec"].get("ports") or ()
    ]
    shape: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {EXECUTION: execution_label(execution)}},
        "spec": {"ports": ports, "selector": selector},
    }
    with journal.intent("service.create", service=name):
        await site.cluster.apply(shape)


async def close_dark_services(site: Site, services: Sequence[str], journal: Journal) -> None:
    """The Services that were made for the new pods go, once no route names them."""
    for name in map(dark_name, services):
        there = await site.cluster.get("Service", name)
        if there is not None and EXECUTION in labels_of(there):
            with journal.intent("service.delete", service=name):
                await site.cluster.delete("Service", name, uid=there["metadata"]["uid"])


async def reroute(
    site: Site, execution: str, wanted: Mapping[str, Way | None], journal: Journal, *, opened_only: bool = False
) -> list[str]:
    """Gives each route the rules made from the user's own: for each of these Services in its way (None: as it was).
    Returns when the gateway says that it has them; names of the routes. `opened_only`: those alone that are not as
    their user left them. A route for which nothing is wanted any more is its user's own again."""
    found = await leading_to(site, list(wanted))
    if opened_only:
        found = [one for one in found if RECORD in annotations_of(one)]
    changed = await asyncio.gather(*(_one(site, route, execution, wanted, journal) for route in found))
    await asyncio.gather(*(_taken(site, route) for route in changed))
    return [route["metadata"]["name"] for route in changed]


async def restore(site: Site, services: Sequence[str], journal: Journal) -> list[str]:
    """The user's own rules, in one patch a route; names of those that had others."""
    return await reroute(site, "", dict.fromkeys(services), journal, opened_only=True)


async def withdraw(site: Site, services: Sequence[str], journal: Journal) -> list[str]:
    """No user and no copy comes to the new pods any more; names of the routes. They stay a backend of no weight until
    `restore`, so that what they have answered is counted to its end."""
    wanted: dict[str, Way | None] = {}
    for route in await leading_to(site, services):
        ways = as_ways(_kept(route).get("ways") or {})
        for name in services:
            if name in ways:
                wanted[name] = Way(share=0) if ways[name].share is not None else None
    return await reroute(site, "", wanted, journal, opened_only=True) if wanted else []


async def _one(site: Site, route: Object, execution: str, wanted: Mapping[str, Way | None], journal: Journal) -> Object:
    name = route["metadata"]["name"]
    mine = _services_of(route, list(wanted))

    def ways_of(current: Object) -> dict[str, Way]:
        ways = as_ways(_kept(current).get("ways") or {})
        ways |= {service: way for service, way in wanted.items() if way is not None and service in mine}
        return {service: way for service, way in ways.items() if wanted.get(service, way) is not None}

    if not ways_of(route):
        return await _give_back(site, route, journal)

    def operations(current: Object) -> Patch:
        kept, ways = _kept(current), ways_of(current)
        shape = {**kept, "execution": kept.get("execution") or execution, "ways": as_shape(ways)}
        text = json.dumps(shape, separators=(",", ":"), sort_keys=True)
        return [
            *annotate(current, {RECORD: text}),
            *set_field(current, ("spec", "rules"), shaped(kept["rules"], ways)),
        ]

    with journal.intent("route.change", route=name, ways=as_shape(ways_of(route))):
        return await site.change("HTTPRoute", name, operations)


async def _give_back(site: Site, route: Object, journal: Journal) -> Object:
    name = route["metadata"]["name"]
    managers = _kept(route)["managers"]

    def operations(current: Object) -> Patch:
        return [
            *set_field(current, ("spec", "rules"), list(_kept(current)["rules"])),
            *annotate(current, {RECORD: None, FENCE: None}),
        ]

    with journal.intent("route.restore", route=name):
        return await hand_back(site, await site.unfence("HTTPRoute", name, operations), managers)


async def _taken(site: Site, route: Object) -> None:
    """Waits until the route's gateway says that it has read this version of it, if it has ever said anything."""
    name, wanted = route["metadata"]["name"], int(route["metadata"].get("generation") or 0)
    deadline = time.monotonic() + _TAKEN_S_MAX
    seen: Object | None = route
    while seen is not None and not _is_read(seen, wanted) and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_S)
        seen = await site.cluster.get("HTTPRoute", name)
    await asyncio.sleep(_DATA_PLANE_S)


def _is_read(route: Mapping[str, Any], generation: int) -> bool:
    parents = (route.get("status") or {}).get("parents") or ()
    seen = [int(one.get("observedGeneration") or 0) for parent in parents for one in parent.get("conditions") or ()]
    return not seen or min(seen) >= generation
