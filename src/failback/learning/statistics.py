"""The figures of the history: how deployments, rollbacks and fixes went. Pure; what was not measured is None.

`runs` are mappings with "kind", "created_at", "ended_at" and "result" (the contract's), in any order.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from failback.learning.records import Failure

CAUSES_MAX = 10


def summary(runs: Sequence[Mapping[str, Any]], failures: Sequence[Failure]) -> dict[str, Any]:
    """Everything that `failback history --stats` shows. Drills, and what still runs, do not count."""
    ended = [run for run in runs if run["kind"] != "drill" and run.get("result")]
    deployments = [run for run in ended if run["kind"] == "deploy" and not run["result"].get("refused")]
    return {
        "deployment": deployment_figures(deployments),
        "rollback": rollback_figures([run for run in ended if run["result"].get("rollback_performed")]),
        "failures": failure_figures(failures, deployments),
        "refused": sum(bool(run["result"].get("refused")) for run in ended),
        "rollbacks_by_hand": sum(run["kind"] == "rollback" for run in ended),
    }


def deployment_figures(deployments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Success and failure rate, average time, how often it was rolled back."""
    completed = [run for run in deployments if run["result"]["status"] == "completed"]
    rolled_back = sum(bool(run["result"].get("rollback_performed")) for run in deployments)
    seconds = [float(run["result"]["deployment"]["duration"]) for run in deployments]
    return {
        "total": len(deployments),
        "succeeded": len(completed),
        "failed": len(deployments) - len(completed),
        "success_rate": _share(len(completed), len(deployments)),
        "failure_rate": _share(len(deployments) - len(completed), len(deployments)),
        "average_duration": _mean(seconds),
        "rollbacks": rolled_back,
        "rollback_frequency": _share(rolled_back, len(deployments)),
    }


def rollback_figures(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How recoveries went: stable afterwards or not, how long, and what users felt."""
    results = [run["result"] for run in runs]
    stable = sum(result["rollback"]["system_status"] == "STABLE" for result in results)
    counted = [result["traffic"] for result in results if result["traffic"].get("failed") is not None]
    recovered = [
        float(result["recovery"]["total_time"])
        for result in results
        if (result.get("recovery") or {}).get("redeployed_by")
    ]
    return {
        "total": len(results),
        "succeeded": stable,
        "success_rate": _share(stable, len(results)),
        "average_duration": _mean([float(result["rollback"]["total_duration"]) for result in results]),
        "user_impact": {
            "measured": len(counted),
            "not_measured": len(results) - len(counted),
            "without_a_failed_request": sum(traffic["failed"] == 0 for traffic in counted),
            "requests": sum(int(traffic["requests"]) for traffic in counted),
            "failed_requests": sum(int(traffic["failed"]) for traffic in counted),
        },
        "average_recovery_time": _mean(recovered),
    }


def failure_figures(failures: Sequence[Failure], deployments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Types, common causes, time to a fix for each type, and how retries went."""
    types = Counter(failure.type for failure in failures)
    fix_s: dict[str, list[float]] = {}
    for failure in failures:
        if failure.fix_s is not None:
            fix_s.setdefault(failure.type, []).append(failure.fix_s)
    return {
        "total": len(failures),
        "types": dict(types.most_common()),
        "common_causes": _causes(failures),
        "fix_time": {
            kind: {"fixed": len(seconds), "median": round(statistics.median(seconds), 1), "average": _mean(seconds)}
            for kind, seconds in sorted(fix_s.items())
        },
        "retries": _retries(failures, deployments),
    }


def _causes(failures: Sequence[Failure]) -> list[dict[str, Any]]:
    """The causes that came most often, by their signature, with what ended the last one."""
    groups: dict[str, list[Failure]] = {}
    for failure in sorted(failures, key=lambda one: one.at):
        groups.setdefault(failure.signature, []).append(failure)
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), -pair[1][-1].at))
    return [
        {
            "signature": signature,
            "type": group[-1].type,
            "cause": group[-1].cause,
            "count": len(group),
            "services": sorted({one.service for one in group}),
            "last": group[-1].execution_id,
            "last_fix": next((one.change or one.commit for one in reversed(group) if one.fixed_by), ""),
        }
        for signature, group in ordered[:CAUSES_MAX]
    ]


def _retries(failures: Sequence[Failure], deployments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Releases that came after a failed one, and steps that were tried again by failback itself."""
    retried = [failure for failure in failures if failure.retried_at is not None]
    first = [one for one in retried if one.fixed_at is not None and one.fixed_at <= (one.retried_at or 0.0)]
    steps = [
        run["result"]
        for run in deployments
        if any(int(step.get("attempts") or 1) > 1 for step in run["result"].get("steps", ()))
    ]
    passed = sum(result["status"] == "completed" for result in steps)
    return {
        "failures_followed_by_a_release": len(retried),
        "of_these_succeeded_at_once": len(first),
        "success_rate": _share(len(first), len(retried)),
        "deployments_with_retried_steps": len(steps),
        "of_these_completed": passed,
        "step_retry_success_rate": _share(passed, len(steps)),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 3) if values else None
