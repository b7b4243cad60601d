"""User impact is a difference of counters, and where it was not measured it says so."""

from __future__ import annotations

import pytest

from failback.executor.measure import as_record, over, untouched
from failback.model.execution import Traffic, impact_with_count, together, user_impact
from failback.model.release import RevisionCounters, TrafficCounters


def counters(requests: int, failed: int, epoch: str = "1", **revisions: tuple[int, int]) -> TrafficCounters:
    by_revision = {name: RevisionCounters(requests=r, failed=f) for name, (r, f) in revisions.items()}
    return TrafficCounters("proxy", epoch, requests, failed, {"5xx": failed} if failed else {}, by_revision)


def test_the_difference_counts() -> None:
    start = as_record(counters(100, 2, r1=(100, 2)), nothing_ran=False)

    traffic = over(start, counters(350, 5, r1=(250, 2), r2=(100, 3)))

    assert (traffic.requests, traffic.failed) == (250, 3)
    assert traffic.by_kind == {"5xx": 3}
    assert traffic.by_revision == {"r1": {"requests": 150, "failed": 0}, "r2": {"requests": 100, "failed": 3}}
    assert user_impact(traffic) == "3 requests failed"


def test_zero_needs_its_count() -> None:
    traffic = over(as_record(counters(10, 1), nothing_ran=False), counters(1214, 1))

    assert user_impact(traffic) == "ZERO"
    assert impact_with_count("ZERO", traffic.as_dict()) == "ZERO: 0 of 1,204 requests failed"


def test_no_requests_is_said() -> None:
    traffic = over(as_record(counters(10, 1), nothing_ran=False), counters(10, 1))

    assert impact_with_count(user_impact(traffic), traffic.as_dict()) == "ZERO: no requests came"


def test_a_restarted_proxy_is_unknown() -> None:
    """Its counters began at zero again: what they missed nobody knows."""
    traffic = over(as_record(counters(100, 0), nothing_ran=False), counters(50, 0, epoch="2"))

    assert user_impact(traffic) == "UNKNOWN"
    assert "restarted" in traffic.reason


def test_unreadable_counters_are_unknown() -> None:
    assert user_impact(over(as_record(None, nothing_ran=False), counters(5, 0))) == "UNKNOWN"
    assert user_impact(over(as_record(counters(5, 0), nothing_ran=False), None)) == "UNKNOWN"


def test_a_first_deployment_counts_from_the_proxys_start() -> None:
    assert over(as_record(None, nothing_ran=True), counters(7, 0)).requests == 7
    assert over(as_record(None, nothing_ran=True), None).requests == 0


def test_one_request_is_singular() -> None:
    assert user_impact(Traffic(10, 1, "proxy")) == "1 request failed"


def test_several_services_are_summed() -> None:
    """The sum, and beside it what each counted, and where."""
    traffic = together({"shop": Traffic(100, 2, "proxy", by_kind={"5xx": 2}), "search": Traffic(50, 0, "gateway")})

    assert (traffic.requests, traffic.failed, traffic.source) == (150, 2, "proxy, gateway")
    assert user_impact(traffic) == "2 requests failed"
    by_service = traffic.as_dict()["by_service"]
    assert by_service["search"] == {"requests": 50, "failed": 0, "source": "gateway", "user_impact": "ZERO"}
    assert traffic.by_kind == {"5xx": 2}


def test_several_services_are_unknown_where_one_is() -> None:
    """What one did not count, the others' counts cannot make up for; the reason names it."""
    unknown = Traffic(None, None, "none", "the proxy was restarted meanwhile")
    traffic = together({"shop": Traffic(100, 0, "proxy"), "search": unknown})

    assert (traffic.requests, traffic.failed) == (None, None)
    assert user_impact(traffic) == "UNKNOWN"
    assert "search: UNKNOWN: the proxy was restarted" in impact_with_count(user_impact(traffic), traffic.as_dict())


def test_a_count_and_a_proof_go_together() -> None:
    """One service counted, the other's new release was seen to get nothing: nobody was harmed, and both are told."""
    spared = Traffic(None, None, "endpoints", "no new pod was ever in a slice", spared=True)
    traffic = together({"shop": Traffic(100, 0, "proxy"), "search": spared})

    assert user_impact(traffic) == "ZERO"
    assert impact_with_count("ZERO", traffic.as_dict()).startswith(
        "ZERO: shop: ZERO: 0 of 100 requests failed; search: ZERO"
    )


