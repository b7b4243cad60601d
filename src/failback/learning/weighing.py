"""Lets what is remembered weigh: a person's correction, advice that led to a success, and what it was the last time.

Pure: the diagnosis, what is remembered and the time come in, the weighed diagnosis comes out.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from failback.facts.signatures import template
from failback.learning.records import Correction, Failure, Recalled
from failback.model.diagnosis import Alternative, Diagnosis, FailureType, Recommendation

WINDOW_DAYS = 14
CONFIDENCE_MAX = 0.98
_DAY_S = 86_400.0
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """That it was there before. `count` includes this time, within `days`; `text` says it in one sentence."""

    count: int
    days: int
    text: str
    last_fix: str = ""
    last_fix_s: float | None = None
    last_execution: str = ""

    def as_dict(self) -> dict[str, object]:
        return dataclasses.asdict(self)


def recurrence(recalled: Recalled, now: float) -> Recurrence | None:
    """None the first time."""
    if not recalled.failures:
        return None
    recent = [one for one in recalled.failures if now - one.at <= WINDOW_DAYS * _DAY_S]
    last = recalled.failures[-1]
    if recent:
        count, days = len(recent) + 1, WINDOW_DAYS
        text = f"{_ordinal(count)} time in {days} days"
    else:
        count = len(recalled.failures) + 1
        days = max(WINDOW_DAYS, int((now - recalled.failures[0].at) // _DAY_S) + 1)
        text = f"{_ordinal(count)} time, the last one {int((now - last.at) // _DAY_S)} days ago"
    fixed = _last_fixed(recalled.failures)
    if fixed is None:
        return Recurrence(count, days, f"{text}; never fixed so far", last_execution=last.execution_id)
    fix = _fix(fixed)
    told = f"{text}; last fixed by {fix}, {duration(fixed.fix_s or 0.0)} after it had failed"
    return Recurrence(count, days, told, fix, fixed.fix_s, last.execution_id)


def weighed(diagnosis: Diagnosis, recalled: Recalled, now: float) -> Diagnosis:
    """The diagnosis with a person's correction, and its recommendations in the order of what has helped before."""
    ordered = _ordered(diagnosis.recommendations, recalled, recurrence(recalled, now))
    # A person's word stands first, whatever has helped before.
    return _corrected(dataclasses.replace(diagnosis, recommendations=ordered), recalled.corrections)


def helped(failures: Sequence[Failure]) -> Counter[str]:
    """Action (with its numbers masked) -> how often a release that did it succeeded."""
    return Counter(
        template(action) for failure in failures if failure.fixed_by for action in dict.fromkeys(failure.followed)
    )


def _corrected(diagnosis: Diagnosis, corrections: Sequence[Correction]) -> Diagnosis:
    if not corrections:
        return diagnosis
    votes = Counter(one.type for one in corrections)
    most = max(votes.values())
    # As many for one as for another: the last word counts.
    last = next(one for one in reversed(corrections) if votes[one.type] == most)
    agreed = (most + 1) / (len(corrections) + 2)
    noted = f": {last.note}" if last.note else ""
    if last.type == diagnosis.type:
        return dataclasses.replace(
            diagnosis,
            confidence=min(CONFIDENCE_MAX, max(diagnosis.confidence, agreed)),
            facts=diagnosis.facts | {"confirmed_by": last.by, "note": last.note},
        )
    engine = Alternative(diagnosis.type, diagnosis.cause, diagnosis.confidence)
    advice = Recommendation(
        "HIGH",
        f"Do what {last.by} noted for this failure" if last.note else f"Treat it as {last.type}",
        last.note or f"{last.by} corrected the cause of the same failure in {last.execution_id}",
        f"failback explain {last.execution_id}",
    )
    return dataclasses.replace(
        diagnosis,
        type=FailureType(last.type),
        cause=f"As {last.by} corrected it in {last.execution_id}{noted or f': {last.type}'}",
        confidence=round(agreed, 2),
        alternatives=(engine, *diagnosis.alternatives),
        recommendations=(advice, *diagnosis.recommendations),
        rule="correction",
        facts=diagnosis.facts | {"corrected_by": last.by, "engine_rule": diagnosis.rule},
    )


def _ordered(
    advice: Sequence[Recommendation], recalled: Recalled, seen: Recurrence | None
) -> tuple[Recommendation, ...]:
    counts = helped(recalled.failures)
    told = [_told(item, counts[template(item.action)]) for item in advice]
    ranked = sorted(zip(advice, told, strict=True), key=lambda pair: -counts[template(pair[0].action)])
    ordered = tuple(item for _, item in ranked)
    if seen is None or not seen.last_fix or any(counts[template(item.action)] for item in advice):
        return ordered
    # What ended it was none of the advice: then it is worth to be said itself.
    again = Recommendation(
        "HIGH",
        f"Do again what fixed it the last time: {seen.last_fix}",
        f"The same failure: {seen.text}",
        f"failback explain {seen.last_execution}",
    )
    return (again, *ordered)


def _told(item: Recommendation, times: int) -> Recommendation:
    if not times:
        return item
    said = f"It led to a success {'once' if times == 1 else f'{times} times'} for this very failure"
    return dataclasses.replace(
        item, priority="HIGH", description=f"{item.description.rstrip('. ')}. {said}" if item.description else said
    )


def _last_fixed(failures: Sequence[Failure]) -> Failure | None:
    fixed = [one for one in failures if one.fixed_by]
    return max(fixed, key=lambda one: one.fixed_at or 0.0, default=None)


def _fix(fixed: Failure) -> str:
    by = f"{fixed.change} ({fixed.commit})" if fixed.change and fixed.commit else fixed.change or fixed.commit
    return by or f"another try with the same release ({fixed.fixed_by})"


def _ordinal(count: int) -> str:
    if count <= len(_ORDINALS):
        return _ORDINALS[count - 1]
    end = "th" if count % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{end}"


def duration(seconds: float) -> str:
    """As people say it: "40 s", "4 min", "3 h", "2 days"."""
    for limit, unit, name in ((100, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / _DAY_S:.0f} days"
