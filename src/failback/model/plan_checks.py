"""What no single key can show: steps that need one another, targets without releases, channels without addresses.

Works on the mapping as it was read, so that these problems are said together with those of single keys. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from failback.model.dag import find_cycle
from failback.model.plan_base import PlainScalar, nearest, shown
from failback.model.plan_problems import Path, Problem


def check(data: Mapping[str, Any], *, orchestrated: bool = False) -> list[Problem]:
    """All problems between keys. `orchestrated`: an orchestrator does the steps' work, so they need no `run`."""
    return [
        *_step_problems(data),
        *_deploy_problems(data, orchestrated),
        *_command_problems(data, orchestrated),
        *_service_problems(data),
        *_setting_problems(data),
    ]


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [str(value)]
    return [str(entry) for entry in value if isinstance(entry, str)] if isinstance(value, list | tuple) else []


def _on(value: Any) -> bool:
    return value is True or (isinstance(value, PlainScalar) and value.lower() in ("true", "yes", "on"))


def steps_of(data: Mapping[str, Any]) -> list[tuple[int, Mapping[Any, Any]]]:
    """The steps that are mappings, each with its place from 0."""
    steps = data.get("steps")
    if not isinstance(steps, list | tuple):
        return []
    return [(place, step) for place, step in enumerate(steps) if isinstance(step, Mapping)]


def service_parts(data: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[Any, Any]]]:
    """Every mapping that may hold `target`, `release` and `checks`, with the way to it."""
    yield (), data
    for name, spec in _mapping(data.get("services")).items():
        if isinstance(spec, Mapping):
            yield ("services", str(name)), spec


# -- the graph of steps ----------------------------------------------------------------------------------------------


def _step_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for place, step in steps_of(data):
        name = step.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield Problem(
                ("steps", place, "name"),
                f"should be a name of its own, got {shown(str(name))}: step {first[name] + 1} has it already.",
            )
        first.setdefault(str(name), place)
    unknown = list(_unknown_needs(data, first))
    yield from unknown
    if not unknown:
        yield from _cycle(data, first)


def _unknown_needs(data: Mapping[str, Any], known: Mapping[str, int]) -> Iterator[Problem]:
    for place, step in steps_of(data):
        needs = step.get("needs")
        listed = isinstance(needs, list | tuple)
        for at, need in enumerate(_texts(needs)):
            where: Path = ("steps", place, "needs", at) if listed else ("steps", place, "needs")
            if need not in known:
                close = nearest(need, list(known))
                hint = f" Did you mean {shown(close)}?" if close else f" Steps are: {', '.join(known)}."
                yield Problem(where, f"should be the name of a step, got {shown(need)}.{hint}")


def _cycle(data: Mapping[str, Any], places: Mapping[str, int]) -> Iterator[Problem]:
    graph: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for _, step in steps_of(data):
        name = step.get("name")
        if not isinstance(name, str):
            return
        needs = step.get("needs")
        graph.setdefault(str(name), before if needs is None else tuple(_texts(needs)))
        before = (str(name),)
    cycle = find_cycle(graph)
    if cycle is None:
        return
    steps = dict(steps_of(data))
    # Shown at a step that says `needs` itself: one that merely follows another has nothing to correct.
    said = next((name for name in cycle if steps[places[name]].get("needs") is not None), cycle[0])
    if len(cycle) == 2:
        yield Problem(("steps", places[said], "needs"), f"should not name the step itself ({cycle[0]}).")
        return
    yield Problem(
        ("steps", places[said], "needs"),
        f"should not lead back to its own step: {' needs '.join(cycle)}. "
        "A step without `needs` waits for the one before it.",
    )


# -- deploy steps and commands ---------------------------------------------------------------------------------------


