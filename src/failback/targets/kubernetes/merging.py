"""What an object becomes when a manifest is applied to it: the API server's own merge, in a dry run. Writes nothing.

Fields that other hands and controllers own stay. What an earlier manifest had brought, and this one no longer has,
goes, whoever applied that one: otherwise a variable that a team took out would live on, since it came by kubectl.
"""

from __future__ import annotations

import base64

from failback.targets.kubernetes.cluster import Cluster, pointer
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.ownership import applier_of, pruned


async def merged(cluster: Cluster, manifest: Object, live: Object | None) -> Object:
    """`live`: the object as it is now; None where there is none. Raises what the API server says against it."""
    manifest = _with_data(manifest)
    by = applier_of(live)
    applied = await cluster.apply(manifest, dry_run=True, manager=by)
    shape = pruned(applied, by)
    if shape == applied or live is None:
        return shape
    # What a tool had brought includes what the server had filled in: it fills it in again.
    operations = [
        {"op": "replace" if key in live else "add", "path": pointer(key), "value": value}
        for key, value in shape.items()
        if key not in ("apiVersion", "kind", "metadata", "status")
    ]
    filled = await cluster.patch(manifest["kind"], manifest["metadata"]["name"], operations, dry_run=True)
    return {**filled, "metadata": shape["metadata"]}


def _with_data(manifest: Object) -> Object:
    """A Secret's `stringData` as the `data` that the server makes of it: only that has an owner afterwards."""
    plain = manifest.get("stringData")
    if manifest["kind"] != "Secret" or not plain:
        return manifest
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
    shape = {key: value for key, value in manifest.items() if key != "stringData"}
    return {**shape, "data": {**(manifest.get("data") or {}), **encoded}}
