"""User impact is a difference of counters, and where it was not measured it says so."""

from __future__ import annotations

from failback.executor.measure import as_record, over
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
