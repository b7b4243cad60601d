"""A route's rules with a share of the users for the new pods, or with copies of requests for them. Pure.

What is made of the user's own rules follows from them and from what is wanted for each Service, and from nothing else:
so several Services of one route get what is theirs, and the last to go leaves the rules as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FIRST_SHARE = 10  # percent of users on the new revision while it bakes
WEIGHT_MAX = 1_000_000  # the API takes no larger one
RULES_MAX = 16  # of one route, as the API has it

Rules = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Way:
    """What comes to the new pods of a Service. `share`: percent of its users; None: none, and no backend. `copies`:
    percent of its requests with one of these methods that are copied."""

    share: int | None = None
    copies: float | None = None
    methods: tuple[str, ...] = ()


def as_shape(ways: Mapping[str, Way]) -> dict[str, Any]:
    """As it is kept beside the route."""
    return {service: asdict(way) for service, way in ways.items()}


def as_ways(shape: Mapping[str, Mapping[str, Any]]) -> dict[str, Way]:
    return {
        service: Way(one.get("share"), one.get("copies"), tuple(one.get("methods") or ()))
        for service, one in shape.items()
    }


def dark_name(service: str) -> str:
    """The Service of the new pods while users reach the stable ones by `service`."""
    return f"{service[:54]}-failback"


def shaped(rules: Rules, ways: Mapping[str, Way]) -> list[dict[str, Any]]:
    """The user's own rules with what is wanted for each Service."""
    made: list[dict[str, Any]] = [dict(rule) for rule in rules]
    for service, way in sorted(ways.items()):
        if way.copies is not None:
            made = mirrored(made, service, way.copies, way.methods)
        if way.share is not None:
            made = weighted(made, service, way.share)
    return made


def weighted(rules: Rules, service: str, share: int) -> list[dict[str, Any]]:
    """The rules with `share` percent of what went to the Service going to the new pods instead. With a share of 0 they
    are a backend that gets nothing: a gateway knows it before, and after, anybody is sent there."""

    def split(refs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for ref in refs:
            weight = int(ref.get("weight", 1))
            if not names(ref, service) or weight == 0:
                # Weights count among one another: those of other backends grow with ours.
                found.append({**ref, "weight": weight * 100})
                continue
            found.append({**ref, "weight": weight * (100 - share)})
            found.append({**ref, "name": dark_name(service), "weight": weight * share})
        return _within(found)

    return [
        {**rule, "backendRefs": split(rule.get("backendRefs") or ())} if routes_to(rule, service) else dict(rule)
        for rule in copy.deepcopy(list(rules))
    ]


def _within(refs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    largest = max(ref["weight"] for ref in refs)
    if largest <= WEIGHT_MAX:
        return refs
    return [{**ref, "weight": max(1, ref["weight"] * WEIGHT_MAX // largest) if ref["weight"] else 0} for ref in refs]


def mirrored(rules: Rules, service: str, percent: float, methods: Sequence[str]) -> list[dict[str, Any]]:
    """The rules with a copy of requests (of that part of them) for the new pods; users get the stable answers. Others
    come to a rule without."""
    changed: list[dict[str, Any]] = []
    for rule in copy.deepcopy(list(rules)):
        if not routes_to(rule, service):
            changed.append(dict(rule))
            continue
        ref = next(one for one in rule["backendRefs"] if names(one, service))
        mirror: dict[str, Any] = {"backendRef": {"name": dark_name(service), "port": ref["port"]}}
        if percent < 100:
            mirror["percent"] = max(1, round(percent))
        filters = [*(rule.get("filters") or ()), {"type": "RequestMirror", "requestMirror": mirror}]
        nameless = {key: value for key, value in rule.items() if key != "name"}  # a name belongs to one rule alone
        matches: Sequence[Mapping[str, Any]] = rule.get("matches") or ({},)
        for method in methods:
            # A rule for each: beside some filters a rule may have one match only.
            copied = [{**match, "method": method} for match in matches if match.get("method", method) == method]
            if copied:
                changed.append({**nameless, "matches": copied, "filters": filters})
        others = [match for match in matches if match.get("method") not in methods]
        if others:
            changed.append({**rule, "matches": others} if "matches" in rule else dict(rule))
    return changed


def cannot_copy(route: Mapping[str, Any], service: str, methods: Sequence[str]) -> str:
    """Why copies of some methods would change which rule a request falls under; empty where they would not. A match
    by method is stronger than one by header, so it must not come where headers tell."""
    rules = (route.get("spec") or {}).get("rules") or ()
    if not any(routes_to(rule, service) for rule in rules):
        return ""
    if any(match.get("headers") or match.get("queryParams") for rule in rules for match in rule.get("matches") or ()):
        return "its rules tell requests apart by headers or parameters as well"
    if len(rules) + len(methods) * sum(routes_to(rule, service) for rule in rules) > RULES_MAX:
        return f"it would have more than {RULES_MAX} rules"
    return ""


def routes_to(rule: Mapping[str, Any], service: str) -> bool:
    return any(names(ref, service) for ref in rule.get("backendRefs") or ())


def names(ref: Mapping[str, Any], service: str) -> bool:
    return ref.get("name") == service and ref.get("kind", "Service") == "Service" and not ref.get("namespace")
