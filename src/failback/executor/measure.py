"""What happened to users' requests over a whole execution: the target's counters at its end less those at its start."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from failback.model.execution import Traffic
from failback.model.release import RevisionCounters, TrafficCounters

NO_TARGET = "the plan has no target whose requests could be counted"
_COUNTERS_OF = {"proxy": "the proxy", "gateway": "the gateway"}


def as_record(counters: TrafficCounters | None, *, nothing_ran: bool) -> dict[str, Any]:
    """What is kept of the counters at the start. `nothing_ran`: users could not reach the service at all by then."""
    return {"nothing_ran": nothing_ran, "counters": None if counters is None else dataclasses.asdict(counters)}


def over(start: Mapping[str, Any], after: TrafficCounters | None) -> Traffic:
    """The difference; not measured (None) where either end is missing, or the counters restarted in between."""
    if after is None:
        reason = "" if start["nothing_ran"] else "the target's counters could not be read at the end"
        return (
            Traffic(0, 0, "proxy", "nothing listened for users") if not reason else Traffic(None, None, "none", reason)
        )
    before = start["counters"]
    if after.source not in _COUNTERS_OF:
        return _own(before, after)
    if after.uncounted:
        return Traffic(None, None, after.source, after.uncounted)
    if before is not None and before.get("uncounted"):
        before = None
    if before is None and not start["nothing_ran"]:
        return Traffic(None, None, after.source, "the target's counters could not be read at the start")
    if before is None:
        # The proxy came up in this execution: all it has counted belongs to it.
        before = {"epoch": after.epoch, "requests": 0, "failed": 0, "by_kind": {}, "by_revision": {}}
    if before["epoch"] != after.epoch:
        told = f"{_COUNTERS_OF[after.source]} was restarted meanwhile, and its counters with it"
        return Traffic(None, None, after.source, told)
    kinds = {
        kind: count - int(before["by_kind"].get(kind, 0))
        for kind, count in after.by_kind.items()
        if count > int(before["by_kind"].get(kind, 0))
    }
    return Traffic(
        requests=after.requests - int(before["requests"]),
        failed=after.failed - int(before["failed"]),
        source=after.source,
        by_kind=kinds,
        by_revision={
            name: _revision(before["by_revision"].get(name, {}), counters)
            for name, counters in after.by_revision.items()
        },
    )


def untouched(traffic: Traffic) -> Traffic:
    """Of an execution that ended before it touched anything: users felt nothing of it, counted or not."""
    if traffic.requests is not None and not traffic.sample:
        return traffic
    return Traffic(None, None, traffic.source, "nothing was touched", spared=True)


def _own(before: Mapping[str, Any] | None, after: TrafficCounters) -> Traffic:
    """What failback watched or asked itself. Another process's share of it is not known to this one."""
    if before is not None and before["epoch"] != after.epoch:
        return Traffic(None, None, after.source, "failback was restarted meanwhile, and nobody watched for a while")
    if not after.sample:
        return Traffic(None, None, after.source, after.uncounted, spared=after.spared)
    return Traffic(
        requests=after.requests - int(before["requests"] if before else 0),
        failed=after.failed - int(before["failed"] if before else 0),
        source=after.source,
        reason=after.uncounted,
        by_kind=dict(after.by_kind),
        sample=True,
        spared=after.spared,
    )


def _revision(before: Mapping[str, int], after: RevisionCounters) -> dict[str, int]:
    # A cluster that left and came back counts from zero again: what it shows is then all there is.
    base = before if int(before.get("requests", 0)) <= after.requests else {}
    return {
        "requests": after.requests - int(base.get("requests", 0)),
        "failed": max(0, after.failed - int(base.get("failed", 0))),
    }
