"""The gate as a whole: what it says on the way, when to look again, and what holds for every view there is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from failback.detection.gate import RULES, judge, time_to_next_look
from failback.detection.sight import live
from failback.model.evidence import MemorySample
from failback.model.observation import (
    Exit,
    Limits,
    ReplicaView,
    RequestCounts,
    Stage,
    Statement,
    TrafficView,
    VerdictState,
    View,
    Waiting,
)
from tests.detection.cases import FIRES, LOOK_ALIKES
from tests.detection.scene import GOOD, LIMITS, STARTING, answer, baking, exit_, view

FAILED, HEALTHY, PROGRESSING = VerdictState.FAILED, VerdictState.HEALTHY, VerdictState.PROGRESSING


# What it says on the way.


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (view(STARTING, GOOD, at_s=3.1), "new replicas ready 1 -> 2 (3 s of 30 s)"),
        (view(wanted=2, at_s=0.0), "new replicas ready 0 -> 2 (0 s of 30 s)"),
        (
            view(replace(GOOD, smoke_done=False, smoke_wanted=3), STARTING, at_s=3.1),
            "new replicas ready 1 -> 2, smoke 1 of 3 rounds (3 s of 30 s)",
        ),
        (view(replace(GOOD, smoke_done=False), GOOD, at_s=3.1), "smoke done on 1 -> 2 (3 s of 30 s)"),
        (view(GOOD, GOOD, at_s=2.1), "soak (1 s of 2 s)"),
        (baking(0, 0, at_s=5.0), "bake (2 s of 5 s)"),
        (baking(40, 0, at_s=5.0), "bake, 0 of 40 requests failed (2 s of 5 s)"),
        (
            baking(30, 4, stable=(5000, 0, 0), at_s=8.1),
            "looked at for longer: 4 of 30 user requests failed, not enough to decide",
        ),
        (
            view(replace(STARTING, running=False, exits=(exit_(0.5, 9, telling_line="it ends"),)), GOOD, at_s=3.1),
            "new replicas ready 1 -> 2 (3 s of 30 s); ended once, forgiven: r1: exit code 9 after 0.50 s: it ends",
        ),
    ],
)
def test_progressing_says_from_what_to_what(seen: View, reason: str) -> None:
    verdict = judge(seen, LIMITS)

    assert (verdict.state, verdict.reason) == (PROGRESSING, reason)


def test_not_ready_in_time_says_what_the_last_ready_check_answered() -> None:
    slow = replace(STARTING, last_ready_check=answer(503, 12, path="/health", kind="ready"))

    verdict = judge(view(slow, GOOD, at_s=30), LIMITS)

    assert verdict.reason == (
        "r1 was not ready within 30 s; last: /health on a: status 503, answered 503 in 12 ms "
        "(expected status 200 within 500 ms)"
    )


def test_a_bake_without_requests_passes_and_says_so() -> None:
    """No requests came: no failure, and no proof either, so the sentence does not pretend one."""
    assert judge(baking(0, 0, at_s=8.1), LIMITS).reason == "baked 5 s: no requests came"


def test_a_healthy_verdict_mentions_the_odd_line() -> None:
    verdict = judge(view(replace(GOOD, new_errors=("ERROR odd",)), GOOD, at_s=4), LIMITS)

    assert (verdict.state, verdict.evidence) == (HEALTHY, ("r1: ERROR odd",))


# The life of a release, moment by moment.


def test_one_flaky_restart_is_forgiven() -> None:
    """It ended once, is back and answers: healthy after a soak of its own."""
    down = replace(STARTING, running=False, exits=(exit_(0.4, 9),))
    back = replace(GOOD, exits=down.exits, ready_at_s=1.6)

    states = [judge(view(down, GOOD, at_s=0.5), LIMITS).state]
    states += [judge(view(back, GOOD, at_s=at_s), LIMITS).state for at_s in (2.0, 3.5, 3.6)]

    assert states == [PROGRESSING, PROGRESSING, PROGRESSING, HEALTHY]


def test_a_release_that_ends_every_few_seconds_is_not_believed_between_two_ends() -> None:
    """It ended after 5 s and is back: with a soak of 2 s it looked healthy just before it ends again at 10 s."""
    fell = replace(GOOD, exits=(exit_(5.0, 1, lived_s=5.0),))

    assert judge(view(fell, GOOD, at_s=9.9), LIMITS).state is PROGRESSING
    again = replace(fell, running=False, ready=False, exits=(*fell.exits, exit_(10.0, 1, lived_s=5.0)))
    assert judge(view(again, GOOD, at_s=10.0), LIMITS).rule == "exits-again"


def test_a_suspicion_about_requests_holds_up_the_end_of_the_bake_but_not_for_ever() -> None:
    """Four of 30 prove nothing; at three bakes' length it passes, with its count in the sentence."""
    suspicious = baking(30, 4, stable=(5000, 0, 0))

    assert judge(replace(suspicious, at_s=17.9), LIMITS).state is PROGRESSING
    passed = judge(replace(suspicious, at_s=18.1), LIMITS)
    assert (passed.state, passed.reason) == (HEALTHY, "baked 5 s: 4 of 30 user requests failed")


