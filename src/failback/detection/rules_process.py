"""Rules about processes: how they end, whether they answer, what they use. The same for local replicas and pods."""

from __future__ import annotations

import re
from collections.abc import Iterator

from failback.detection.rule import Finding, Rule
from failback.model.evidence import ProbeResult
from failback.model.observation import Exit, Limits, ReplicaView, Stage, View

_MEMORY_SHARE = 0.95
_MEMORY_AHEAD_S = 10.0
_GROWTH_SHARE_S = 0.02
_SLOW_ANSWERS_MIN = 2
_FATAL = re.compile(
    r"\b(?:fatal|panic|unhandled|uncaught|segmentation fault|critical)\b|^[\w.]*(?:Error|Exception)\b(?: \[\w+\])?:", re.IGNORECASE
)
# Lines that every program prints when its *client* goes away, and headings that say nothing by themselves.
_NO_FAULT = re.compile(
    r"^traceback \(most recent call last\)|exception (?:occurred|happened) (?:during|in) (?:the )?processing of request"
    r"|BrokenPipe|broken pipe|\bEPIPE\b|\bECONNRESET\b|ConnectionReset|connection reset by peer|client (?:disconnected|closed)",
    re.IGNORECASE,
)


def _exits(view: View) -> Iterator[tuple[ReplicaView, Exit]]:
    for replica in view.replicas:
        if replica.node_lost or replica.deleted:
            continue
        for end in replica.exits:
            # An init container that ends well has done its work; so has a sidecar that is told to end.
            if not (end.init and end.clean):
                yield replica, end


def _told(replica: ReplicaView, end: Exit) -> str:
    how = f"killed by {end.signal}" if end.signal else f"exit code {end.code}"
    where = f" (container {end.container})" if end.container else ""
    return f"{replica.name}{where}: {how} after {end.lived_s:.2f} s" + (f": {end.last_line}" if end.last_line else "")


def _killed_for_memory(view: View, limits: Limits) -> Finding | None:
    for replica, end in _exits(view):
        if end.oom_killed:
            limit = replica.memory_limit_bytes
            bound = f", over its limit of {limit / 2**20:.0f} MiB" if limit else ""
            return Finding(f"{replica.name} was killed for memory{bound}", (_told(replica, end),))
    return None


def _deterministic_exit(view: View, limits: Limits) -> Finding | None:
    for replica, end in _exits(view):
        if end.deterministic:
            return Finding(
                f"{replica.name} ended at its start, and would again: {end.deterministic.replace('-', ' ')}",
                (_told(replica, end),),
            )
    return None


def _exits_again(view: View, limits: Limits) -> Finding | None:
    for replica in view.replicas:
        ends = [end for one, end in _exits(view) if one is replica]
        if len(ends) >= limits.exits_max:
            return Finding(f"{replica.name} ended {len(ends)} times", tuple(_told(replica, end) for end in ends[-3:]))
    return None


def _every_replica_exited(view: View, limits: Limits) -> Finding | None:
    ended = {replica.name: end for replica, end in _exits(view)}
    if view.replicas_wanted > 1 and len(ended) >= view.replicas_wanted:
        return Finding(
            f"each of the {view.replicas_wanted} replicas ended once",
            tuple(_told(replica, end) for replica, end in _exits(view))[:4],
        )
    return None


def _not_ready_in_time(view: View, limits: Limits) -> Finding | None:
    for replica in view.replicas:
        if replica.node_lost or replica.deleted or replica.ready_at_s is not None:
            continue
        if view.at_s > limits.ready_s_max:
            last = replica.last_ready_check
            answer = f"; the last ready check: {_answer(last)}" if last else "; it was never asked"
            return Finding(
                f"{replica.name} was not ready within {limits.ready_s_max:g} s{answer}",
                (_answer(last),) if last else (f"{replica.name}: no ready check",),
            )
    return None


def _answer(answer: ProbeResult) -> str:
    got = f"status {answer.status}" if answer.status is not None else answer.error or "no answer"
    return f"{answer.path} on {answer.replica}: {got} in {answer.duration_ms:.0f} ms (expected {answer.expected})"


def _smoke_wrong(view: View, limits: Limits) -> Finding | None:
    """Twice wrong in the same way on one replica: once may be a hiccup, and the second question costs 0.1 s."""
    for replica in view.replicas:
        for path in dict.fromkeys(answer.path for answer in replica.smoke):
            wrong = [answer for answer in replica.smoke if answer.path == path and not answer.passed and not _slow(answer)]
            total = sum(1 for answer in replica.smoke if answer.path == path)
            if len(wrong) >= 2 and len(wrong) * 20 > total:
                return Finding(
                    f"smoke {path} on {replica.name}: {len(wrong)} of {total} answers are wrong ({wrong[-1].error})",
                    tuple(_answer(answer) for answer in wrong[:3]),
                )
    return None


