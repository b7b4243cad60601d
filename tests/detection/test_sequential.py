"""The sequential test: it may be looked at after every request, and still alarms falsely as rarely as it says."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.detection.sequential import ALPHA, log_e_value, usual_rate, worse


def decided_after(rate: float, p0: float, requests: int, seed: int) -> int | None:
    """After how many requests of a stream with this failure rate it decides, looking after each one."""
    chance = random.Random(seed)
    failed = 0
    for number in range(1, requests + 1):
        failed += chance.random() < rate
        if failed and worse(failed, number, p0):
            return number
    return None


def test_false_alarms_stay_below_alpha() -> None:
    """300 streams at exactly the allowed rate, each looked at 2,000 times: expected false alarms, 0.03."""
    alarms = [seed for seed in range(300) if decided_after(0.01, 0.01, 2000, seed) is not None]

    assert alarms == []


def test_total_failure_is_seen_within_three_requests() -> None:
    assert decided_after(1.0, 0.01, 10, seed=1) == 3


def test_five_per_cent_errors_are_seen_within_a_few_seconds_of_traffic() -> None:
    """Against 1 % allowed, at 200 requests a second: half of the streams within 2 s, all within 6 s."""
    decided = sorted(decided_after(0.05, 0.01, 1200, seed) or 10**9 for seed in range(40))

    assert decided[20] <= 400
    assert decided[-1] <= 1200


@pytest.mark.parametrize(("failed", "requests"), [(0, 0), (0, 1000), (1, 1000), (10, 1000), (2, 10)])
def test_what_is_no_proof(failed: int, requests: int) -> None:
    assert not worse(failed, requests, 0.01)


def test_the_usual_rate_is_taken_from_above() -> None:
    """Few requests of the stable revision make no strict standard; many make one that is close to its own rate."""
    assert usual_rate(0, 0) == 0.0
    assert usual_rate(0, 500) == 0.0
    assert usual_rate(1, 10) > 0.1
    assert 0.05 < usual_rate(500, 10_000) < 0.06


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0.001, 0.999))
def test_it_is_finite_and_grows_with_failures(failed: int, good: int, p0: float) -> None:
    value = log_e_value(failed, failed + good, p0)

    assert math.isfinite(value)
    if failed > p0 * (failed + good):
        assert log_e_value(failed + 1, failed + 1 + good, p0) >= value - 1e-6


def test_alpha_is_what_the_documentation_says() -> None:
    assert ALPHA == 1e-4
