"""The gate's rules: each is fired by what it is for, and not by what merely looks like it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.detection.gate import RULES, judge, time_to_next_look
from failback.model.evidence import ProbeResult
from failback.model.observation import (
    Exit,
    Limits,
    ReplicaView,
    RequestCounts,
    Stage,
    TrafficView,
    VerdictState,
    View,
)

LIMITS = Limits(ready_s_max=30, soak_s=2, bake_s=5)
MIB = 1024 * 1024


def answer(status: int | None = 200, ms: float = 5, error: str | None = None, kind: str = "smoke") -> ProbeResult:
    return ProbeResult("a", "/", status, ms, "status 200", error is None and status == 200, error, kind=kind)


GOOD = ReplicaView("a", running=True, ready=True, ready_at_s=1.0, smoke=(answer(),), last_ready_check=answer(kind="ready"))
STARTING = ReplicaView("a", running=True, smoke_done=False)
DEAD = ReplicaView("a", exits=(Exit(0.5, 0.5, code=1),), smoke_done=False)


def view(*replicas: ReplicaView, at_s: float = 1.5, wanted: int | None = None, **fields: object) -> View:
    named = tuple(replace(one, name=f"r2-{number}") for number, one in enumerate(replicas, start=1))
    return View(at_s=at_s, stage=Stage.DARK, replicas_wanted=wanted or len(named), replicas=named, **fields)  # type: ignore[arg-type]


def baking(new: RequestCounts, stable: RequestCounts = RequestCounts(), slow_ms: float | None = None, at_s: float = 4) -> View:
    traffic = TrafficView(new=new, stable=stable, slow_ms=slow_ms)
    return replace(view(GOOD, GOOD, at_s=at_s), stage=Stage.BAKE, bake_started_s=3.0, traffic=traffic)


FIRES = {
    "killed-for-memory": view(replace(DEAD, exits=(Exit(1, 1, signal="SIGKILL", oom_killed=True),)), GOOD),
    "deterministic-exit": view(replace(DEAD, exits=(Exit(0.1, 0.1, code=1, deterministic="missing module"),)), STARTING),
    "exits-again": view(replace(DEAD, exits=(Exit(1, 1, code=1), Exit(2, 1, code=1))), GOOD, at_s=2),
    "every-replica-exited": view(DEAD, DEAD),
    "smoke-wrong": view(replace(GOOD, smoke=(answer(500, error="answered 500"),) * 2), GOOD),
    "smoke-slow": view(replace(GOOD, smoke=(answer(200, 900, "took 900 ms"),) * 3), GOOD),
    "stopped-answering": view(
        replace(GOOD, ready=False, last_ready_check=answer(None, error="connection refused", kind="ready")), GOOD
    ),
    "new-error-lines": view(replace(GOOD, new_errors=("FATAL: no such table",)), GOOD),
    "memory-runs-out": view(
        replace(GOOD, memory_bytes=98 * MIB, memory_limit_bytes=100 * MIB, memory_growth_bytes_s=5.0 * MIB), GOOD
    ),
    "requests-fail": baking(RequestCounts(40, 40)),
    "requests-slower": baking(RequestCounts(200, 0, slow=150), RequestCounts(1000, 0, slow=5), slow_ms=500),
    "not-ready-in-time": view(STARTING, GOOD, at_s=30.1),
}

LOOK_ALIKES = {
    "killed-for-memory": view(replace(DEAD, exits=(Exit(1, 1, signal="SIGKILL"),)), GOOD),
    "deterministic-exit": view(replace(DEAD, exits=(Exit(0.1, 0.1, code=1),)), STARTING),
    "exits-again": view(replace(GOOD, exits=(Exit(0.2, 0.2, code=1),)), GOOD),
    "every-replica-exited": view(DEAD, GOOD),
    "smoke-wrong": view(replace(GOOD, smoke=(answer(500, error="answered 500"), answer(), answer())), GOOD),
    "smoke-slow": view(replace(GOOD, smoke=(answer(200, 900, "took 900 ms"), answer(), answer())), GOOD),
    "stopped-answering": view(
        replace(GOOD, ready_at_s=None, ready=False, last_ready_check=answer(None, error="connection refused")), GOOD
    ),
    "new-error-lines": view(replace(GOOD, new_errors=("WARN something odd",)), GOOD),
    "memory-runs-out": view(
        replace(GOOD, memory_bytes=98 * MIB, memory_limit_bytes=100 * MIB, memory_growth_bytes_s=0.1 * MIB), GOOD
    ),
    "requests-fail": baking(RequestCounts(40, 1)),
    "requests-slower": baking(RequestCounts(200, 0, slow=15), RequestCounts(1000, 0, slow=60), slow_ms=500),
    "not-ready-in-time": view(STARTING, GOOD, at_s=29.9),
}


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_fires(rule: str) -> None:
    """Each rule in the table has its case; a new one without it fails here."""
    verdict = judge(FIRES[rule], LIMITS)

    assert (verdict.state, verdict.rule) == (VerdictState.FAILED, rule)
    assert verdict.evidence
    assert verdict.reason


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_look_alike_does_not_fire(rule: str) -> None:
    assert judge(LOOK_ALIKES[rule], LIMITS).state is not VerdictState.FAILED


def test_every_rule_says_why_and_by_whom() -> None:
    assert all(rule.why and rule.source for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_slow_start_is_progressing_and_says_from_what_to_what() -> None:
    """A replica that takes 25 of 30 seconds is slow, and nothing else."""
    verdict = judge(view(STARTING, GOOD, at_s=25), LIMITS)

    assert verdict.state is VerdictState.PROGRESSING
    assert verdict.reason == "replicas ready 1 -> 2 (25 s of 30 s)"


def test_one_flaky_restart_is_forgiven() -> None:
    """It ended once, is back and answers: healthy after its soak."""
    flaky = replace(GOOD, exits=(Exit(0.4, 0.4, code=9),), ready_at_s=1.6)

    assert judge(view(flaky, GOOD, at_s=2.0), LIMITS).state is VerdictState.PROGRESSING
    assert judge(view(flaky, GOOD, at_s=3.7), LIMITS).state is VerdictState.HEALTHY


def test_a_clean_exit_of_a_server_counts() -> None:
    """Exit code 0 twice: a server that ends is gone, however politely."""
    ended = replace(DEAD, exits=(Exit(1, 1, code=0), Exit(2, 1, code=0)))

    assert judge(view(ended, GOOD), LIMITS).rule == "exits-again"


def test_a_lost_node_is_not_the_releases_fault() -> None:
    lost = replace(DEAD, node_lost=True, exits=(Exit(1, 1, code=137), Exit(2, 1, code=137)))

    assert judge(view(lost, GOOD, at_s=40), LIMITS).state is VerdictState.PROGRESSING


def test_an_init_container_that_ends_well_has_done_its_work() -> None:
    init = replace(GOOD, exits=(Exit(0.1, 0.1, code=0, container="setup", init=True),) * 3)

    assert judge(view(init, GOOD, at_s=4), LIMITS).state is VerdictState.HEALTHY


def test_errors_that_a_departing_client_causes_are_no_faults() -> None:
    """Python's own servers print a trace when a client goes away; every healthy one does."""
    lines = ("BrokenPipeError: [Errno <n>] Broken pipe", "Traceback (most recent call last):")
    noisy = replace(GOOD, new_errors=lines)

    assert judge(view(noisy, noisy, at_s=4), LIMITS).state is VerdictState.HEALTHY


