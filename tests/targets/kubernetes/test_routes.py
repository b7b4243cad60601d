"""A route's rules with a share for the new pods, or with copies for them: users' other backends and order stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.targets.kubernetes.route_rules import (
    RULES_MAX,
    WEIGHT_MAX,
    Way,
    as_shape,
    as_ways,
    cannot_copy,
    dark_name,
    mirrored,
    shaped,
    weighted,
)

RULES: list[dict[str, Any]] = [
    {"matches": [{"path": {"value": "/"}}], "backendRefs": [{"name": "web", "port": 80}]},
    {"backendRefs": [{"name": "other", "port": 80}]},
]
SAFE = ("GET", "HEAD")


def backends(rule: dict[str, Any]) -> list[tuple[str, int]]:
    return [(ref["name"], ref["weight"]) for ref in rule["backendRefs"]]


def test_a_share_goes_to_the_new_pods() -> None:
    rules = weighted(RULES, "web", 10)

    assert backends(rules[0]) == [("web", 90), ("web-failback", 10)]
    assert RULES[1] == rules[1]
    assert RULES[0]["matches"] == rules[0]["matches"]


def test_a_share_of_nothing_makes_them_known_and_sends_nobody() -> None:
    assert backends(weighted(RULES, "web", 0)[0]) == [("web", 100), ("web-failback", 0)]


@given(
    st.lists(st.tuples(st.sampled_from(["web", "a", "b"]), st.integers(0, 50)), min_size=1, max_size=4),
    st.integers(0, 100),
)
def test_all_others_keep_their_part(backends: list[tuple[str, int]], share: int) -> None:
    """What a backend gets of the whole is what it got before; the new pods get it from the stable ones alone."""
    rule = {"backendRefs": [{"name": name, "port": 80, "weight": weight} for name, weight in backends]}
    total = sum(weight for _, weight in backends)

    refs = weighted([rule], "web", share)[0]["backendRefs"]

    now = sum(ref["weight"] for ref in refs)
    if any(name == "web" for name, _ in backends) and total:
        for name in ("a", "b"):
            before = sum(weight for one, weight in backends if one == name) / total
            assert before == pytest.approx(sum(ref["weight"] for ref in refs if ref["name"] == name) / now)


def test_large_weights_stay_within_what_the_api_takes() -> None:
    rule = {"backendRefs": [{"name": "web", "port": 80, "weight": 900_000}, {"name": "a", "port": 80, "weight": 1}]}

    weights = dict(backends(weighted([rule], "web", 10)[0]))

    assert weights == {"web": WEIGHT_MAX, "web-failback": 111_111, "a": 1}


def test_copies_go_beside_the_users_own_filters_and_for_these_methods_alone() -> None:
    """A rule for each method, since beside some filters the API takes one match a rule; the rest falls to the last."""
    rule = {
        "name": "all",
        "matches": [{"path": {"value": "/"}}],
        "filters": [{"type": "URLRewrite"}],
        "backendRefs": [{"name": "web", "port": 80}],
    }

    *copied, rest = mirrored([rule], "web", 25, SAFE)

    assert [one["matches"] for one in copied] == [[{"path": {"value": "/"}, "method": method}] for method in SAFE]
    for one in copied:
        assert one["filters"][0]["type"] == "URLRewrite"
        assert one["filters"][1]["requestMirror"] == {"backendRef": {"name": "web-failback", "port": 80}, "percent": 25}
        assert "name" not in one
    assert rest == rule


def test_a_rule_of_one_method_is_copied_whole_or_not_at_all() -> None:
    ours = {"matches": [{"method": "GET"}], "backendRefs": [{"name": "web", "port": 80}]}
    other = {"matches": [{"method": "POST"}], "backendRefs": [{"name": "web", "port": 80}]}

    rules = mirrored([ours, other], "web", 100, SAFE)

    assert [one["matches"] for one in rules] == [ours["matches"], other["matches"]]
    assert ["filters" in one for one in rules] == [True, False]


@pytest.mark.parametrize("key", ["headers", "queryParams"])
def test_nothing_is_copied_where_a_match_by_method_would_take_requests_from_another_rule(key: str) -> None:
    beta = {"matches": [{key: [{"name": "beta", "value": "1"}]}], "backendRefs": [{"name": "other", "port": 80}]}

    assert cannot_copy({"spec": {"rules": RULES}}, "web", SAFE) == ""
    assert "headers or parameters" in cannot_copy({"spec": {"rules": [*RULES, beta]}}, "web", SAFE)
    assert cannot_copy({"spec": {"rules": [beta]}}, "web", SAFE) == ""
    assert "rules" in cannot_copy({"spec": {"rules": RULES[:1] * (RULES_MAX // 2)}}, "web", SAFE)


def test_two_services_of_one_route_each_get_what_is_theirs() -> None:
    """The second does not undo the first; the order in which they came makes no difference."""
    rules = [{"backendRefs": [{"name": name, "port": 80}]} for name in ("web", "api")]
    ways = {"web": Way(share=10), "api": Way(copies=100.0, methods=SAFE)}

    made = shaped(rules, ways)

    assert ("web-failback", 10) in backends(made[0])
    assert [one["matches"][0]["method"] for one in made[1:3]] == list(SAFE)
    assert made == shaped(rules, dict(reversed(ways.items())))
    assert as_ways(as_shape(ways)) == ways
    assert shaped(rules, {}) == rules


def test_the_second_name_is_a_valid_one() -> None:
    assert len(dark_name("w" * 63)) <= 63
