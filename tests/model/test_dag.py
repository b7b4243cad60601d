"""The graph of steps: order, levels, cycles."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.model.dag import CycleFound, dependents, find_cycle, levels, ready, topological_order

DIAMOND = {"Build": (), "Test": ("Build",), "Lint": ("Build",), "Deploy": ("Test", "Lint")}


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Each name needs earlier ones only; then the order of the mapping is shuffled."""
    names = [f"s{number}" for number in range(draw(st.integers(0, 12)))]
    graph = {
        name: tuple(draw(st.lists(st.sampled_from(names[:place]), unique=True))) if place else ()
        for place, name in enumerate(names)
    }
    return {name: graph[name] for name in draw(st.permutations(names))}


def test_a_diamond_has_three_levels():
    assert levels(DIAMOND) == (("Build",), ("Test", "Lint"), ("Deploy",))


def test_ties_keep_the_plans_order():
    assert topological_order(DIAMOND) == ("Build", "Test", "Lint", "Deploy")
    assert topological_order({"b": (), "a": (), "c": ("a", "b")}) == ("b", "a", "c")


def test_ready_names_what_may_start_now():
    assert ready(DIAMOND, done=()) == ("Build",)
    assert ready(DIAMOND, done=(), begun=("Build",)) == ()
    assert ready(DIAMOND, done=("Build",)) == ("Test", "Lint")
    assert ready(DIAMOND, done=("Build",), begun=("Test",)) == ("Lint",)
    assert ready(DIAMOND, done=("Build", "Test"), begun=("Lint",)) == ()
    assert ready(DIAMOND, done=("Build", "Test", "Lint")) == ("Deploy",)


def test_dependents_are_what_a_failure_stops():
    assert dependents(DIAMOND, "Build") == ("Test", "Lint", "Deploy")
    assert dependents(DIAMOND, "Lint") == ("Deploy",)
    assert dependents(DIAMOND, "Deploy") == ()


@pytest.mark.parametrize(
    ("graph", "members"),
    [
        ({"a": ("a",)}, {"a"}),
        ({"a": ("b",), "b": ("a",)}, {"a", "b"}),
        ({"x": (), "a": ("x", "c"), "b": ("a",), "c": ("b",), "y": ("a",)}, {"a", "b", "c"}),
    ],
)
def test_a_cycle_is_named_by_its_members_alone(graph, members):
    """A step that merely leads into the cycle is not to blame."""
    cycle = find_cycle(graph)

    assert cycle is not None and cycle[0] == cycle[-1]
    assert members == set(cycle)
    for name, need in itertools.pairwise(cycle):
        assert need in graph[name]
    with pytest.raises(CycleFound) as found:
        topological_order(graph)
    assert members == set(found.value.cycle)


def test_a_diamond_is_no_cycle():
    """The same step reached on two ways looks like a cycle to a search that only remembers what it saw."""
    assert find_cycle(DIAMOND) is None


def test_an_unknown_need_is_a_key_error():
    with pytest.raises(KeyError):
        levels({"a": ("b",)})


def test_a_long_chain_ends_in_no_recursion_error():
    chain = {f"s{n}": ((f"s{n - 1}",) if n else ()) for n in range(3000)}

    assert find_cycle(chain) is None
    assert len(levels(chain)) == 3000


@given(acyclic())
def test_every_step_stands_after_all_it_needs(graph):
    order = topological_order(graph)

    assert set(order) == set(graph)
    for name, needs in graph.items():
        assert all(order.index(need) < order.index(name) for need in needs)
    assert find_cycle(graph) is None


@given(acyclic())
def test_running_what_is_ready_runs_everything_once(graph):
    done: list[str] = []
    while now := ready(graph, done):
        done += now

    assert sorted(done) == sorted(graph)


@given(acyclic().filter(lambda graph: len(graph) > 1), st.data())
def test_an_edge_back_is_always_found(graph, data):
    order = topological_order(graph)
    first, last = order[0], order[-1]
    closed = {**graph, first: (last,), last: (*graph[last], first)}

    cycle = find_cycle(closed)

    assert cycle is not None
    assert all(need in closed[name] for name, need in itertools.pairwise(cycle))
