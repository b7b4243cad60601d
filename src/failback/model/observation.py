"""What is seen of a revision while it is judged, and the verdict. Every time is seconds since the revision's launch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from failback.model.evidence import MemorySample, ProbeResult


@dataclass(frozen=True, slots=True)
class Exit:
    """One end of a process or container. `deterministic` names the known reason why a restart can't help, if any."""

    at_s: float
    lived_s: float
    code: int | None = None
    signal: str | None = None  # "SIGKILL"
    oom_killed: bool = False
    deterministic: str | None = None  # facts.start_failure
    telling_line: str = ""  # of its log: what proves that reason, else the last one
    container: str = ""  # Kubernetes: which container; "" is the main one
    init: bool = False

    @property
    def clean(self) -> bool:
        """Exit code 0 and no signal. A server that ends cleanly while it should serve is still gone."""
        return self.code == 0 and self.signal is None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container has not started, in the kubelet's own words."""

    reason: str  # "ErrImagePull"
    message: str
    container: str = ""
    init: bool = False


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One replica (local process or pod) of the revision under judgement, as last seen."""

    name: str
    running: bool = False
    ready_at_s: float | None = None  # first good answer to the ready check
    ready: bool = False
    exits: tuple[Exit, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    last_ready_check: ProbeResult | None = None
    smoke: tuple[ProbeResult, ...] = ()  # every smoke request so far, in order
    smoke_done: bool = True  # all that the plan asks for were sent
    new_errors: tuple[str, ...] = ()  # error lines whose signature the stable revision does not print
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_growth_bytes_s: float | None = None  # fitted slope over the samples seen
    node_lost: bool = False  # Kubernetes: its node went away; the release is not to blame
    deleted: bool = False
    evicted: str = ""  # the kubelet's message
    # What follows makes the judgement finer where the target can tell it; the defaults mean "not known".
    started_at_s: float = 0.0  # its main process or container began to run: a slow pull is no slow start
    ready_failures: int = 0  # ready checks in a row that failed, since the last good one
    unready_since_s: float | None = None  # the first of those
    denied_since_s: float | None = None  # ready checks have been answered with a client error (404, 401) since then
    raises_since_s: float | None = None  # ready checks have been answered with 500 since then: something is not caught
    smoke_wanted: int = 0  # how many smoke requests the plan asks of it
    new_error_counts: tuple[int, ...] = ()  # beside `new_errors`: how often each was printed since it was ready
    memory_samples: tuple[MemorySample, ...] = ()  # of the current process, in order


@dataclass(frozen=True, slots=True)
class Statement:
    """What the infrastructure itself says: a Kubernetes event or condition, a supervisor's or proxy's message."""

    reason: str  # "FailedScheduling", "FailedCreate"
    message: str
    object: str  # "Pod/web-7d9f-abc", "ReplicaSet/web-7d9f"
    at_s: float  # when it was said first
    count: int = 1


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests that one revision answered in the window, and how. `slow` counts those above `slow_ms`."""

    requests: int = 0
    failed: int = 0  # 5xx, resets, time-outs
    slow: int = 0


@dataclass(frozen=True, slots=True)
class TrafficView:
    """Users' requests since the cut-over (or mirrored copies while dark), the new revision beside the stable one."""

    new: RequestCounts
    stable: RequestCounts  # before the cut-over: what is usual
    slow_ms: float | None = None
    mirrored: bool = False
    own: bool = False  # failback's own requests, sent beside the users', where nothing counts theirs


class Stage(StrEnum):
    """`dark`: no user traffic yet. `bake`: it serves users."""

    DARK = "dark"
    BAKE = "bake"


@dataclass(frozen=True, slots=True)
class View:
    """The whole picture at one moment (`at_s`)."""

    at_s: float
    stage: Stage
    replicas_wanted: int
    replicas: tuple[ReplicaView, ...] = ()
    statements: tuple[Statement, ...] = ()
    traffic: TrafficView | None = None
    bake_started_s: float | None = None
    watched_since_s: float = 0.0  # since when somebody looks: later than the launch after a resume
    autoscaled: bool | None = None  # Kubernetes: whether nodes are added on demand; None: not known


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gate allows; seconds unless the name says otherwise."""

    ready_s_max: float = 30.0
    soak_s: float = 2.0
    bake_s: float = 5.0
    error_increase_max: float = 0.01  # share of requests, above the stable revision's own
    latency_increase_max: float = 0.5  # 0.5: half as long again
    exits_max: int = 2  # an unexplained exit is forgiven once
    start_s_max: float = 600.0  # to schedule, pull and mount, until its own code runs (a Deployment's deadline)


class VerdictState(StrEnum):
    PROGRESSING = "progressing"
    HEALTHY = "healthy"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement: which rule, in a sentence with numbers, and the facts it rests on."""

    state: VerdictState
    reason: str
    rule: str = ""
    evidence: tuple[str, ...] = ()
    at_s: float = 0.0
