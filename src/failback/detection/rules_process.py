"""Rules about processes that end. The same for a local replica and for each container of a pod."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from failback.detection.rule import EVIDENCE_MAX, Finding, failed
from failback.detection.sight import (
    cured_by_restart,
    ends,
    live,
    mebibytes,
    said,
    subject,
    told_exit,
    told_statement,
    told_waiting,
    waits,
)
from failback.model.observation import Exit, Limits, ReplicaView, Statement, View


def _all_ends(view: View) -> Iterator[tuple[ReplicaView, Exit]]:
    return ((replica, end) for replica in live(view) for end in ends(replica))


def killed_for_memory(view: View, limits: Limits) -> Finding | None:
    for replica, end in _all_ends(view):
        if end.oom_killed and replica.memory_limit_bytes is not None:
            return Finding(
                f"{replica.name} was killed for memory, over its limit of {mebibytes(replica.memory_limit_bytes)}",
                (told_exit(replica, end),),
            )
    return None


def deterministic_exit(view: View, limits: Limits) -> Finding | None:
    for replica, end in _all_ends(view):
        if end.deterministic:
            return Finding(
                f"{replica.name} ended at its start, and would again: {end.deterministic.replace('-', ' ')}",
                (told_exit(replica, end),),
            )
    return None


def killed_by_its_probe(view: View, limits: Limits) -> Finding | None:
    killed: dict[str, list[Statement]] = defaultdict(list)
    for statement in said(view, "Killing"):
        replica = subject(view, statement)
        if replica is not None and _names_a_probe(statement.message):
            killed[replica.name].append(statement)
    told = tuple(told_statement(one) for several in killed.values() for one in several)[:EVIDENCE_MAX]
    for name, several in killed.items():
        times = sum(max(1, one.count) for one in several)
        if times >= limits.exits_max:
            return Finding(f"the kubelet has killed {name} {times} times, because its probe failed", told)
    if view.replicas_wanted > 1 and len(killed) >= view.replicas_wanted:
        return Finding(f"the kubelet has killed each of the {len(killed)} replicas, because its probe failed", told)
    return None


def _names_a_probe(message: str) -> bool:
    return "failed liveness probe" in message or "failed startup probe" in message


def crash_loop(view: View, limits: Limits) -> Finding | None:
    if limits.exits_max > 2:
        return None  # the plan forgives more than the kubelet's back-off proves
    for replica, waiting in waits(view, "CrashLoopBackOff"):
        facts = (told_waiting(replica, waiting), *(told_exit(replica, end) for end in ends(replica)[-2:]))
        return Finding(f"{replica.name} ends again after each restart", facts)
    return None


def exits_again(view: View, limits: Limits) -> Finding | None:
    for replica in live(view):
        by_container: dict[str, list[Exit]] = defaultdict(list)
        for end in ends(replica):
            by_container[end.container].append(end)
        for container, several in by_container.items():
            if len(several) >= max(1, limits.exits_max):
                which = f" (container {container})" if container else ""
                return Finding(
                    f"{replica.name}{which} ended {len(several)} times",
                    tuple(told_exit(replica, end) for end in several[-EVIDENCE_MAX:]),
                )
    return None


def every_replica_exited(view: View, limits: Limits) -> Finding | None:
    """Two of two, never one of one. A replica that a restart has cured speaks for the release, so it is not counted."""
    ended = [one for one in live(view) if ends(one) and not cured_by_restart(one)]
    if view.replicas_wanted > 1 and len(ended) >= view.replicas_wanted:
        return Finding(
            f"each of the {len(ended)} replicas ended",
            tuple(told_exit(one, ends(one)[-1]) for one in ended[:EVIDENCE_MAX]),
        )
    return None


RULES = (
    failed(
        "killed-for-memory",
        killed_for_memory,
        why="the kernel names the cause itself, and a restart meets the same limit; without a limit of its own it was "
        "the machine that ran out of memory, which is not this release's proven fault",
        source="oom_kill in cgroup memory.events or memory.oom_control; containerStatuses lastState reason OOMKilled",
    ),
    failed(
        "deterministic-exit",
        deterministic_exit,
        why="the last error in its log says that every further start fails in the same way",
        source="exit code and last lines of the process, by the known start failures of facts",
    ),
    failed(
        "killed-by-its-probe",
        killed_by_its_probe,
        why="a liveness or startup probe has failed its whole threshold twice, or on every replica",
        source="event Killing of the kubelet: 'Container x failed liveness probe, will be restarted'",
    ),
    failed(
        "crash-loop",
        crash_loop,
        why="the kubelet restarts at once after the first end, and backs off only from the second",
        source="containerStatuses state.waiting.reason CrashLoopBackOff (kubelet doBackOff)",
    ),
    failed(
        "exits-again",
        exits_again,
        why="one unexplained exit is forgiven, the second of the same container is not",
        source="exit records of the launcher; containerStatuses restartCount and lastState",
    ),
    failed(
        "every-replica-exited",
        every_replica_exited,
        why="a flake hits one replica; when each has ended and none has come up by its restart, nothing says that this "
        "release can serve",
        source="exit records of the launcher; containerStatuses",
    ),
)
