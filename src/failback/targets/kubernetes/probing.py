"""Asks the pods of a revision: ready checks, smoke requests while dark, and a steady few while it bakes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from failback.model.errors import FailbackError
from failback.model.evidence import ProbeResult
from failback.model.observation import RequestCounts, TrafficView
from failback.targets.expectations import (
    Question,
    denies,
    judge_listening,
    judge_ready,
    judge_smoke,
    raises,
    ready_question,
    since_when,
    smoke_question,
)
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.liveness import liveness
from failback.targets.kubernetes.nodes import Nodes
from failback.targets.kubernetes.pods import has_readiness_probe
from failback.targets.kubernetes.reaching import NO_PORT, Reach, Way

_READY_PAUSE_S = (0.02, 0.05, 0.1, 0.2)
_READY_AGAIN_S = 0.5
_API_AGAIN_S = 0.3
_SMOKE_AGAIN_S = 0.1
_CONFIRMATIONS = 2
_SMOKE_AT_ONCE = 4
_BAKE_EACH_S = 0.25
_BAKE_ANSWER_S = 2.0
_SILENCE_MS = 1000.0  # a refusal comes at once; a node that is gone says nothing for seconds
_BAKE_PODS_MAX = 4  # asked in one round; the next round takes others
_SAFE = ("GET", "HEAD", "OPTIONS")

Keep = Callable[[str, ProbeResult], None]


@dataclass(slots=True)
class Asked:
    """What one pod has answered, and what its Ready condition says."""

    pod: Object
    condition: asyncio.Event = field(default_factory=asyncio.Event)
    condition_at_s: float | None = None  # since when the condition holds
    ready: bool = False  # the condition and, where it counts, our own request
    ready_at_s: float | None = None
    last: ProbeResult | None = None
    failures: int = 0
    unready_since_s: float | None = None
    denied_since_s: float | None = None
    raises_since_s: float | None = None
    smoke: list[ProbeResult] = field(default_factory=list)
    smoke_done: bool = False
    task: asyncio.Task[None] | None = None


class Prober:
    """`smoking`: whether each pod gets the smoke requests when it is ready (dark), or not any more (baking)."""

    def __init__(
        self,
        reach: Reach,
        checks: Mapping[str, Any],
        stable: Callable[[], Sequence[Object]],
        nodes: Nodes,
        clock: Callable[[], float],
        ring: Callable[[], Any],
        keep: Keep,
        *,
        smoking: bool,
    ) -> None:
        self._reach = reach
        self._ready: Mapping[str, Any] = checks.get("ready") or {}
        self._smokes: Sequence[Mapping[str, Any]] = checks.get("smoke") or ()
        self._stable = stable
        self._nodes = nodes
        self._clock = clock
        self._ring = ring
        self._keep = keep
        self._smoking = smoking
        self._own_check = str(self._ready.get("path") or "/") != "/" or self._ready.get("status") is not None
        self._implied: list[Mapping[str, Any]] | None = None
        self._of_stable: dict[tuple[str, str], ProbeResult | None] = {}
        self._deciding = asyncio.Lock()
        self._all: dict[str, Asked] = {}
        self.wanted = sum(int(check.get("repeat") or 1) for check in self._smokes) if smoking else 0

    def seen(self, pod: Object, *, ready: bool, at_s: float) -> None:
        """To be called with every state of a pod; `at_s`: since when its Ready condition is as it is."""
        uid = pod["metadata"]["uid"]
        asked = self._all.get(uid)
        if asked is None:
            asked = self._all[uid] = Asked(pod, smoke_done=not self._smoking)
            asked.task = asyncio.create_task(self._attend(asked))
        asked.pod = pod
        if ready and not asked.condition.is_set():
            asked.condition_at_s = at_s
            asked.condition.set()
        elif not ready and asked.condition.is_set():
            asked.condition.clear()
            if asked.ready:
                asked.ready, asked.unready_since_s = False, at_s

    def of(self, pod: Object) -> Asked | None:
        return self._all.get(pod["metadata"]["uid"])

    def was_ready(self, uid: str) -> bool:
        asked = self._all.get(uid)
        return asked is not None and asked.ready_at_s is not None

    async def close(self) -> None:
        tasks = [asked.task for asked in self._all.values() if asked.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attend(self, asked: Asked) -> None:
        """One pod, from its Ready condition on: our own check, then the smoke requests, then a look now and then."""
        tries = 0
        while True:
            await asked.condition.wait()
            try:
                answer = await self._check(asked.pod)
            except FailbackError:
                await asyncio.sleep(_API_AGAIN_S)  # the way to the pod is away: that says nothing of the pod
                continue
            if not asked.condition.is_set():
                continue
            good = answer is None or answer.passed
            first_silence = asked.ready_at_s is not None and not asked.failures and _no_answer(answer)
            if first_silence and not await self._nodes.is_heard(asked.pod):
                continue
            self._note(asked, answer, good)
            if good and not asked.smoke_done:
                with contextlib.suppress(FailbackError):
                    await self._smoke(asked)
            await asyncio.sleep(_READY_AGAIN_S if good else _READY_PAUSE_S[min(tries, len(_READY_PAUSE_S) - 1)])
            tries = 0 if good else tries + 1

    def _note(self, asked: Asked, answer: ProbeResult | None, good: bool) -> None:
        changed = good != asked.ready
        asked.last, asked.ready = answer, good
        asked.denied_since_s = since_when(denies, answer, asked.denied_since_s, self._clock())
        asked.raises_since_s = since_when(raises, answer, asked.raises_since_s, self._clock())
        if good:
            asked.failures, asked.unready_since_s = 0, None
            if asked.ready_at_s is None:
                began = asked.condition_at_s if answer is None else None
                asked.ready_at_s = self._clock() if began is None else began
        elif asked.ready_at_s is not None:
            asked.failures += 1
            if asked.unready_since_s is None:
                asked.unready_since_s = self._clock()
        if changed:
            self._ring()

    async def _check(self, pod: Object) -> ProbeResult | None:
        """Our own ready check, where the plan spells one out, or where the pod has no probe: Kubernetes then calls it
        ready before it listens. None where the pod's condition alone decides."""
        if not self._own_check and has_readiness_probe(pod):
            return None
        answer = await _whole(self._reach.ask(pod, ready_question(self._ready)))
        if self._reach.way is Way.NONE or answer.error == NO_PORT:
            return None
        judge = judge_ready if self._own_check else judge_listening
        result = judge(pod["metadata"]["name"], self._ready, answer)
        self._keep(pod["metadata"]["name"], result)
        return result

    async def _smokes_of_plan(self) -> Sequence[Mapping[str, Any]]:
        """A plan without any gets one where that is safe to ask: what the stable revision answers well at the ready
        check's path, the new one has to answer well too. Many a service has nothing there, or speaks no HTTP."""
        if self._smokes or self._own_check:
            return self._smokes
        async with self._deciding:
            if self._implied is None:
                stable = next(iter(self._stable()), None)
                self._implied = []
                if stable is not None:
                    answer = await self._reach.ask(stable, ready_question(self._ready))
                    if judge_ready("stable", self._ready, answer).passed:
                        self._implied = [
                            {"path": str(self._ready.get("path") or "/"), "status": tuple(range(200, 400))}
                        ]
        return self._implied

    async def _smoke(self, asked: Asked) -> None:
        """Each check as often as it says; a bad answer is asked for again, so that a hiccup is told from a fault."""
        gate = asyncio.Semaphore(_SMOKE_AT_ONCE)

        async def one(check: Mapping[str, Any]) -> None:
            async with gate:
                answer = await self._one_smoke(asked.pod, check)
            asked.smoke.append(answer)
            if not answer.passed:
                self._ring()

        for check in await self._smokes_of_plan():
            before = len(asked.smoke)
            await asyncio.gather(*(one(check) for _ in range(int(check.get("repeat") or 1))))
            for _ in range(_CONFIRMATIONS):
                if all(answer.passed for answer in asked.smoke[before:]):
                    break
                await asyncio.sleep(_SMOKE_AGAIN_S)
                await one(check)
        for answer in await liveness(self._reach, asked.pod):
            asked.smoke.append(answer)
            self._keep(answer.replica, answer)
        asked.smoke_done = True
        self._ring()

    async def _one_smoke(self, pod: Object, check: Mapping[str, Any]) -> ProbeResult:
        question = smoke_question(check, self._ready.get("host"))
        while True:
            try:
                answer = await _whole(self._reach.ask(pod, question))
                if answer.status is None and answer.took_ms > _SILENCE_MS and not await self._nodes.is_heard(pod):
                    continue
                result = judge_smoke(pod["metadata"]["name"], check, answer)
                if (result.error or "").startswith("took "):
                    # Only a right answer that came late needs to know what the way to the pod takes by itself.
                    usual_ms = await self._reach.usual_ms(next(iter(self._stable()), None), question)
                    result = judge_smoke(pod["metadata"]["name"], check, answer, usual_ms)
                break
            except FailbackError:
                await asyncio.sleep(_API_AGAIN_S)
        if not result.passed:
            result = dataclasses.replace(result, error=f"{result.error}{await self._stable_as_well(check, question)}")
        self._keep(pod["metadata"]["name"], result)
        return result

    async def _stable_as_well(self, check: Mapping[str, Any], question: Question) -> str:
        """What a person has to know of a wrong answer: that the stable revision gives it, too. Then the check is wrong,
        or the way is (a mesh that lets no stranger in), or it was broken before."""
        stable = next(iter(self._stable()), None)
        key = (question.method, question.path)
        if stable is None or question.method not in _SAFE:
            return ""
        if key not in self._of_stable:
            self._of_stable[key] = None  # the answers beside this one do not wait for it
            try:
                self._of_stable[key] = judge_smoke("stable", check, await _whole(self._reach.ask(stable, question)))
            except FailbackError:
                return ""
        theirs = self._of_stable[key]
        return "" if theirs is None or theirs.passed else f"; a stable pod fails this check as well: {theirs.error}"


