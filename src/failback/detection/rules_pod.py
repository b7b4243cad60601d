"""Rules about pods that can't be made, scheduled or started, by what Kubernetes itself says."""

from __future__ import annotations

import re

from failback.detection.moments import CREATE_S_MAX, VOLUME_S_MAX, VOLUMES, scheduled_due_s
from failback.detection.rule import EVIDENCE_MAX, Find, Finding, failed
from failback.detection.sight import held_up, live, said, short, told_statement, told_waiting, waits
from failback.model.observation import Limits, ReplicaView, Statement, View

# The same reasons are given for what is over a moment later: caches that fill, locks, servers that restart.
_PASSING = re.compile(
    r"failed to sync \w+ cache|not registered|timed? ?out|timeout|deadline exceeded|the object has been modified"
    r"|connection (?:refused|reset)|failed calling webhook|internal error|etcdserver|status unknown for quota|try again"
    r'|is reserved for|resource temporarily unavailable|device or resource busy|serviceaccount "default" not found'
    r"|too many requests|service unavailable|no route to host|\bEOF\b|context canceled",
    re.IGNORECASE,
)
_QUOTA = r"exceeded quota|failed quota|(?:maximum|minimum) \S+ usage per|must specify (?:limits|requests|memory|cpu)"
_ADMISSION = r"denied the request|ValidatingAdmissionPolicy .* denied|violates PodSecurity|security context constraint"
_GONE = (
    r'(?:configmaps?|secrets?) "[^"]*" not found|references non-existent (?:config|secret) key'
    r'|hostPath type check failed|persistentvolumeclaims? "[^"]*" not found'
    r"|code = NotFound|driver name \S+ not found in the list"
)
_SLOW_VOLUME = re.compile(r"timed? ?out|timeout|deadline exceeded", re.IGNORECASE)
_OWN_LIMIT = re.compile(r"exceed(?:s|ed) (?:the limit|its local ephemeral|the total limit)|exceeds the total limit")
_OVER_REQUEST = re.compile(r"was using (?P<used>[\w.]+), (?:which exceeds its )?request (?:is|of) (?P<asked>[\w.]+)")
SCALES_UP = ("TriggeredScaleUp", "Nominated")


def _waits_for_good(tell: str, *reasons: str) -> Find:
    def find(view: View, limits: Limits) -> Finding | None:
        for replica, waiting in waits(view, *reasons):
            if not _PASSING.search(waiting.message):
                return Finding(f"{replica.name}: {tell}: {short(waiting.message)}", (told_waiting(replica, waiting),))
        return None

    return find


def volume_missing(view: View, limits: Limits) -> Finding | None:
    for replica, statement in held_up(view, *VOLUMES):
        if re.search(_GONE, statement.message) and not _PASSING.search(statement.message):
            return Finding(
                f"{replica.name}: what it mounts is not there: {short(statement.message)}", (told_statement(statement),)
            )
    return None


def volume_unusable(view: View, limits: Limits) -> Finding | None:
    for replica, statement in held_up(view, *VOLUMES):
        if not _SLOW_VOLUME.search(statement.message) and view.at_s >= statement.at_s + VOLUME_S_MAX:
            return Finding(
                f"{replica.name}: a volume could not be mounted for {VOLUME_S_MAX:.0f} s: {short(statement.message)}",
                (told_statement(statement),),
            )
    return None


def scale_up(view: View, replica: ReplicaView) -> Statement | None:
    """The autoscaler's answer for this replica: a node is on its way."""
    return next((one for who, one in held_up(view, *SCALES_UP) if who is replica), None)


def unschedulable(view: View, limits: Limits) -> Finding | None:
    if any(one.node_lost for one in view.replicas):
        return None  # what does not fit any more did fit; that is the node's doing
    refused = [who for who, _ in held_up(view, "NotTriggerScaleUp")]
    for replica, statement in held_up(view, "FailedScheduling"):
        if scale_up(view, replica) is not None or _PASSING.search(statement.message):
            continue
        if replica in refused or view.at_s >= scheduled_due_s(view, statement):
            told = [one for who, one in held_up(view, "FailedScheduling", "NotTriggerScaleUp") if who is replica]
            return Finding(
                f"{replica.name} fits on no node: {short(statement.message)}",
                tuple(told_statement(one) for one in told[-EVIDENCE_MAX:]),
            )
    return None


def _refused(tell: str, pattern: str) -> Find:
    compiled = re.compile(pattern)

    def find(view: View, limits: Limits) -> Finding | None:
        if not _short_of_pods(view):
            return None
        for statement in said(view, "FailedCreate"):
            if compiled.search(statement.message) and not _PASSING.search(statement.message):
                return Finding(f"{tell}: {short(statement.message)}", (told_statement(statement),))
        return None

    return find


