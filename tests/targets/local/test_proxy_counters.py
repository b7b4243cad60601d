"""Which ends of a request a user would call a failure; the names and numbers are those that Envoy 1.40 showed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.targets.local.proxy_config import SLOW_BOUNDS_MS
from failback.targets.local.proxy_counters import failure_kind, slower_than, tally

FAILED = [
    (500, "-", "5xx", "the application said so"),
    (503, "-", "5xx", "the application said so itself"),
    (503, "URX,UC", "reset", "every replica broke off"),
    (503, "UC", "reset", "a POST was broken off"),
    (200, "UPE", "reset", "the answer broke off in the middle"),
    (200, "UC", "reset", "the same, with a length that was not reached"),
    (101, "UC", "reset", "a web socket was cut"),
    (503, "URX,UF", "connect", "no replica took the connection"),
    (503, "UH", "connect", "there is no replica"),
    (504, "UT", "timeout", "nothing came in time"),
    (504, "SI", "timeout", "nothing moved for an hour"),
    (200, "SI", "timeout", "the answer stopped moving for an hour"),
]
NO_FAILURE = [
    (200, "-", "good"),
    (302, "-", "a redirect"),
    (404, "-", "the application does not know it"),
    (429, "-", "the application limits its users"),
    (413, "-", "answered before the request was whole"),
    (101, "-", "a web socket that was closed"),
    (0, "DC", "the user clicked elsewhere"),
    (200, "DC", "the user stopped a download"),
    (400, "DPE", "no HTTP"),
    (501, "DPE", "no HTTP that Envoy knows: not the application's 501"),
    (426, "DPE", "an old protocol"),
    (408, "SI", "the user never sent the rest"),
]


@pytest.mark.parametrize(("code", "flags", "kind", "why"), FAILED, ids=lambda value: str(value))
def test_what_is_a_failure(code: int, flags: str, kind: str, why: str) -> None:
    assert failure_kind(code, frozenset(flags.split(",")), revision="r1") == kind, why


@pytest.mark.parametrize(("code", "flags", "why"), NO_FAILURE, ids=lambda value: str(value))
def test_what_looks_like_one_and_is_none(code: int, flags: str, why: str) -> None:
    assert failure_kind(code, frozenset(flags.split(",")), revision="r1") is None, why


def test_a_service_without_a_release_fails_its_users() -> None:
    assert failure_kind(503, frozenset("-"), revision="") == "no-release"


def test_one_reading_is_added_up() -> None:
    requests, kinds, revisions = tally(
        {
            "told.rq.revision.rev-r1.flags.-.code.200": 90,
            "told.rq.revision.rev-r1.flags.-.code.500": 2,
            "told.rq.revision.rev-r2.flags.URX,UF.code.503": 3,
            "told.rq.revision..flags.DPE.code.400": 4,
            "told.rq.revision.-.flags.-.code.503": 1,
            "told.rq.revision.rev-r1.flags.DC.code.0": 5,
            "told.left.revision.rev-r1.flags.DC.code.0": 1,
            "told.left.revision.rev-r1.flags.DC.code.200": 7,
            "cluster.rev-r1.upstream_rq_active": 2,
            "cluster.rev-r1.upstream_rq_pending_active": 1,
            "cluster.copy-r2.upstream_rq_active": 4,
            "server.live": 1,
        }
    )

    assert requests == 105
    assert kinds == {"5xx": 2, "gave-up": 1, "connect": 3, "no-release": 1}
    assert (revisions["r1"].requests, revisions["r1"].failed) == (97, 3)
    assert (revisions["r1"].active, revisions["r2"].active) == (3, 4)
    assert set(revisions) == {"r1", "r2"}


def test_nothing_asked_is_nothing_counted() -> None:
    assert tally({}) == (0, {}, {})


ENDS = st.tuples(
    st.sampled_from(["rev-r1", "rev-r2", ""]),
    st.sampled_from(["-", "DC", "DPE", "UF", "URX,UC", "UPE", "SI"]),
    st.integers(100, 599) | st.just(0),
)


@given(st.dictionaries(ENDS, st.integers(0, 1_000), max_size=30))
def test_failures_are_never_more_than_requests_and_both_are_all(ends: dict[tuple[str, str, int], int]) -> None:
    stats: dict[str, int | str] = {
        f"told.rq.revision.{cluster}.flags.{flags}.code.{code}": n for (cluster, flags, code), n in ends.items()
    }

    requests, kinds, revisions = tally(stats)

    assert requests == sum(ends.values())
    assert sum(kinds.values()) <= requests
    assert sum(one.failed for one in revisions.values()) <= sum(kinds.values())
    assert all(one.failed <= one.requests for one in revisions.values())


@given(st.lists(st.floats(0.5, 50_000), max_size=60), st.floats(1, 20_000))
def test_slow_is_never_said_of_what_was_not(took_ms: list[float], limit_ms: float) -> None:
    """The buckets are coarse: what cannot be told is not called slow, and what is 16 % over the limit always is."""
    buckets = {bound: sum(one <= bound for one in took_ms) for bound in (*SLOW_BOUNDS_MS, 1e9)}

    slow = slower_than(buckets, limit_ms)

    assert sum(one > limit_ms * 1.16 for one in took_ms) <= slow <= sum(one > limit_ms for one in took_ms)


def test_no_buckets_no_slow_ones() -> None:
    assert slower_than({}, 100) == 0
