"""Tries candidate fixes in the dark, between phase 5 and phase 6. None of them ever gets a user's request.

Safe to repeat: a trial is a release of its own (`<execution>-fix-<id>`), which a killed trial leaves to the next start
to find and to remove; what was tried already is not tried again.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

from failback.detection.gate import judge
from failback.executor import commands, fixing, rebuilding
from failback.executor.context import Outcome
from failback.executor.phase import Recovery
from failback.executor.proposing import propose
from failback.executor.rollout import limits_of
from failback.fixes.limits import raised_memory, still_grows
from failback.model.errors import FailbackError
from failback.model.evidence import INTERRUPTED
from failback.model.fix import NOT_TRIED, REFUTED, VERIFIED, Candidate, PutFile, SetSetting, best
from failback.model.observation import Verdict, VerdictState
from failback.model.release import Revision, RevisionState
from failback.targets.base import Action, FixBench, ReleaseSpec, Target

_CLEAN_S_MAX = 60.0
_SETTLE_S = 3.0  # as long a raised memory limit is watched further
_LEFT_S_MIN = 1.0  # with less than this no trial is begun


async def try_fixes(recovery: Recovery) -> Outcome:
    """The durable step. Whatever goes wrong in here is told; it fails nothing."""
    x = recovery.x
    reason = fixing.no_reason_to_try(recovery)
    if reason is not None:
        return {"status": "skipped", "reason": reason, "tried": 0, "verified": 0}
    began = time.monotonic()
    deadline = began + x.plan.diagnosis.try_timeout
    try:
        found = await prepare(recovery)
        trial = _Trial(recovery, deadline)
        await trial.remove_leftovers()
        for candidate in found[: x.plan.diagnosis.try_count]:
            if await trial.run(candidate):
                break
    except Exception as error:  # noqa: BLE001 - phases 6 to 8 must run all the same
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}", "tried": 0, "verified": 0}
    fixes = fixing.kept(x)
    proposal = await proposed(recovery, found)
    verified = sum(fix["status"] == VERIFIED for fix in fixes)
    tried = sum(fix["status"] != NOT_TRIED for fix in fixes)
    return {
        "status": "succeeded",
        "tried": tried,
        "verified": verified,
        "seconds": round(time.monotonic() - began, 3),
        "reason": "" if fixes else "no change of configuration has a reason in the evidence",
        **({"proposal": proposal} if proposal else {}),
    }


async def prepare(recovery: Recovery) -> list[Candidate]:
    """Finds the candidates and keeps them, each with its patch; what an earlier start found out stays."""
    x, failed = recovery.x, recovery.failed
    if failed is None:
        return []
    service = failed.member.service
    found = await fixing.find(recovery, x.release(failed.member))
    known = {fix["id"]: fix for fix in fixing.kept(x)}
    fixes = [
        known.get(candidate.id) or await asyncio.to_thread(fixing.record, x, service, candidate) for candidate in found
    ]
    x.keep(fixing.FILE, {"fixes": fixes})
    return found


async def proposed(recovery: Recovery, found: list[Candidate]) -> Outcome | None:
    """The best fix as a branch, where the plan asks for that."""
    x, failed = recovery.x, recovery.failed
    fix = best(fixing.kept(x))
    candidate = next((one for one in found if fix is not None and one.id == fix["id"]), None)
    if x.plan.auto_fix != "propose" or fix is None or candidate is None or failed is None:
        return None
    made = await propose(x, failed.member, candidate, fix)
    x.emit("fix-proposed", action=candidate.action, **made)
    return made


class _CannotTry(Exception):
    """The fix could not be tried here; the message says why."""


class _Trial:
    """One trial after another, within one deadline."""

    def __init__(self, recovery: Recovery, deadline: float) -> None:
        failed = recovery.failed
        if failed is None:
            raise RuntimeError("a trial of a service that was not touched")
        self._x = recovery.x
        self._member = failed.member
        self._target = failed.target
        self._deadline = deadline

    @property
    def _left_s(self) -> float:
        return self._deadline - time.monotonic()

    async def run(self, candidate: Candidate) -> bool:
        """Tries it, unless that is known already; True when it is verified, or nothing more may be tried."""
        x = self._x
        known = next(fix for fix in fixing.kept(x) if fix["id"] == candidate.id)
        if known["status"] != NOT_TRIED:
            return bool(known["status"] == VERIFIED)
        if self._left_s < _LEFT_S_MIN or x.stop.latest == INTERRUPTED:
            return True
        x.emit("fix-trying", action=candidate.action)
        told = await self._outcome(candidate)
        self._keep(candidate, told)
        x.emit("fix-tried", action=candidate.action, tried=candidate.tried, **told)
        return bool(told["status"] == VERIFIED)

    async def _outcome(self, candidate: Candidate) -> dict[str, Any]:
        if candidate.untried:
            return {"status": NOT_TRIED, "reason": candidate.untried}
        scratch = self._x.files / "scratch" / f"fix-{candidate.id}"
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left_s):
                release = await self._possible(candidate, scratch)
                verdict = await self._in_the_dark(release, candidate)
        except TimeoutError:
            return {"status": NOT_TRIED, "reason": "there was no time left for it"}
        except (rebuilding.CannotRebuild, _CannotTry) as error:
            return {"status": NOT_TRIED, "reason": str(error)}
        except FailbackError as error:
            return {"status": REFUTED, "reason": error.message}
        finally:
            commands.end_marked(self._x.mark, rebuilding.STEP_MARK)
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        seconds = round(time.monotonic() - began, 3)
        if verdict.state is VerdictState.HEALTHY:
            return {"status": VERIFIED, "reason": verdict.reason, "seconds": seconds}
        return {"status": REFUTED, "reason": verdict.reason, "rule": verdict.rule, "seconds": seconds}

    async def _release(self, candidate: Candidate, scratch: Path) -> ReleaseSpec:
        x = self._x
        if not isinstance(self._target, FixBench):
            raise RuntimeError("a trial on a target that has no bench for it")
        release = x.release(self._member)
        changes = candidate.changes
        if candidate.rebuild:
            path = str(getattr(x.plan.alone(self._member.service).release, "path", ""))
            files = [change for change in changes if isinstance(change, PutFile)]
            copy = await rebuilding.rebuild(x, path, files, scratch, self._left_s)
            shape = {**release.shape, "path": str(copy / path), "plan_folder": str(copy)}
            release = _with(release, shape=shape)
            changes = tuple(change for change in changes if isinstance(change, SetSetting))
        made = await self._target.changed(release, changes, scratch)
        # Copies of users' requests may have effects: a trial gets none.
        return _with(made, checks={**made.checks, "mirror": {"enabled": False}})

    async def _possible(self, candidate: Candidate, scratch: Path) -> ReleaseSpec:
        """The changed release, if it may be started here. Raises _CannotTry, which says nothing against the fix."""
        try:
            release = await self._release(candidate, scratch)
            blocking = [finding for finding in await self._target.preflight(release) if finding.blocking]
        except FailbackError as error:
            raise _CannotTry(error.message) from error
        if blocking:
            raise _CannotTry("; ".join(f"{finding.subject}: {finding.message}" for finding in blocking))
        return release

    async def _in_the_dark(self, release: ReleaseSpec, candidate: Candidate) -> Verdict:
        target = self._target
        revision = await target.stage(release, self._name(candidate), self._member.journal)
        try:
            await target.launch(revision, self._member.journal)
            verdict = await self._judged(target, revision, settle_s=0.0)
            limit = raised_memory(candidate)
            if limit is None or verdict.state is not VerdictState.HEALTHY:
                return verdict
            return await self._settled(target, revision, verdict, limit)
        finally:
            await self._remove(revision)

    async def _settled(self, target: Target, revision: Revision, passed: Verdict, limit: int) -> Verdict:
        """A raised limit has to hold: what grows on was only given more time."""
        samples: dict[str, dict[float, int]] = {}
        verdict = await self._judged(target, revision, settle_s=_SETTLE_S, samples=samples)
        if verdict.state is not VerdictState.HEALTHY:
            return verdict
        grows = next((why for seen in samples.values() if (why := still_grows(sorted(seen.items()), limit))), None)
        return passed if grows is None else Verdict(VerdictState.FAILED, grows, "memory-still-grows")

    async def _judged(
        self, target: Target, revision: Revision, *, settle_s: float, samples: dict[str, dict[float, int]] | None = None
    ) -> Verdict:
        """The gate's verdict; a healthy one once it has been so for `settle_s`. `samples`: memory of each replica."""
        limits = limits_of(self._member.checks)
        began = time.monotonic()
        async for view in target.watch(revision):
            verdict = judge(view, limits)
            for replica in view.replicas if samples is not None else ():
                if replica.memory_bytes is not None and samples is not None:
                    samples.setdefault(replica.name, {})[time.monotonic() - began] = replica.memory_bytes
            if verdict.state is VerdictState.FAILED:
                return verdict
            if verdict.state is VerdictState.HEALTHY and time.monotonic() - began >= settle_s:
                return verdict
            if self._x.stop.latest == INTERRUPTED:
                raise FailbackError("the trial was ended by its user")
        raise FailbackError("the target stopped watching the trial before there was a verdict")

    async def _remove(self, revision: Revision) -> None:
        """Also when the time is over: shielded, with a limit of its own."""
        work = asyncio.ensure_future(self._taken_back(revision))
        try:
            actions = await asyncio.wait_for(asyncio.shield(work), _CLEAN_S_MAX)
        except asyncio.CancelledError:
            await asyncio.wait({work}, timeout=_CLEAN_S_MAX)
            raise
        left = [action.text for action in actions if action.ok is False]
        if left:
            self._x.emit("fix-leftover", what=left)

    async def _taken_back(self, revision: Revision) -> list[Action]:
        """The way of every refused release, phases 1, 2 and 4: a trial is nothing else."""
        target, journal = self._target, self._member.journal
        return [
            *await target.protect(revision, journal),
            *await target.roll_back(revision, None, journal),
            *await target.clean_up(revision, journal),
        ]

    async def remove_leftovers(self) -> None:
        """What a killed trial left running, also of a candidate that is not found again."""
        commands.end_marked(self._x.mark, rebuilding.STEP_MARK)
        for revision in (await self._target.state()).revisions:
            mine = str(revision.details.get("execution", "")).startswith(f"{self._x.id}-fix-")
            if mine and revision.state in (RevisionState.STAGED, RevisionState.DARK, RevisionState.FAILED):
                await self._remove(revision)

    def _name(self, candidate: Candidate) -> str:
        return f"{self._x.id}-fix-{candidate.id}"

    def _keep(self, candidate: Candidate, told: dict[str, Any]) -> None:
        fixes = [fix | told if fix["id"] == candidate.id else fix for fix in fixing.kept(self._x)]
        self._x.keep(fixing.FILE, {"fixes": fixes})


def _with(release: ReleaseSpec, **changed: Any) -> ReleaseSpec:
    from dataclasses import replace

    return replace(release, **changed)