def test_new_errors_under_users_requests_are_left_to_the_counts() -> None:
    """What one user's odd request makes a healthy service log is new as well."""
    noisy = replace(GOOD, new_errors=("KeyError: 'x'",))
    served = TrafficView(new=RequestCounts(500, 0), stable=RequestCounts())
    seen = replace(view(noisy, noisy, at_s=9), stage=Stage.BAKE, bake_started_s=3.0, traffic=served)

    assert judge(seen, LIMITS).state is VerdictState.HEALTHY


def test_healthy_needs_all_and_the_soak() -> None:
    assert judge(view(GOOD, GOOD, at_s=2.9), LIMITS).state is VerdictState.PROGRESSING
    assert judge(view(GOOD, GOOD, at_s=3.1), LIMITS).state is VerdictState.HEALTHY
    assert judge(view(GOOD, at_s=3.1, wanted=2), LIMITS).state is VerdictState.PROGRESSING
    assert judge(view(replace(GOOD, smoke_done=False), GOOD, at_s=3.1), LIMITS).state is VerdictState.PROGRESSING


def test_an_empty_view_is_progressing() -> None:
    assert judge(View(0.0, Stage.DARK, 2), LIMITS).state is VerdictState.PROGRESSING
    assert judge(View(9.0, Stage.DARK, 0), LIMITS).state is VerdictState.PROGRESSING


