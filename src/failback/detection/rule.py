"""What a rule of the gate is: a row with a name, a question to the view, and why its facts suffice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from failback.model.observation import Limits, View


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's answer: the sentence with its numbers, and the facts it rests on."""

    reason: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` answers None where the rule does not hold. `why`: why these facts suffice. `source`: who states them."""

    name: str
    find: Callable[[View, Limits], Finding | None]
    why: str
    source: str
