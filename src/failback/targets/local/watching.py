"""Looks at a revision while it is judged: exits at once by the doorbell, probes of our own, memory, logs, traffic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

from failback.facts.clean import clean_lines
from failback.facts.signatures import signatures
from failback.facts.start_failure import start_failure
from failback.model.errors import TargetUnavailable
from failback.model.evidence import ProbeResult
from failback.model.observation import Exit, ReplicaView, RequestCounts, Stage, TrafficView, View
from failback.model.release import RevisionCounters
from failback.targets.expectations import denies, raises, since_when
from failback.targets.local.doorbell import Doorbell
from failback.targets.local.probing import ready_check, smoke_request
from failback.targets.local.replica import Life, ReplicaFiles
from failback.targets.local.rollout import slow_ms
from failback.targets.local.site import Site
from failback.targets.local.state import Moment, ReplicaRecord, RevisionRecord

_LOOK_S_MAX = 0.25
_READY_PAUSE_S = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
_READY_AGAIN_S = 0.5
_SMOKE_AGAIN_S = 0.1
_CONFIRMATIONS = 2
_SMOKE_AT_ONCE = 4
_TAIL_BYTES = 64 * 1024
_PROBES_KEPT = 400
_GROWTH_SAMPLES_MIN = 6


class Watch:
    """One watch over one revision; `views` yields the picture whenever it changed."""

    def __init__(self, site: Site, record: RevisionRecord) -> None:
        self._site = site
        self._record = record
        launched = record.launched or Moment.now()
        self._launched_mono = launched.mark()
        self._launched = launched
        self._asked: dict[str, _Asked] = {replica.name: _Asked() for replica in record.replicas}
        self._exits: dict[tuple[str, int, str], Exit] = {}
        self._usual = self._usual_errors()
        self._new_errors: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._traffic: TrafficView | None = None

    async def views(self) -> AsyncIterator[View]:
        """Ends never by itself; the caller stops at a sufficient verdict."""
        with Doorbell(self._site.layout.doorbell) as bell:
            probing = [asyncio.create_task(self._probe(replica, bell)) for replica in self._record.replicas]
            counting = asyncio.create_task(self._count(bell))
            try:
                while True:
                    yield self._view()
                    await bell.wait(_LOOK_S_MAX)
            finally:
                for task in (*probing, counting):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    def _view(self) -> View:
        record = self._record
        at_s = self._launched.seconds_since()
        cut_over = record.cut_over
        return View(
            at_s=at_s,
            stage=Stage.DARK if cut_over is None else Stage.BAKE,
            replicas_wanted=len(record.replicas),
            replicas=tuple(self._replica(replica) for replica in record.replicas),
            traffic=self._traffic,
            bake_started_s=None if cut_over is None else at_s - cut_over.seconds_since(),
        )

    def _replica(self, replica: ReplicaRecord) -> ReplicaView:
        files = self._site.files(replica)
        asked = self._asked[replica.name]
        run = files.alive()
        life = files.life()
        exits = tuple(self._exit(replica, files, entry, life) for entry in life if entry.event in ("exited", "oom"))
        samples = next((entry.samples for entry in reversed(life) if entry.samples), ())
        resources = self._record.shape.get("resources") or {}
        return ReplicaView(
            name=replica.name,
            running=run is not None,
            ready_at_s=asked.ready_at_s,
            ready=asked.ready and run is not None,
            exits=exits,
            last_ready_check=asked.last_ready,
            denied_since_s=asked.denied_since_s,
            raises_since_s=asked.raises_since_s,
            smoke=tuple(asked.smoke),
            smoke_done=asked.smoke_done,
            new_errors=self._errors(replica, files),
            memory_bytes=int(run["memory_bytes"]) if run and "memory_bytes" in run else None,
            memory_limit_bytes=_limit(resources.get("memory")),
            memory_growth_bytes_s=_slope(samples) or asked.growth(run),
        )

    def _exit(self, replica: ReplicaRecord, files: ReplicaFiles, entry: Life, life: list[Life]) -> Exit:
        """What is known of one end; its reason is looked up in the log once, while the log is that run's."""
        key = (replica.name, entry.run, entry.event)
        if key not in self._exits:
            latest_run = max((one.run for one in life), default=entry.run)
            log = files.log if entry.run == latest_run else files.previous_log
            tail = _tail(log)
            lines = [line for line in clean_lines(tail)[0] if line.strip()]
            why = None if entry.oom_killed else start_failure(entry.code, tail)
            telling = (why.line if why else "") or (lines[-1] if lines else "")
            self._exits[key] = Exit(
                at_s=max(0.0, entry.mono - self._launched_mono),
                lived_s=entry.lived_s,
                code=entry.code,
                signal=entry.signal or ("SIGKILL" if entry.event == "oom" else None),
                oom_killed=entry.oom_killed,
                deterministic=why.reason if why else None,
                telling_line=self._site.redactor.redact(telling)[:500],
            )
        return self._exits[key]

    def _errors(self, replica: ReplicaRecord, files: ReplicaFiles) -> tuple[str, ...]:
        """Error lines that the stable revision does not print; read again only when the log has grown."""
        try:
            size = files.log.stat().st_size
        except FileNotFoundError:
            return ()
        known = self._new_errors.get(replica.name)
        if known is None or known[0] != size:
            new = signatures(_tail(files.log)) - self._usual
            known = (size, tuple(sorted(self._site.redactor.redact(line)[:300] for line in new))[:20])
            self._new_errors[replica.name] = known
        return known[1]

    def _usual_errors(self) -> frozenset[str]:
        """What the stable revision prints as errors anyway."""
        state = self._site.state()
        stable = state.revision(state.stable)
        if stable is None or stable.id == self._record.id:
            return frozenset()
        usual: frozenset[str] = frozenset()
        for replica in stable.replicas:
            files = self._site.files(replica)
            usual |= signatures(_tail(files.log)) | signatures(_tail(files.previous_log))
        return usual

    async def _probe(self, replica: ReplicaRecord, bell: Doorbell) -> None:
        """Asks one replica: quickly until its first good answer, then the smoke requests, then from time to time."""
        asked = self._asked[replica.name]
        checks = self._record.checks
        tries = 0
        while True:
            answer = await _whole(ready_check(replica.name, replica.port, checks["ready"]))
            self._keep(replica, answer)
            changed = answer.passed != asked.ready
            asked.last_ready, asked.ready = answer, answer.passed
            now_s = self._launched.seconds_since()
            asked.denied_since_s = since_when(denies, answer, asked.denied_since_s, now_s)
            asked.raises_since_s = since_when(raises, answer, asked.raises_since_s, now_s)
            if answer.passed and asked.ready_at_s is None:
                asked.ready_at_s = self._launched.seconds_since()
                bell.ring()
                await self._smoke(replica, bell)
            elif changed:
                bell.ring()
            if answer.passed:
                await asyncio.sleep(_READY_AGAIN_S)
            else:
                await asyncio.sleep(_READY_PAUSE_S[min(tries, len(_READY_PAUSE_S) - 1)])
                tries += 1

    async def _smoke(self, replica: ReplicaRecord, bell: Doorbell) -> None:
        """Each check as often as it says; a bad answer is asked for again, so that a hiccup is told from a fault."""
        checks = self._record.checks
        asked = self._asked[replica.name]
        host = checks["ready"].get("host")
        gate = asyncio.Semaphore(_SMOKE_AT_ONCE)

        async def one(check: Mapping[str, Any]) -> None:
            async with gate:
                answer = await _whole(smoke_request(replica.name, replica.port, check, host))
            self._keep(replica, answer)
            asked.smoke.append(answer)
            if not answer.passed:
                bell.ring()

        for check in checks.get("smoke") or ():
            before = len(asked.smoke)
            await asyncio.gather(*(one(check) for _ in range(int(check.get("repeat") or 1))))
            for _ in range(_CONFIRMATIONS):
                if all(answer.passed for answer in asked.smoke[before:]):
                    break
                await asyncio.sleep(_SMOKE_AGAIN_S)
                await one(check)
        asked.smoke_done = True
        bell.ring()

    async def _count(self, bell: Doorbell) -> None:
        """The proxy's counters, while there is a proxy; it cannot push them."""
        state = self._site.state()
        record = self._record
        if record.cut_over is None and not (record.checks.get("mirror") or {}).get("enabled"):
            return
        limit = slow_ms(record)
        while True:
            with contextlib.suppress(TargetUnavailable):
                counters = await self._site.proxy.counters(limit)
                self._traffic = _traffic(record, state.stable, counters.by_revision, limit)
                bell.ring()
            await asyncio.sleep(_LOOK_S_MAX / 2)

    def _keep(self, replica: ReplicaRecord, answer: ProbeResult) -> None:
        kept = self._site.probes.setdefault(replica.name, [])
        if len(kept) < _PROBES_KEPT:
            kept.append(answer)