def test_a_bake_without_requests_passes_and_says_so() -> None:
    done = judge(baking(RequestCounts(), at_s=8.1), LIMITS)

    assert done.state is VerdictState.HEALTHY
    assert "no requests came" in done.reason


def test_a_stable_revision_that_fails_as_often_condemns_nobody() -> None:
    """5 % errors before and after: nothing has become worse."""
    same = baking(RequestCounts(400, 20), RequestCounts(4000, 200), at_s=8.1)

    assert judge(same, LIMITS).state is VerdictState.HEALTHY


def test_time_to_next_look_is_when_time_alone_may_decide() -> None:
    assert time_to_next_look(view(GOOD, GOOD, at_s=2.0), LIMITS) == pytest.approx(1.0)
    assert time_to_next_look(view(STARTING, at_s=29.75), LIMITS) == pytest.approx(0.25)


exits = st.builds(
    Exit,
    at_s=st.floats(0, 100),
    lived_s=st.floats(0, 100),
    code=st.none() | st.integers(0, 255),
    signal=st.none() | st.just("SIGTERM"),
    oom_killed=st.booleans(),
    deterministic=st.none() | st.just("missing file"),
    last_line=st.text(max_size=20),
    init=st.booleans(),
)
probes = st.builds(
    answer, st.none() | st.integers(100, 599), st.floats(0, 1e5), st.none() | st.sampled_from(["took 9 ms", "answered 500"])
)
replicas = st.builds(
    ReplicaView,
    name=st.text(min_size=1, max_size=5),
    running=st.booleans(),
    ready=st.booleans(),
    ready_at_s=st.none() | st.floats(0, 100),
    exits=st.lists(exits, max_size=3).map(tuple),
    last_ready_check=st.none() | probes,
    smoke=st.lists(probes, max_size=4).map(tuple),
    smoke_done=st.booleans(),
    new_errors=st.lists(st.text(max_size=30), max_size=3).map(tuple),
    memory_bytes=st.none() | st.integers(0, 10**10),
    memory_limit_bytes=st.none() | st.integers(1, 10**10),
    memory_growth_bytes_s=st.none() | st.floats(-1e9, 1e9),
    node_lost=st.booleans(),
    deleted=st.booleans(),
)
counts = st.integers(0, 5000).flatmap(
    lambda n: st.builds(RequestCounts, st.just(n), st.integers(0, n), st.integers(0, n))
)
views = st.builds(
    View,
    at_s=st.floats(0, 1000),
    stage=st.sampled_from(Stage),
    replicas_wanted=st.integers(0, 4),
    replicas=st.lists(replicas, max_size=4).map(tuple),
    traffic=st.none() | st.builds(TrafficView, counts, counts, st.none() | st.floats(1, 1000), st.booleans()),
    bake_started_s=st.none() | st.floats(0, 100),
)


@given(views)
def test_it_never_raises_and_a_failure_has_its_evidence(seen: View) -> None:
    verdict = judge(seen, LIMITS)

    if verdict.state is VerdictState.FAILED:
        assert verdict.rule in {rule.name for rule in RULES}
        assert verdict.evidence
    assert verdict.reason
    assert time_to_next_look(seen, LIMITS) > 0


@given(views)
def test_a_healthy_replica_more_saves_no_failed_release(seen: View) -> None:
    """What one replica proved stays proved when another one is well (the rules about *all* replicas apart)."""
    before = judge(seen, LIMITS)
    if before.state is VerdictState.FAILED and before.rule not in ("every-replica-exited", "new-error-lines"):
        more = replace(seen, replicas=(*seen.replicas, replace(GOOD, name="another")))

        assert judge(more, LIMITS).state is VerdictState.FAILED
