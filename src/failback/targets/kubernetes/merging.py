"""What an object becomes when a manifest is applied to it: the API server's own merge, in a dry run. Writes nothing.

Fields that other hands and controllers own stay. What an earlier manifest had brought, and this one no longer has,
goes, whoever applied that one: otherwise a variable that a team took out would live on, since it came by kubectl.
"""

from __future__ import annotations

from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.ownership import applier_of, pruned


async def merged(cluster: Cluster, manifest: Object, live: Object | None) -> Object:
    """`live`: the object as it is now; None where there is none. Raises what the API server says against it."""
    by = applier_of(live)
    return pruned(await cluster.apply(manifest, dry_run=True, manager=by), by)
