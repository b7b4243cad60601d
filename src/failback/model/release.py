"""What is deployed, and what runs: releases, revisions, and the state of a service on its target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RevisionState(StrEnum):
    STAGED = "staged"  # its files are there, nothing runs
    DARK = "dark"  # it runs, without user traffic
    LIVE = "live"  # users reach it
    RETIRED = "retired"  # it was live and left in good order; can be gone back to
    FAILED = "failed"  # refused or rolled back


@dataclass(frozen=True, slots=True)
class Revision:
    """A release on a target. `id` is "r7" on the local target, the pod-template-hash or the like on Kubernetes."""

    id: str
    digest: str  # of the release's content and configuration, "sha256:..."
    state: RevisionState
    replicas: int = 0
    created_at: float = 0.0  # unix seconds
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One replica now, for `status`."""

    name: str
    revision: str
    running: bool
    address: str = ""
    pid: int | None = None
    uptime_s: float | None = None
    restarts: int = 0
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    healthy: bool | None = None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What runs now. `stable` is the id of the revision that users reach, None before the first deployment."""

    service: str
    target: str
    address: str = ""
    stable: str | None = None
    revisions: tuple[Revision, ...] = ()
    replicas: tuple[ReplicaState, ...] = ()
    notes: tuple[str, ...] = ()  # repairs made, things a person should know
    proxy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RevisionCounters:
    """Cumulative counters of one revision since its proxy cluster came up."""

    requests: int = 0
    failed: int = 0
    slow: int = 0
    active: int = 0


@dataclass(frozen=True, slots=True)
class TrafficCounters:
    """Users' requests, cumulative, as the target's own counters say. `epoch` changes when the counters restarted."""

    source: str  # "proxy" | "gateway" | "probe" | "endpoints"
    epoch: str
    requests: int = 0
    failed: int = 0  # 5xx, resets, time-outs, as users saw them
    by_kind: Mapping[str, int] = field(default_factory=dict)  # {"5xx": 3, "reset": 1}
    by_revision: Mapping[str, RevisionCounters] = field(default_factory=dict)
    sample: bool = False  # failback's own requests, not the users'
    spared: bool | None = None  # whether it was seen that no request could reach the new release; None: not known
    uncounted: str = ""  # why `requests` is not the users' count, or what `spared` rests on


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing preflight, `plan` or `doctor` found. `blocking` means that the deployment must not start."""

    level: str  # "ok" | "info" | "warning" | "error"
    subject: str
    message: str
    remedy: str = ""
    blocking: bool = False
    # For programs: "api_error" (the API server's Status), "refused" (a demanded guarantee cannot be kept: exit code 5).
    detail: Mapping[str, Any] = field(default_factory=dict)
