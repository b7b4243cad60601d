"""Views to judge, built in a line each; and what a case of a rule is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from failback.model.evidence import MemorySample, ProbeResult
from failback.model.observation import (
    Exit,
    Limits,
    ReplicaView,
    RequestCounts,
    Stage,
    Statement,
    TrafficView,
    VerdictState,
    View,
    Waiting,
)

LIMITS = Limits(ready_s_max=30, soak_s=2, bake_s=5)
MIB = 2**20


@dataclass(frozen=True)
class Case:
    """`rule` is what must decide; `why` is the story; `not_rule` is the rule that a look-alike must not fire."""

    rule: str
    view: View
    why: str
    not_rule: str = ""
    limits: Limits = LIMITS
    state: VerdictState | None = None  # where more than "not FAILED" is meant

    def __str__(self) -> str:
        return f"{self.not_rule or self.rule}-{self.why.replace(' ', '-')[:60]}"


def fires(rule: str, seen: View, why: str, **more: Any) -> Case:
    return Case(rule, seen, why, **more)


def look_alike(rule: str, seen: View, why: str, *, instead: str = "", **more: Any) -> Case:
    """A view in which `rule` must not fire, nor any other that condemns; `instead`: the rule that speaks."""
    return Case(instead, seen, why, not_rule=rule, **more)


def answer(
    status: int | None = 200, ms: float = 5, error: str | None = None, *, path: str = "/", kind: str = "smoke"
) -> ProbeResult:
    good = error is None and status == 200
    if status not in (200, None) and error is None:
        error = f"answered {status}"
    return ProbeResult("a", path, status, ms, "status 200 within 500 ms", good, error, kind=kind)


REFUSED = answer(None, 0.2, "connection refused")
SLOW = answer(200, 900, "took 900 ms")
WRONG = answer(500)
RIGHT = answer()

GOOD = ReplicaView("a", running=True, ready=True, ready_at_s=1.0, smoke=(RIGHT,), last_ready_check=answer(kind="ready"))
STARTING = ReplicaView("a", running=True, smoke_done=False, last_ready_check=answer(None, 1, "connection refused"))
ABSENT = ReplicaView("a", smoke_done=False)  # a pod of which no container has run yet


def ended(*exits: Exit, **more: Any) -> ReplicaView:
    """A replica that ended as told, and is down now."""
    return replace(STARTING, running=False, exits=exits, **more)


def exit_(at_s: float = 0.5, code: int | None = 1, **more: Any) -> Exit:
    return Exit(at_s=at_s, lived_s=more.pop("lived_s", at_s), code=code, **more)


def waiting(reason: str, message: str = "", **more: Any) -> ReplicaView:
    return replace(ABSENT, waiting=(Waiting(reason, message, **more),))


def said(reason: str, message: str = "", object: str = "Pod/r1", at_s: float = 1.0, count: int = 1) -> Statement:
    return Statement(reason, message, object, at_s, count)


def view(
    *replicas: ReplicaView, at_s: float = 1.5, wanted: int | None = None, says: tuple[Statement, ...] = (), **more: Any
) -> View:
    """A dark view; replicas are named r1, r2, … in order."""
    named = tuple(replace(one, name=f"r{number}") for number, one in enumerate(replicas, start=1))
    return View(
        at_s=at_s,
        stage=more.pop("stage", Stage.DARK),
        replicas_wanted=len(named) if wanted is None else wanted,
        replicas=named,
        statements=says,
        **more,
    )


def baking(
    requests: int = 0,
    failed: int = 0,
    *,
    slow: int = 0,
    stable: tuple[int, int, int] = (0, 0, 0),
    slow_ms: float | None = None,
    at_s: float = 4.0,
    replicas: tuple[ReplicaView, ...] = (GOOD, GOOD),
) -> View:
    """After the cut-over at 3 s: `stable` are (requests, failed, slow) of before."""
    traffic = TrafficView(RequestCounts(requests, failed, slow), RequestCounts(*stable), slow_ms)
    return view(*replicas, at_s=at_s, stage=Stage.BAKE, bake_started_s=3.0, traffic=traffic)


def memory(samples: list[float], limit: int = 100, step_s: float = 0.25) -> ReplicaView:
    """A good replica with these memory samples (MiB)."""
    taken = tuple(MemorySample(number * step_s, int(used * MIB)) for number, used in enumerate(samples))
    return replace(GOOD, memory_bytes=taken[-1].bytes, memory_limit_bytes=limit * MIB, memory_samples=taken)