def _smoke_slow(view: View, limits: Limits) -> Finding | None:
    """Most answers too slow: one slow answer is also what the first request of a healthy process gives."""
    for replica in view.replicas:
        for path in dict.fromkeys(answer.path for answer in replica.smoke):
            answers = [answer for answer in replica.smoke if answer.path == path]
            slow = [answer for answer in answers if _slow(answer)]
            if len(slow) >= _SLOW_ANSWERS_MIN and len(slow) * 2 > len(answers):
                median = sorted(answer.duration_ms for answer in answers)[len(answers) // 2]
                return Finding(
                    f"smoke {path} on {replica.name} is too slow: {median:.0f} ms in the middle of {len(answers)} "
                    f"answers (expected {slow[0].expected})",
                    tuple(_answer(answer) for answer in slow[:3]),
                )
    return None


def _slow(answer: ProbeResult) -> bool:
    return not answer.passed and answer.status is not None and bool(answer.error and answer.error.startswith("took "))


def _stopped_answering(view: View, limits: Limits) -> Finding | None:
    """It was ready, its process lives, and it answers its ready check no more; told by the check itself."""
    for replica in view.replicas:
        last = replica.last_ready_check
        if replica.ready_at_s is None or replica.ready or last is None or last.passed or not replica.running:
            continue
        if last.error == "connection refused" or view.at_s - replica.ready_at_s > 1.0:
            return Finding(f"{replica.name} was ready and does not answer any more", (_answer(last),))
    return None


def _new_errors(view: View, limits: Limits) -> Finding | None:
    """Fatal words on one replica, or the same new error on every one; a single error line is no verdict.

    While dark only: once users' requests come, an error that one of them causes is new as well, and the counts of
    answers say better what it means.
    """
    if view.stage is not Stage.DARK:
        return None
    for replica in view.replicas:
        fatal = [line for line in _faults(replica) if _FATAL.search(line)]
        if fatal and replica.ready_at_s is not None:
            return Finding(f"{replica.name} logs an error that the stable revision never does", tuple(fatal[:3]))
    if view.replicas_wanted > 1 and len(view.replicas) >= view.replicas_wanted:
        common = set(_faults(view.replicas[0])).intersection(*(_faults(replica) for replica in view.replicas[1:]))
        if common and all(replica.ready_at_s is not None for replica in view.replicas):
            line = min(common)
            return Finding(f"every replica logs an error that the stable revision never does: {line}", (line,))
    return None


def _faults(replica: ReplicaView) -> list[str]:
    return [line for line in replica.new_errors if not _NO_FAULT.search(line)]


def _memory_runs_out(view: View, limits: Limits) -> Finding | None:
    """Nearly at its limit and growing towards it: the kernel's kill is seconds away."""
    for replica in view.replicas:
        used, limit, growth = replica.memory_bytes, replica.memory_limit_bytes, replica.memory_growth_bytes_s
        if used is None or limit is None or growth is None or growth < _GROWTH_SHARE_S * limit:
            continue
        if used >= _MEMORY_SHARE * limit and used + growth * _MEMORY_AHEAD_S > limit:
            return Finding(
                f"{replica.name} uses {used / 2**20:.0f} of {limit / 2**20:.0f} MiB and grows by {growth / 2**20:.1f} MiB/s",
                (f"{replica.name}: {used / limit:.0%} of its memory limit",),
            )
    return None


RULES = (
    Rule(
        "killed-for-memory",
        _killed_for_memory,
        why="the kernel's counter names the cause itself; a restart meets the same limit",
        source="cgroup memory.events / memory.oom_control oom_kill; pod status reason OOMKilled",
    ),
    Rule(
        "deterministic-exit",
        _deterministic_exit,
        why="the log's own last error says that every further start fails in the same way",
        source="exit code and last lines of the process, by the known start failures of facts",
    ),
    Rule(
        "exits-again",
        _exits_again,
        why="one unexplained exit is forgiven, the second of the same replica is not",
        source="exit records of the launcher; containerStatuses.restartCount and lastState",
    ),
    Rule(
        "every-replica-exited",
        _every_replica_exited,
        why="a flake hits one replica; all of them ending once is the release",
        source="exit records of the launcher; containerStatuses",
    ),
    Rule(
        "smoke-wrong",
        _smoke_wrong,
        why="asked again, it answered wrong again: users would get the same",
        source="failback's own requests to the dark replica",
    ),
    Rule(
        "smoke-slow",
        _smoke_slow,
        why="most answers are over the limit, so it is not the first request's warm-up",
        source="failback's own requests to the dark replica",
    ),
    Rule(
        "stopped-answering",
        _stopped_answering,
        why="it has been ready; a port that closes again is no slow start",
        source="failback's own ready check",
    ),
    Rule(
        "new-error-lines",
        _new_errors,
        why="the stable revision never prints it, and it is fatal or on every replica",
        source="log templates compared with those of the stable revision",
    ),
    Rule(
        "memory-runs-out",
        _memory_runs_out,
        why="at this growth the limit is reached within seconds",
        source="cgroup usage samples",
    ),
    Rule(
        "not-ready-in-time",
        _not_ready_in_time,
        why="the plan itself says how long a replica may take",
        source="checks.ready.timeout",
    ),
)
