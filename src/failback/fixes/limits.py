"""A memory limit that is too low: the former one, then what was measured and half more, twice and four times that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from failback.fixes.case import Case
from failback.model.diagnosis import FailureType
from failback.model.fix import Candidate, SetSetting

_MIB = 1024 * 1024
_STEP_MIB = 64
_SAMPLES_MIN = 4
_AHEAD_S = 60.0
_UNITS = {"": 1, "k": 1000, "K": 1000, "M": 10**6, "G": 10**9, "Ki": 1024, "Mi": _MIB, "Gi": 1024 * _MIB}


def memory(case: Case) -> Iterator[Candidate]:
    """Only where the kernel (or the watcher) itself killed it for its limit.

    What looks like a leak is tried as well when it was killed before it had ever answered: loading at the start grows
    steadily, too, and ends. A leak would pass no gate by this, since it would be killed again.
    """
    limit = _bytes(case.new.settings.get("memory"))
    answered = any(probe.passed for probe in case.evidence.probes)
    kinds = (FailureType.MEMORY_LIMIT,) if answered else (FailureType.MEMORY_LIMIT, FailureType.MEMORY_LEAK)
    if case.diagnosis.type not in kinds or limit is None:
        return
    killed = any(replica.oom_killed for replica in case.evidence.replicas) or "OOM" in case.said
    if not killed:
        return
    peak = max((sample.bytes for replica in case.evidence.replicas for sample in replica.memory_samples), default=0)
    former = _bytes(case.former.settings.get("memory")) if case.former else None
    # As the recommendation says it, so that the two are one.
    wanted = -(-max(int(peak * 1.5), limit * 2, 2 * _STEP_MIB * _MIB) // (_STEP_MIB * _MIB)) * _STEP_MIB
    sizes = [wanted, wanted * 2, wanted * 4]
    if former is not None and former > limit and former % _MIB == 0:
        sizes.insert(0, former // _MIB)
    for size in dict.fromkeys(sizes):
        if case.memory_max is None or size * _MIB <= case.memory_max:
            yield _limit(size, limit, peak)


def still_grows(samples: Sequence[tuple[float, int]], limit: int) -> str | None:
    """Why a raised limit only puts the kill off: at this growth it is reached within a minute; None: it levels off.

    `samples`: (seconds, bytes) of one replica after it had passed its gate; too few of them say nothing.
    """
    if len(samples) < _SAMPLES_MIN or samples[-1][0] <= samples[0][0]:
        return None
    mean_s = sum(at for at, _ in samples) / len(samples)
    mean_bytes = sum(used for _, used in samples) / len(samples)
    spread = sum((at - mean_s) ** 2 for at, _ in samples)
    growth = sum((at - mean_s) * (used - mean_bytes) for at, used in samples) / spread
    used = samples[-1][1]
    if growth <= 0 or used + growth * _AHEAD_S < limit:
        return None
    left_s = max(0.0, (limit - used) / growth)
    return f"its memory still grows by {growth / _MIB:.1f} MiB/s, and would reach {limit // _MIB}Mi in {left_s:.0f} s"


def raised_memory(candidate: Candidate) -> int | None:
    """The limit in bytes that the candidate sets; None where it is about something else."""
    wanted = ("release", "resources", "memory")
    found = (change for change in candidate.changes if isinstance(change, SetSetting) and change.path == wanted)
    return next((_bytes(change.value) for change in found), None)


def _limit(size: int, limit: int, peak: int) -> Candidate:
    measured = f"; {peak // _MIB}Mi were in use when it was killed" if peak else ""
    return Candidate(
        f"Increase the memory limit to {size}Mi",
        f"The memory limit (it is {limit // _MIB}Mi) is below what the normal work needs{measured}",
        f"{size}Mi",
        (SetSetting(("release", "resources", "memory"), f"{size}Mi"),),
    )


def _bytes(text: object) -> int | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]i?|k)?", str(text or "").strip())
    return None if match is None else int(float(match[1]) * _UNITS[match[2] or ""])