def _deploy_problems(data: Mapping[str, Any], orchestrated: bool) -> Iterator[Problem]:
    services = _mapping(data.get("services"))
    own = data.get("service")
    rolled_out: dict[str, int] = {}
    deploys = [place for place, step in steps_of(data) if step.get("type") == "deploy"]
    if _has_target(data) and steps_of(data) and not deploys:
        message = "should have a step of type deploy: otherwise nothing is deployed to the target."
        yield Problem(("steps",), message, at_key=True)
    if _has_target(data) and deploys:
        yield from _never_deployed(data, services, deploys)
    for place, step in steps_of(data):
        if place not in deploys:
            if step.get("service") is not None:
                yield Problem(("steps", place, "service"), "belongs to a step of type deploy alone.", at_key=True)
            continue
        service = step.get("service")
        known = [str(name) for name in services] or ([str(own)] if isinstance(own, str) else [])
        if service is not None and isinstance(service, str) and known and service not in known:
            close = nearest(str(service), known) or known[0]
            yield Problem(
                ("steps", place, "service"),
                f"should be a service of this plan, got {shown(service)}. Did you mean {close}?",
            )
            continue
        if len(services) > 1 and service is None:
            yield Problem(
                ("steps", place), f"should have `service`, since the plan has several: {', '.join(known)}.", at_key=True
            )
            continue
        name = str(service) if isinstance(service, str) else (known[0] if known else "")
        if name in rolled_out and _has_target(data):
            yield Problem(
                ("steps", place, "type"),
                f"should not be deploy: step {rolled_out[name] + 1} deploys {name or 'the service'} already.",
            )
        rolled_out.setdefault(name, place)
        yield from _deploy_command(data, place, step, orchestrated)


def _never_deployed(data: Mapping[str, Any], services: Mapping[Any, Any], deploys: list[int]) -> Iterator[Problem]:
    named = {step.get("service") for place, step in steps_of(data) if place in deploys}
    # A Deploy step that names none has a problem of its own: which service is missing depends on its answer.
    for name in services if len(services) > 1 and None not in named else ():
        if name not in named:
            message = f"has no step that deploys it. Add {{name: Deploy {name}, type: deploy, service: {name}}}."
            yield Problem(("services", str(name)), message, at_key=True)


def _has_target(data: Mapping[str, Any]) -> bool:
    return any(part.get("target") is not None for _, part in service_parts(data))


def _deploy_command(
    data: Mapping[str, Any], place: int, step: Mapping[Any, Any], orchestrated: bool
) -> Iterator[Problem]:
    if _has_target(data):
        if step.get("run") is not None:
            yield Problem(
                ("steps", place, "run"),
                "should not stand in a deploy step, which failback itself rolls out to the target. "
                "Put the command into a step before it.",
                at_key=True,
            )
    elif not orchestrated and step.get("run") is None:
        yield Problem(
            ("steps", place),
            "is a deploy step of a plan without `target`. Write target: {kind: local} and a release, or `run` with a "
            "command that deploys.",
            at_key=True,
        )


def _command_problems(data: Mapping[str, Any], orchestrated: bool) -> Iterator[Problem]:
    if orchestrated:
        return
    for place, step in steps_of(data):
        # A key that was meant to be `run` has an error of its own, which names it.
        if step.get("run") is None and step.get("type") != "deploy" and not {"command", "cmd", "script"} & set(step):
            yield Problem(("steps", place), "should have `run`, the command of this step.", at_key=True)
    if not steps_of(data) and not _has_target(data) and not data.get("steps"):
        yield Problem((), "has nothing to do: it should have `steps`, or `target` and `release`.", at_key=True)


# -- target and release ----------------------------------------------------------------------------------------------


def _service_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    if _mapping(data.get("services")):
        for key in ("target", "release", "checks"):
            if data.get(key) is not None:
                yield Problem(
                    (key,), "should stand below `services`, beside each service, since the plan has some.", at_key=True
                )
        yield from _shared_by_services(data)
    for where, part in service_parts(data):
        target, release = part.get("target"), part.get("release")
        if where and target is None:
            yield Problem((*where, "target"), "is missing. Write target: {kind: local}.", at_key=True)
        if release is not None and target is None and not where:
            yield Problem(("release",), "has no `target` to go to. Write target: {kind: local}.", at_key=True)
        if release is None and target is not None:
            yield Problem((*where, "target"), "has no `release` beside it, which says what is deployed.", at_key=True)
        yield from _target_problems(where, _mapping(target), _mapping(release))


