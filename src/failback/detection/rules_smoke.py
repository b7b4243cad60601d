"""Rules about what a ready replica answers to failback's own requests, before any user asks it."""

from __future__ import annotations

from collections.abc import Iterator

from failback.detection.rule import EVIDENCE_MAX, Finding, failed
from failback.detection.sight import ends, live, told_answer
from failback.model.evidence import ProbeResult
from failback.model.observation import Limits, ReplicaView, View

IN_A_ROW = 2  # asked again, it answered wrong again
OFTEN_MIN = 3  # a hiccup is rare: three among any number of answers that the plan asks for are not
SLOW_MIN = 2  # beside the first answer, which a healthy process also gives slowly


def _checks(view: View) -> Iterator[tuple[ReplicaView, list[ProbeResult]]]:
    """The answers to one check on one replica, in order; of replicas that have been ready."""
    for replica in live(view):
        if replica.ready_at_s is None:
            continue
        groups: dict[tuple[str, str], list[ProbeResult]] = {}
        for answer in replica.smoke:
            groups.setdefault((answer.path, answer.expected), []).append(answer)
        for answers in groups.values():
            yield replica, answers


def is_slow(answer: ProbeResult) -> bool:
    """A right answer that came too late: the prober says "took 812 ms"."""
    return not answer.passed and answer.status is not None and (answer.error or "").startswith("took ")


def _is_wrong(answer: ProbeResult) -> bool:
    return not answer.passed and not is_slow(answer)


def smoke_wrong(view: View, limits: Limits) -> Finding | None:
    for replica, answers in _checks(view):
        wrong = [answer for answer in answers if _is_wrong(answer)]
        if not wrong:
            continue
        # While a replica restarts nobody answers; its exit is judged by its own rules.
        silent = bool(ends(replica)) and all(answer.status is None for answer in wrong)
        never = replica.smoke_done and len(wrong) == len(answers)
        in_a_row = not silent and _longest_row(answers) >= IN_A_ROW
        if never or in_a_row:
            said = wrong[-1].error or f"status {wrong[-1].status}"
            return Finding(
                f"smoke {wrong[0].path} on {replica.name}: {len(wrong)} of {len(answers)} answers are wrong ({said})",
                tuple(told_answer(answer) for answer in wrong[:EVIDENCE_MAX]),
            )
    return None


def smoke_often_wrong(view: View, limits: Limits) -> Finding | None:
    for replica, answers in _checks(view):
        wrong = [answer for answer in answers if _is_wrong(answer) and answer.status is not None]
        often = len(wrong) >= OFTEN_MIN and len(wrong) > limits.error_increase_max * len(answers)
        half = len(wrong) >= IN_A_ROW and 2 * len(wrong) > len(answers)
        if often or half:
            return Finding(
                f"smoke {wrong[0].path} on {replica.name}: {len(wrong)} of {len(answers)} answers are wrong, "
                "between good ones",
                tuple(told_answer(answer) for answer in wrong[:EVIDENCE_MAX]),
            )
    return None


def smoke_slow(view: View, limits: Limits) -> Finding | None:
    for replica, answers in _checks(view):
        rest = answers[1:]
        slow = [answer for answer in rest if is_slow(answer)]
        if len(slow) >= SLOW_MIN and 2 * len(slow) > len(rest):
            middle = sorted(answer.duration_ms for answer in rest)[len(rest) // 2]
            return Finding(
                f"smoke {slow[0].path} on {replica.name} is too slow: {middle:.0f} ms in the middle of {len(rest)} "
                f"answers after the first (expected {slow[0].expected})",
                tuple(told_answer(answer) for answer in slow[:EVIDENCE_MAX]),
            )
    return None


def _longest_row(answers: list[ProbeResult]) -> int:
    longest = row = 0
    for answer in answers:
        row = row + 1 if _is_wrong(answer) else 0
        longest = max(longest, row)
    return longest


RULES = (
    failed(
        "smoke-wrong",
        smoke_wrong,
        why="asked again, it answered wrong again: users would get the same",
        source="failback's own requests to the dark replica: status, body, connection",
    ),
    failed(
        "smoke-often-wrong",
        smoke_often_wrong,
        why="wrong answers between good ones, more often than the plan allows: a part of the users would get them",
        source="failback's own requests to the dark replica; checks.max_error_increase",
    ),
    failed(
        "smoke-slow",
        smoke_slow,
        why="most answers after the first are over the limit, so it is not the first request's warm-up",
        source="failback's own requests to the dark replica; smoke.max_ms",
    ),
)
