"""What users got, from the proxy's counters: how many requests, how many failed and how, by revision.

Envoy counts each request as it ends, by (revision, response code, its own flags about what went wrong). Which of
these a user would call a failure is decided here, by a table. Retried attempts and mirrored copies are not in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from failback.model.release import RevisionCounters, TrafficCounters
from failback.targets.local.proxy_admin import Admin
from failback.targets.local.proxy_config import COPIES_CLUSTER, LEFT_LATE, TOLD, USERS_CLUSTER

_ENDED = re.compile(
    rf"^{TOLD}\.(?P<name>rq|{LEFT_LATE})\.revision\.(?P<cluster>[^.]*)\.flags\.(?P<flags>[^.]*)\.code\.(?P<code>\d+)$"
)
_CLUSTER = rf"cluster\.(?:{USERS_CLUSTER}|{COPIES_CLUSTER})"
_OPEN = re.compile(rf"^{_CLUSTER}(?P<revision>[^.]+)\.upstream_rq_(?:pending_)?active$")
_COPY = re.compile(rf"^cluster\.{COPIES_CLUSTER}(?P<revision>[^.]+)\.upstream_(?P<what>rq_[a-z0-9_]+)$")
_READ = rf"^{TOLD}\.(rq|{LEFT_LATE})\.|^{_CLUSTER}[^.]+\.upstream_rq_(pending_)?active$"
_FAILED_FROM = 500
_REQUEST_TIMEOUT = 408
_CLIENT_BROKE_RULES = {"DPE"}
_CLIENT_LEFT = {"DC", "DR"}
_TIMED_OUT = {"UT", "SI", "UMSDR"}
_NOT_CONNECTED = {"UF", "UH"}
_BROKEN_OFF = {"UC", "UR", "LR", "UPE"}


def failure_kind(code: int, flags: frozenset[str], *, revision: str) -> str | None:
    """What a user would call it; None for no failure. `code` 0: nothing was answered. First match wins."""
    if flags & _CLIENT_BROKE_RULES or (flags & _TIMED_OUT and code == _REQUEST_TIMEOUT):
        return None  # what came was no request, or only a part of one
    if flags & _TIMED_OUT:
        return "timeout"
    if flags & _CLIENT_LEFT:
        return None  # the user went away; those who had waited long are counted apart
    if flags & _NOT_CONNECTED:
        return "connect"
    if flags & _BROKEN_OFF:
        return "reset"  # before the answer, or in the middle of it
    if code >= _FAILED_FROM:
        return "5xx" if revision else "no-release"
    return None


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    active: int = 0


def tally(stats: Mapping[str, int | str]) -> tuple[int, dict[str, int], dict[str, RevisionCounters]]:
    """Requests, failures by kind, and the counts by revision (`slow` still 0), of one reading."""
    by_revision: dict[str, _Tally] = {}
    for name, value in stats.items():
        if match := _ENDED.match(name):
            revision = match["cluster"].removeprefix(USERS_CLUSTER) if match["cluster"] != "-" else ""
            mine = by_revision.setdefault(revision, _Tally())
            code, flags = int(match["code"]), frozenset(match["flags"].split(","))
            if match["name"] == LEFT_LATE:
                mine.kinds["gave-up"] += int(value) if code == 0 else 0
                continue
            mine.requests += int(value)
            kind = failure_kind(code, flags, revision=revision)
            if kind is not None:
                mine.kinds[kind] += int(value)
        elif match := _OPEN.match(name):
            by_revision.setdefault(match["revision"], _Tally()).active += int(value)
    kinds: Counter[str] = Counter()
    for mine in by_revision.values():
        kinds.update(mine.kinds)
    counters = {
        revision: RevisionCounters(mine.requests, sum(mine.kinds.values()), 0, mine.active)
        for revision, mine in sorted(by_revision.items())
        if revision
    }
    return sum(mine.requests for mine in by_revision.values()), {k: n for k, n in kinds.items() if n}, counters


def slower_than(buckets: Mapping[float, int], limit_ms: float) -> int:
    """How many took longer: of those in the bucket that the limit cuts, none (10 % of the limit at most)."""
    total = max(buckets.values(), default=0)
    within = min((count for bound, count in buckets.items() if bound >= limit_ms), default=total)
    return total - within


def read_counters(admin: Admin, slow_ms: float | None = None) -> TrafficCounters:
    """Users' requests that have ended. Raises TargetUnavailable when the proxy does not answer."""
    epoch = admin.epoch()
    requests, kinds, revisions = tally(admin.stats(_READ))
    if slow_ms is not None:
        prefix = f"{TOLD}.ms.revision.{USERS_CLUSTER}"
        for name, buckets in admin.histograms(f"^{re.escape(prefix)}").items():
            revision = name.removeprefix(prefix)
            known = revisions.get(revision, RevisionCounters())
            slow = slower_than(buckets, slow_ms)
            revisions[revision] = RevisionCounters(known.requests, known.failed, slow, known.active)
    if admin.epoch() != epoch:
        # It came up anew between the two questions: what was read is of no one process.
        return read_counters(admin, slow_ms)
    return TrafficCounters("proxy", epoch, requests, sum(kinds.values()), kinds, revisions)


def read_copies(admin: Admin, slow_ms: float | None = None) -> dict[str, RevisionCounters]:
    """Mirrored requests that dark revisions have answered (cumulative while the revision is known to the proxy)."""
    pattern = rf"^cluster\.{COPIES_CLUSTER}[^.]+\.upstream_rq_(completed|5xx|rx_reset|pending_failure_eject|active)$"
    seen: dict[str, Counter[str]] = {}
    for name, value in admin.stats(pattern).items():
        if match := _COPY.match(name):
            seen.setdefault(match["revision"], Counter())[match["what"]] = int(value)
    slow: dict[str, int] = {}
    if slow_ms is not None:
        for name, buckets in admin.histograms(rf"^cluster\.{COPIES_CLUSTER}[^.]+\.upstream_rq_time$").items():
            slow[name.split(".")[1].removeprefix(COPIES_CLUSTER)] = slower_than(buckets, slow_ms)
    copies = {}
    for revision, counts in seen.items():
        # Each of these ends in an answer that Envoy makes itself, and counts as a completed one with a 5xx, too.
        copies[revision] = RevisionCounters(
            counts["rq_completed"], counts["rq_5xx"], slow.get(revision, 0), counts["rq_active"]
        )
    return copies