async def _whole(request: Coroutine[Any, Any, ProbeResult]) -> ProbeResult:
    """Lets a request of ours end even when nobody waits for it any more: broken off, it would be an error in the
    service's log that we had caused."""
    return await asyncio.shield(asyncio.ensure_future(request))


class _Asked:
    """What one replica has answered."""

    def __init__(self) -> None:
        self.ready = False
        self.ready_at_s: float | None = None
        self.last_ready: ProbeResult | None = None
        self.denied_since_s: float | None = None
        self.raises_since_s: float | None = None
        self.smoke: list[ProbeResult] = []
        self.smoke_done = False
        self._samples: list[tuple[float, int]] = []

    def growth(self, run: Mapping[str, Any] | None) -> float | None:
        """The slope over the samples of a process that still lives."""
        if run and "memory_bytes" in run:
            sample = (float(run.get("sampled_s", 0.0)), int(run["memory_bytes"]))
            if not self._samples or self._samples[-1][0] != sample[0]:
                self._samples.append(sample)
        return _slope(tuple(self._samples))


def _traffic(
    record: RevisionRecord, stable: str | None, by_revision: Mapping[str, RevisionCounters], limit: float | None
) -> TrafficView:
    base = record.baseline
    mine = by_revision.get(record.id, RevisionCounters())
    other = by_revision.get(stable or "", RevisionCounters())
    dark = record.cut_over is None
    return TrafficView(
        new=RequestCounts(
            requests=max(0, mine.requests - int(base.get("requests", 0))),
            failed=max(0, mine.failed - int(base.get("failed", 0))),
            slow=max(0, mine.slow - int(base.get("slow", 0))),
        ),
        stable=RequestCounts(other.requests, other.failed, other.slow)
        if dark
        else RequestCounts(
            int(base.get("stable_requests", 0)), int(base.get("stable_failed", 0)), int(base.get("stable_slow", 0))
        ),
        slow_ms=limit,
        mirrored=dark,
    )


def _slope(samples: tuple[tuple[float, int], ...]) -> float | None:
    """Least squares, in bytes a second; None with too few samples."""
    if len(samples) < _GROWTH_SAMPLES_MIN:
        return None
    mean_at = sum(at for at, _ in samples) / len(samples)
    mean_used = sum(used for _, used in samples) / len(samples)
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    if spread == 0:
        return None
    return sum((at - mean_at) * (used - mean_used) for at, used in samples) / spread


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _limit(text: Any) -> int | None:
    from failback.model.plan_types import memory_bytes

    return None if text is None else memory_bytes(text)
