"""Rules about requests: the new revision's own, beside what is usual for the stable one."""

from __future__ import annotations

from failback.detection.rule import Finding, Rule
from failback.detection.sequential import usual_rate, worse
from failback.model.observation import Limits, TrafficView, View

# A share of slow requests that no one would call a change, on top of what is usual.
_SLOW_MARGIN = 0.05


def _fails_more(view: View, limits: Limits) -> Finding | None:
    traffic = view.traffic
    if traffic is None:
        return None
    p0 = usual_rate(traffic.stable.failed, traffic.stable.requests) + limits.error_increase_max
    if not worse(traffic.new.failed, traffic.new.requests, min(p0, 0.999)):
        return None
    usual = _share(traffic.stable.failed, traffic.stable.requests)
    return Finding(
        f"{traffic.new.failed:,} of {traffic.new.requests:,} {_kind(traffic)} failed ({usual} on the stable revision)",
        (f"failed {traffic.new.failed} of {traffic.new.requests}, at most {p0:.3f} allowed (e-value over 10^4)",),
    )


def _is_slower(view: View, limits: Limits) -> Finding | None:
    traffic = view.traffic
    if traffic is None or traffic.slow_ms is None:
        return None
    usual = usual_rate(traffic.stable.slow, traffic.stable.requests)
    p0 = usual * (1 + limits.latency_increase_max) + _SLOW_MARGIN
    if not worse(traffic.new.slow, traffic.new.requests, min(p0, 0.999)):
        return None
    return Finding(
        f"{traffic.new.slow:,} of {traffic.new.requests:,} {_kind(traffic)} took over {traffic.slow_ms:g} ms "
        f"({_share(traffic.stable.slow, traffic.stable.requests)} on the stable revision)",
        (f"slow {traffic.new.slow} of {traffic.new.requests}, at most {p0:.3f} allowed (e-value over 10^4)",),
    )


def _kind(traffic: TrafficView) -> str:
    return "copied requests" if traffic.mirrored else "user requests"


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}" if whole else "none seen"


RULES = (
    Rule(
        "requests-fail",
        _fails_more,
        why="so many failures are not to be had by chance from a revision as good as the stable one",
        source="the proxy's counters by revision",
    ),
    Rule(
        "requests-slower",
        _is_slower,
        why="so many slow answers are not to be had by chance from a revision as fast as the stable one",
        source="the proxy's latency histogram by revision",
    ),
)
