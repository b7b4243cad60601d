"""The last rows: healthy once all that was asked for was seen; else from what to what it is progressing."""

from __future__ import annotations

from failback.detection.moments import VOLUMES, bake_due_s, calm_due_s, last_wait_due_s, patience_due_s
from failback.detection.rule import Finding, Rule, progressing
from failback.detection.rules_image import pull_backs_off
from failback.detection.rules_log import lines_told
from failback.detection.rules_pod import SCALES_UP
from failback.detection.rules_traffic import suspicion
from failback.detection.sight import (
    awaits_infrastructure,
    ends,
    held_up,
    live,
    seconds,
    serving,
    short,
    told_exit,
    told_statement,
)
from failback.model.observation import Limits, Stage, VerdictState, View

_ASKED_ANEW_S = 1.0


def all_seen(view: View, limits: Limits) -> Finding | None:
    """All wanted replicas run and are ready, are asked, and have been calm for as long as the stage asks."""
    replicas, ready = live(view), serving(view)
    if view.replicas_wanted < 1 or len(ready) < view.replicas_wanted or len(ready) < len(replicas):
        return None
    if view.stage is Stage.DARK and not all(one.smoke_done for one in ready):
        return None
    if view.at_s < last_wait_due_s(view, limits):
        return None
    if suspicion(view, limits) and view.at_s < patience_due_s(view, limits):
        return None
    return Finding(_healthy(view, limits), lines_told(view))


def _healthy(view: View, limits: Limits) -> str:
    if view.stage is Stage.DARK:
        answered = sum(answer.passed for one in live(view) for answer in one.smoke)
        asked = sum(len(one.smoke) for one in live(view))
        return (
            f"{len(serving(view))} replicas ready, {answered} of {asked} smoke requests answered well, "
            f"calm for {seconds(limits.soak_s)}"
        )
    if view.traffic is None or view.traffic.new.requests == 0:
        return f"baked {seconds(limits.bake_s)}: no requests came"
    new = view.traffic.new
    whose = "requests of failback's own" if view.traffic.own else "user requests"
    return f"baked {seconds(limits.bake_s)}: {new.failed:,} of {new.requests:,} {whose} failed"


def _from_what_to_what(view: View, limits: Limits) -> str:
    replicas, ready = live(view), serving(view)
    parts = []
    if len(ready) < view.replicas_wanted or len(ready) < len(replicas) or not ready:
        parts.append(f"new replicas ready {len(ready)} -> {max(view.replicas_wanted, len(replicas))}")
    smoking = [one for one in ready if not one.smoke_done]
    if smoking and view.stage is Stage.DARK:
        asked = sum(one.smoke_wanted for one in smoking)
        got = sum(len(one.smoke) for one in smoking)
        parts.append(
            f"smoke {got} of {asked} rounds" if asked else f"smoke done on {len(ready) - len(smoking)} -> {len(ready)}"
        )
    # Right after the cut-over every replica is asked anew; that is no step back.
    asked_anew = view.stage is Stage.BAKE and view.at_s - (view.bake_started_s or 0.0) < _ASKED_ANEW_S
    if parts and not asked_anew:
        return ", ".join(parts) + _so_far(view.at_s, limits.ready_s_max)
    if view.stage is Stage.BAKE:
        started_s = view.at_s if view.bake_started_s is None else view.bake_started_s
        told = view.traffic.new if view.traffic else None
        seen = f", {told.failed:,} of {told.requests:,} requests failed" if told and told.requests else ""
        if view.at_s < bake_due_s(view, limits):
            return f"bake{seen}" + _so_far(view.at_s - started_s, limits.bake_s)
    calm_s = calm_due_s(view, limits)
    if view.at_s < calm_s:
        return "soak" + _so_far(max(0.0, view.at_s - (calm_s - limits.soak_s)), limits.soak_s)
    doubt = suspicion(view, limits)
    return f"looked at for longer: {doubt}" if doubt else "waiting"


def _so_far(passed_s: float, of_s: float) -> str:
    """' (3 s of 30 s)'. Whole seconds: a reason that changes is an event, and one a second is enough."""
    return f" ({int(max(0.0, min(passed_s, of_s)))} s of {seconds(of_s)})"


def node_lost(view: View, limits: Limits) -> Finding | None:
    lost = [one.name for one in view.replicas if one.node_lost]
    return Finding(f"{', '.join(lost)}: lost with the node, to be scheduled anew") if lost else None


