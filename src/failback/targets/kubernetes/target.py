"""The Kubernetes target: any conformant cluster, with no CRD, mesh or operator. Each method has its module."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from failback.model.errors import FailbackError, NotPermitted, ReleaseError
from failback.model.evidence import Evidence
from failback.model.fix import Change, ReleaseShape
from failback.model.observation import Verdict, View
from failback.model.redaction import Redactor
from failback.model.release import Finding, Revision, ServiceState, TrafficCounters
from failback.model.snapshot import SnapshotContent
from failback.targets.base import Action, Journal, ReleaseSpec
from failback.targets.kubernetes import (
    changing,
    difference,
    evidence,
    former,
    keeping,
    manifests,
    names,
    one_by_one,
    preflight,
    preflight_rights,
    pulling,
    recovery,
    rolling,
    rollout,
    stability,
)
from failback.targets.kubernetes.desired import Desired, Unit, desired_of
from failback.targets.kubernetes.kinds import WORKLOADS, Object
from failback.targets.kubernetes.record import Moment, Record
from failback.targets.kubernetes.site import Settings, Site
from failback.targets.kubernetes.status import service_state
from failback.targets.kubernetes.traffic import Traffic
from failback.targets.kubernetes.watching import Judged, Watch

_CAPTURE_S_MAX = 3.0


class KubernetesTarget:
    """`failback.targets.base.Target` for one service in one namespace. `folder`: what this home keeps of it."""

    kind = "kubernetes"

    def __init__(
        self,
        folder: Path,
        key_file: Path,
        service: str,
        settings: Settings,
        redactor: Redactor,
        cannot_begin: Callable[[View], Verdict | None] = lambda view: None,
    ) -> None:
        self._site = Site(folder, key_file, service, settings, redactor)
        self._site.cannot_begin = cannot_begin
        self._units: tuple[Unit, ...] = self._site.units()
        self._traffic: Traffic | None = None
        self._baseline: Mapping[str, Any] = {}
        self._checks: Mapping[str, Any] = {}
        self._ways: dict[str, str] = {}
        self._aimed_at: Desired | None = None

    @classmethod
    def existing(cls, folder: Path, key_file: Path, service: str, redactor: Redactor) -> KubernetesTarget:
        """The service as it was deployed last. Raises UnknownService when this home has none of that name."""
        return cls(folder, key_file, service, Site.existing(folder, key_file, service, redactor).settings, redactor)

    async def aim(self, release: ReleaseSpec) -> None:
        """Learns from the release which workloads it is about. A folder that a Build step has yet to make is no error
        where they are known already."""
        self._checks = release.checks
        if release.from_revision is not None:
            return
        try:
            async with self._explained():
                self._aimed_at = await self._desired(release)
                self._units = self._aimed_at.units
        except FailbackError:
            if not self._units:
                raise

    async def hold(self) -> None:
        async with self._explained():
            await self._site.lease.hold()

    async def repair(self, journal: Journal) -> Sequence[str]:
        async with self._explained():
            said = await recovery.repair(self._site, journal)
            self._baseline = await stability.baseline(self._site, await self._judged(whole=True), self._checks)
        self._site.keep("baseline.json", dict(self._baseline))
        return said

    async def state(self) -> ServiceState:
        async with self._explained():
            return await service_state(self._site, self._units)

    async def preflight(self, release: ReleaseSpec) -> Sequence[Finding]:
        findings = await preflight.preflight(self._site, release, await self._desired(release))
        # What preflight has found unable to run twice is exchanged in another way, which it has warned of.
        self._ways = {one.subject: str(one.detail["way"]) for one in findings if one.detail.get("way")}
        return findings

    async def difference(self, release: ReleaseSpec) -> str:
        if release.from_revision is not None:
            return f"back to revision {release.from_revision}\n"
        return await difference.difference(self._site, await pulling.pinned(self._site, await self._desired(release)))

    async def snapshot(self) -> SnapshotContent:
        return await keeping.snapshot(self._site, self._units)

    async def accepts(self, content: SnapshotContent) -> Sequence[Finding]:
        return await keeping.accepts(self._site, content)

    async def restore(self, content: SnapshotContent, files: Mapping[str, str], journal: Journal) -> Sequence[Action]:
        await self._site.lease.hold()
        return await keeping.restore(self._site, content, files, journal)

    async def stage(self, release: ReleaseSpec, execution_id: str, journal: Journal) -> Revision:
        known = self._site.staged_of(execution_id)
        if known is not None:
            return rollout.as_revision(known)
        direct = release.from_revision is not None
        desired = await self._desired(release)
        if not direct:  # a former revision comes back as it was, so that its own ReplicaSet is taken up again
            desired = await pulling.pinned(self._site, desired)
        self._units = desired.units
        return rollout.stage(
            self._site, desired, release.checks, execution_id, journal, direct=direct, ways=self._chosen_ways(desired)
        )

    def _chosen_ways(self, desired: Desired) -> dict[str, str]:
        if self._site.settings.strategy != "rolling":
            return dict(self._ways)
        return {unit.told: rolling.ROLLING for unit in desired.units if unit.kind == "Deployment"} | self._ways

    async def launch(self, revision: Revision, journal: Journal) -> None:
        await rollout.launch(self._site, self._site.need_staged(revision.id), journal)

    async def watch(self, revision: Revision) -> AsyncIterator[View]:
        staged = self._site.need_staged(revision.id)
        self._units = staged.desired.units
        for unit in staged.desired.units:
            await rollout.under_way(self._site, unit, staged)
        records = await self._records()
        launched = min((record.launched_at for record in records.values()), default=staged.created_at)
        switched = [record.switched_at for record in records.values()]
        cut_over = max((at for at in switched if at is not None), default=None) if None not in switched else None
        counting = await self._counting()
        async for view in Watch(self._site, await self._judged(), staged.checks, launched, cut_over, counting).views():
            yield view

    async def cut_over(self, revision: Revision, journal: Journal) -> None:
        counting = await self._counting()

        async def switching(shared: Sequence[str]) -> None:
            if counting is not None:
                await counting.switched(shared=bool(shared))
                self._site.keep(f"{revision.id}.counted.json", counting.state())

        await rollout.cut_over(self._site, self._site.need_staged(revision.id), journal, switching)

    async def extend(self, revision: Revision, journal: Journal) -> None:
        counting = await self._counting()

        async def counted() -> None:
            if counting is not None:
                await counting.look()
                self._site.keep(f"{revision.id}.counted.json", counting.state())

        await rollout.extend(self._site, self._site.need_staged(revision.id), journal, counted)

    async def decide(self, revision: Revision, journal: Journal) -> None:
        staged = self._site.staged(revision.id)
        if staged is not None:
            await rollout.decide(self._site, staged, journal)

    async def finish(self, revision: Revision, journal: Journal) -> Sequence[Action]:
        staged = self._site.staged(revision.id)
        return [] if staged is None else await rollout.finish(self._site, staged, journal)

    async def protect(self, failed: Revision | None, journal: Journal) -> Sequence[Action]:
        return await recovery.protect(self._site, self._units_of(failed), journal)

    async def roll_back(
        self, failed: Revision | None, content: SnapshotContent | None, journal: Journal
    ) -> Sequence[Action]:
        # The controllers delete the failed pods as soon as the stable template is back, and their logs with them.
        await self._capture(failed)
        return await recovery.roll_back(self._site, self._units_of(failed), content, journal)

    async def verify_stable(self, failed: Revision | None) -> Sequence[Action]:
        before = self._baseline or self._site.kept("baseline.json")
        staged = self._site.staged(failed.id) if failed is not None else None
        checks = staged.checks if staged is not None else self._checks
        return await stability.verify_stable(self._site, await self._judged(whole=True), before, checks)

    async def evidence(self, failed: Revision | None) -> Evidence:
        if failed is not None:
            kept = self._site.kept(f"{failed.id}.evidence.json")
            if kept:
                return Evidence.from_dict(kept)
        return await evidence.evidence(self._site, await self._judged(failed), execution=_execution_of(failed))

    async def _capture(self, failed: Revision | None) -> None:
        """Keeps the evidence once, before anything is deleted; within a limit, since the way back does not wait."""
        if failed is None or self._site.kept(f"{failed.id}.evidence.json"):
            return
        with contextlib.suppress(TimeoutError, FailbackError):
            async with asyncio.timeout(_CAPTURE_S_MAX):
                judged = await self._judged(failed)
                seen = await evidence.evidence(self._site, judged, execution=_execution_of(failed))
            self._site.keep(f"{failed.id}.evidence.json", seen.as_dict())

    async def clean_up(self, failed: Revision | None, journal: Journal) -> Sequence[Action]:
        if (counting := await self._counting()) is not None:
            await counting.look()
        actions = await recovery.clean_up(self._site, self._units_of(failed), journal, _execution_of(failed))
        if failed is not None:
            self._site.forget_staged(failed.id)
        return actions

    async def traffic(self) -> TrafficCounters | None:
        counting = await self._counting()
        return None if counting is None else await counting.counters()

    async def _counting(self) -> Traffic | None:
        """Counts from the first call on; None where this account may not."""
        if self._traffic is None:
            # Of a first deployment only the Services are known; that they lead nowhere is watched as well.
            first = [Judged(unit, names.hash_label(unit.kind), "", None, 0, unit.services) for unit in self._units]
            try:
                self._traffic = Traffic(self._site, await self._judged() or first)
            except NotPermitted:
                return None
            await self._traffic.start()
            for record in (await self._records()).values():  # another process may have come as far as the bake
                self._traffic.go_on(self._site.kept(f"{record.revision}.counted.json"))
        return self._traffic

    async def remove(self, journal: Journal) -> Sequence[Action]:
        await self._site.lease.hold()
        return await former.remove(self._site, self._units, journal)

    async def former_shape(self) -> ReleaseShape | None:
        """Of the live workload, which is what it was after the way back; ConfigMaps under their plain names."""
        if len(self._units) != 1:
            return None
        live, _ = await self._site.record(self._units[0])
        return None if live is None else changing.shape_of(live, await self._site.cluster.find("ConfigMap"))

    async def shape_of(self, release: ReleaseSpec) -> ReleaseShape:
        objects = await self._objects(release)
        workload = changing.only_workload(objects)
        return changing.shape_of(workload, [one for one in objects if one["kind"] == "ConfigMap"])

    async def changed(self, release: ReleaseSpec, changes: Sequence[Change], folder: Path) -> ReleaseSpec:
        return changing.changed(release, await self._objects(release), changes, folder)

    async def close(self) -> None:
        if self._traffic is not None:
            await self._traffic.close()
        await self._site.close()

    def _explained(self) -> contextlib.AbstractAsyncContextManager[None]:
        return preflight_rights.explained(self._site, {unit.kind for unit in self._units}, self._aimed_at)

    async def _desired(self, release: ReleaseSpec) -> Desired:
        """The release as it wants to be; for a rollback, what the former revision was."""
        if release.from_revision is not None:
            return await former.desired(self._site, self._units, release.from_revision)
        shape = release.shape
        objects = await self._objects(release)
        desired = desired_of(objects, tuple(shape.get("objects") or ()), shape.get("image"))
        return await self._with_live_services(desired)

    async def _objects(self, release: ReleaseSpec) -> list[Object]:
        """The release's objects as its manifests have them."""
        shape = release.shape
        if shape.get("objects") and not (shape.get("manifests") or shape.get("kustomize") or shape.get("helm")):
            return await manifests.from_cluster(self._site, shape)
        place = (self._site.service, self._site.cluster.namespace)
        objects = await asyncio.to_thread(manifests.render, shape, *place)
        if shape.get("helm") and not await self._runs(objects):
            return await asyncio.to_thread(manifests.render, shape, *place, first=True)
        return objects

    async def _runs(self, objects: Sequence[Object]) -> bool:
        """Whether one of these workloads is there already."""
        wanted = [(one["kind"], one["metadata"]["name"]) for one in objects if one["kind"] in WORKLOADS]
        return any(await asyncio.gather(*(self._site.cluster.get(*key) for key in wanted)))

    async def _with_live_services(self, desired: Desired) -> Desired:
        """Services that reach the workloads' pods and stand elsewhere than in the manifests count as well."""
        services = await self._site.cluster.find("Service")
        units = tuple(
            dataclasses.replace(unit, services=names.services_of(unit, desired.workload(unit), services))
            for unit in desired.units
        )
        return dataclasses.replace(desired, units=units)

    def _units_of(self, failed: Revision | None) -> tuple[Unit, ...]:
        staged = self._site.staged(failed.id) if failed is not None else None
        if staged is not None:
            self._units = staged.desired.units
        if not self._units:
            raise ReleaseError(f"No workload of {self._site.service} is known here.")
        return self._units

    async def _records(self) -> dict[Unit, Record]:
        found = await asyncio.gather(*(self._site.record(unit) for unit in self._units))
        return {unit: record for unit, (_, record) in zip(self._units, found, strict=True) if record is not None}

    async def _judged(self, failed: Revision | None = None, *, whole: bool = False) -> list[Judged]:
        """Each workload with the hashes of its new and its stable revision, as they are at this moment. `whole`: all of
        its pods count, not those alone that are new by now."""
        if failed is not None:
            self._units_of(failed)
        judged = []
        for unit in self._units:
            live, record = await self._site.record(unit)
            if live is None:
                continue
            now = await names.hash_of_template(self._site, live)
            stable = now if record is None else record.stable
            new = await names.failed_hash(self._site, live, record) if record is not None else now
            if failed is not None and (record is None or record.moment is Moment.ANNOUNCED):
                new = None  # it failed before its first pod: what runs is the stable revision, and not its failure
            judged.append(
                Judged(
                    unit=unit,
                    label=names.hash_label(unit.kind),
                    hash=new or "",
                    stable=stable,
                    replicas=one_by_one.count(live)
                    if whole
                    else await one_by_one.judged_count(self._site, live, new or "", record),
                    services=unit.services,
                )
            )
        return judged


def _execution_of(failed: Revision | None) -> str | None:
    return str(failed.details["execution"]) if failed and failed.details.get("execution") else None
