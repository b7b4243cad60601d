"""Two failures have one signature when the same thing failed again, and two when it was something else."""

from __future__ import annotations

import dataclasses

from failback.learning.signature import signature, signature_parts
from failback.model.diagnosis import Citation, Diagnosis, FailureType
from failback.model.evidence import Evidence, FailedStep, ReplicaEvidence

STEP = FailedStep(7, "Deploy", "deploy")


def found(line: str, kind: FailureType = FailureType.MISSING_CONFIGURATION) -> Diagnosis:
    return Diagnosis(kind, f"It needs something: {line}", "shop", 0.9, evidence=(Citation("logs/r3-1/app:12", line),))


def seen(code: int | None = 1, **fields: object) -> Evidence:
    return dataclasses.replace(Evidence(target="local", failed_step=STEP, exit_code=code), **fields)  # type: ignore[arg-type]


def test_time_place_and_numbers_do_not_matter() -> None:
    """The same line at another time, from another folder and replica."""
    first = found("2026-01-20T11:00:00Z File \"/home/a/releases/1f3a/app.py\", line 12: KeyError: 'API_KEY'")
    again = found("2026-02-03T09:30:11Z File \"/home/a/releases/99cc/app.py\", line 14: KeyError: 'API_KEY'")

    assert signature(first, seen()) == signature(again, seen())


def test_another_name_is_another_failure() -> None:
    assert signature(found("KeyError: 'API_KEY'"), seen()) != signature(found("KeyError: 'DATABASE_URL'"), seen())


def test_another_end_is_another_failure() -> None:
    """The same last line, but killed for its memory."""
    killed = seen(None, replicas=(ReplicaEvidence("r3-1", oom_killed=True),))

    assert signature(found("ready"), seen(1)) != signature(found("ready"), killed)
    assert "oom" in signature_parts(found("ready"), killed)


def test_without_a_cited_log_line_the_cause_counts() -> None:
    """Replica names and numbers in it are masked."""
    first = Diagnosis(FailureType.MEMORY_LIMIT, "r3-1 was killed: its limit of 64Mi is too low", "r3-1", 0.9)
    again = Diagnosis(FailureType.MEMORY_LIMIT, "r9-2 was killed: its limit of 96Mi is too low", "r9-2", 0.9)

    assert signature(first, seen(None)) == signature(again, seen(None))