def not_created(view: View, limits: Limits) -> Finding | None:
    if not _short_of_pods(view):
        return None
    for statement in said(view, "FailedCreate"):
        if view.at_s >= statement.at_s + CREATE_S_MAX:
            return Finding(
                f"the pods could not be created for {CREATE_S_MAX:.0f} s: {short(statement.message)}",
                (told_statement(statement),),
            )
    return None


def _short_of_pods(view: View) -> bool:
    """Events stay; once all pods are there, their creation was refused only for a while."""
    return len(live(view)) < view.replicas_wanted


def evicted_over_own_limit(view: View, limits: Limits) -> Finding | None:
    for replica in view.replicas:
        if replica.evicted and _OWN_LIMIT.search(replica.evicted):
            return Finding(
                f"{replica.name} was evicted, over its own limit: {short(replica.evicted)}", (replica.evicted,)
            )
    return None


def evicted_again(view: View, limits: Limits) -> Finding | None:
    evicted = [one for one in view.replicas if one.evicted and _OVER_REQUEST.search(one.evicted)]
    if len(evicted) >= max(2, view.replicas_wanted):
        return Finding(
            f"{len(evicted)} pods were evicted, each using more than it asked for: {short(evicted[-1].evicted)}",
            tuple(f"{one.name}: {one.evicted}" for one in evicted[-EVIDENCE_MAX:]),
        )
    return None


RULES = (
    failed(
        "config-missing",
        _waits_for_good("its configuration can't be made", "CreateContainerConfigError"),
        why="the kubelet names the object or key that is not there; it is created before the pods, or not at all",
        source="containerStatuses state.waiting.reason CreateContainerConfigError",
    ),
    failed(
        "container-not-created",
        _waits_for_good("its container can't be made", "CreateContainerError"),
        why="the runtime refuses the container as the pod describes it",
        source="containerStatuses state.waiting.reason CreateContainerError",
    ),
    failed(
        "container-not-started",
        _waits_for_good("its command can't be started", "RunContainerError", "StartError"),
        why="the runtime could not execute the command; the next start executes the same",
        source="containerStatuses state.waiting.reason RunContainerError",
    ),
    failed(
        "volume-missing",
        volume_missing,
        why="the kubelet names the object, key or volume that is not there",
        source="events FailedMount, FailedAttachVolume of a pod that has not begun",
    ),
    failed(
        "volume-unusable",
        volume_unusable,
        why="a volume is detached from another node within a minute; a time-out alone may be a slow store and only "
        "ends with the limit for the whole start",
        source="events FailedMount, FailedAttachVolume of a pod that has not begun",
    ),
    failed(
        "unschedulable",
        unschedulable,
        why="the scheduler has looked at every node, and no autoscaler has answered in the time that one takes",
        source="events FailedScheduling, NotTriggerScaleUp, TriggeredScaleUp (autoscaler), Nominated (Karpenter)",
    ),
    failed(
        "quota-exceeded",
        _refused("the namespace's quota or limits refuse the pods", _QUOTA),
        why="the stable pods stay until the gate is over, so nothing is freed by waiting",
        source="event FailedCreate of the ReplicaSet, StatefulSet or DaemonSet: 'exceeded quota'",
    ),
    failed(
        "admission-denied",
        _refused("an admission rule denies the pods", _ADMISSION),
        why="the policy has answered, and gets the same pod each time",
        source="event FailedCreate: 'denied the request', 'violates PodSecurity'",
    ),
    failed(
        "pods-forbidden",
        _refused("the API server refuses the pods", r"is forbidden|is invalid|cannot create resource"),
        why="the API server has answered: missing rights, a missing service account, or an invalid pod",
        source="event FailedCreate: 'is forbidden', 'is invalid'",
    ),
    failed(
        "pods-not-created",
        not_created,
        why="whatever passing reason is given, it has not passed in a minute",
        source="event FailedCreate of the ReplicaSet, StatefulSet or DaemonSet",
    ),
    failed(
        "evicted-over-own-limit",
        evicted_over_own_limit,
        why="the limit is the pod's own, on every node",
        source="pod status reason Evicted: 'exceeds the limit', 'exceeded its local ephemeral storage limit'",
    ),
    failed(
        "evicted-again",
        evicted_again,
        why="one eviction is a node's bad moment; as many as there are replicas, each above its own request, is not",
        source="pod status reason Evicted: 'was using x, request is y'",
    ),
)
