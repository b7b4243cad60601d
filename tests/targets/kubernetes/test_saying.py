"""Which of the cluster's words become statements, and when they were first said."""

from __future__ import annotations

from failback.model.redaction import Redactor
from failback.targets.kubernetes.saying import STATEMENTS_MAX, Sayings
from tests.targets.kubernetes.objects import LAUNCHED_UNIX_S, event


def sayings(now_s: float = 30.0) -> Sayings:
    return Sayings(Redactor(["hunter2-secret"]), lambda: now_s, LAUNCHED_UNIX_S)


def test_an_event_is_told_with_its_object_and_its_time() -> None:
    said = sayings()

    said.event(event("FailedScheduling", "0/1 nodes are available"))

    (told,) = said.all()
    assert (told.reason, told.object, told.at_s, told.count) == ("FailedScheduling", "Pod/web-1", 5.0, 1)


def test_the_same_event_said_again_counts_and_keeps_its_first_time() -> None:
    said = sayings()
    said.event(event("Unhealthy", "503"))

    said.event(event("Unhealthy", "503 again", count=4, lastTimestamp="2026-01-20T11:00:20Z"))

    (told,) = said.all()
    assert (told.at_s, told.count, told.message) == (5.0, 4, "503 again")


def test_events_of_an_earlier_rollout_are_not_this_ones() -> None:
    """A StatefulSet keeps its name: what was said of it an hour ago is still there."""
    said = sayings()

    assert not said.event(event("FailedCreate", "exceeded quota", about="StatefulSet/web", at="2026-01-20T10:00:00Z"))
    assert said.all() == ()


def test_what_every_pod_goes_through_is_no_statement() -> None:
    said = sayings()

    assert not any(said.event(event(reason)) for reason in ("Scheduled", "Pulling", "Pulled", "Created", "Started"))


def test_secrets_in_messages_are_masked() -> None:
    said = sayings()

    said.event(event("Failed", "cannot log in with hunter2-secret"))

    assert "hunter2" not in said.all()[0].message


def test_a_replica_sets_condition_is_a_statement_as_its_event_would_be() -> None:
    """The event may be dropped by a busy API server; the condition stays as long as it holds."""
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}
    said = sayings()

    said.refusals({"kind": "ReplicaSet", "metadata": {"name": "web-7d9f"}, "status": {"conditions": [condition]}})

    (told,) = said.all()
    assert (told.reason, told.object, told.message) == ("FailedCreate", "ReplicaSet/web-7d9f", "exceeded quota: q")


def test_a_condition_that_does_not_hold_says_nothing() -> None:
    condition = {"type": "ReplicaFailure", "status": "False", "reason": "FailedCreate", "message": "exceeded quota: q"}

    assert not sayings().refusals(
        {"kind": "ReplicaSet", "metadata": {"name": "w"}, "status": {"conditions": [condition]}}
    )


def test_a_storm_of_events_is_bounded() -> None:
    said = sayings()
    for number in range(2 * STATEMENTS_MAX):
        said.event(event("BackOff", about=f"Pod/web-{number}"))

    assert len(said.all()) == STATEMENTS_MAX
