"""Tells one scenario on the real cluster: release 1 is live, users come, the release in question is deployed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.footprint import footprint, leftovers, restored
from tests.cluster.nodes import nodes_for
from tests.cluster.place import CHECKS, Place, load, place, told, wait_s
from tests.cluster.place import ended as ended_command
from tests.cluster.release import Release
from tests.cluster.scenarios import Control, Scenario

AFTER_PREFLIGHT = "revision.stage:after#1"
USERS_PER_S = 200
KEPT_OPEN_PER_S = 40
_CONTROL_S = 1.0
_TAIL_S = 1.0
_FOREIGN = ("ConfigMap/late", "Secret/late")  # what other people take away or change meanwhile


@dataclass
class Story:
    """What was seen. `control`: requests without a deployment; `users`: with new connections; `pooled`: keep-alive."""

    result: dict[str, Any] = field(default_factory=dict)
    control: Mapping[str, Any] = field(default_factory=dict)
    users: Mapping[str, Any] = field(default_factory=dict)
    pooled: Mapping[str, Any] = field(default_factory=dict)
    differs: list[str] = field(default_factory=list)  # from what was there before
    generation: tuple[int, int] = (0, 0)  # of the workload, before and after

    @property
    def touched(self) -> bool:
        return self.generation[0] != self.generation[1]


def bad(scenario: Scenario, *, foreseen: bool) -> Story:
    """A release that fails. `foreseen`: the fault is there before the deployment; else it comes after preflight."""
    with nodes_for(scenario.kind), place() as here:
        here.checks = {**CHECKS, **scenario.checks}
        here.extra = dict(scenario.extra)
        release = Release(1, scenario.kind, scenario.replicas)
        scenario.stable(here, release)
        _live(here, release)
        broken = _next(release)
        scenario.breaks(here, broken)
        here.write(broken.objects())
        if foreseen and scenario.spoils is not None:
            scenario.spoils(here)
        story = Story()
        before = footprint(here.cluster)
        late = scenario.spoils is not None and not foreseen
        _under_load(here, story, scenario.kind, lambda: _deploy(here, scenario if late else None))
        here.stack.close()  # what kept pods from ending is gone, too
        if late:
            before = _without_what_came(before, footprint(here.cluster))
        story.differs = restored(here.cluster, before)
        return story


def good(control: Control) -> Story:
    """A release that goes live, however odd it looks."""
    with nodes_for(control.kind), place() as here:
        here.checks = {**CHECKS, **control.checks}
        release = Release(1, control.kind, control.replicas)
        control.stable(here, release)
        _live(here, release)
        following = _next(release)
        control.changes(here, following)
        here.write(following.objects())
        story = Story()
        _under_load(here, story, control.kind, lambda: here.deploy())
        story.differs = leftovers(here.cluster) + _not_as_wanted(here, following)
        return story


def _live(here: Place, release: Release) -> None:
    """By people's own hands, before failback is ever called."""
    here.cluster.kubectl("apply", "--server-side", "--filename=-", text=_yaml(release))
    name = f"{release.kind.lower()}/app"
    here.cluster.kubectl("rollout", "status", name, "--timeout=60s")
    here.cluster.address()


def _next(release: Release) -> Release:
    following = copy.deepcopy(release)
    following.container["env"][0]["value"] = "2"
    return following


def _yaml(release: Release) -> str:
    import yaml

    return yaml.safe_dump_all(release.objects())


def _under_load(here: Place, story: Story, kind: str, deploy: Callable[[], dict[str, Any]]) -> None:
    url = here.cluster.address()
    with load(url, USERS_PER_S) as story.control:
        wait_s(_CONTROL_S)
    generation = here.cluster.get(kind, "app")["metadata"]["generation"]
    with load(url, USERS_PER_S) as story.users, load(url, KEPT_OPEN_PER_S, keepalive=8) as story.pooled:
        story.result = deploy()
        wait_s(_TAIL_S)
    story.generation = (generation, here.cluster.get(kind, "app")["metadata"]["generation"])


def _deploy(here: Place, late: Scenario | None) -> dict[str, Any]:
    if late is None or late.spoils is None:
        return here.deploy()
    with here.stopped_at(AFTER_PREFLIGHT) as process:
        if process.poll() is None:
            late.spoils(here)
    return told(ended_command(process))


def _without_what_came(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What somebody else took away meanwhile is not failback's to bring back."""
    foreign = {name: now.get(name) for name in _FOREIGN}
    own = {name: value for name, value in before.items() if name not in foreign}
    return own | {name: value for name, value in foreign.items() if value is not None}


def _not_as_wanted(here: Place, release: Release) -> list[str]:
    """Where the workload and its Service are not what their manifests say."""
    live = here.cluster.get(release.kind, "app")["spec"]
    wanted = release.workload["spec"]
    found = [
        f"{key} is {live.get(key)}, not {wanted[key]}"
        for key in ("replicas", "strategy", "updateStrategy", "minReadySeconds", "progressDeadlineSeconds")
        if key in wanted and live.get(key) != wanted[key]
    ]
    selector = here.cluster.get("service", "app")["spec"]["selector"]
    if selector != release.service["spec"]["selector"]:
        found.append(f"the Service selects {selector}")
    ready = live.get("replicas", 0)
    pods = here.cluster.listed("pods", "app=app")
    versions = [_version(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if versions != ["2"] * (ready or len(versions)):
        found.append(f"the pods are of versions {versions}")
    return found


def _version(pod: dict[str, Any]) -> str:
    return next(str(one["value"]) for one in pod["spec"]["containers"][0]["env"] if one["name"] == "VERSION")
