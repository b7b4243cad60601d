"""The lines that tell a run while it goes on."""

from __future__ import annotations

from failback.cli.render.progress import sentence


def test_a_job_that_may_take_minutes_is_told_when_it_begins() -> None:
    assert sentence({"event": "write", "write": "job.create", "job": "migrate-1f2e"}) == (
        "· Job migrate-1f2e runs before the rollout"
    )


def test_other_writes_are_for_programs() -> None:
    assert sentence({"event": "write", "write": "lease.renew"}) is None


def test_an_event_that_nobody_knows_is_passed_over() -> None:
    assert sentence({"event": "write"}) is None
    assert sentence({"event": "of a later version"}) is None
