"""Follows what the cluster says of one revision: events of its pods and of their owners, and the owners' refusals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from failback.model.errors import FailbackError
from failback.targets.kubernetes.autoscaling import adds_nodes
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.mirror import Mirror, OnChange
from failback.targets.kubernetes.saying import Sayings

PODS_WATCHED_MAX = 8  # each is a watch of its own; more pods than that share one over all pods of the namespace


class Telling:
    """`selectors`: (workload, labels of its new pods)."""

    def __init__(
        self, cluster: Cluster, sayings: Sayings, selectors: Sequence[tuple[Unit, str]], ring: Callable[[], Any]
    ) -> None:
        self._cluster = cluster
        self._sayings = sayings
        self._selectors = selectors
        self._ring = ring
        self._tasks: list[asyncio.Task[None]] = []
        self._pods: set[str] = set()
        self._asked_scaling = False
        self.autoscaled: bool | None = None

    def begin(self) -> None:
        """The owners' own words, from now on."""
        for unit, labels in self._selectors:
            self.owner(unit.kind, unit.name)
            if unit.kind == "Deployment":
                self._watch("ReplicaSet", labels=labels, on_change=self._set_taker())

    def owner(self, kind: str, name: str) -> None:
        """What is said of one that makes pods, from now on."""
        about = f"involvedObject.kind={kind},involvedObject.name={name}"
        self._watch("Event", fields=about, on_change=self._event_taker())

    def pod(self, pod: Object) -> None:
        """To be called with every state of a new pod."""
        uid = pod["metadata"]["uid"]
        if uid in self._pods or len(self._pods) > PODS_WATCHED_MAX:
            return
        self._pods.add(uid)
        if len(self._pods) <= PODS_WATCHED_MAX:
            self._watch("Event", fields=f"involvedObject.uid={uid}", on_change=self._event_taker())
        else:
            self._watch("Event", fields="involvedObject.kind=Pod", on_change=self._event_taker(mine=self._is_mine))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_mine(self, event: Object) -> bool:
        return any(
            str((event.get("involvedObject") or {}).get("name", "")).startswith(u.name) for u, _ in self._selectors
        )

    def _event_taker(self, mine: Callable[[Object], bool] = lambda event: True) -> OnChange:
        def take(change: str, event: Object) -> None:
            if change != "DELETED" and mine(event) and self._sayings.event(event):
                if event.get("reason") == "FailedScheduling" and not self._asked_scaling:
                    self._asked_scaling = True
                    self._tasks.append(asyncio.create_task(self._ask_scaling()))
                self._ring()

        return take

    def _set_taker(self) -> OnChange:
        known: set[str] = set()

        def take(change: str, one: Object) -> None:
            name = one["metadata"]["name"]
            if change != "DELETED" and self._sayings.refusals(one):
                self._ring()
            if name not in known:
                known.add(name)
                fields = f"involvedObject.kind=ReplicaSet,involvedObject.name={name}"
                self._watch("Event", fields=fields, on_change=self._event_taker())

        return take

    def _watch(self, kind: str, *, labels: str = "", fields: str = "", on_change: OnChange) -> None:
        self._tasks.append(asyncio.create_task(self._hold(kind, labels, fields, on_change)))

    async def _hold(self, kind: str, labels: str, fields: str, on_change: OnChange) -> None:
        # An account that may not see events judges by the pods' own status; preflight says so beforehand.
        with contextlib.suppress(FailbackError):
            async with Mirror(self._cluster, kind, labels=labels, fields=fields, on_change=on_change):
                await asyncio.Event().wait()

    async def _ask_scaling(self) -> None:
        self.autoscaled = await adds_nodes(self._cluster)
        self._ring()
