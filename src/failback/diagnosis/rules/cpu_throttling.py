"""Too little CPU, as the kernel's counters and runtimes' own clocks say it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.asked import cpu_limit_millis
from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.kube import patch
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType

THROTTLED_SHARE_MIN = 0.25


@scene_rule("cpu-throttled", "cgroup cpu.stat: nr_throttled of nr_periods; HikariCP's and other runtimes' own clocks")
def cpu_throttled(scene: Scene) -> Iterable[Hypothesis]:
    """A process that was throttled in a good part of its periods is short of CPU, whatever then timed out."""
    for document in scene.documents:
        for index in sorted(
            {
                *document.hits("nr_throttled"),
                *document.hits("cputhrottling"),
                *document.hits("thread starvation or clock leap"),
            }
        ):
            around = document.window(index, 3, 3)
            periods, throttled = (
                re.search(r"nr_periods\D{1,3}(\d+)", around),
                re.search(r"nr_throttled\D{1,3}(\d+)", around),
            )
            share = int(throttled.group(1)) / max(int(periods.group(1)), 1) if periods and throttled else None
            if share is not None and share < THROTTLED_SHARE_MIN:
                continue
            sign = (
                f"throttled in {share:.0%} of its periods" if share is not None else quoted(document.lines[index], 140)
            )
            limit = cpu_limit_millis(scene)
            yield Hypothesis(
                FailureType.CPU_STARVATION,
                f"The process has too little CPU ({sign}{f', cpu limit {limit}m' if limit else ''}): it is slow and times out: {quoted(document.lines[index], 160)}",
                0.92 if share is not None else 0.74,
                (
                    high("Raise the CPU limit", f"Increase the CPU limit (quota, resources.limits.cpu) and request until it is no longer throttled, or remove the limit; or give the start more time ({sign})",
                         patch(scene, None, "", "resources: {requests: {cpu: 250m}, limits: {cpu: '1'}}") if scene.on_kubernetes else "release:\n  resources: {cpu: 500m}"),
                ),
                (scene.cite(document, index),),
                scene.component_of(document),
                names=("cpu", "resources", "limits"),
            )  # fmt: skip
            return