def test_a_suspicion_that_more_requests_clear_is_over_at_once() -> None:
    assert judge(baking(400, 4, stable=(5000, 0, 0), at_s=9), LIMITS).state is HEALTHY


# When to look again.


@pytest.mark.parametrize(
    ("seen", "wait_s"),
    [
        (view(GOOD, GOOD, at_s=2.0), 1.0),  # the soak
        (view(STARTING, at_s=29.75), 0.25),  # the ready check's limit
        (baking(0, 0, at_s=5.0), 3.0),  # the bake
        (view(wanted=2, at_s=590.0), 10.0),  # the start's limit
    ],
)
def test_time_to_next_look_is_when_time_alone_may_decide(seen: View, wait_s: float) -> None:
    assert time_to_next_look(seen, LIMITS) == pytest.approx(wait_s, abs=0.002)


def test_nothing_that_failed_needs_another_look() -> None:
    assert time_to_next_look(view(*[replace(STARTING, running=False, exits=(exit_(),))] * 2), LIMITS) == math.inf


# What holds for every view.

moment = st.floats(0, 1000)
exits = st.builds(
    Exit,
    at_s=st.floats(0, 100),
    lived_s=st.floats(0, 100),
    code=st.none() | st.integers(0, 255),
    signal=st.none() | st.just("SIGTERM"),
    oom_killed=st.booleans(),
    deterministic=st.none() | st.just("missing file"),
    telling_line=st.text(max_size=20),
    container=st.sampled_from(["", "proxy"]),
    init=st.booleans(),
)
probes = st.builds(
    answer,
    st.none() | st.integers(100, 599),
    st.floats(0, 1e5),
    st.none() | st.sampled_from(["took 9 ms", "answered 500", "connection refused"]),
    path=st.sampled_from(["/", "/a"]),
)
words = st.text(max_size=30) | st.sampled_from(
    [
        "not found",
        "401",
        'configmap "x" not found',
        "exceeded quota",
        "i/o timeout",
        "is forbidden",
        "Back-off",
        "FATAL: x",
    ]
)
waitings = st.builds(
    Waiting,
    st.sampled_from(
        [
            "ErrImagePull",
            "ImagePullBackOff",
            "CreateContainerConfigError",
            "CrashLoopBackOff",
            "ContainerCreating",
            "Odd",
        ]
    ),
    words,
    st.sampled_from(["", "proxy"]),
    st.booleans(),
)
replicas = st.builds(
    ReplicaView,
    name=st.sampled_from(["r1", "r2", "r3"]),
    running=st.booleans(),
    ready=st.booleans(),
    ready_at_s=st.none() | st.floats(0, 100),
    exits=st.lists(exits, max_size=3).map(tuple),
    waiting=st.lists(waitings, max_size=2).map(tuple),
    last_ready_check=st.none() | probes,
    smoke=st.lists(probes, max_size=4).map(tuple),
    smoke_done=st.booleans(),
    new_errors=st.lists(words, max_size=3).map(tuple),
    new_error_counts=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    memory_bytes=st.none() | st.integers(0, 10**10),
    memory_limit_bytes=st.none() | st.integers(0, 10**10),
    memory_growth_bytes_s=st.none() | st.floats(-1e9, 1e9),
    memory_samples=st.lists(st.builds(MemorySample, st.floats(0, 10), st.integers(0, 10**10)), max_size=20).map(tuple),
    node_lost=st.booleans(),
    deleted=st.booleans(),
    evicted=st.just("") | words,
    started_at_s=st.floats(0, 100),
    ready_failures=st.integers(0, 5),
    unready_since_s=st.none() | st.floats(0, 100),
)
statements = st.builds(
    Statement,
    st.sampled_from(
        ["FailedScheduling", "FailedMount", "FailedCreate", "TriggeredScaleUp", "Killing", "Unhealthy", "Failed", "Odd"]
    ),
    words,
    st.sampled_from(["Pod/r1", "Pod/r2", "ReplicaSet/r", ""]),
    moment,
    st.integers(0, 5),
)
counts = st.integers(0, 5000).flatmap(
    lambda n: st.builds(RequestCounts, st.just(n), st.integers(0, n), st.integers(0, n))
)
limits = st.builds(
    Limits,
    ready_s_max=st.floats(0, 100),
    soak_s=st.floats(0, 50),
    bake_s=st.floats(0, 50),
    error_increase_max=st.floats(0, 1),
    latency_increase_max=st.floats(0, 10),
    exits_max=st.integers(0, 4),
    start_s_max=st.floats(0, 900),
)
views = st.builds(
    View,
    at_s=moment,
    stage=st.sampled_from(Stage),
    replicas_wanted=st.integers(0, 4),
    replicas=st.lists(replicas, max_size=4).map(tuple),
    statements=st.lists(statements, max_size=4).map(tuple),
    traffic=st.none() | st.builds(TrafficView, counts, counts, st.none() | st.floats(1, 1000), st.booleans()),
    bake_started_s=st.none() | st.floats(0, 100),
    watched_since_s=st.floats(0, 100),
    autoscaled=st.none() | st.booleans(),
)
told = st.sampled_from([case.view for case in (*FIRES, *LOOK_ALIKES)])


