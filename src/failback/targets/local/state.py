"""What the local target knows of a service: one file, replaced atomically. By the standard library alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from failback.model.errors import LeaseLost, TargetError
from failback.model.release import RevisionState


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by the system-wide clock that does not jump; another boot's moments cannot be compared with."""

    mono: float
    boot: str

    @classmethod
    def now(cls) -> Moment:
        return cls(time.monotonic(), boot_id())

    def seconds_since(self) -> float:
        """0 after a reboot: what was begun then begins anew."""
        return max(0.0, time.monotonic() - self.mono) if self.boot == boot_id() else 0.0

    def mark(self) -> float:
        """Its place on this boot's clock; now, after a reboot."""
        return self.mono if self.boot == boot_id() else time.monotonic()


def boot_id() -> str:
    """Which boot of the machine this is."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(round(time.time() - time.monotonic(), -2))


@dataclass(frozen=True, slots=True)
class ReplicaRecord:
    """One replica of a revision: its name ("r3-1"), port, and the supervisor's program."""

    name: str
    port: int
    program: str


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """One revision. `shape` is the release's mapping without any secret value; those are in a sealed file."""

    id: str
    digest: str
    state: RevisionState
    execution_id: str
    created_at: float
    replicas: tuple[ReplicaRecord, ...]
    shape: Mapping[str, Any]
    checks: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    launched: Moment | None = None
    cut_over: Moment | None = None
    ready_ms: float | None = None  # how long the stable revision's smoke answers usually take
    baseline: Mapping[str, int] = field(default_factory=dict)  # the former revision's counts before the cut-over


@dataclass(frozen=True, slots=True)
class LocalState:
    """`stable`: the revision that has baked and serves users, or served them before the rollout in progress."""

    service: str
    listen: str
    stable: str | None = None
    next_number: int = 1
    token: int = 0
    revisions: tuple[RevisionRecord, ...] = ()

    def revision(self, name: str | None) -> RevisionRecord | None:
        return next((revision for revision in self.revisions if revision.id == name), None)

    def with_revision(self, changed: RevisionRecord) -> LocalState:
        """The state with this revision in place of the one of its id, or after all others."""
        if self.revision(changed.id) is None:
            return replace(self, revisions=(*self.revisions, changed))
        return replace(self, revisions=tuple(changed if known.id == changed.id else known for known in self.revisions))

    def without(self, name: str) -> LocalState:
        return replace(self, revisions=tuple(known for known in self.revisions if known.id != name))


class StateFile:
    """Reads and replaces the file. A write with an older token than the file's is refused, never merged."""

    def __init__(self, path: Path, service: str, listen: str) -> None:
        self.path = path
        self._service = service
        self._listen = listen

    def read(self) -> LocalState:
        try:
            return _state(json.loads(self.path.read_text()))
        except FileNotFoundError:
            return LocalState(self._service, self._listen)
        except (ValueError, TypeError, KeyError, AttributeError) as cause:
            raise TargetError(
                f"What failback knows of {self._service} cannot be read: {self.path} is damaged "
                f"({type(cause).__name__}). "
                f"Its processes go on. Move the file away, then `failback backups restore` brings the service back.",
                service=self._service,
                path=str(self.path),
            ) from cause

    def write(self, state: LocalState, token: int) -> LocalState:
        known = self.read()
        if known.token > token:
            raise LeaseLost(
                f"{state.service} was taken over by another execution (fencing token {known.token}, ours is {token}): "
                f"nothing more is written.",
                service=state.service,
                token=token,
                newest=known.token,
            )
        state = replace(state, token=token)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.touch(mode=0o600)
        with temporary.open("w") as file:
            json.dump(asdict(state), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        return state


def _state(shape: dict[str, Any]) -> LocalState:
    revisions = tuple(
        RevisionRecord(
            **{
                **known,
                "state": RevisionState(known["state"]),
                "replicas": tuple(ReplicaRecord(**replica) for replica in known["replicas"]),
                "secrets": tuple(known["secrets"]),
                "launched": None if known["launched"] is None else Moment(**known["launched"]),
                "cut_over": None if known["cut_over"] is None else Moment(**known["cut_over"]),
            }
        )
        for known in shape["revisions"]
    )
    return LocalState(**{**shape, "revisions": revisions})
