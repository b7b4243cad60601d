"""What a drill proves, and what it says where nothing could be seen."""

from __future__ import annotations

from typing import Any

import pytest

from failback.drill.bundled import DrillReport
from failback.drill.checks import Check, nobody_felt_it


def result(impact: str, source: str, stage: str = "before any user traffic") -> dict[str, Any]:
    traffic = {"requests": None, "failed": None, "source": source, "reason": "Service/web fell to 1 of 2"}
    return {"rollback": {"user_impact": impact, "detection": {"stage": stage}}, "traffic": traffic}


@pytest.mark.parametrize(
    ("impact", "source", "stage", "passed"),
    [
        ("ZERO", "endpoints", "before any user traffic", True),
        ("UNKNOWN", "endpoints", "before any user traffic", None),  # pods exchanged one by one, and nothing counts
        ("UNKNOWN", "endpoints", "after the cut-over", False),
        ("UNKNOWN", "proxy", "before any user traffic", False),  # it counts; that it could not is a finding
        ("3 requests failed", "proxy", "before any user traffic", False),
    ],
)
def test_nobody_felt_it_is_only_claimed_where_it_was_seen(
    impact: str, source: str, stage: str, passed: bool | None
) -> None:
    assert nobody_felt_it(result(impact, source, stage)).passed is passed


def test_what_could_not_be_seen_fails_no_drill_and_what_was_seen_does() -> None:
    unseen = Check("no user felt it", None, "")
    assert DrillReport(checks=[Check("stable", True, ""), unseen]).passed
    assert not DrillReport(checks=[Check("stable", False, ""), unseen]).passed
    assert not DrillReport(checks=[]).passed
