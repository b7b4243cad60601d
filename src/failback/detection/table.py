"""All rules in their order: what condemns, what is healthy, what is waited for. First match wins."""

from __future__ import annotations

from failback.detection import (
    rules_image,
    rules_log,
    rules_memory,
    rules_pod,
    rules_process,
    rules_progress,
    rules_ready,
    rules_smoke,
    rules_traffic,
)
from failback.detection.rule import Rule

# Among those that condemn, the one that names the cause comes before the one that names a symptom: what the
# infrastructure states, how processes end, what they answer and say, and last what only time says.
RULES: tuple[Rule, ...] = (
    *rules_image.RULES,
    *rules_pod.RULES,
    *rules_process.RULES,
    *rules_smoke.RULES,
    *rules_traffic.RULES,
    *rules_log.RULES,
    *rules_memory.RULES,
    *rules_ready.RULES,
    rules_progress.HEALTHY,
    *rules_progress.RULES,
)
