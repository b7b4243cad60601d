"""Every moment at which time alone may change a verdict; the rules and the caller's next look use the same ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from failback.detection.sight import (
    ends,
    has_begun,
    held_up,
    last_end_s,
    live,
    ready_since_s,
    said,
    serving,
    subject,
    waits,
)
from failback.model.observation import Limits, ReplicaView, Stage, Statement, View

FIRST_LOOK_S = 5.0  # a watch that has just begun (resumed, or after the cut-over) needs a first answer first
UNREADY_S = 1.0  # a pause of the process (garbage collection, a reload of its socket) is shorter
OUTLIVE = 1.5  # who ended once must live this much longer than it lived then, before it is believed
AUTOSCALER_ANSWER_S = 15.0  # the cluster autoscaler looks every 10 s
REGISTRY_S_MAX = 60.0  # by then the kubelet has tried at 0, 10 and 30 s
VOLUME_S_MAX = 90.0  # by then a detach from another node (10-60 s) is over, and a mount was tried 7 times
CREATE_S_MAX = 60.0  # a webhook or API server that restarts is back by then
PATIENCE = 3.0  # a suspicion that is not decided yet makes the last wait this many times as long

DENIED_S_MIN = 10.0  # some servers listen before they have loaded what they serve, and say 404 until then
DENIED_SHARE = 1 / 3  # of the plan's patience: who needs minutes to start says so there
RAISES_S_MAX = 3.0  # nobody caught it, and the reason is in the release: only a slip of the first moment is forgiven
DENIED_TIMES = 3  # as often, at least, has the kubelet been told the same
_DENIED = re.compile(r"Readiness probe failed: .*statuscode: 4(?!08|25|29)\d\d")

CLAIM_S_MAX = 2.0  # the scheduler's own picture of the claims lags behind by less
NODE_S_MAX = 60.0  # a node that is not ready yet, or not any more for a moment

_SCHEDULING_WAITS = (
    (re.compile(r"persistentvolumeclaim \S+ not found"), CLAIM_S_MAX),
    (re.compile(r"unbound immediate PersistentVolumeClaims|binding volumes"), VOLUME_S_MAX),
    (re.compile(r"node\.kubernetes\.io/(?:not-ready|unreachable|network-unavailable)"), NODE_S_MAX),
)
PULLING = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")
VOLUMES = ("FailedMount", "FailedAttachVolume")


def ready_due_s(view: View, replica: ReplicaView, limits: Limits) -> float:
    """When a replica that is not ready has used its time up. A forgiven exit, or a pause, starts the time anew."""
    began_s = max(replica.started_at_s, last_end_s(replica), ready_since_s(replica), replica.unready_since_s or 0.0)
    due = max(began_s + limits.ready_s_max, _looked_since_s(view) + FIRST_LOOK_S)
    # The first look's grace must not make a short limit long for a watch that was there from the launch.
    return began_s + limits.ready_s_max if _looked_since_s(view) <= 0 else due


def denied_since_s(view: View, replica: ReplicaView) -> float | None:
    """Since when nothing but a client error has answered its ready check: by our own count, else by the kubelet's."""
    if replica.last_ready_check is not None:
        return replica.denied_since_s
    told = [one for one in said(view, "Unhealthy") if subject(view, one) is replica and "eadiness" in one.message]
    newest = max(told, key=lambda one: one.at_s, default=None)
    denied = newest is not None and newest.count >= DENIED_TIMES and _DENIED.search(newest.message)
    return newest.at_s if newest is not None and denied else None


def denied_due_s(since_s: float, limits: Limits) -> float:
    """When an answer of this kind will not become another one."""
    return since_s + max(DENIED_S_MIN, limits.ready_s_max * DENIED_SHARE)


def raises_due_s(since_s: float, limits: Limits) -> float:
    """When an error that nobody caught has been given the time to be one of the start."""
    return since_s + min(RAISES_S_MAX, limits.ready_s_max * DENIED_SHARE)


def start_due_s(view: View, limits: Limits) -> float:
    """When what has not even begun has used its time up."""
    return _looked_since_s(view) + limits.start_s_max


