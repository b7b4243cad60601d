"""One writer a service, in the whole cluster: a Lease object whose count of holders is the fencing token.

Who holds it renews it; one that is not renewed in time is taken over, with a higher token. The clock decides only when
a take-over is tried. That a holder which was frozen meanwhile can do no harm is the token's work: every write carries
the condition that the object still has the writer's token.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from failback.model.errors import FailbackError, LeaseLost, ReleaseError, ServiceHeld
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.failures import AlreadyExists, Conflict, NotFound
from failback.targets.kubernetes.kinds import Object

DURATION_S = 15
_RENEW_S = 4.0
_TRIES = 10


class ClusterLease:
    """The lease `failback-<service>` in the service's namespace."""

    def __init__(self, cluster: Cluster, service: str) -> None:
        self._cluster = cluster
        self._service = service
        self.name = f"failback-{service}"
        self._identity = _identity()
        self._renewing: asyncio.Task[None] | None = None
        self._lost = False
        self.token: int | None = None

    async def hold(self) -> int:
        """Takes the lease, or makes sure that it is ours still; the token. Raises ServiceHeld, LeaseLost."""
        if self._lost:
            raise self._gone()
        if self.token is not None:
            return self.token
        for _ in range(_TRIES):
            current = await self._cluster.get("Lease", self.name)
            try:
                if current is None:
                    taken = await self._cluster.create(self._shape(None))
                elif _may_be_taken(current, self._identity):
                    taken = await self._cluster.replace(self._shape(current))
                else:
                    raise self._held(current)
            except (AlreadyExists, Conflict):
                continue  # somebody else was faster: look again
            except NotFound as error:
                raise ReleaseError(
                    f'Nothing was touched: namespaces "{self._cluster.namespace}" not found. Make it: '
                    f"`kubectl create namespace {self._cluster.namespace}`.",
                    **error.fields,
                ) from error
            self.token = int(taken["spec"]["leaseTransitions"])
            self._renewing = asyncio.create_task(self._renew(), name=f"renew {self.name}")
            return self.token
        raise self._held(current or {})

    async def check(self) -> None:
        """Asks the API server whether the lease is ours. Raises LeaseLost."""
        current = await self._cluster.get("Lease", self.name)
        holder = ((current or {}).get("spec") or {}).get("holderIdentity")
        if self._lost or holder != self._identity or current["spec"].get("leaseTransitions") != self.token:  # type: ignore[index]
            self._lost = True
            raise self._gone()

    async def release(self) -> None:
        """Gives it back; a lease that is another's by now stays as it is."""
        if self._renewing is not None:
            self._renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError, FailbackError):
                await self._renewing
            self._renewing = None
        if self.token is None:
            return
        token, self.token = self.token, None
        with contextlib.suppress(FailbackError):
            current = await self._cluster.get("Lease", self.name)
            if current is not None and current["spec"].get("leaseTransitions") == token:
                current["spec"]["holderIdentity"] = ""
                await self._cluster.replace(current)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            try:
                current = await self._cluster.get("Lease", self.name)
                if current is None or current["spec"].get("leaseTransitions") != self.token:
                    self._lost = True
                    return
                current["spec"]["renewTime"] = _micro_time(datetime.now(UTC))
                await self._cluster.replace(current)
            except FailbackError:
                continue  # the server is away, or somebody wrote at the same moment: the next round tells

    def _shape(self, current: Object | None) -> Object:
        at = datetime.now(UTC)
        now = _micro_time(at)
        spec = (current or {}).get("spec") or {}
        before = int(spec.get("leaseTransitions") or 0)
        # The seconds of the clock as the least token: one that is higher than all before, even where somebody has
        # deleted the Lease and its count with it.
        again = spec.get("holderIdentity") == self._identity
        token = before if again else max(before + 1, int(at.timestamp()))
        shape: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "labels": {"app.kubernetes.io/managed-by": "failback"}},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_S,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": token,
            },
        }
        if current is not None:
            shape["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
        return shape

    def _held(self, current: Mapping[str, Any]) -> ServiceHeld:
        holder = (current.get("spec") or {}).get("holderIdentity") or "another execution"
        return ServiceHeld(
            f"{self._service} is held by {holder} (Lease {self.name} in {self._cluster.namespace}): nothing was "
            f"touched. Wait for it to end; if its process is gone, the lease ends {DURATION_S} s after its last sign.",
            service=self._service,
            holder=holder,
        )

    def _gone(self) -> LeaseLost:
        return LeaseLost(
            f"{self._service} was taken over by another execution (Lease {self.name}): this one stops and writes "
            f"nothing more. `failback status {self._service}` shows what runs.",
            service=self._service,
        )


def _identity() -> str:
    """The machine and the very process: its id may be given again, its start may not."""
    me = psutil.Process()
    return f"{os.uname().nodename}/{me.pid}/{me.create_time():.2f}"


def _may_be_taken(lease: Mapping[str, Any], mine: str) -> bool:
    spec = lease.get("spec") or {}
    holder = str(spec.get("holderIdentity") or "")
    if holder in ("", mine) or _died_here(holder):
        return True
    renewed = spec.get("renewTime")
    if renewed is None:
        return True
    ends = datetime.fromisoformat(renewed) + timedelta(seconds=int(spec.get("leaseDurationSeconds") or DURATION_S))
    return datetime.now(UTC) > ends


def _died_here(holder: str) -> bool:
    """The holder was a process of this machine, and is gone: nobody has to wait for its lease to end."""
    node, _, rest = holder.partition("/")
    pid, _, started = rest.partition("/")
    if node != os.uname().nodename or not pid.isdigit():
        return False
    try:
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(started)) > 0.02 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except ValueError:
        return False


def _micro_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
