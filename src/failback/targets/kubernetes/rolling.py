"""Deployments that cannot run twice: without room for a surge (`rolling`), or by their own nature (`own`).

`rolling`: one pod is exchanged first and judged in the dark, then it serves beside the stable ones, then the others
follow one by one. A pod that leaves is in the endpoints until its end, so what its application drops at SIGTERM is
lost: that is why `zero_downtime_required` refuses this way. `own`: a Deployment that says Recreate, or holds a port of
its node or a volume that one pod alone may have: its own strategy runs, users are on whatever is ready, and failback
judges, goes back and tells why, and promises nothing about requests in between.
"""

from __future__ import annotations

from typing import Any

from failback.model.errors import ReleaseError
from failback.targets.base import Journal
from failback.targets.kubernetes import names
from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.record import Record, set_field
from failback.targets.kubernetes.site import Site, Staged

DARK, ROLLING, OWN = "dark", "rolling", "own"
_AVAILABLE_S_MIN = 2
_ONE_AT_A_TIME = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def temporary_fields(current: Object, way: str, never_available_s: int, no_deadline_s: int) -> Patch:
    """What a rollout sets beside the template, by its way."""
    if way == OWN:
        return []
    strategy: dict[str, Any] = _ONE_AT_A_TIME
    if way == DARK:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    return [
        *set_field(current, ("spec", "minReadySeconds"), never_available_s),
        *set_field(current, ("spec", "progressDeadlineSeconds"), no_deadline_s),
        *set_field(current, ("spec", "strategy"), strategy),
    ]


async def follow(site: Site, unit: Unit, staged: Staged, record: Record, journal: Journal) -> None:
    """The first pod has baked: the others are exchanged one by one. Raises ReleaseError where they do not come."""

    def operations(current: Object) -> Patch:
        wait_s = max(int((record.after or {}).get("minReadySeconds") or 0), _AVAILABLE_S_MIN)
        return set_field(current, ("spec", "minReadySeconds"), wait_s)

    if record.way == ROLLING:
        with journal.intent("workload.roll", workload=unit.told):
            await site.change(unit.kind, unit.name, operations)
    limit_s = float((staged.checks.get("ready") or {}).get("timeout") or 30.0)
    await _complete(site, unit, limit_s)


async def _complete(site: Site, unit: Unit, limit_s: float) -> None:
    """Waits until all pods are new and available; the limit holds for each step forward, not for the whole."""
    seen = -1

    async with Mirror(site.cluster, unit.kind, fields=f"metadata.name={unit.name}") as workloads:
        while True:
            before = seen

            def moved(objects: dict[str, Object], before: int = before) -> bool:
                return _progress(objects.get(unit.name)) > before

            if not await workloads.until(moved, limit_s):
                raise ReleaseError(
                    f"{unit.told}: {max(0, before)} new pods are available; no further one came within {limit_s:g} s."
                )
            live = workloads.objects.get(unit.name)
            seen = _progress(live)
            if live is not None and _done(live):
                return


def _progress(live: Object | None) -> int:
    """How many new pods are available; all of them and no old one left counts as one more."""
    if live is None:
        return -1
    status = live.get("status") or {}
    if int(status.get("observedGeneration") or 0) < live["metadata"]["generation"]:
        return -1
    updated = int(status.get("updatedReplicas") or 0)
    return min(updated, int(status.get("availableReplicas") or 0)) + (1 if _done(live) else 0)


def _done(live: Object) -> bool:
    status, wanted = live.get("status") or {}, int(live["spec"].get("replicas", 1))
    return (
        int(status.get("observedGeneration") or 0) >= live["metadata"]["generation"]
        and int(status.get("updatedReplicas") or 0) == wanted
        and int(status.get("availableReplicas") or 0) == wanted
        and int(status.get("replicas") or 0) == wanted
    )


def pins_of(record: Record) -> dict[str, str]:
    """The labels to which users are pinned while the new pods are dark; none where the own strategy runs."""
    return {} if record.way == OWN or record.stable is None else {names.POD_HASH: record.stable}
