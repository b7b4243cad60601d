"""A directed graph of names: topological order, levels, cycles, what is ready. Pure.

A graph is a mapping name -> names that it needs. Its order is the order of the mapping, so results are stable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

Graph = Mapping[str, Sequence[str]]


class CycleFound(ValueError):
    """The graph has a cycle; `cycle` names its members, the first one repeated at the end."""

    def __init__(self, cycle: Sequence[str]) -> None:
        super().__init__(" -> ".join(cycle))
        self.cycle = tuple(cycle)


def find_cycle(graph: Graph) -> tuple[str, ...] | None:
    """A cycle as (a, b, ..., a), where each needs the next; None when there is none. Unknown names are ignored."""
    finished: set[str] = set()
    for start in graph:
        if start in finished:
            continue
        # An explicit stack: a plan of thousands of steps must not end in a RecursionError.
        trail: list[str] = [start]
        on_trail = {start}
        pending = [iter(graph[start])]
        while pending:
            need = next(pending[-1], None)
            if need is None:
                pending.pop()
                left = trail.pop()
                on_trail.discard(left)
                finished.add(left)
            elif need in on_trail:
                return (*trail[trail.index(need) :], need)
            elif need in graph and need not in finished:
                trail.append(need)
                on_trail.add(need)
                pending.append(iter(graph[need]))
    return None


def levels(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """The names in rows: all needs of a row stand in rows before it. Raises CycleFound, KeyError (unknown need)."""
    left = {name: set(needs) for name, needs in graph.items()}
    for needs in left.values():
        for need in needs:
            if need not in left:
                raise KeyError(need)
    rows: list[tuple[str, ...]] = []
    done: set[str] = set()
    while left:
        row = tuple(name for name, needs in left.items() if needs <= done)
        if not row:
            raise CycleFound(find_cycle(graph) or ())
        rows.append(row)
        done.update(row)
        for name in row:
            del left[name]
    return tuple(rows)


def topological_order(graph: Graph) -> tuple[str, ...]:
    """Every name after all that it needs; ties in the graph's own order. Raises CycleFound, KeyError as `levels`."""
    order: list[str] = []
    levels(graph)  # proves that there is an order
    done: set[str] = set()
    left = dict(graph)
    while left:
        name = next(name for name, needs in left.items() if done.issuperset(needs))
        order.append(name)
        done.add(name)
        del left[name]
    return tuple(order)


def ready(graph: Graph, done: Collection[str], begun: Collection[str] = ()) -> tuple[str, ...]:
    """The names whose needs are all in `done` and that are neither in `done` nor in `begun`, in the graph's order."""
    finished, started = set(done), set(begun)
    return tuple(
        name
        for name, needs in graph.items()
        if name not in finished and name not in started and finished.issuperset(needs)
    )


def dependents(graph: Graph, name: str) -> tuple[str, ...]:
    """Everything that needs `name`, directly or through others, in the graph's order."""
    found: set[str] = set()
    grew = True
    while grew:
        grew = False
        for other, needs in graph.items():
            if other not in found and (name in needs or not found.isdisjoint(needs)):
                found.add(other)
                grew = True
    found.discard(name)
    return tuple(other for other in graph if other in found)
