"""Which snapshots may go. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from failback.backup.manifest import Manifest


def removable(
    manifests: Iterable[Manifest],
    *,
    witnessed_s: float,
    retention_s: float,
    in_use: Collection[str],
    judgeable: Callable[[Manifest], bool],
    good: Callable[[Manifest], bool],
) -> list[str]:
    """Ids past the retention, oldest first; never a service's newest good one, one in use, or all when none is good.

    `judgeable`: whether we can tell at all (a snapshot sealed to another key is somebody else's: left alone).
    `good` reads a whole snapshot, so it is only asked where something would be removed.
    """
    services: dict[str, list[Manifest]] = {}
    for manifest in sorted(manifests, key=lambda one: one.order):
        if judgeable(manifest):
            services.setdefault(manifest.ref.service, []).append(manifest)
    removed = []
    for ordered in services.values():
        expired = [
            one.ref.id for one in ordered if witnessed_s - one.witnessed_s > retention_s and one.ref.id not in in_use
        ]
        if not expired:
            continue
        newest_good = next((one.ref.id for one in reversed(ordered) if good(one)), None)
        if newest_good is not None:
            removed += [snapshot_id for snapshot_id in expired if snapshot_id != newest_good]
    return removed
