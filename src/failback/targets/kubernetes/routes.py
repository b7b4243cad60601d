"""Gateway API: a share of users by weight, and copies of requests for the dark pods, where an HTTPRoute is there.

While a rollout is under way the Service stays pinned to the stable pods, and a second one, `<service>-failback`, names
the new ones. The route's rules as they were stand in its annotation, in the same write; restoring is one patch.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from failback.targets.base import Journal
from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.failures import NotFound
from failback.targets.kubernetes.kinds import Object, annotations_of
from failback.targets.kubernetes.record import EXECUTION, FENCE, RECORD, annotate, execution_label, set_field
from failback.targets.kubernetes.routing import hand_back
from failback.targets.kubernetes.site import Site

FIRST_SHARE = 10  # percent of users on the new revision while it bakes

Rules = Sequence[Mapping[str, Any]]


def dark_name(service: str) -> str:
    """The Service of the new pods while users reach the stable ones by `service`."""
    return f"{service[:54]}-failback"


def weighted(rules: Rules, service: str, share: int) -> list[dict[str, Any]]:
    """The rules with `share` percent of what went to the Service going to the new pods instead. Pure."""

    def split(refs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for ref in refs:
            weight = int(ref.get("weight", 1))
            if not _names(ref, service) or weight == 0:
                # Weights count among one another: those of other backends grow with ours.
                found.append({**ref, "weight": weight * 100})
                continue
            found.append({**ref, "weight": weight * (100 - share)})
            found.append({**ref, "name": dark_name(service), "weight": weight * share})
        return found

    return [
        {**rule, "backendRefs": split(rule.get("backendRefs") or ())} if _routes_to(rule, service) else dict(rule)
        for rule in copy.deepcopy(list(rules))
    ]


def mirrored(rules: Rules, service: str, percent: float) -> list[dict[str, Any]]:
    """The rules with a copy of requests (of that part of them) for the new pods; users get the stable answers. Pure."""
    changed = []
    for rule in copy.deepcopy(list(rules)):
        if not _routes_to(rule, service):
            changed.append(dict(rule))
            continue
        ref = next(one for one in rule["backendRefs"] if _names(one, service))
        mirror: dict[str, Any] = {"backendRef": {"name": dark_name(service), "port": ref["port"]}}
        if percent < 100:
            mirror["percent"] = round(percent)
        filters = [*(rule.get("filters") or ()), {"type": "RequestMirror", "requestMirror": mirror}]
        changed.append({**rule, "filters": filters})
    return changed


def _routes_to(rule: Mapping[str, Any], service: str) -> bool:
    return any(_names(ref, service) for ref in rule.get("backendRefs") or ())


def _names(ref: Mapping[str, Any], service: str) -> bool:
    return ref.get("name") == service and ref.get("kind", "Service") == "Service" and not ref.get("namespace")


async def routes_to(site: Site, service: str) -> list[Object]:
    """The HTTPRoutes of the namespace by which users come to the Service; none where the cluster has no such kind."""
    try:
        routes = await site.find_allowed("HTTPRoute")
    except NotFound:
        return []
    return [one for one in routes if any(_routes_to(rule, service) for rule in _rules_before(one))]


def _rules_before(route: Mapping[str, Any]) -> Rules:
    """The user's own rules, whatever stands there for a time."""
    text = annotations_of(route).get(RECORD)
    found: Rules = json.loads(text)["rules"] if text else (route.get("spec") or {}).get("rules") or ()
    return found


async def open_dark_service(
    site: Site, service: str, execution: str, pins: Mapping[str, str], journal: Journal
) -> None:
    """Makes the Service of the new pods: the ports of the user's own, and these labels beside its selector."""
    name = dark_name(service)
    live = await site.cluster.get("Service", service)
    if live is None or await site.cluster.get("Service", name) is not None:
        return
    ports = [
        {key: value for key, value in port.items() if key != "nodePort"} for port in live["spec"].get("ports") or ()
    ]
    shape: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {EXECUTION: execution_label(execution)}},
        "spec": {"ports": ports, "selector": {**(live["spec"].get("selector") or {}), **pins}},
    }
    with journal.intent("service.create", service=name):
        await site.cluster.apply(shape)


async def reroute(
    site: Site, service: str, execution: str, rules_for: Callable[[Rules], list[dict[str, Any]]], journal: Journal
) -> list[str]:
    """Gives each route the rules made from the user's own; names of the routes."""
    routes = await routes_to(site, service)

    async def one(route: Object) -> None:
        def operations(current: Object) -> Patch:
            before = _rules_before(current)
            text = annotations_of(current).get(RECORD) or json.dumps(
                {
                    "execution": execution,
                    "rules": before,
                    "managers": current["metadata"].get("managedFields") or [],
                },
                separators=(",", ":"),
                sort_keys=True,
            )
            return [*annotate(current, {RECORD: text}), *set_field(current, ("spec", "rules"), rules_for(before))]

        with journal.intent("route.change", route=route["metadata"]["name"], service=service):
            await site.change("HTTPRoute", route["metadata"]["name"], operations)

    await asyncio.gather(*(one(route) for route in routes))
    return [route["metadata"]["name"] for route in routes]


async def restore(site: Site, service: str, journal: Journal) -> list[str]:
    """The user's own rules, in one patch a route; names of those that had others."""
    changed = [one for one in await routes_to(site, service) if RECORD in annotations_of(one)]
    for route in changed:
        name = route["metadata"]["name"]
        managers = json.loads(annotations_of(route)[RECORD])["managers"]

        def operations(current: Object) -> Patch:
            return [
                *set_field(current, ("spec", "rules"), list(_rules_before(current))),
                *annotate(current, {RECORD: None, FENCE: None}),
            ]

        with journal.intent("route.restore", route=name):
            await hand_back(site, await site.unfence("HTTPRoute", name, operations), managers)
    return [route["metadata"]["name"] for route in changed]
