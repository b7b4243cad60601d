"""What can be known to fail fails here: before a pod is started, and nothing is touched.

All of the cluster's answers are asked for at once: rights, the server's own dry run of every object, registries, what
the namespace holds. A blocking Finding has the way to get on in its remedy.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from failback.model.errors import NotPermitted
from failback.model.release import Finding
from failback.targets.base import ReleaseSpec
from failback.targets.kubernetes import (
    helm,
    preflight_dry_run,
    preflight_rights,
    preflight_room,
    preflight_rules,
    preflight_scene,
    pulling,
    reconcilers,
    sharing,
)
from failback.targets.kubernetes.desired import Desired
from failback.targets.kubernetes.secret_values import secret_values
from failback.targets.kubernetes.site import Site

_LEVELS = {"error": 0, "warning": 1, "info": 2, "ok": 3}


async def preflight(site: Site, release: ReleaseSpec, desired: Desired) -> list[Finding]:
    """All findings, the worst first. Raises TargetUnavailable where the API server does not answer."""
    site.redactor.add(secret_values(desired.everything()))
    by_route = await sharing.wanted(site, release.checks)
    lacking, scene = await asyncio.gather(
        preflight_rights.missing(site, preflight_rights.needed(desired, by_route=by_route)),
        preflight_scene.read(site, desired, dark_safe=bool(release.checks.get("dark_safe"))),
        return_exceptions=True,
    )
    if isinstance(lacking, BaseException):
        raise lacking
    rights = [await preflight_rights.finding(site, lacking)] if lacking else []
    if isinstance(scene, NotPermitted) and rights:
        return rights  # without looking, everything else would be a guess
    if isinstance(scene, BaseException):
        raise scene
    (refusals, pods), answers, reconciled, by_routes = await asyncio.gather(
        preflight_dry_run.dry_run(site, desired, scene.live),
        pulling.asked(site, desired),
        reconcilers.reconciled(site, scene),
        sharing.findings(site, desired, release.checks),
    )
    found = [
        *rights,
        *refusals,
        *preflight_rules.examined(scene),
        *pulling.findings(desired, answers),
        *preflight_room.room(scene, pods),
        *reconciled,
        *by_routes,
        *_left_out(release, site, first=not any(scene.live.values())),
    ]
    once: dict[tuple[str, str], Finding] = {}
    for one in found:
        once.setdefault((one.subject, one.message), one)
    return sorted(once.values(), key=lambda one: _LEVELS[one.level])


def _left_out(release: ReleaseSpec, site: Site, *, first: bool) -> list[Finding]:
    """Hooks of a chart that failback does not run; a former revision has none to run."""
    chart = release.shape.get("helm")
    if not chart or release.from_revision is not None:
        return []
    folder = Path(release.shape["plan_folder"])
    return list(helm.render(chart, site.service, site.cluster.namespace, folder, first=first).findings)
