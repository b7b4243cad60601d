"""A release that answers as it should, and too late: the cause says how late, the fix names what changed."""

from __future__ import annotations

from dataclasses import replace

from failback.diagnosis import diagnose
from failback.model.diagnosis import FailureType
from failback.model.evidence import Evidence, FailedStep, LogPair, ProbeResult

SLOW = ProbeResult("web-1", "/", 200, 2003.0, "status 200 within 1000 ms", False, "took 2003 ms", kind="smoke")
LOGS = {"web-1/app": LogPair("2026/11/25 12:34:40 version 2 listens on port 8080\n", "")}
CHANGE = "--- a/shop/orders.py\n+++ b/shop/orders.py\n@@ -1 +1 @@\n-fast\n+slow\n"
BASE = Evidence(target="kubernetes", failed_step=FailedStep(2, "Deploy", "deploy"), probes=(SLOW, SLOW), logs=LOGS)


def test_too_slow_is_told_with_its_figures_and_what_changed() -> None:
    found = diagnose(replace(BASE, change=CHANGE))

    assert found.type is FailureType.TIMEOUT
    assert "2003 ms, where 1000 ms are allowed" in found.cause
    assert "shop/orders.py" in found.recommendations[0].description
    assert "max_ms: 4006" in found.recommendations[-1].example


def test_a_stable_revision_that_is_as_slow_is_told() -> None:
    error = "took 2003 ms; a stable pod fails this check as well: took 1900 ms"

    assert "the stable revision is too slow" in diagnose(replace(BASE, probes=(replace(SLOW, error=error),))).cause


def test_very_little_cpu_is_the_cause_that_can_be_given_more() -> None:
    limits = {"name": "app", "resources": {"limits": {"cpu": "50m"}}}
    pods = ({"metadata": {"name": "web-1"}, "spec": {"containers": [limits]}, "status": {"phase": "Running"}},)

    found = diagnose(replace(BASE, pods=pods))

    assert found.type is FailureType.CPU_STARVATION
    assert "50m" in found.cause


def test_an_answer_in_time_is_no_late_one() -> None:
    good = replace(SLOW, duration_ms=12.0, passed=True, error=None)

    assert "too slowly" not in diagnose(replace(BASE, probes=(good,))).cause