def test_endpoints_show_that_nobody_was_reached() -> None:
    """No request is counted; that none could reach the new release is a ground of its own, and it is said."""
    watched = TrafficCounters("endpoints", "a", spared=True, uncounted="none of its pods was ever an endpoint")

    traffic = over(as_record(watched, nothing_ran=False), watched)

    assert user_impact(traffic) == "ZERO"
    assert impact_with_count("ZERO", traffic.as_dict()) == "ZERO: none of its pods was ever an endpoint"
    assert traffic.requests is None


@pytest.mark.parametrize("spared", [None, False])
def test_endpoints_that_show_less_are_unknown(spared: bool | None) -> None:
    watched = TrafficCounters("endpoints", "a", spared=spared, uncounted="users were switched to the new release")

    traffic = over(as_record(watched, nothing_ran=False), watched)

    assert user_impact(traffic) == "UNKNOWN"
    told = impact_with_count("UNKNOWN", traffic.as_dict())
    assert told == "UNKNOWN: users were switched to the new release"


def probed(requests: int, failed: int, epoch: str = "a", spared: bool | None = None) -> TrafficCounters:
    return TrafficCounters("probe", epoch, requests, failed, sample=True, spared=spared)


def test_a_probe_alone_is_a_sample() -> None:
    """1,204 good answers to ourselves say nothing of the users' own requests."""
    traffic = over(as_record(probed(0, 0), nothing_ran=False), probed(1204, 0))

    assert user_impact(traffic) == "UNKNOWN"
    assert impact_with_count("UNKNOWN", traffic.as_dict()) == "UNKNOWN: probe: 0 of 1,204 failed"
    assert traffic.as_dict()["sample"] is True


def test_a_probe_beside_endpoints_that_show_it_is_zero() -> None:
    traffic = over(as_record(probed(0, 0), nothing_ran=False), probed(1204, 0, spared=True))

    assert user_impact(traffic) == "ZERO"


def test_a_probe_that_failed_is_never_zero() -> None:
    traffic = over(as_record(probed(0, 0), nothing_ran=False), probed(1204, 3, spared=True))

    assert user_impact(traffic) == "UNKNOWN"
    assert impact_with_count("UNKNOWN", traffic.as_dict()) == "UNKNOWN: probe: 3 of 1,204 failed"


def test_what_another_process_watched_is_not_known_to_this_one() -> None:
    """After a kill and a resume there was a time in which nobody looked."""
    traffic = over(as_record(probed(10, 0), nothing_ran=False), probed(5, 0, epoch="b"))

    assert user_impact(traffic) == "UNKNOWN"
    assert "failback was restarted" in traffic.reason


def test_a_gateway_that_counted_nothing_at_the_start_is_unknown() -> None:
    start = TrafficCounters("gateway", "a", uncounted="its page cannot be read")

    traffic = over(as_record(start, nothing_ran=False), TrafficCounters("gateway", "b", 10, 0))

    assert user_impact(traffic) == "UNKNOWN"


def test_a_gateway_counts_as_a_proxy_does() -> None:
    start = as_record(TrafficCounters("gateway", "a", 10, 1), nothing_ran=False)

    assert user_impact(over(start, TrafficCounters("gateway", "a", 1214, 1))) == "ZERO"
    assert user_impact(over(start, TrafficCounters("gateway", "a", 1214, 4))) == "3 requests failed"


def test_what_was_refused_before_it_touched_anything_harmed_nobody() -> None:
    unwatched = TrafficCounters("endpoints", "a", uncounted="the endpoints were not watched")

    traffic = untouched(over(as_record(unwatched, nothing_ran=False), unwatched))

    assert impact_with_count(user_impact(traffic), traffic.as_dict()) == "ZERO: nothing was touched"


def test_requests_that_failed_meanwhile_are_told_all_the_same() -> None:
    """They failed for another reason, and the count is the count."""
    before, after = counters(10, 0), counters(50, 3)

    assert user_impact(untouched(over(as_record(before, nothing_ran=False), after))) == "3 requests failed"