def unready_due_s(replica: ReplicaView) -> float:
    """When a replica that was ready, runs, and fails its check has done so for too long."""
    return (replica.unready_since_s if replica.unready_since_s is not None else ready_since_s(replica)) + UNREADY_S


def smoke_due_s(replica: ReplicaView, limits: Limits) -> float:
    """When the smoke requests of a ready replica should long have been sent."""
    return ready_since_s(replica) + limits.start_s_max


def scheduled_due_s(view: View, statement: Statement) -> float:
    """When what makes a pod schedulable by itself would have come: a claim seen, a volume made, a node ready, an
    autoscaler's answer; at once where there is none."""
    for says, wait_s in _SCHEDULING_WAITS:
        if says.search(statement.message):
            return statement.at_s + wait_s
    return statement.at_s + (0.0 if view.autoscaled is False else AUTOSCALER_ANSWER_S)


def pulled_due_s(view: View, replica: ReplicaView) -> float:
    """When a registry that can't be reached has had its time, since the first error that was told of it."""
    told = [one.at_s for one in said(view, "Failed", "BackOff") if one.object.endswith(f"/{replica.name}")]
    return min(told, default=replica.started_at_s) + REGISTRY_S_MAX


def calm_due_s(view: View, limits: Limits) -> float:
    """When nothing has happened for the soak, and every replica that ended has outlived its former life."""
    soak_s = limits.soak_s if view.stage is Stage.DARK else min(limits.soak_s, limits.bake_s)
    moments = [0.0]
    for replica in live(view):
        moments.append(max(ready_since_s(replica), last_end_s(replica)) + soak_s)
        moments += [end.at_s + min(OUTLIVE * end.lived_s, limits.ready_s_max) for end in ends(replica)]
    return max(moments)


def bake_due_s(view: View, limits: Limits) -> float:
    """When the bake is over. Where nobody says since when it bakes, only a long time is surely enough."""
    return start_due_s(view, limits) if view.bake_started_s is None else view.bake_started_s + limits.bake_s


def last_wait_due_s(view: View, limits: Limits) -> float:
    """When the stage may be over: its soak or bake, and calm."""
    calm_s = calm_due_s(view, limits)
    return calm_s if view.stage is Stage.DARK else max(calm_s, bake_due_s(view, limits))


def patience_due_s(view: View, limits: Limits) -> float:
    """When a suspicion about requests that was not decided no longer holds the stage up."""
    wait_s = limits.soak_s if view.stage is Stage.DARK else limits.bake_s
    return last_wait_due_s(view, limits) + (PATIENCE - 1.0) * wait_s


def moments(view: View, limits: Limits) -> Iterator[float]:
    """All of them, in no order."""
    ready = serving(view)
    for replica in live(view):
        if replica not in ready:
            yield ready_due_s(view, replica, limits)
            yield unready_due_s(replica)
            denied_s = denied_since_s(view, replica)
            if denied_s is not None:
                yield denied_due_s(denied_s, limits)
            if replica.raises_since_s is not None:
                yield raises_due_s(replica.raises_since_s, limits)
        yield smoke_due_s(replica, limits)
    for replica, _ in waits(view, *PULLING):
        yield pulled_due_s(view, replica)
    for _, statement in held_up(view, "FailedScheduling"):
        yield scheduled_due_s(view, statement)
    for _, statement in held_up(view, *VOLUMES):
        yield statement.at_s + VOLUME_S_MAX
    for statement in said(view, "FailedCreate"):
        yield statement.at_s + CREATE_S_MAX
    if len(ready) < max(1, view.replicas_wanted) or not all(has_begun(replica) for replica in live(view)):
        yield start_due_s(view, limits)
    if view.stage is Stage.BAKE:
        yield bake_due_s(view, limits)
    yield last_wait_due_s(view, limits)
    yield patience_due_s(view, limits)


def _looked_since_s(view: View) -> float:
    return max(view.watched_since_s, view.bake_started_s or 0.0 if view.stage is Stage.BAKE else 0.0)
