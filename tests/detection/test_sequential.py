"""The sequential test: it may be looked at after every request, and still alarms falsely as rarely as it says."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.detection.sequential import ALPHA, KNOWN_MIN, log_e_value, worse

OFFSET = 0.01


def decided_after(
    rate: float,
    requests: int,
    seed: int,
    *,
    stable: tuple[int, int] = (0, 10_000),
    known_min: int = 0,
    alpha: float = ALPHA,
) -> int | None:
    """After how many requests of a stream with this failure rate it decides, looking after each one that failed (a good
    one never raises E above what it was)."""
    for failed, number in enumerate(failures(rate, requests, random.Random(seed)), start=1):
        if worse(failed, number, *stable, offset=OFFSET, known_min=known_min, alpha=alpha):
            return number
    return None


def failures(rate: float, requests: int, chance: random.Random) -> Iterator[int]:
    """The numbers of the requests that fail."""
    return (number for number in range(1, requests + 1) if chance.random() < rate)


def test_no_false_alarm_at_exactly_the_allowed_rate() -> None:
    """2,000 runs of 3,000 requests at the border of H0, looked at all the time: at most 0.2 alarms expected."""
    alarms = [seed for seed in range(2000) if decided_after(0.01, 3000, seed) is not None]

    assert alarms == []


def test_false_alarms_stay_below_a_level_that_can_be_measured() -> None:
    """The same at alpha = 5 %, where a wrong formula would show: both streams unknown, both at the border."""
    alarms = 0
    for seed in range(1000):
        chance = random.Random(seed)
        usual = sum(chance.random() < 0.02 for _ in range(1000))
        alarms += decided_after(0.03, 2000, seed + 10_000, stable=(usual, 1000), alpha=0.05) is not None

    assert alarms <= 50


def test_both_streams_growing_at_once_give_no_false_alarm() -> None:
    """Copies of requests while dark: the stable one's counts grow too, and each look is at both."""
    alarms = 0
    for seed in range(500):
        chance = random.Random(seed)
        new = stable = 0
        for number in range(1, 1501):
            stable += chance.random() < 0.04
            if chance.random() < 0.05:
                new += 1
                if worse(new, number, stable, number, offset=OFFSET, alpha=0.05):
                    alarms += 1
                    break

    assert alarms <= 25


def test_a_stable_revision_that_fails_as_often_condemns_nobody() -> None:
    """10 % before and after, over thousands of requests: nothing has become worse."""
    assert all(decided_after(0.10, 3000, seed, stable=(1000, 10_000)) is None for seed in range(200))


@pytest.mark.parametrize(("stable_requests", "at_most"), [(10_000, 3), (KNOWN_MIN, 3), (0, 3)])
def test_total_failure_is_decided_within_three_requests(stable_requests: int, at_most: int) -> None:
    decided = decided_after(1.0, 10, seed=1, stable=(0, stable_requests), known_min=KNOWN_MIN)

    assert decided is not None
    assert decided <= at_most


def test_five_per_cent_errors_are_decided_in_about_a_second_of_traffic() -> None:
    """Against none of 10,000, at 200 requests a second: half of the streams within 1.7 s, nine of ten within 3 s.
    No test at this level can do it in fewer than ln(10^4) / KL(5 % || 1 %) = 223 requests on average."""
    decided = sorted(decided_after(0.05, 2000, seed) or 10**9 for seed in range(200))

    assert decided[100] <= 340
    assert decided[180] <= 600
    assert decided[-1] <= 2000


@pytest.mark.parametrize(
    ("new", "stable"),
    [
        ((0, 0), (0, 0)),
        ((0, 1000), (0, 0)),
        ((1, 1), (0, 10_000)),
        ((10, 1000), (0, 10_000)),
        ((2, 10), (1, 5)),
        ((6, 10), (6, 10)),
    ],
)
def test_what_is_no_proof(new: tuple[int, int], stable: tuple[int, int]) -> None:
    assert not worse(*new, *stable, offset=OFFSET)


def test_a_slow_share_is_compared_by_a_factor() -> None:
    """Half as many again are allowed, and 5 % on top: 40 % after 30 % is within, 80 % is not."""
    assert not worse(400, 1000, 300, 1000, factor=1.5, offset=0.05)
    assert worse(800, 1000, 300, 1000, factor=1.5, offset=0.05)


def test_what_little_was_seen_of_the_stable_revision_counts_for_little() -> None:
    """The same 12 % after 4 %: proof where the 4 % are known, none where they are 2 of 50."""
    assert worse(60, 500, 400, 10_000, offset=OFFSET)
    assert not worse(60, 500, 2, 50, offset=OFFSET)


def test_the_border_is_where_it_is_hardest() -> None:
    """E is the least over H0: no pair of rates that obeys H0 explains the counts better than the one it has found."""
    k1, n1, k0, n0 = 30, 300, 12, 900
    e = log_e_value(k1, n1, k0, n0, offset=OFFSET)
    mixed = math.log(0.5) + math.lgamma(k1 + 0.5) + math.lgamma(n1 - k1 + 1) - math.lgamma(n1 + 1.5)
    mixed += math.log(0.1) + math.lgamma(k0 + 0.1) + math.lgamma(n0 - k0 + 1) - math.lgamma(n0 + 1.1)

    def bet(p1: float, p0: float) -> float:
        told = k1 * math.log(p1) + (n1 - k1) * math.log(1 - p1) + k0 * math.log(p0) + (n0 - k0) * math.log(1 - p0)
        return mixed - told

    grid = [number / 500 for number in range(1, 500)]
    assert all(bet(p1, p0) >= e - 1e-9 for p0 in grid for p1 in grid if p1 <= p0 + OFFSET)


@given(
    st.integers(-5, 3000),
    st.integers(-5, 3000),
    st.integers(-5, 3000),
    st.integers(-5, 3000),
    st.floats(0, 3),
    st.floats(0, 1),
)
def test_it_is_a_number_whatever_the_counts(k1: int, n1: int, k0: int, n0: int, factor: float, offset: float) -> None:
    assert math.isfinite(log_e_value(k1, n1, k0, n0, factor=factor, offset=offset))


@given(st.integers(1, 2000), st.integers(0, 2000), st.integers(0, 50), st.integers(0, 2000))
def test_one_more_failure_is_no_evidence_in_favour(
    failed: int, good: int, stable_failed: int, stable_good: int
) -> None:
    """Above the allowed share each failure raises E, and each good answer lowers it."""
    stable = (stable_failed, stable_failed + stable_good)
    now = log_e_value(failed, failed + good, *stable, offset=OFFSET)

    if now > 0:
        assert log_e_value(failed + 1, failed + good + 1, *stable, offset=OFFSET) >= now - 1e-9
        assert log_e_value(failed, failed + good + 1, *stable, offset=OFFSET) <= now + 1e-9


def test_alpha_is_what_the_documentation_says() -> None:
    assert ALPHA == 1e-4


def test_with_nothing_to_compare_with_the_allowed_share_is_the_standard() -> None:
    """A first deployment: 5 % are condemned, 1 % (as much as is allowed) never."""
    assert decided_after(0.05, 4000, seed=1, stable=(0, 0), known_min=KNOWN_MIN) is not None
    assert all(decided_after(0.01, 3000, seed, stable=(0, 0), known_min=KNOWN_MIN) is None for seed in range(300))


def test_side_by_side_nothing_is_decided_before_the_stable_one_was_seen() -> None:
    assert not worse(50, 50, 0, 0, offset=OFFSET)
