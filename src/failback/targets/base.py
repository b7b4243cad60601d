"""The seam between the executor and where a release runs. A new target is one package that implements `Target`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from failback.model.evidence import Evidence
from failback.model.fix import Change, ReleaseShape
from failback.model.observation import View
from failback.model.release import Finding, Revision, ServiceState, TrafficCounters
from failback.model.snapshot import SnapshotContent


class Journal(Protocol):
    """The write-ahead record. Every mutation of a target happens inside `intent`, and is safe to repeat.

    `intent` records the write, checks the fencing token (raises LeaseLost), runs the body, then records that it is
    done. After a SIGKILL the execution is resumed and the same writes are made again, so a body must first look
    whether its effect is already there.
    """

    @property
    def token(self) -> int:
        """The fencing token of this executor; a target stores it and refuses a smaller one."""
        ...

    def intent(self, write: str, /, **detail: Any) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """What is to be deployed: resolved and ready; `secrets` names the environment keys whose values are secret."""

    service: str
    shape: Mapping[str, Any]  # the plan's `release:` mapping, paths absolute, environment resolved
    checks: Mapping[str, Any]
    secrets: frozenset[str] = frozenset()
    from_revision: str | None = None  # rollback: deploy what this former revision was, `shape` is ignored


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a phase did or checked, with what was measured. `ok` None: not applicable."""

    text: str
    ok: bool | None = True
    detail: Mapping[str, Any] = field(default_factory=dict)


class Target(Protocol):
    """One service on one target. Methods that take a Journal mutate; all others only look. All are safe to repeat."""

    kind: str

    async def aim(self, release: ReleaseSpec) -> None:
        """What is about to be deployed, told before anything else is asked; it is only looked at."""
        ...

    async def hold(self) -> None:
        """The target's own lock on the service, where others than this machine may write. Raises ServiceHeld.

        Of a plan for several services all are held before anything is done to one.
        """
        ...

    async def repair(self, journal: Journal) -> Sequence[str]:
        """Puts back what a reboot or crash took (supervisor, proxy, replicas of the stable revision); says what."""
        ...

    async def state(self) -> ServiceState: ...

    async def preflight(self, release: ReleaseSpec) -> Sequence[Finding]:
        """What can be known before the first mutation: self-contained release, ports, space, rights, capacity."""
        ...

    async def difference(self, release: ReleaseSpec) -> str:
        """A unified diff of what would change against what runs now; secrets shown as ***."""
        ...

    async def snapshot(self) -> SnapshotContent: ...

    async def accepts(self, content: SnapshotContent) -> Sequence[Finding]:
        """Dry run of a restore: would these documents be accepted? Any blocking finding: not verified."""
        ...

    async def restore(self, content: SnapshotContent, files: Mapping[str, str], journal: Journal) -> Sequence[Action]:
        """`backups restore`: puts the service as the snapshot has it; `files`: name -> unpacked absolute path."""
        ...

    async def stage(self, release: ReleaseSpec, execution_id: str, journal: Journal) -> Revision:
        """Makes the immutable release and its revision; the same execution gets the same revision again."""
        ...

    async def launch(self, revision: Revision, journal: Journal) -> None:
        """Starts the revision without user traffic."""
        ...

    def watch(self, revision: Revision) -> AsyncIterator[View]:
        """The picture of the revision, anew whenever something changed (and at least every 0.25 s while it runs).

        The stage follows from the target's own state (dark until `cut_over`).
        """
        ...

    async def cut_over(self, revision: Revision, journal: Journal) -> None:
        """All users to the revision, in one atomic switch, confirmed by the data plane before it returns."""
        ...

    async def extend(self, revision: Revision, journal: Journal) -> None:
        """The revision has baked on those users that the cut-over gave it: all others follow, where it was not all.

        Raises ReleaseError where it does not hold while they come.
        """
        ...

    async def decide(self, revision: Revision, journal: Journal) -> None:
        """Every step has succeeded: whoever takes the rollout up from here finishes it, and undoes nothing.

        Of a plan for several services all are decided before the former revision of one leaves.
        """
        ...

    async def finish(self, revision: Revision, journal: Journal) -> Sequence[Action]:
        """The revision has baked: drain and remove the former one; it becomes the stable revision."""
        ...

    async def protect(self, failed: Revision | None, journal: Journal) -> Sequence[Action]:
        """Phase 1: no request reaches the failed revision; confirmed by the data plane. Milliseconds matter here."""
        ...

    async def roll_back(
        self, failed: Revision | None, content: SnapshotContent | None, journal: Journal
    ) -> Sequence[Action]:
        """Phase 2: the stable revision's configuration and full capacity, as the snapshot has it."""
        ...

    async def verify_stable(self, failed: Revision | None) -> Sequence[Action]:
        """Phase 3: replicas, endpoints, new error lines, response times within SLA. Each an Action with ok."""
        ...

    async def evidence(self, failed: Revision | None) -> Evidence:
        """Everything seen of the failed revision (redacted, bounded); asked for before `clean_up`."""
        ...

    async def clean_up(self, failed: Revision | None, journal: Journal) -> Sequence[Action]:
        """Phase 4: no process, port, folder, file or object of the failed revision is left; each is checked."""
        ...

    async def traffic(self) -> TrafficCounters | None:
        """Users' requests so far; None when the target cannot count them."""
        ...

    async def remove(self, journal: Journal) -> Sequence[Action]:
        """`down`: stops the service and what belongs to it alone. Releases and backups stay."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class FixBench(Protocol):
    """What a target offers beside `Target` so that fixes can be tried on it. One without it tries none.

    A trial goes the way of every release: `preflight`, `stage`, `launch`, `watch`, `clean_up`; it is never cut over.
    """

    async def former_shape(self) -> ReleaseShape | None:
        """The stable revision as fixes look at it; None where there is none."""
        ...

    async def shape_of(self, release: ReleaseSpec) -> ReleaseShape:
        """The release that failed, the same way."""
        ...

    async def changed(self, release: ReleaseSpec, changes: Sequence[Change], folder: Path) -> ReleaseSpec:
        """The release with the changes; what has to be written for it stands below `folder`, which is empty.

        Raises ReleaseError for a change that this target cannot make.
        """
        ...
