"""Latencies of any number of requests in a bounded place: counts in buckets that are each 2 % wide. Pure."""

from __future__ import annotations

import math
from collections import Counter

_WIDTH = math.log(1.02)
_LEAST_MS = 0.001
_SHOWN = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))


class Latencies:
    """Adds milliseconds, answers percentiles (at most 2 % too high, never too low)."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._total = 0
        self._max_ms = 0.0

    def add(self, ms: float) -> None:
        self._counts[math.ceil(math.log(max(ms, _LEAST_MS)) / _WIDTH)] += 1
        self._total += 1
        self._max_ms = max(self._max_ms, ms)

    def percentile_ms(self, share: float) -> float:
        """The latency that this share of all requests did not exceed; 0 when there are none."""
        wanted = math.ceil(share * self._total)
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return min(self._max_ms, math.exp(bucket * _WIDTH))
        return 0.0

    def summary(self) -> dict[str, float]:
        """{"p50": ..., "p90": ..., "p99": ..., "p99.9": ..., "max": ...} in milliseconds; empty when there are none."""
        if not self._total:
            return {}
        return {name: round(self.percentile_ms(share), 3) for name, share in _SHOWN} | {"max": round(self._max_ms, 3)}
