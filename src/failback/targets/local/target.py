"""The local target: real processes behind a real proxy on this machine. Each method's work has a module of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from failback.model.errors import TargetUnavailable, UnknownService
from failback.model.evidence import Evidence
from failback.model.fix import Change, ReleaseShape
from failback.model.observation import View
from failback.model.redaction import Redactor
from failback.model.release import Finding, Revision, ServiceState, TrafficCounters
from failback.model.snapshot import SnapshotContent
from failback.targets.base import Action, Journal, ReleaseSpec
from failback.targets.local import changing, keeping, observing, recovery, rollout
from failback.targets.local.layout import Layout
from failback.targets.local.site import Site
from failback.targets.local.state import RevisionRecord
from failback.targets.local.status import service_state
from failback.targets.local.watching import Watch


class LocalTarget:
    """`failback.targets.base.Target` for one service of one home. `listen`: where users reach it."""

    kind = "local"

    def __init__(
        self, home: Path, run_dir: Path, service: str, listen: str, key_file: Path, redactor: Redactor
    ) -> None:
        self._site = Site.open(Layout(home, run_dir, service), key_file, listen, redactor)

    @classmethod
    def existing(cls, home: Path, run_dir: Path, service: str, key_file: Path, redactor: Redactor) -> LocalTarget:
        """The service as it was deployed last. Raises UnknownService when this home has none of that name."""
        from failback.targets.local.state import StateFile

        layout = Layout(home, run_dir, service)
        if not layout.state_file.exists():
            raise UnknownService(f"{service} is not a local service of {home}.", service=service)
        state = StateFile(layout.state_file, service, "").read()
        return cls(home, run_dir, service, state.listen, key_file, redactor)

    async def aim(self, release: ReleaseSpec) -> None:
        """Nothing to learn: the service's name says all about where it lives on this machine."""

    async def hold(self) -> None:
        """The lock of this machine is all there is."""

    async def repair(self, journal: Journal) -> Sequence[str]:
        return await recovery.repair(self._site, journal)

    async def state(self) -> ServiceState:
        return await asyncio.to_thread(service_state, self._site.layout)

    async def preflight(self, release: ReleaseSpec) -> Sequence[Finding]:
        return await asyncio.to_thread(observing.preflight, self._site, release)

    async def difference(self, release: ReleaseSpec) -> str:
        state = self._site.state()
        stable = state.revision(state.stable)
        if release.from_revision is not None:
            return f"back to revision {release.from_revision}\n"
        shape = release.shape
        plain = {**shape, "env": {key: value for key, value in shape["env"].items() if key not in release.secrets}}
        old = observing.settings_of(stable.shape, stable.secrets) if stable else []
        new = observing.settings_of(plain, sorted(release.secrets))
        folder = self._site.releases.path(stable.digest) if stable else self._site.layout.releases / "none"
        return self._site.redactor.redact(await asyncio.to_thread(observing.difference_to, shape, old, new, folder))

    async def snapshot(self) -> SnapshotContent:
        return await asyncio.to_thread(keeping.snapshot, self._site)

    async def accepts(self, content: SnapshotContent) -> Sequence[Finding]:
        return await asyncio.to_thread(keeping.accepts, self._site, content)

    async def restore(self, content: SnapshotContent, files: Mapping[str, str], journal: Journal) -> Sequence[Action]:
        return await keeping.restore(self._site, content, files, journal)

    async def stage(self, release: ReleaseSpec, execution_id: str, journal: Journal) -> Revision:
        return rollout.as_revision(await rollout.stage(self._site, release, execution_id, journal))

    async def launch(self, revision: Revision, journal: Journal) -> None:
        await rollout.launch(self._site, self._record(revision), journal)

    async def watch(self, revision: Revision) -> AsyncIterator[View]:
        mirror = self._record(revision).checks.get("mirror") or {}
        state = self._site.state()
        mirrored = bool(mirror.get("enabled")) and self._record(revision).cut_over is None and state.stable is not None
        if mirrored:
            await self._site.proxy.route(
                state.stable,
                revision.id,
                mirror_percent=float(mirror.get("percent", 100.0)),
                mirror_methods=tuple(mirror.get("methods") or ("GET", "HEAD")),
            )
        try:
            async for view in Watch(self._site, self._record(revision)).views():
                yield view
        finally:
            if mirrored:
                await self._site.proxy.route(state.stable)

    async def cut_over(self, revision: Revision, journal: Journal) -> None:
        await rollout.cut_over(self._site, self._record(revision), journal)

    async def extend(self, revision: Revision, journal: Journal) -> None:
        """Nobody is left: the cut-over is one switch of all users."""

    async def decide(self, revision: Revision, journal: Journal) -> None:
        """Nobody takes it up but with this home, whose record of the execution says it."""

    async def finish(self, revision: Revision, journal: Journal) -> Sequence[Action]:
        return await rollout.finish(self._site, self._record(revision), journal)

    async def protect(self, failed: Revision | None, journal: Journal) -> Sequence[Action]:
        return await recovery.protect(self._site, failed, journal)

    async def roll_back(
        self, failed: Revision | None, content: SnapshotContent | None, journal: Journal
    ) -> Sequence[Action]:
        return await recovery.roll_back(self._site, failed, content, journal)

    async def verify_stable(self, failed: Revision | None) -> Sequence[Action]:
        return await recovery.verify_stable(self._site, failed)

    async def evidence(self, failed: Revision | None) -> Evidence:
        return await asyncio.to_thread(observing.evidence, self._site, failed.id if failed else None)

    async def clean_up(self, failed: Revision | None, journal: Journal) -> Sequence[Action]:
        return await recovery.clean_up(self._site, failed, journal)

    async def traffic(self) -> TrafficCounters | None:
        if not self._site.layout.proxy.exists():
            return None
        try:
            return await self._site.proxy.counters()
        except TargetUnavailable:
            return None

    async def remove(self, journal: Journal) -> Sequence[Action]:
        return await recovery.remove(self._site, journal)

    async def former_shape(self) -> ReleaseShape | None:
        return await asyncio.to_thread(changing.former_shape, self._site)

    async def shape_of(self, release: ReleaseSpec) -> ReleaseShape:
        return await asyncio.to_thread(changing.shape_of, release)

    async def changed(self, release: ReleaseSpec, changes: Sequence[Change], folder: Path) -> ReleaseSpec:
        return await asyncio.to_thread(changing.changed, release, changes, folder)

    async def close(self) -> None:
        await self._site.proxy.close()

    def _record(self, revision: Revision) -> RevisionRecord:
        record = self._site.state().revision(revision.id)
        if record is None:
            raise TargetUnavailable(f"Revision {revision.id} is not known here any more.", revision=revision.id)
        return record
