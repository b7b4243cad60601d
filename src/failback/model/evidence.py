"""Everything that was seen of a failure, as one typed value that can be stored, shown and diagnosed offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

EVIDENCE_VERSION = 1
INTERRUPTED = "interrupted by the user"  # the `verdict_reason` of an execution that somebody stopped


@dataclass(frozen=True, slots=True)
class FailedStep:
    """The step of the plan at which it failed; `number` counts from 1."""

    number: int
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class LogPair:
    """One container's or replica's log: of the current run, and of the run before its last restart."""

    current: str = ""
    previous: str = ""


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Memory in use by one replica at a moment (seconds since the replica's start)."""

    at_s: float
    bytes: int


@dataclass(frozen=True, slots=True)
class ReplicaEvidence:
    """How one local replica lived and ended. A pod's facts stand in `Evidence.pods` instead."""

    name: str
    exit_code: int | None = None
    signal: str | None = None  # "SIGKILL"
    oom_killed: bool = False
    lived_s: float | None = None
    restarts: int = 0
    memory_limit_bytes: int | None = None
    memory_samples: tuple[MemorySample, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One request that failback itself sent to a replica (ready check, smoke), or that users sent through the proxy."""

    replica: str
    path: str
    status: int | None  # None: no answer
    duration_ms: float
    expected: str  # "status 200 within 500 ms"
    passed: bool
    error: str | None = None  # "connection refused", "timed out after 1.0 s", "body does not contain 'ok'"
    body_head: str = ""
    kind: str = "smoke"  # "ready" | "smoke" | "traffic"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One failure (or one healthy moment). Maps of strings only hold redacted text; sizes are bounded by the collector.

    `pods`, `events`, `api_error` and `manifests` are Kubernetes objects as the API server gave them.
    `log_baseline` holds logs of the last good revision, so that a line which is new can be told from an old one.
    `verdict_reason` is the name of the detection rule that condemned the release, with its sentence.
    """

    target: str  # "kubernetes" | "local" | "none"
    failed_step: FailedStep | None = None
    exit_code: int | None = None
    step_output: str = ""
    api_error: Mapping[str, Any] | None = None
    pods: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    logs: Mapping[str, LogPair] = field(default_factory=dict)
    log_baseline: Mapping[str, LogPair] = field(default_factory=dict)
    manifests: tuple[Mapping[str, Any], ...] = ()
    change: str = ""
    replicas: tuple[ReplicaEvidence, ...] = ()
    probes: tuple[ProbeResult, ...] = ()
    release_files: tuple[str, ...] = ()  # paths in the release, relative; bounded
    service: str = ""
    verdict_rule: str = ""
    verdict_reason: str = ""
    timed_out_after_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The stable on-disk form (JSON-ready)."""
        return {"version": EVIDENCE_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Evidence:
        """Reads `as_dict`'s form and the `given` part of a recorded case; unknown keys are ignored.

        Raises ValueError, naming the field, where the shape is not one of the two.
        """
        from failback.model.evidence_form import evidence_from_dict

        return evidence_from_dict(shape)
