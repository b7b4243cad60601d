"""The parts of a Deploy step: stage, launch dark, judge, cut over, bake. Orders; the target does."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from failback.detection.gate import judge
from failback.executor.context import Execution, Member, Outcome
from failback.executor.nodes import Node, Part
from failback.executor.remembering import has_open_failures, note_change
from failback.model.errors import FailbackError, PreflightFailed, StrategyRefused
from failback.model.observation import Limits, Verdict, VerdictState
from failback.model.release import Finding, Revision

_NUMBERS_EVERY_S = 1.0
_NUMBERS = re.compile(r"[\d,.]*\d")


async def run_part(x: Execution, node: Node) -> Outcome:
    """Does one part; what comes back joins the node's outcome. Raises what the target raises."""
    member = x.member(node.step)
    if node.part is Part.STAGE:
        return await _stage(x, member)
    revision = x.revision(member)
    if revision is None:
        raise RuntimeError(f"{node.name}: its revision was never staged")
    return await _PARTS[node.part](x, member, revision)


async def _stage(x: Execution, member: Member) -> Outcome:
    target, release = member.target, x.release(member)
    # Once more, now that the steps before have built what is to be released.
    findings = await target.preflight(release)
    blocking = [finding for finding in findings if finding.blocking]
    if blocking:
        raise _stopped(blocking)
    if await has_open_failures(x):
        await note_change(x)
    revision = await target.stage(release, x.id, member.journal)
    x.emit("revision-staged", revision=revision.id, digest=revision.digest, **x.named(member))
    return {"revision": dataclasses.asdict(revision)}


def _stopped(blocking: Sequence[Finding]) -> FailbackError:
    """What ends the deployment before it began: the release is bad, or a guarantee that is demanded can't be kept."""
    told = " ".join(
        f"{finding.subject}: {finding.message.rstrip('.')}. {finding.remedy}".strip() for finding in blocking
    )
    kind = StrategyRefused if all(finding.detail.get("refused") for finding in blocking) else PreflightFailed
    answers = [finding.detail["api_error"] for finding in blocking if finding.detail.get("api_error")]
    return kind(
        told,
        findings=[dataclasses.asdict(finding) for finding in blocking],
        **({"api_error": answers[0]} if answers else {}),
    )


async def _launch(x: Execution, member: Member, revision: Revision) -> Outcome:
    await member.target.launch(revision, member.journal)
    x.emit("revision-launched", revision=revision.id, replicas=revision.replicas, dark=True, **x.named(member))
    return {}


async def _judge(x: Execution, member: Member, revision: Revision) -> Outcome:
    return _told(await _watch(x, member, revision))


async def _cut_over(x: Execution, member: Member, revision: Revision) -> Outcome:
    began = time.monotonic()
    await member.target.cut_over(revision, member.journal)
    took_ms = round((time.monotonic() - began) * 1000, 1)
    x.emit("traffic-switched", to=revision.id, took_ms=took_ms, **x.named(member))
    return {}


async def _bake(x: Execution, member: Member, revision: Revision) -> Outcome:
    return _told(await _watch(x, member, revision))


async def _extend(x: Execution, member: Member, revision: Revision) -> Outcome:
    await member.target.extend(revision, member.journal)
    return {}


_PARTS: Mapping[Part, Callable[[Execution, Member, Revision], Awaitable[Outcome]]] = {
    Part.LAUNCH: _launch,
    Part.JUDGE: _judge,
    Part.CUT_OVER: _cut_over,
    Part.BAKE: _bake,
    Part.EXTEND: _extend,
}


async def _watch(x: Execution, member: Member, revision: Revision) -> Verdict:
    """Looks until the verdict is sufficient; every new reason is an event, new numbers alone at most one a second."""
    limits = limits_of(member.checks)
    said, said_at_s = "", 0.0
    async for view in member.target.watch(revision):
        verdict = judge(view, limits)
        new = _wording(verdict.reason) != _wording(said) or view.at_s - said_at_s >= _NUMBERS_EVERY_S
        if (verdict.reason != said and new) or verdict.state is not VerdictState.PROGRESSING:
            said, said_at_s = verdict.reason, view.at_s
            x.emit(
                "verdict",
                revision=revision.id,
                stage=str(view.stage),
                state=str(verdict.state),
                rule=verdict.rule,
                reason=verdict.reason,
                at_s=round(view.at_s, 3),
                **x.named(member),
            )
        if verdict.state is not VerdictState.PROGRESSING:
            return verdict
    raise RuntimeError(f"the target stopped watching {revision.id} before there was a verdict")


def _wording(reason: str) -> str:
    """A reason without its numbers."""
    return _NUMBERS.sub("0", reason)


def _told(verdict: Verdict) -> Outcome:
    told: dict[str, Any] = {
        "rule": verdict.rule,
        "reason": verdict.reason,
        "evidence": list(verdict.evidence),
        "verdict_at_s": round(verdict.at_s, 4),
    }
    return told | ({"status": "failed"} if verdict.state is VerdictState.FAILED else {})


def limits_of(checks: Any) -> Limits:
    """The gate's limits, as the plan's `checks` name them."""
    return Limits(
        ready_s_max=checks.ready.timeout,
        soak_s=checks.soak,
        bake_s=checks.bake,
        error_increase_max=checks.max_error_increase,
        latency_increase_max=checks.max_latency_increase,
    )