class Sampler:
    """While a revision bakes and nothing counts its requests: a few of our own to it and to the stable pods, at the
    same time, so that what both fail at is not laid at its door.

    A pod that gives no answer at all is in doubt until its node was heard: then its silence counts.
    """

    def __init__(
        self,
        reach: Reach,
        checks: Mapping[str, Any],
        new: Callable[[], Sequence[Object]],
        stable: Callable[[], Sequence[Object]],
        nodes: Nodes,
        ring: Callable[[], Any],
    ) -> None:
        smokes = [check for check in checks.get("smoke") or () if str(check.get("method") or "GET") in _SAFE]
        host = (checks.get("ready") or {}).get("host")
        limits = [float(check["max_ms"]) for check in smokes if check.get("max_ms")]
        self._slow_ms = min(limits, default=None)
        patient_s = max(_BAKE_ANSWER_S, 4 * max(limits, default=0.0) / 1000)
        self._questions = [(one, dataclasses.replace(smoke_question(one, host), timeout_s=patient_s)) for one in smokes]
        self._reach = reach
        self._pods = {"new": new, "stable": stable}
        self._nodes = nodes
        self._ring = ring
        self._counts: dict[str, RequestCounts] = defaultdict(RequestCounts)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._silent: set[str] = set()  # pods that are, and their nodes were heard since
        self.doubted: set[str] = set()

    def view(self) -> TrafficView | None:
        if not self._counts["new"].requests:
            return None
        return TrafficView(self._counts["new"], self._counts["stable"], self._slow_ms, own=True)

    async def run(self) -> None:
        """One that hangs delays no other; it is not asked again before its time is over."""
        turn = 0
        try:
            while self._questions:
                for check, question in self._questions:
                    for side, pod in self._turn(turn):
                        uid = pod["metadata"]["uid"]
                        if uid not in self._asking or self._asking[uid].done():
                            self._asking[uid] = asyncio.create_task(self._ask(side, pod, check, question))
                    turn += 1
                    await asyncio.sleep(_BAKE_EACH_S)
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _turn(self, turn: int) -> list[tuple[str, Object]]:
        chosen = []
        for side, pods in self._pods.items():
            known = list(pods())
            first = (turn * _BAKE_PODS_MAX) % max(1, len(known))
            chosen += [(side, pod) for pod in (known[first:] + known[:first])[:_BAKE_PODS_MAX]]
        return chosen

    async def _ask(self, side: str, pod: Object, check: Mapping[str, Any], question: Question) -> None:
        uid = pod["metadata"]["uid"]
        with contextlib.suppress(FailbackError):
            answer = await _whole(self._reach.ask(pod, question))
            result = judge_smoke(pod["metadata"]["name"], {**check, "max_ms": None}, answer)
            if answer.status is not None:
                self._silent.discard(uid)
            elif uid not in self._silent:
                self.doubted.add(uid)
                try:
                    if not await self._nodes.is_heard(pod):
                        return
                finally:
                    self.doubted.discard(uid)
                self._silent.add(uid)
            slow = self._slow_ms is not None and answer.took_ms > self._slow_ms
            counts = self._counts[side]
            self._counts[side] = RequestCounts(
                counts.requests + 1, counts.failed + (not result.passed), counts.slow + slow
            )
            self._ring()


def _no_answer(answer: ProbeResult | None) -> bool:
    """Nothing came back; a node that goes down may refuse for a moment before it is silent."""
    return answer is not None and answer.status is None


async def _whole(request: Awaitable[Any]) -> Any:
    """Lets a request of ours end even when nobody waits for it any more: broken off, it would be an error in the
    service's log that we had caused."""
    return await asyncio.shield(asyncio.ensure_future(request))