def _shared_by_services(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What only one service of a plan can have: an address, and a workload of the manifests."""
    taken: dict[tuple[str, ...], tuple[str, bool]] = {}
    for where, part in service_parts(data):
        for key, path, (before, after) in _owned(part) if where else ():
            named = bool(_mapping(part.get("release")).get("objects"))
            other, other_named = taken.setdefault(key, (str(where[1]), named))
            if other != where[1] and not (named and other_named):
                yield Problem((*where, *path), f"{before} {other} {after}", at_key=True)


def _owned(part: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], Path, tuple[str, str]]]:
    """(what it is, where it stands, what is wrong where another has it: the words before and after its name)."""
    target, release = _mapping(part.get("target")), _mapping(part.get("release"))
    if target.get("kind") == "local":
        listen = str(target.get("listen") or "127.0.0.1:8080")
        yield (listen,), ("target", "listen"), ("should be an address of its own:", f"has {listen} already.")
    for key in ("manifests", "kustomize") if target.get("kind") == "kubernetes" else ():
        for source in _texts(release.get(key)):
            whose = (source.rstrip("/"), str(target.get("context")), str(target.get("namespace")))
            remedy = "Name each one's in `objects`, or give each a folder of its own."
            after = f"as well ({source}): a workload belongs to one service. {remedy}"
            yield whose, ("release", key), ("should not be those of", after)


_TRAFFIC_ADDRESS = {
    "gateway": "where the gateway's metrics are",
    "probe": "the address that users have, to which requests of our own are sent",
}


def _target_problems(where: Path, target: Mapping[Any, Any], release: Mapping[Any, Any]) -> Iterator[Problem]:
    if target.get("kind") == "kubernetes":
        traffic = _mapping(target.get("traffic"))
        needed = _TRAFFIC_ADDRESS.get(str(traffic.get("source")))
        if needed and traffic.get("address") is None:
            yield Problem((*where, "target", "traffic", "address"), f"is missing: {needed}.", at_key=True)
        sources = [key for key in ("manifests", "kustomize", "helm") if release.get(key)]
        if release and len(sources) > 1:
            yield Problem(
                (*where, "release", sources[1]), f"should not stand beside `{sources[0]}`: one of them.", at_key=True
            )
        if release and not sources and not release.get("objects"):
            yield Problem((*where, "release"), "should have one of manifests, kustomize, helm or objects.", at_key=True)
    for key in _mapping(release.get("env")):
        if key == "PORT":
            yield Problem(
                (*where, "release", "env", "PORT"),
                "should not be set: failback gives every replica a port of its own. Users come to `target/listen`.",
                at_key=True,
            )
    shared = release.get("shared")
    for at, path in enumerate(_texts(shared)):
        if path.startswith(("/", "~")) or ".." in path.split("/"):
            yield Problem(
                (*where, "release", "shared", at), f"should be a folder inside the release, got {shown(path)}."
            )


# -- settings --------------------------------------------------------------------------------------------------------

_NEEDED = (
    (("notification_config", "slack"), "webhook_url", "the address of Slack's incoming webhook"),
    (("notification_config", "email"), "recipients", "to whom mail is sent"),
    (("notification_config", "pagerduty"), "api_key", "the integration key of the PagerDuty service"),
    (("diagnosis", "llm"), "address", "where the model is asked"),
    (("diagnosis", "llm"), "model", "its name there"),
)


def _setting_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    strategy = data.get("strategy")
    kinds = [_mapping(part.get("target")).get("kind") for _, part in service_parts(data)]  # whatever a plan may hold
    if strategy in ("rolling", "weighted") and "kubernetes" not in kinds:
        yield Problem(
            ("strategy",),
            f"should be dark, got {strategy}: without a cluster nothing is scarce, and the proxy switches all at once.",
        )
    if strategy == "rolling" and _on(_mapping(data.get("rollback_config")).get("zero_downtime_required", True)):
        yield Problem(
            ("strategy",),
            "is rolling, which cannot keep every request, and `rollback_config/zero_downtime_required` is true. "
            "Write one of them otherwise.",
        )
    for path, key, what in _NEEDED:
        part: Any = data
        for name in path:
            part = _mapping(part).get(name)
        if _on(_mapping(part).get("enabled")) and not part.get(key):
            missing = key not in part
            yield Problem(
                (*path, key),
                f"{'is missing' if missing else 'is empty'}, and `enabled` is true: {what}.",
                at_key=missing,
            )


# -- what the reference promises for later ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotYet:
    """A key that is reserved and that this version does not act on: using it is an error, not a silence."""

    path: Path
    used: Callable[[Any], bool]
    message: str


def _is(*words: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


NOT_YET: tuple[NotYet, ...] = ()


def not_yet(data: Mapping[str, Any], table: tuple[NotYet, ...] = NOT_YET) -> list[Problem]:
    """Uses of reserved keys that would be ignored."""
    found: list[Problem] = []
    for where, part in service_parts(data):
        for row in table:
            if where and row.path[0] not in ("target", "checks"):
                continue
            value: Any = part
            for name in row.path:
                value = _mapping(value).get(name)
            if value is not None and row.used(value):
                found.append(Problem((*where, *row.path), f"is reserved, and {row.message}"))
    return found
