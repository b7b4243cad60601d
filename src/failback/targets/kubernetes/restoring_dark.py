"""A restore of workloads that run: the snapshot's pods come in the dark beside the present ones, then users switch.

Promise: users are served by a full set of ready pods all the while; when the snapshot's pods do not become ready,
nothing was switched, and what came of them is gone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from failback.model.errors import FailbackError, ReleaseError
from failback.targets.base import Action, Journal
from failback.targets.kubernetes import names, recovery, rollout
from failback.targets.kubernetes.cleaning import as_manifest
from failback.targets.kubernetes.desired import Desired, Unit
from failback.targets.kubernetes.kinds import Object, labels_of
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.names import POD_HASH
from failback.targets.kubernetes.settling import unsettled
from failback.targets.kubernetes.site import Site, Staged

# Nodes take a second to learn of the switch (kube-proxy writes its rules at most once a second), a busy one two.
_CHECKS = {"drain": 2.0}


def can_be_dark(site: Site, wanted: Object, live: Object | None) -> bool:
    """Whether two templates of the workload can run beside one another for a while. Pure but for the settings."""
    if live is None or live["kind"] != "Deployment" or not site.settings.zero_downtime:
        return False
    if (live["spec"].get("strategy") or {}).get("type") == "Recreate" or live["spec"].get("replicas") == 0:
        return False
    now, before = as_manifest(live)["spec"]["template"], wanted["spec"]["template"]
    return now != before and not unsettled(live)


async def restore(
    site: Site, units: Sequence[Unit], workloads: Sequence[Object], journal: Journal, limit_s: float
) -> list[Action]:
    """The templates of these workloads; everything else about them is the caller's. Undone where it fails."""
    desired = Desired(tuple(units), tuple(workloads), (), (), (), ())
    staged = _staged(site, desired, journal)
    try:
        await rollout.launch(site, staged, journal)
        for unit in units:
            await _ready(site, unit, limit_s)
        await rollout.cut_over(site, staged, journal, None)
        actions = await rollout.finish(site, staged, journal)
    except FailbackError as error:
        back = [
            *await recovery.protect(site, units, journal),
            *await recovery.roll_back(site, units, None, journal),
            *await recovery.clean_up(site, units, journal, staged.execution),
        ]
        site.forget_staged(staged.revision)
        return [Action(f"{error.message} What ran before serves as it did.", ok=False), *back]
    return [Action(f"users were switched to the snapshot's pods of {', '.join(unit.told for unit in units)}"), *actions]


def _staged(site: Site, desired: Desired, journal: Journal) -> Staged:
    at = time.time()
    execution = f"restore-{site.service}-{int(at)}"
    revision = rollout.stage(site, desired, _CHECKS, execution, journal, direct=True)
    return site.need_staged(revision.id)


async def _ready(site: Site, unit: Unit, limit_s: float) -> None:
    """Waits until as many of the snapshot's pods are ready as the workload wants. Raises ReleaseError."""
    live = await site.cluster.get(unit.kind, unit.name)
    if live is None:
        raise ReleaseError(f"{unit.told} was deleted by somebody else.")
    new = await names.hash_when_there(site, live)
    wanted = int(live["spec"].get("replicas", 1))

    def enough(sets: dict[str, Object]) -> bool:
        mine = [one for one in sets.values() if labels_of(one).get(POD_HASH) == new]
        return any(int((one.get("status") or {}).get("readyReplicas") or 0) >= wanted for one in mine)

    selector = names.selector_text(live["spec"]["selector"])
    async with Mirror(site.cluster, "ReplicaSet", labels=selector) as sets:
        if not await sets.until(enough, limit_s):
            raise ReleaseError(
                f"{unit.told}: the snapshot's pods are not ready after {limit_s:.0f} s: nothing was switched."
            )