def evicted_once(view: View, limits: Limits) -> Finding | None:
    evicted = [one for one in view.replicas if one.evicted]
    if not evicted:
        return None
    return Finding(f"{evicted[0].name} was evicted, to be scheduled anew: {short(evicted[0].evicted, 120)}")


def scaling_up(view: View, limits: Limits) -> Finding | None:
    for replica, statement in held_up(view, *SCALES_UP):
        return Finding(f"{replica.name} waits for a node that the autoscaler adds", (told_statement(statement),))
    return None


def asks_for_a_node(view: View, limits: Limits) -> Finding | None:
    for replica, statement in held_up(view, "FailedScheduling"):
        return Finding(
            f"{replica.name} fits on no node yet: {short(statement.message, 120)}", (told_statement(statement),)
        )
    return None


def volume_is_slow(view: View, limits: Limits) -> Finding | None:
    for replica, statement in held_up(view, *VOLUMES):
        return Finding(
            f"{replica.name} waits for a volume: {short(statement.message, 120)}", (told_statement(statement),)
        )
    return None


def being_started(view: View, limits: Limits) -> Finding | None:
    for replica in live(view):
        if awaits_infrastructure(view, replica) and replica.waiting:
            return Finding(f"{replica.name}: {replica.waiting[0].reason}")
    return None


def ended_once(view: View, limits: Limits) -> Finding | None:
    for replica in live(view):
        several = ends(replica)
        if several:
            return Finding(
                f"ended once, forgiven: {told_exit(replica, several[-1])}", (told_exit(replica, several[-1]),)
            )
    return None


def odd_line(view: View, limits: Limits) -> Finding | None:
    told = lines_told(view)
    return Finding(f"new error line, waited for whether it repeats: {short(told[0], 120)}", told) if told else None


def anything_else(view: View, limits: Limits) -> Finding | None:
    return Finding("")


def progress(view: View, limits: Limits, note: str) -> str:
    """'new replicas ready 1 -> 2 (3 s of 30 s); web-2 waits for its image'."""
    text = _from_what_to_what(view, limits)
    return f"{text}; {note}" if note else text


HEALTHY = Rule(
    "all-seen",
    VerdictState.HEALTHY,
    all_seen,
    why="every wanted replica runs, is ready, has answered well, and nothing has happened for as long as the plan says",
    source="all of the above",
)

# None of them condemns; the first that holds says why it is waited, and why that is no failure.
RULES = (
    progressing(
        "node-lost",
        node_lost,
        why="a node that goes away is not the release's fault",
        source="node condition Ready=Unknown; pod status reason NodeLost; taint node.kubernetes.io/unreachable",
    ),
    progressing(
        "evicted-once",
        evicted_once,
        why="a node under pressure evicts whom it finds; the pod is made anew elsewhere",
        source="pod status reason Evicted: 'The node was low on resource'",
    ),
    progressing(
        "pull-backs-off",
        pull_backs_off,
        why="without the first error a slow registry looks the same",
        source="containerStatuses state.waiting.reason ImagePullBackOff",
    ),
    progressing(
        "scaling-up",
        scaling_up,
        why="the autoscaler has answered: a node comes in minutes",
        source="events TriggeredScaleUp (cluster autoscaler), Nominated (Karpenter)",
    ),
    progressing(
        "asks-for-a-node",
        asks_for_a_node,
        why="an autoscaler, where there may be one, answers within seconds",
        source="event FailedScheduling",
    ),
    progressing(
        "volume-is-slow",
        volume_is_slow,
        why="attaching takes a minute on some stores, and a time-out of the kubelet is no refusal",
        source="events FailedMount, FailedAttachVolume",
    ),
    progressing(
        "being-started",
        being_started,
        why="ContainerCreating and PodInitializing are what every pod goes through",
        source="containerStatuses state.waiting.reason",
    ),
    progressing(
        "ended-once",
        ended_once,
        why="one unexplained exit of one replica also happens to healthy releases",
        source="exit records of the launcher; containerStatuses restartCount and lastState",
    ),
    progressing(
        "odd-line",
        odd_line,
        why="one line on one replica may be one moment's; it is told with the verdict",
        source="templates of the replica's error lines, without those of the stable revision's log",
    ),
    progressing(
        "on-its-way", anything_else, why="nothing speaks against it, and not all was seen yet", source="the view"
    ),
)
