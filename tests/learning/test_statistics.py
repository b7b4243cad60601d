"""The figures of the history, from made-up histories whose figures are known."""

from __future__ import annotations

from typing import Any

from failback.learning.records import Failure
from failback.learning.statistics import summary


def run(
    status: str, *, kind: str = "deploy", duration: float = 10.0, attempts: int = 1, **fields: Any
) -> dict[str, Any]:
    failed = status == "failed"
    result = {
        "status": status,
        "rollback_performed": failed,
        "steps": [{"attempts": attempts}],
        "deployment": {"duration": duration},
        "traffic": {"requests": 100, "failed": 0},
        "rollback": {"system_status": "STABLE", "total_duration": 2.0},
        "recovery": None,
        **fields,
    }
    return {"kind": kind, "created_at": 0.0, "ended_at": duration, "result": result}


def failure(number: int, kind: str, signature: str = "a", **fields: Any) -> Failure:
    return Failure(f"e{number}", "shop", float(number), signature, kind, f"cause {signature}", **fields)


def test_an_empty_history_has_no_rates() -> None:
    """Nothing divided by nothing is nothing, never 0 %."""
    told = summary([], [])

    assert told["deployment"]["success_rate"] is None
    assert told["rollback"]["average_duration"] is None
    assert told["failures"]["retries"]["success_rate"] is None


def test_deployments() -> None:
    told = summary([run("completed"), run("completed", duration=20), run("failed", duration=30)], [])["deployment"]

    assert (told["total"], told["succeeded"], told["failed"]) == (3, 2, 1)
    assert told["success_rate"] == 0.6667
    assert told["average_duration"] == 20.0
    assert told["rollback_frequency"] == 0.3333


def test_drills_running_and_refused_ones_do_not_count() -> None:
    still = {"kind": "deploy", "created_at": 0.0, "ended_at": None, "result": None}
    runs = [run("failed", kind="drill"), still, run("failed", refused=True, rollback_performed=False), run("completed")]

    told = summary(runs, [])

    assert told["deployment"]["total"] == 1
    assert told["refused"] == 1
    assert told["rollback"]["total"] == 0


def test_rollbacks_and_what_users_felt() -> None:
    unknown = {"requests": None, "failed": None, "reason": "nobody measured it"}
    runs = [
        run("failed", recovery={"redeployed_by": "e9", "total_time": 60.0}),
        run("failed", traffic={"requests": 50, "failed": 5}),
        run("failed", traffic=unknown, rollback={"system_status": "UNSTABLE", "total_duration": 8.0}),
    ]

    told = summary(runs, [])["rollback"]

    assert told["success_rate"] == 0.6667
    assert told["average_duration"] == 4.0
    assert told["average_recovery_time"] == 60.0
    assert told["user_impact"] == {
        "measured": 2,
        "not_measured": 1,
        "without_a_failed_request": 1,
        "requests": 150,
        "failed_requests": 5,
    }


def test_failures_by_type_cause_and_fix_time() -> None:
    failures = [
        failure(1, "missing_file", fixed_by="g", fixed_at=11.0, change="x.json added"),
        failure(2, "missing_file", fixed_by="g", fixed_at=32.0, change="x.json added"),
        failure(3, "memory_limit", "b"),
    ]

    told = summary([], failures)["failures"]

    assert told["types"] == {"missing_file": 2, "memory_limit": 1}
    assert told["fix_time"] == {"missing_file": {"fixed": 2, "median": 20.0, "average": 20.0}}
    assert [(one["signature"], one["count"], one["last_fix"]) for one in told["common_causes"]] == [
        ("a", 2, "x.json added"),
        ("b", 1, ""),
    ]


def test_retries() -> None:
    """One was fixed by the very next release, one by a later one, one waits."""
    failures = [
        failure(1, "t", retried_at=5.0, fixed_by="g", fixed_at=5.0),
        failure(2, "t", retried_at=5.0, fixed_by="g", fixed_at=9.0),
        failure(3, "t"),
    ]

    told = summary([run("completed", attempts=3), run("failed", attempts=2)], failures)["failures"]["retries"]

    assert (told["failures_followed_by_a_release"], told["of_these_succeeded_at_once"], told["success_rate"]) == (
        2,
        1,
        0.5,
    )
    assert (told["deployments_with_retried_steps"], told["step_retry_success_rate"]) == (2, 0.5)
