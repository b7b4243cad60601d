"""Small questions to a view that the rules are made of. Each answers from the view alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from failback.model.evidence import ProbeResult
from failback.model.observation import Exit, ReplicaView, Statement, View, Waiting


def live(view: View) -> tuple[ReplicaView, ...]:
    """The replicas that speak for the release: not deleted, not evicted, and not lost with their node."""
    return tuple(one for one in view.replicas if not (one.deleted or one.node_lost or one.evicted))


def serving(view: View) -> tuple[ReplicaView, ...]:
    """Those of them that run and are ready now."""
    return tuple(one for one in live(view) if one.running and one.ready)


def ends(replica: ReplicaView) -> tuple[Exit, ...]:
    """Its exits, but not an init container's good end: that is its work done."""
    return tuple(end for end in replica.exits if not (end.init and end.clean))


def last_end_s(replica: ReplicaView) -> float:
    """When it ended last; 0 where it never did."""
    return max((end.at_s for end in ends(replica)), default=0.0)


def ready_since_s(replica: ReplicaView) -> float:
    """Its first good answer; where nobody noted it, its start."""
    return replica.started_at_s if replica.ready_at_s is None else replica.ready_at_s


def ended_after_ready(replica: ReplicaView) -> bool:
    """It has been ready, and ended since: it is not a start that failed."""
    return replica.ready_at_s is not None and any(end.at_s >= replica.ready_at_s for end in ends(replica))


def cured_by_restart(replica: ReplicaView) -> bool:
    """It ended before it was ever ready, and is ready since: the restart has shown that the release can start."""
    return bool(ends(replica)) and replica.ready and replica.ready_at_s is not None and not ended_after_ready(replica)


def has_begun(replica: ReplicaView) -> bool:
    """Its own code has run at some time; before that it waits for the infrastructure, or for its init containers."""
    return replica.running or any(not end.init for end in replica.exits) or replica.ready_at_s is not None


def awaits_infrastructure(view: View, replica: ReplicaView) -> bool:
    """It has not begun, and somebody says what for: a slow pull or an unschedulable pod is no slow start."""
    return not has_begun(replica) and (
        bool(replica.waiting) or any(subject(view, statement) is replica for statement in view.statements)
    )


def waits(view: View, *reasons: str) -> Iterator[tuple[ReplicaView, Waiting]]:
    """Each live replica's container that waits for one of these reasons."""
    for replica in live(view):
        for waiting in replica.waiting:
            if waiting.reason in reasons:
                yield replica, waiting


def said(view: View, *reasons: str) -> Iterator[Statement]:
    """The statements with one of these reasons."""
    return (statement for statement in view.statements if statement.reason in reasons)


def subject(view: View, statement: Statement) -> ReplicaView | None:
    """The live replica that a statement is about; None when it is about something else, or about one that is gone."""
    name = statement.object.rpartition("/")[2]
    return next((one for one in live(view) if one.name == name), None)


def held_up(view: View, *reasons: str) -> Iterator[tuple[ReplicaView, Statement]]:
    """Statements about replicas that have not begun yet. Events stay; what they told of may long be over."""
    for statement in said(view, *reasons):
        replica = subject(view, statement)
        if replica is not None and not has_begun(replica):
            yield replica, statement


def told_exit(replica: ReplicaView, end: Exit) -> str:
    """'web-1 (init container setup): exit code 1 after 0.20 s: Error: no such file'."""
    how = f"killed by {end.signal}" if end.signal else f"exit code {'unknown' if end.code is None else end.code}"
    kind = "init container" if end.init else "container"
    where = f" ({kind} {end.container})" if end.container else ""
    return f"{replica.name}{where}: {how} after {end.lived_s:.2f} s" + (
        f": {end.telling_line}" if end.telling_line else ""
    )


def told_waiting(replica: ReplicaView, waiting: Waiting) -> str:
    """'web-1 (container proxy): ErrImagePull: …'."""
    kind = "init container" if waiting.init else "container"
    where = f" ({kind} {waiting.container})" if waiting.container else ""
    return f"{replica.name}{where}: {waiting.reason}: {waiting.message or 'no message'}"


def told_statement(statement: Statement) -> str:
    """'ReplicaSet/web: FailedCreate (3 times): …'."""
    times = f" ({statement.count} times)" if statement.count > 1 else ""
    return f"{statement.object}: {statement.reason}{times}: {statement.message or 'no message'}"


def told_answer(answer: ProbeResult) -> str:
    """'/health on web-1: status 500 in 12 ms (expected status 200)'."""
    got = f"status {answer.status}" if answer.status is not None else answer.error or "no answer"
    if answer.status is not None and answer.error and not answer.passed:
        got += f", {answer.error}"
    return f"{answer.path} on {answer.replica}: {got} in {answer.duration_ms:.0f} ms (expected {answer.expected})"


def short(text: str, chars_max: int = 200) -> str:
    """One line of a message, for a sentence; the evidence keeps the whole."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def mebibytes(count: float) -> str:
    """'98 MiB'."""
    return f"{count / 2**20:,.0f} MiB"


def seconds(value: float) -> str:
    """'0.3 s' of a limit; no needless zeros."""
    return f"{value:g} s"
