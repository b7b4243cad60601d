"""The plan as nodes of one graph: every step is a node, and a Deploy step is five of them, one after another.

A node is what is recorded as done; so a killed execution goes on at the node at which it died. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from failback.model.plan import Step


class Part(StrEnum):
    """The parts of a Deploy step on a target, in order; COMMAND is any other step, run by the orchestrator."""

    COMMAND = "command"
    STAGE = "stage"
    LAUNCH = "launch"
    JUDGE = "judge"
    CUT_OVER = "cut-over"
    BAKE = "bake"
    EXTEND = "extend"


ROLLOUT = (Part.STAGE, Part.LAUNCH, Part.JUDGE, Part.CUT_OVER, Part.BAKE, Part.EXTEND)
# Only these may be broken off in the middle: the others are short, and half of one would have to be repaired.
CANCELLABLE = frozenset({Part.COMMAND, Part.JUDGE, Part.BAKE})


@dataclass(frozen=True, slots=True)
class Node:
    """One node; `needs` are names of nodes."""

    name: str
    step: Step
    number: int
    part: Part
    needs: tuple[str, ...]


def nodes_of(
    steps: Sequence[Step], order: Sequence[str], needs: Mapping[str, Sequence[str]], rollout: bool
) -> list[Node]:
    """The nodes in topological order. `rollout`: a target is there, so Deploy steps are rolled out by failback."""
    numbers = {step.name: number for number, step in enumerate(steps, start=1)}
    by_name = {step.name: step for step in steps}
    nodes: list[Node] = []
    last = {name: _last_node(by_name[name], rollout) for name in by_name}
    for name in order:
        step = by_name[name]
        wanted = tuple(last[need] for need in needs[name])
        if not is_rollout(step, rollout):
            nodes.append(Node(name, step, numbers[name], Part.COMMAND, wanted))
            continue
        for part in ROLLOUT:
            node = Node(f"{name}/{part}", step, numbers[name], part, wanted)
            nodes.append(node)
            wanted = (node.name,)
    return nodes


def is_rollout(step: Step, rollout: bool) -> bool:
    """Whether failback itself rolls the step out; a deploy step with a command of its own is run as that command."""
    return rollout and step.type == "deploy"


def _last_node(step: Step, rollout: bool) -> str:
    return f"{step.name}/{ROLLOUT[-1]}" if is_rollout(step, rollout) else step.name
