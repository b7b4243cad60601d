"""Rules about users' requests, or copies of them: the new revision's answers beside those of the stable one."""

from __future__ import annotations

import math

from failback.detection.moments import bake_due_s
from failback.detection.rule import Finding, failed
from failback.detection.sequential import ALPHA, KNOWN_MIN, log_e_value
from failback.model.observation import Limits, RequestCounts, Stage, TrafficView, View

SLOW_SHARE_MARGIN = 0.05  # of requests: so many may be slow on top of the usual share; a threshold cuts a tail anywhere
SUSPICIOUS = 10.0  # E from here on: not decided, but not to be called healthy before it was looked at for longer
ALL_MIN = 2


def log_e_failing(traffic: TrafficView, limits: Limits) -> float:
    """log E against: it fails no more often than the stable revision plus `error_increase_max`."""
    new, stable = traffic.new, traffic.stable
    return log_e_value(
        new.failed,
        new.requests,
        stable.failed,
        stable.requests,
        offset=limits.error_increase_max,
        known_min=_known_min(traffic),
    )


def log_e_slower(traffic: TrafficView, limits: Limits) -> float:
    """log E against: its share of slow answers is at most the stable one's times 1 + `latency_increase_max`, plus a
    margin."""
    if traffic.slow_ms is None:
        return 0.0
    new, stable = traffic.new, traffic.stable
    return log_e_value(
        new.slow,
        new.requests,
        stable.slow,
        stable.requests,
        factor=1.0 + max(0.0, limits.latency_increase_max),
        offset=SLOW_SHARE_MARGIN,
        known_min=_known_min(traffic),
    )


def _known_min(traffic: TrafficView) -> int:
    """Before the cut-over the stable revision was seen as much as it ever will; copies run side by side with it."""
    return 0 if traffic.mirrored else KNOWN_MIN


def suspicion(view: View, limits: Limits) -> str:
    """What about the requests is odd and not decided; empty where nothing is."""
    traffic = view.traffic
    if traffic is None:
        return ""
    if log_e_failing(traffic, limits) >= math.log(SUSPICIOUS):
        return f"{_failed(traffic.new, traffic)}, not enough to decide"
    if log_e_slower(traffic, limits) >= math.log(SUSPICIOUS):
        return f"{_slow(traffic.new, traffic)}, not enough to decide"
    return ""


def requests_fail(view: View, limits: Limits) -> Finding | None:
    traffic = view.traffic
    if traffic is None:
        return None
    log_e = log_e_failing(traffic, limits)
    if log_e < math.log(1 / ALPHA):
        return None
    usual = _share(traffic.stable.failed, traffic.stable)
    return Finding(
        f"{_failed(traffic.new, traffic)} ({usual} on the stable revision)",
        (
            f"failed {traffic.new.failed} of {traffic.new.requests}, stable {traffic.stable.failed} of "
            f"{traffic.stable.requests}, allowed {limits.error_increase_max:g} more: "
            f"e-value {_power(log_e)}, decided from 10^4",
        ),
    )


def requests_slower(view: View, limits: Limits) -> Finding | None:
    traffic = view.traffic
    if traffic is None:
        return None
    log_e = log_e_slower(traffic, limits)
    if log_e < math.log(1 / ALPHA):
        return None
    usual = _share(traffic.stable.slow, traffic.stable)
    return Finding(
        f"{_slow(traffic.new, traffic)} ({usual} on the stable revision)",
        (
            f"slow {traffic.new.slow} of {traffic.new.requests}, stable {traffic.stable.slow} of "
            f"{traffic.stable.requests}, allowed {1 + limits.latency_increase_max:g} times as many: "
            f"e-value {_power(log_e)}, decided from 10^4",
        ),
    )


def every_request_failed(view: View, limits: Limits) -> Finding | None:
    """One look at one fixed time, so it adds no more than offset^2 (1e-4 by default) to the false alarms."""
    traffic = view.traffic
    if traffic is None or view.stage is not Stage.BAKE or view.at_s < bake_due_s(view, limits):
        return None
    new, stable = traffic.new, traffic.stable
    if new.requests < ALL_MIN or new.failed < new.requests or stable.failed > 0:
        return None
    return Finding(
        f"every one of the {new.requests} {_kind(traffic)} failed until the bake was over",
        (f"failed {new.failed} of {new.requests}, stable {stable.failed} of {stable.requests}",),
    )


def _kind(traffic: TrafficView) -> str:
    if traffic.own:
        return "requests of failback's own"
    return "copied requests" if traffic.mirrored else "user requests"


def _failed(counts: RequestCounts, traffic: TrafficView) -> str:
    return f"{counts.failed:,} of {counts.requests:,} {_kind(traffic)} failed"


def _slow(counts: RequestCounts, traffic: TrafficView) -> str:
    return f"{counts.slow:,} of {counts.requests:,} {_kind(traffic)} took over {traffic.slow_ms:g} ms"


def _share(part: int, counts: RequestCounts) -> str:
    return f"{part:,} of {counts.requests:,}" if counts.requests else "none seen"


def _power(log_e: float) -> str:
    return f"10^{log_e / math.log(10):.1f}"


RULES = (
    failed(
        "requests-fail",
        requests_fail,
        why="so many failures are had by chance less than once in 10,000 roll-outs of a revision that is good enough, "
        "although one looks after each request",
        source="the proxy's or gateway's counters by revision; e-process of failback.detection.sequential",
    ),
    failed(
        "requests-slower",
        requests_slower,
        why="so many slow answers are had by chance less than once in 10,000 roll-outs of a fast enough revision",
        source="the proxy's or gateway's latency histogram by revision; e-process of failback.detection.sequential",
    ),
    failed(
        "every-request-failed",
        every_request_failed,
        why="few requests came, and not one was answered well, while none failed on the stable revision",
        source="the proxy's or gateway's counters by revision",
    ),
)
