"""What a rule of the gate is: a row with a name, the state it gives, a question to the view, and why that suffices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from failback.model.observation import Limits, VerdictState, View

EVIDENCE_MAX = 4  # facts kept of one kind: the fifth of the same says nothing new


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's answer: the sentence with its numbers, and the facts it rests on (a FAILED rule has at least one)."""

    reason: str
    evidence: tuple[str, ...] = ()


Find = Callable[[View, Limits], Finding | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` answers None where the rule does not hold. `why`: why these facts suffice. `source`: who states them."""

    name: str
    state: VerdictState
    find: Find
    why: str
    source: str


def failed(name: str, find: Find, *, why: str, source: str) -> Rule:
    """A row that condemns."""
    return Rule(name, VerdictState.FAILED, find, why, source)


def progressing(name: str, find: Find, *, why: str, source: str) -> Rule:
    """A row that names what is waited for, and why it is no failure."""
    return Rule(name, VerdictState.PROGRESSING, find, why, source)
