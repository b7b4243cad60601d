"""Percentiles from buckets: never too low, hardly too high."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from failback.drill.latency import Latencies


@given(st.lists(st.floats(0.01, 100_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_a_percentile_is_within_two_percent_and_never_flatters(took_ms: list[float], share: float) -> None:
    latencies = Latencies()
    for one in took_ms:
        latencies.add(one)
    exact = sorted(took_ms)[math.ceil(share * len(took_ms)) - 1]

    assert exact * 0.999_999 <= latencies.percentile_ms(share) <= exact * 1.021


def test_nothing_measured_is_nothing_said() -> None:
    assert Latencies().summary() == {}


def test_a_million_take_no_more_room_than_a_thousand() -> None:
    latencies = Latencies()
    for number in range(100_000):
        latencies.add(1 + number % 1000)

    assert len(latencies._counts) < 400
    assert latencies.summary()["max"] == 1000
