"""Whether a pod is silent because its node is: looked at only for pods that give reason to."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from failback.model.errors import FailbackError
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.pods import doubts_its_node, is_lost, is_node_gone

_LEASES = "kube-node-lease"
_RENEWED_S_MAX = 20.0  # the kubelet renews its lease every 10 s
_LEASE_LOOK_S = 1.0


class Nodes:
    """`ring`: called when what is known of a node changed."""

    def __init__(self, cluster: Cluster, ring: Callable[[], Any]) -> None:
        self._cluster = cluster
        self._ring = ring
        self._mirrors: dict[str, Mirror | None] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def seen(self, pod: Object) -> None:
        """To be called with every state of a new pod."""
        name = _node_of(pod)
        if name and name not in self._mirrors and doubts_its_node(pod):
            self._mirrors[name] = None
            self._tasks.append(asyncio.create_task(self._follow(name)))

    def lost(self, pod: Object) -> bool:
        """The node of the pod is gone, as far as anybody says so."""
        if is_lost(pod):
            return True
        if not doubts_its_node(pod):
            return False
        mirror = self._mirrors.get(_node_of(pod))
        # Not (yet) allowed to see the node: the pod's own conditions are only explained by it.
        return mirror is None or is_node_gone(mirror.objects.get(_node_of(pod)))

    async def is_heard(self, pod: Object) -> bool:
        """Whether the kubelet of the pod's node gives a sign of life after this call; True where nobody may see that.

        A pod that does not answer at all on a node that is silent itself says nothing about its release.
        """
        try:
            first = await self._renewed(pod)
            until = time.monotonic() + _RENEWED_S_MAX
            while time.monotonic() < until:
                await asyncio.sleep(_LEASE_LOOK_S)
                if await self._renewed(pod) != first:
                    return True
        except FailbackError:
            return True
        return False

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _renewed(self, pod: Object) -> str:
        lease = await self._cluster.get("Lease", _node_of(pod), _LEASES)
        return str(((lease or {}).get("spec") or {}).get("renewTime"))

    async def _follow(self, name: str) -> None:
        with contextlib.suppress(FailbackError):
            async with Mirror(
                self._cluster, "Node", fields=f"metadata.name={name}", on_change=lambda change, node: self._ring()
            ) as mirror:
                self._mirrors[name] = mirror
                self._ring()
                await asyncio.Event().wait()


def _node_of(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")
