"""Where one service lives in one cluster, what each part of the target needs: the API, the lease, what is staged."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyrage

from failback.model.errors import LeaseLost, NotPermitted, TargetUnavailable, UnknownService
from failback.model.evidence import ProbeResult
from failback.model.observation import Verdict, View
from failback.model.redaction import Redactor
from failback.targets.kubernetes.cluster import Cluster, Patch
from failback.targets.kubernetes.desired import Desired, Unit
from failback.targets.kubernetes.kinds import WORKLOADS, Object, told
from failback.targets.kubernetes.lease import ClusterLease
from failback.targets.kubernetes.record import Record, fence, fence_of, record_of
from failback.targets.kubernetes.secret_values import secret_values


@dataclass(frozen=True, slots=True)
class Settings:
    """What the plan says of the target and the way to it, as plain values."""

    context: str | None = None
    namespace: str | None = None
    traffic: Mapping[str, Any] = field(default_factory=lambda: {"source": "endpoints", "address": None})
    zero_downtime: bool = True
    strategy: str = "dark"


@dataclass(frozen=True, slots=True)
class Staged:
    """What a Deploy step will roll out, rendered once when it starts; a resume needs no plan folder."""

    revision: str  # "rev-3f2a9c01d4"
    execution: str
    digest: str
    desired: Desired
    checks: Mapping[str, Any]
    created_at: float
    ways: Mapping[str, str] = field(default_factory=dict)  # "Deployment/web" -> rolling.ROLLING and the like
    direct: bool = False  # a former revision: its template goes in as it is, and no manifest is applied


class Site:
    """One service in one namespace. `folder`: what this home keeps of it."""

    def __init__(self, folder: Path, key_file: Path, service: str, settings: Settings, redactor: Redactor) -> None:
        self.folder = folder
        self.service = service
        self.settings = settings
        self.redactor = redactor
        self.cluster = Cluster(settings.context, settings.namespace)
        self.lease = ClusterLease(self.cluster, service)
        self._key_file = key_file
        self._fenced: set[str] = set()
        self.cannot_begin: Callable[[View], Verdict | None] = lambda view: None  # who judges pods that only wait
        self.probes: dict[str, list[ProbeResult]] = {}  # what this process asked each pod, for the evidence

    @classmethod
    def existing(cls, folder: Path, key_file: Path, service: str, redactor: Redactor) -> Site:
        """The service as this home deployed it last. Raises UnknownService."""
        try:
            known = json.loads((folder / "kubernetes.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as cause:
            raise UnknownService(f"{service} was not deployed to a cluster with this home.", service=service) from cause
        return cls(folder, key_file, service, Settings(**known["settings"]), redactor)

    # What this home knows

    def remember(self, units: tuple[Unit, ...]) -> None:
        """Keeps where the service lives, for the commands that get no plan."""
        shape = {"settings": asdict(self.settings), "units": [asdict(unit) for unit in units]}
        self._write("kubernetes.json", json.dumps(shape, indent=1).encode())

    def units(self) -> tuple[Unit, ...]:
        """The workloads as they were deployed last; empty before."""
        try:
            shape = json.loads((self.folder / "kubernetes.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ()
        return tuple(Unit(one["kind"], one["name"], tuple(one["services"])) for one in shape["units"])

    def keep_staged(self, staged: Staged) -> None:
        """Encrypted, since Secrets are among the objects."""
        text = json.dumps(asdict(staged)).encode()
        self._write(f"staged/{staged.revision}.age", pyrage.encrypt(text, [self._identity().to_public()]))
        self._write(f"staged/{staged.execution}.revision", staged.revision.encode())

    def staged_of(self, execution: str) -> Staged | None:
        """What this execution has staged; None where it has not come so far."""
        path = self.folder / "staged" / f"{execution}.revision"
        return self.staged(path.read_text()) if path.exists() else None

    def staged(self, revision: str) -> Staged | None:
        """What `keep_staged` kept; None where it is not there."""
        path = self.folder / "staged" / f"{revision}.age"
        if not path.exists():
            return None
        shape = json.loads(pyrage.decrypt(path.read_bytes(), [self._identity()]))
        desired = shape.pop("desired")
        units = tuple(Unit(one["kind"], one["name"], tuple(one["services"])) for one in desired.pop("units"))
        wanted = Desired(units=units, **{key: tuple(value) for key, value in desired.items()})
        self.redactor.add(secret_values(wanted.everything()))
        return Staged(desired=wanted, **shape)

    def need_staged(self, revision: str) -> Staged:
        found = self.staged(revision)
        if found is None:
            raise TargetUnavailable(f"What revision {revision} wants to be is not known here.", revision=revision)
        return found

    def forget_staged(self, revision: str) -> None:
        for path in (self.folder / "staged").glob(f"{revision}.*"):
            path.unlink(missing_ok=True)
        for path in (self.folder / "staged").glob("*.revision"):
            if path.read_text() == revision:
                path.unlink(missing_ok=True)

    def keep(self, name: str, shape: Mapping[str, Any]) -> None:
        """Keeps one JSON file beside what is staged; masked."""
        self._write(f"staged/{name}", json.dumps(self.redactor.redact_value(dict(shape)), default=str).encode())

    def kept(self, name: str) -> dict[str, Any]:
        """What `keep` kept; empty where there is nothing."""
        try:
            shape = json.loads((self.folder / "staged" / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return shape if isinstance(shape, dict) else {}

    # Writing, fenced

    async def change(self, kind: str, name: str, operations_for: Callable[[Object], Patch]) -> Object:
        """`Cluster.change`, with our fencing token written and asked for in every write. Raises LeaseLost."""
        token = await self.lease.hold()
        key = f"{kind}/{name}"
        if key not in self._fenced:
            await self.lease.check()

        def fenced(current: Object) -> Patch:
            have = fence_of(current)
            if (have is not None and have > token) or (have is None and key in self._fenced):
                raise LeaseLost(
                    f"{told(current)} carries the fencing token {have} of another execution, ours is {token}: this one "
                    f"stops and writes nothing more.",
                    service=self.service,
                )
            held, after = fence(current, token)
            wanted = operations_for(after)
            return [*held, *wanted] if wanted else []

        changed = await self.cluster.change(kind, name, fenced)
        if fence_of(changed) == token:
            self._fenced.add(key)
        return changed

    async def unfence(self, kind: str, name: str, operations_for: Callable[[Object], Patch]) -> Object:
        """The last write to an object: `operations_for` takes the fence (and the record) away with the rest."""
        changed = await self.change(kind, name, operations_for)
        self._fenced.discard(f"{kind}/{name}")
        return changed

    async def record(self, unit: Unit) -> tuple[Object | None, Record | None]:
        """The workload as it is, and the record that travels with it."""
        workload = await self.cluster.get(unit.kind, unit.name)
        return workload, record_of(workload)

    async def find_allowed(self, kind: str, labels: str = "") -> list[Object]:
        """What there is of a kind that not every release has. An account that may not list it has made none."""
        try:
            return await self.cluster.find(kind, labels=labels)
        except NotPermitted:
            return []

    async def in_rollouts(self, labels: str) -> list[Object]:
        """Workloads of all kinds with these labels. A kind that this account may not list is none that it has rolled
        out; NotPermitted where that is all of them."""
        lists = await asyncio.gather(
            *(self.cluster.find(kind, labels=labels) for kind in WORKLOADS), return_exceptions=True
        )
        refused = [found for found in lists if isinstance(found, BaseException)]
        if len(refused) == len(lists) or not all(isinstance(error, NotPermitted) for error in refused):
            raise refused[0]
        return [one for found in lists if isinstance(found, list) for one in found]

    async def close(self) -> None:
        await self.lease.release()
        await self.cluster.close()

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(content)
        temporary.chmod(0o600)
        temporary.replace(path)

    def _identity(self) -> pyrage.x25519.Identity:
        try:
            lines = self._key_file.read_text().splitlines()
        except OSError as cause:
            raise NotPermitted(f"The key {self._key_file} cannot be read ({cause.strerror}).") from cause
        return pyrage.x25519.Identity.from_str(next(line for line in lines if line.startswith("AGE-SECRET-KEY-")))
