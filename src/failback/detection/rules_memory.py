"""Rules about memory that will not suffice: nearly at the limit and growing, or growing as straight as a leak does."""

from __future__ import annotations

from collections.abc import Sequence

from failback.detection.rule import Finding, failed
from failback.detection.sight import live, mebibytes
from failback.model.evidence import MemorySample
from failback.model.observation import Limits, View

SHARE_NEAR = 0.95
GROWTH_SHARE_S_MIN = 0.01  # of the limit, a second: below it, it is the noise of caches and collectors
RECENT_S = 2.0  # the start's own growth is over by then, and no longer in the slope
LEAK_SHARE = 0.8
LEAK_SPAN_S = 5.0
LEAK_SAMPLES_MIN = 12
LEAK_AHEAD_S = 60.0
LEAK_EVEN = 0.5  # no third grows by less than this share of the whole: a warm-up levels off, and caches grow in steps


def memory_runs_out(view: View, limits: Limits) -> Finding | None:
    ahead_s = limits.soak_s + limits.bake_s
    for replica in live(view):
        used, limit = replica.memory_bytes, replica.memory_limit_bytes
        if used is None or not limit or used < SHARE_NEAR * limit:
            continue
        recent = _latest(replica.memory_samples, RECENT_S)
        growth = slope(recent) if replica.memory_samples else replica.memory_growth_bytes_s
        if growth is None or growth < GROWTH_SHARE_S_MIN * limit or used + growth * ahead_s < limit:
            continue
        left_s = max(0, limit - used) / growth
        return Finding(
            f"{replica.name} uses {mebibytes(used)} of {mebibytes(limit)} and grows by {growth / 2**20:.1f} MiB/s",
            (f"{replica.name}: {used / limit:.0%} of its memory limit, which it reaches in {left_s:.1f} s",),
        )
    return None


def memory_leaks(view: View, limits: Limits) -> Finding | None:
    for replica in live(view):
        limit, samples = replica.memory_limit_bytes, _latest(replica.memory_samples, LEAK_SPAN_S, LEAK_SAMPLES_MIN)
        if not limit or len(samples) < LEAK_SAMPLES_MIN or samples[-1].at_s - samples[0].at_s < LEAK_SPAN_S:
            continue
        used, growth = samples[-1].bytes, slope(samples)
        if growth is None or used < LEAK_SHARE * limit or used + growth * LEAK_AHEAD_S < limit:
            continue
        third = len(samples) // 3
        thirds = (slope(samples[:third]), slope(samples[third : 2 * third]), slope(samples[2 * third :]))
        if growth > 0 and all(part is not None and part >= LEAK_EVEN * growth for part in thirds):
            span_s = samples[-1].at_s - samples[0].at_s
            grown = f"{mebibytes(samples[0].bytes)} -> {mebibytes(used)} in {span_s:.1f} s"
            return Finding(
                f"{replica.name} leaks memory: {mebibytes(used)} of {mebibytes(limit)}, {growth / 2**20:.1f} MiB/s "
                f"more for {span_s:.0f} s without a pause",
                (
                    f"{replica.name}: {grown}, in thirds of it "
                    + ", ".join(f"{(part or 0) / 2**20:.1f}" for part in thirds)
                    + " MiB/s",
                ),
            )
    return None


def slope(samples: Sequence[MemorySample]) -> float | None:
    """Least squares, in bytes a second; None where there are too few samples to say."""
    if len(samples) < 3:
        return None
    mean_s = sum(one.at_s for one in samples) / len(samples)
    mean_bytes = sum(one.bytes for one in samples) / len(samples)
    spread = sum((one.at_s - mean_s) ** 2 for one in samples)
    if spread <= 0:
        return None
    return sum((one.at_s - mean_s) * (one.bytes - mean_bytes) for one in samples) / spread


def _latest(samples: Sequence[MemorySample], span_s: float, least: int = 1) -> Sequence[MemorySample]:
    """The shortest end of the samples that covers `span_s` and is `least` samples long (a kubelet is asked once a
    second, a local process four times); all of them where they are fewer."""
    for index in range(len(samples) - least, -1, -1):
        if samples[-1].at_s - samples[index].at_s >= span_s:
            return samples[index:]
    return samples


RULES = (
    failed(
        "memory-runs-out",
        memory_runs_out,
        why="at this growth the limit is reached before the gate would be over; the kernel's kill is seconds away",
        source="cgroup usage without page cache; metrics of the kubelet",
    ),
    failed(
        "memory-leaks",
        memory_leaks,
        why="four fifths of the limit are used, each third of the time grew alike, and a minute later none is left",
        source="cgroup usage without page cache; metrics of the kubelet",
    ),
)
