"""Rules about readiness: not ready in the time that the plan gives, ready no more, or never begun."""

from __future__ import annotations

from failback.detection.moments import (
    denied_due_s,
    denied_since_s,
    raises_due_s,
    ready_due_s,
    smoke_due_s,
    start_due_s,
    unready_due_s,
)
from failback.detection.rule import EVIDENCE_MAX, Finding, failed
from failback.detection.sight import (
    awaits_infrastructure,
    ended_after_ready,
    has_begun,
    live,
    said,
    seconds,
    short,
    subject,
    told_answer,
    told_statement,
    told_waiting,
)
from failback.facts.start_failure import no_wait_removes
from failback.model.observation import Limits, ReplicaView, View

UNREADY_CHECKS = 3  # as many as Kubernetes' own failureThreshold


def stopped_answering(view: View, limits: Limits) -> Finding | None:
    """It was ready, its process lives and was not restarted, and its check fails again and again."""
    for replica in live(view):
        if replica.ready or not replica.running or replica.ready_at_s is None or ended_after_ready(replica):
            continue
        facts = _failing_checks(view, replica)
        if not facts:
            continue
        counted = replica.unready_since_s is not None
        enough = replica.ready_failures == 0 or replica.ready_failures >= UNREADY_CHECKS
        last = replica.last_ready_check
        refused = (
            last is not None and last.error == "connection refused"
        )  # its socket is gone: no pause looks like that
        if (enough and view.at_s >= unready_due_s(replica)) or (refused and not counted):
            for_s = f" for {view.at_s - replica.unready_since_s:.1f} s" if replica.unready_since_s is not None else ""
            return Finding(f"{replica.name} was ready and has failed its ready check{for_s}", facts)
    return None


def ready_check_denied(view: View, limits: Limits) -> Finding | None:
    """Its server is up and says that there is no such page, or not for us."""
    for replica in live(view):
        since_s = denied_since_s(view, replica)
        if since_s is None or replica.ready_at_s is not None or not replica.running:
            continue
        if view.at_s >= denied_due_s(since_s, limits):
            facts = _failing_checks(view, replica)
            return Finding(
                f"{replica.name} answers, and has denied its ready check for {view.at_s - since_s:.0f} s: {facts[0]}",
                facts,
            )
    return None


def ready_check_raises(view: View, limits: Limits) -> Finding | None:
    """As many replicas as are wanted answer 500, and each one's log says why in words that no wait will change."""
    facts: list[str] = []
    lines: list[str] = []
    for replica in live(view):
        since_s = replica.raises_since_s
        line = next((one for one in replica.new_errors if no_wait_removes(one)), None)
        if since_s is None or line is None or not replica.running or replica.ready_at_s is not None:
            continue
        if view.at_s >= raises_due_s(since_s, limits):
            lines.append(line)
            facts += [f"{replica.name}: {line}", *_failing_checks(view, replica)]
    if len(lines) < max(1, view.replicas_wanted):
        return None
    return Finding(
        f"each of the {len(lines)} replicas answers its ready check with 500: {short(lines[0], 120)}",
        tuple(facts[:EVIDENCE_MAX]),
    )


def not_ready_in_time(view: View, limits: Limits) -> Finding | None:
    for replica in live(view):
        if (replica.ready and replica.running) or awaits_infrastructure(view, replica):
            continue
        if view.at_s >= ready_due_s(view, replica, limits):
            facts = _failing_checks(view, replica)
            last = f"; last: {facts[0]}" if facts else "; no ready check was answered"
            return Finding(
                f"{replica.name} was not ready within {seconds(limits.ready_s_max)}{last}",
                facts or (f"{replica.name}: {'running' if replica.running else 'not running'}, not ready",),
            )
    return None


def not_begun_in_time(view: View, limits: Limits) -> Finding | None:
    if view.at_s < start_due_s(view, limits):
        return None
    for replica in live(view):
        if not has_begun(replica):
            facts = tuple(told_waiting(replica, waiting) for waiting in replica.waiting)
            facts += tuple(told_statement(one) for one in view.statements if subject(view, one) is replica)
            return Finding(
                f"{replica.name} had not begun after {seconds(limits.start_s_max)}",
                facts[-EVIDENCE_MAX:] or (f"{replica.name}: nobody says what it waits for",),
            )
    there = len(live(view))
    if there < max(1, view.replicas_wanted):
        lost = sum(one.node_lost for one in view.replicas)
        return Finding(
            f"only {there} of {view.replicas_wanted} replicas were there after {seconds(limits.start_s_max)}",
            (f"replicas: {there} there, {lost} lost with their node, {len(view.replicas)} seen in all",),
        )
    return None


def smoke_not_asked(view: View, limits: Limits) -> Finding | None:
    for replica in live(view):
        if replica.ready and not replica.smoke_done and view.at_s >= smoke_due_s(replica, limits):
            return Finding(
                f"the smoke requests to {replica.name} had not all been answered after {seconds(limits.start_s_max)}",
                (f"{replica.name}: {len(replica.smoke)} smoke requests answered",),
            )
    return None


def _failing_checks(view: View, replica: ReplicaView) -> tuple[str, ...]:
    """What its ready check last said: our own, else the kubelet's."""
    last = replica.last_ready_check
    if last is not None:
        return () if last.passed else (told_answer(last),)
    told = [
        one
        for one in said(view, "Unhealthy")
        if subject(view, one) is replica and (replica.ready_at_s is None or "eadiness" in one.message)
    ]
    return tuple(told_statement(one) for one in reversed(told[-EVIDENCE_MAX:]))


RULES = (
    failed(
        "stopped-answering",
        stopped_answering,
        why="it has been ready, so this is no slow start; it lives, so no restart will help; and a pause is shorter",
        source="failback's own ready checks in a row; pod condition Ready with the kubelet's event Unhealthy",
    ),
    failed(
        "ready-check-denied",
        ready_check_denied,
        why="a client error comes from a server that is up: the check asks for what this release does not serve, and "
        "no wait changes that",
        source="failback's own ready check; the kubelet's event Unhealthy ('HTTP probe failed with statuscode: 404')",
    ),
    failed(
        "ready-check-raises",
        ready_check_raises,
        why="an error that nobody caught, on every replica, for a reason in the release itself (a module, a name, "
        "a setting that is not there): a service that is still starting says 503, and nothing of the kind",
        source="failback's own ready check; the replicas' logs, without what the stable revision prints as well",
    ),
    failed(
        "not-ready-in-time",
        not_ready_in_time,
        why="the plan itself says how long a replica may take, counted from when its own code began to run",
        source="checks.ready.timeout; failback's own ready check, or the kubelet's event Unhealthy",
    ),
    failed(
        "not-begun-in-time",
        not_begun_in_time,
        why="whatever it waits for, a rollout has to end; the limit is the one that a Deployment has by default",
        source="pod status; Deployment progressDeadlineSeconds (600 s)",
    ),
    failed(
        "smoke-not-asked",
        smoke_not_asked,
        why="a release whose answers nobody could get is not known to be good, and a rollout has to end",
        source="failback's own requests to the dark replica",
    ),
)