@given(views, limits)
@example(View(0.0, Stage.DARK, 0), Limits())
@example(View(0.0, Stage.BAKE, 2), Limits(soak_s=0, bake_s=0))
def test_it_never_raises_and_a_failure_has_its_rule_and_evidence(seen: View, allowed: Limits) -> None:
    verdict = judge(seen, allowed)

    assert verdict.rule in {rule.name for rule in RULES}
    assert verdict.reason
    assert verdict.evidence or verdict.state is not FAILED
    assert verdict == judge(seen, allowed)
    assert time_to_next_look(seen, allowed) > 0


@given(views | told)
def test_a_healthy_replica_more_saves_no_failed_release(seen: View) -> None:
    """Beyond those that are wanted, a replica that is well takes nothing back of what another one proved."""
    assume(len(live(seen)) >= max(1, seen.replicas_wanted))
    before = judge(seen, LIMITS)
    more = replace(seen, replicas=(*seen.replicas, replace(GOOD, name="another")))

    if before.state is FAILED:
        assert judge(more, LIMITS).state is FAILED
        assert judge(more, LIMITS).rule == before.rule


@given(views | told, st.permutations(range(4)))
def test_the_order_of_replicas_does_not_matter(seen: View, order: list[int]) -> None:
    shuffled = replace(seen, replicas=tuple(seen.replicas[index] for index in order if index < len(seen.replicas)))
    assume(len({one.name for one in seen.replicas}) == len(seen.replicas))
    before, after = judge(seen, LIMITS), judge(shuffled, LIMITS)

    assert (before.state, before.rule) == (after.state, after.rule)


@given(views | told, st.floats(0.0, 0.999))
def test_before_the_next_look_time_alone_changes_nothing(seen: View, share: float) -> None:
    """So a caller that is woken by every change needs no polling; and no time takes back that it failed."""
    wait_s = time_to_next_look(seen, LIMITS)
    before = judge(seen, LIMITS)
    later = judge(replace(seen, at_s=seen.at_s + share * max(0.0, min(wait_s - 0.002, 10_000.0))), LIMITS)

    assert before.state == later.state
    assert before.rule == later.rule or before.state is FAILED


@given(views | told)
def test_every_wait_ends(seen: View) -> None:
    """Whatever a view shows, time alone decides it in the end; unless nothing was asked for."""
    assume(seen.replicas_wanted > 0)
    looks = 0
    while judge(seen, LIMITS).state is PROGRESSING:
        wait_s = time_to_next_look(seen, LIMITS)
        assert wait_s < math.inf
        seen = replace(seen, at_s=seen.at_s + wait_s)
        looks += 1
        assert looks < 60


@given(views | told, st.floats(0, 1e4))
def test_it_is_the_same_story_at_another_time(seen: View, shift_s: float) -> None:
    """Moved as a whole, with nobody's clock in it, a view is judged alike."""
    shift_s = round(shift_s * 64) / 64
    moved = shifted(rounded(seen), shift_s)
    before, after = judge(shifted(rounded(seen), 0.0), LIMITS), judge(moved, LIMITS)

    assert (before.state, before.rule) == (after.state, after.rule)


def rounded(seen: View) -> View:
    """All its times as sixty-fourths of a second, which floats hold exactly."""
    return _mapped(seen, lambda at_s: round(at_s * 64) / 64)


def shifted(seen: View, by_s: float) -> View:
    """Every moment later; a launch at 0 becomes a watch since then, as after a resume."""
    return _mapped(replace(seen, watched_since_s=max(1.0, seen.watched_since_s)), lambda at_s: at_s + by_s)


def _mapped(seen: View, change: object) -> View:
    def at(value: float | None) -> float | None:
        return None if value is None else change(value)  # type: ignore[operator,no-any-return]

    return replace(
        seen,
        at_s=at(seen.at_s),
        bake_started_s=at(seen.bake_started_s),
        watched_since_s=at(seen.watched_since_s),
        statements=tuple(replace(one, at_s=at(one.at_s)) for one in seen.statements),
        replicas=tuple(
            replace(
                one,
                ready_at_s=at(one.ready_at_s),
                started_at_s=at(one.started_at_s),
                unready_since_s=at(one.unready_since_s),
                exits=tuple(replace(end, at_s=at(end.at_s)) for end in one.exits),
            )
            for one in seen.replicas
        ),
    )
