"""`history --stats` as text: the figures of the history, with what was not measured said as such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from failback.cli.render.text import one_line, seconds

_CAUSES_MAX = 5


def statistics(figures: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the page."""
    yield from _deployments(figures["deployment"], figures)
    yield ""
    yield from _rollbacks(figures["rollback"])
    yield ""
    yield from _failures(figures["failures"])


def _deployments(told: Mapping[str, Any], figures: Mapping[str, Any]) -> Iterator[str]:
    yield f"Deployments: {told['total']}"
    if not told["total"]:
        return
    yield f"  succeeded {told['succeeded']} ({_share(told['success_rate'])}), failed {told['failed']}"
    yield f"  average time {seconds(told['average_duration'])}"
    yield f"  rolled back {told['rollbacks']} ({_share(told['rollback_frequency'])})"
    if figures["refused"]:
        yield f"  refused before anything was touched: {figures['refused']}"
    if figures["rollbacks_by_hand"]:
        yield f"  rollbacks by hand: {figures['rollbacks_by_hand']}"


def _rollbacks(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"Rollbacks: {told['total']}"
    if not told["total"]:
        return
    impact = told["user_impact"]
    yield f"  stable afterwards {told['succeeded']} ({_share(told['success_rate'])})"
    yield f"  average time {seconds(told['average_duration'])}"
    felt = f"{impact['failed_requests']:,} of {impact['requests']:,} requests failed"
    yield f"  user impact: {felt if impact['measured'] else 'UNKNOWN: none was measured'}"
    if impact["not_measured"]:
        yield f"  user impact was not measured in {impact['not_measured']} of them"
    yield f"  until the next good release: {seconds(told['average_recovery_time'])} on average"


def _failures(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"Failures remembered: {told['total']}"
    for kind, count in told["types"].items():
        fix = told["fix_time"].get(kind)
        took = f", fixed after {seconds(fix['median'])} (median of {fix['fixed']})" if fix else ", not fixed yet"
        yield f"  {count:4} {kind}{took}"
    for cause in told["common_causes"][:_CAUSES_MAX]:
        if cause["count"] > 1:
            yield f"  {cause['count']} times: {one_line(cause['cause'], 120)}"
            if cause["last_fix"]:
                yield f"      last fixed by {one_line(cause['last_fix'], 120)}"
    retries = told["retries"]
    if retries["failures_followed_by_a_release"]:
        yield (
            f"  the next release succeeded at once {retries['of_these_succeeded_at_once']} of "
            f"{retries['failures_followed_by_a_release']} times ({_share(retries['success_rate'])})"
        )
    if retries["deployments_with_retried_steps"]:
        yield (
            f"  deployments with retried steps: {retries['of_these_completed']} of "
            f"{retries['deployments_with_retried_steps']} completed ({_share(retries['step_retry_success_rate'])})"
        )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
