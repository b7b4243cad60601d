"""Memory that will not suffice, and the warm-ups, caches and heaps of healthy releases."""

from __future__ import annotations

from dataclasses import replace

from tests.detection.scene import GOOD, MIB, fires, look_alike, memory, view

STRAIGHT = [70 + number * 0.75 for number in range(24)]  # 3 MiB/s for 5.75 s, up to 87 of 100

FIRES = (
    fires(
        "memory-runs-out",
        view(replace(GOOD, memory_bytes=98 * MIB, memory_limit_bytes=100 * MIB, memory_growth_bytes_s=5.0 * MIB), GOOD),
        "98 % and 5 % more a second",
    ),
    fires("memory-runs-out", view(memory([80 + number for number in range(18)]), GOOD), "by its samples"),
    fires("memory-leaks", view(memory(STRAIGHT), GOOD), "straight for five seconds, a minute from its limit"),
)

LOOK_ALIKES = (
    look_alike(
        "memory-runs-out",
        view(replace(GOOD, memory_bytes=98 * MIB, memory_limit_bytes=100 * MIB, memory_growth_bytes_s=0.1 * MIB), GOOD),
        "a heap that fills its limit and stays there",
    ),
    look_alike(
        "memory-runs-out",
        view(
            replace(GOOD, memory_bytes=60 * MIB, memory_limit_bytes=100 * MIB, memory_growth_bytes_s=30.0 * MIB), GOOD
        ),
        "it loads its data, and has room",
    ),
    look_alike(
        "memory-runs-out",
        view(replace(memory([1, 30, 60, 96] + [96.5] * 20), memory_growth_bytes_s=20.0 * MIB), GOOD),
        "the start took all at once; the growth over the whole life is not today's",
    ),
    look_alike(
        "memory-runs-out",
        view(replace(GOOD, memory_bytes=98 * MIB, memory_growth_bytes_s=9.0 * MIB), GOOD),
        "no limit, nothing to reach",
    ),
    look_alike(
        "memory-leaks", view(memory([95 - 40 * 0.8**number for number in range(24)]), GOOD), "a warm-up levels off"
    ),
    look_alike("memory-leaks", view(memory([70] * 8 + [80] * 8 + [90] * 8), GOOD), "a cache grows in steps"),
    look_alike("memory-leaks", view(memory(STRAIGHT[:12]), GOOD), "three seconds are no leak yet"),
    look_alike(
        "memory-leaks",
        view(memory([used - 40 for used in STRAIGHT]), GOOD),
        "it fills half of its limit, as it was built to",
    ),
    look_alike(
        "memory-leaks",
        view(memory([82 + number * 0.01 for number in range(24)]), GOOD),
        "a slow growth that needs many minutes",
    ),
)
