"""A route's rules with a share for the new pods, or with copies for them: users' other backends and order stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.targets.kubernetes.routes import dark_name, mirrored, weighted

RULES: list[dict[str, Any]] = [
    {"matches": [{"path": {"value": "/"}}], "backendRefs": [{"name": "web", "port": 80}]},
    {"backendRefs": [{"name": "other", "port": 80}]},
]


def test_a_share_goes_to_the_new_pods() -> None:
    rules = weighted(RULES, "web", 10)

    assert [(ref["name"], ref["weight"]) for ref in rules[0]["backendRefs"]] == [("web", 90), ("web-failback", 10)]
    assert RULES[1] == rules[1]
    assert RULES[0]["matches"] == rules[0]["matches"]


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


def test_copies_go_beside_the_users_own_filters() -> None:
    rule = {"filters": [{"type": "RequestHeaderModifier"}], "backendRefs": [{"name": "web", "port": 80}]}

    filters = mirrored([rule], "web", 25)[0]["filters"]

    assert filters[0]["type"] == "RequestHeaderModifier"
    assert filters[1]["requestMirror"] == {"backendRef": {"name": "web-failback", "port": 80}, "percent": 25}


def test_the_second_name_is_a_valid_one() -> None:
    assert len(dark_name("w" * 63)) <= 63
