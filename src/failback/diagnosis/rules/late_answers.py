"""Requests that were answered as they should be, and too late: nothing is down, and nothing is wrong but the time."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.asked import LATE, cpu_limit_millis
from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.rules.probes import SMALL_CPU_MILLIS
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Citation, FailureType
from failback.model.evidence import ProbeResult

_ALLOWED = re.compile(r"within (\d+) ms")
_STABLE_TOO = "a stable pod fails this check as well"
_FILES_MAX = 4


@scene_rule("answers-late", "failback's own smoke requests: the right status, and `max_ms` exceeded")
def answers_late(scene: Scene) -> Iterable[Hypothesis]:
    """The right answer after more time than the plan allows."""
    late = [probe for probe in scene.evidence.probes if not probe.passed and LATE.match(probe.error or "")]
    if not late:
        return
    slowest = max(late, key=lambda probe: probe.duration_ms)
    starved = 0 < (cpu_limit_millis(scene) or 0) <= SMALL_CPU_MILLIS
    yield Hypothesis(
        FailureType.CPU_STARVATION if starved else FailureType.TIMEOUT,
        f"The release answers {slowest.path} as it should, but too slowly (a slow response, timed out): {_figures(slowest, len(late))}"
        + (f"; it may use {cpu_limit_millis(scene)}m of a CPU" if starved else "")
        + _also_stable(slowest),
        0.86,
        (
            high(
                f"Find what makes {slowest.path} slow in this release",
                "Look at what each request does now and did not do before (a query without its index, a call to another service, a lock, "
                f"a cache that is cold or off, debug mode){_changed(scene)}",
                f"curl -s -o /dev/null -w '%{{time_total}} s\\n' http://ADDRESS{slowest.path}",
            ),
            *((high("Raise the CPU limit", "It is throttled when it computes more than that", "resources: {limits: {cpu: '1'}}"),) if starved else ()),
            medium(
                "Or allow it more time",
                "If this is what users are to get, say so in the plan",
                f"checks:\n  smoke: [{{path: {slowest.path}, status: {slowest.status}, max_ms: {2 * round(slowest.duration_ms)}}}]",
            ),
        ),
        (Citation(f"probes/{slowest.replica}", f"{slowest.kind} GET {slowest.path} -> {slowest.status}, {quoted(slowest.error or '', 120)}, expected {slowest.expected}"),),
        names=(slowest.path,),
    )  # fmt: skip


def _figures(slowest: ProbeResult, count: int) -> str:
    allowed = _ALLOWED.search(slowest.expected)
    limit = f", where {allowed.group(1)} ms are allowed" if allowed else ""
    return f"{slowest.duration_ms:.0f} ms{limit} ({count} of its requests were too slow)"


def _also_stable(slowest: ProbeResult) -> str:
    return "; the stable revision is too slow for this check as well" if _STABLE_TOO in (slowest.error or "") else ""


def _changed(scene: Scene) -> str:
    files = ", ".join(scene.change.files[:_FILES_MAX])
    return f". This release changed: {files}" if files else ""
