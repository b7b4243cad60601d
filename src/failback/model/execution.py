"""The shapes of an execution's result, as the contract fixes them, and what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

PHASE_NAMES: Mapping[int, str] = {
    1: "Traffic Protection",
    2: "Rollback to Previous Version",
    3: "System Stability Verification",
    4: "Resource Cleanup",
    5: "Root Cause Analysis",
    6: "Fix Recommendations",
    7: "Log Archival",
    8: "Team Notification",
}
CRITICAL_PHASES = (1, 2, 3)


class StepStatus(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"  # a step before it failed
    CANCELLED = "cancelled"  # ended because another one failed, or by the user


class PhaseStatus(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"  # nothing to do; the reason stands in `actions`


class SystemStatus(StrEnum):
    STABLE = "STABLE"
    UNSTABLE = "UNSTABLE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step of the plan went. `output` is redacted and bounded; `duration` in seconds."""

    number: int
    name: str
    type: str
    status: StepStatus
    duration: float = 0.0
    attempts: int = 0
    exit_code: int | None = None
    output: str = ""
    reason: str = ""
    timed_out: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The contract's shape, with the reason and exit code where there is one."""
        shape: dict[str, Any] = {
            "number": self.number,
            "name": self.name,
            "type": self.type,
            "status": str(self.status),
            "duration": round(self.duration, 3),
            "attempts": self.attempts,
        }
        if self.exit_code is not None:
            shape["exit_code"] = self.exit_code
        if self.reason:
            shape["reason"] = self.reason
        return shape


@dataclass(frozen=True, slots=True)
class Traffic:
    """Users' requests over the whole execution. Not measured: `requests` and `failed` are None, `reason` says why.

    `sample`: the requests are failback's own. `spared`: it was seen that no request could reach the new release.
    """

    requests: int | None
    failed: int | None
    source: str
    reason: str = ""
    by_kind: Mapping[str, int] = field(default_factory=dict)
    by_revision: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sample: bool = False
    spared: bool | None = None
    by_service: Mapping[str, Traffic] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        shape: dict[str, Any] = {"requests": self.requests, "failed": self.failed, "source": self.source}
        if self.reason:
            shape["reason"] = self.reason
        if self.by_kind:
            shape["by_kind"] = dict(self.by_kind)
        if self.by_revision:
            shape["by_revision"] = {name: dict(counts) for name, counts in self.by_revision.items()}
        if self.sample:
            shape["sample"] = True
        if self.spared is not None:
            shape["spared"] = self.spared
        if self.by_service:
            shape["by_service"] = {
                name: {**one.as_dict(), "user_impact": user_impact(one)} for name, one in self.by_service.items()
            }
        return shape


def together(each: Mapping[str, Traffic]) -> Traffic:
    """The sum over several services, with each one's own count; not measured where one of them was not."""
    counted = all(one.requests is not None and one.failed is not None and not one.sample for one in each.values())
    told = [f"{name}: {impact_with_count(user_impact(one), one.as_dict())}" for name, one in each.items()]
    kinds = Counter[str]()
    for one in each.values():
        kinds.update(one.by_kind)
    return Traffic(
        requests=sum(one.requests or 0 for one in each.values()) if counted else None,
        failed=sum(one.failed or 0 for one in each.values()) if counted else None,
        source=", ".join(dict.fromkeys(one.source for one in each.values())),
        reason="" if counted else "; ".join(told),
        by_kind=dict(kinds),
        by_revision={f"{name}/{rev}": counts for name, one in each.items() for rev, counts in one.by_revision.items()},
        by_service=each,
    )


def user_impact(traffic: Traffic) -> str:
    """ "ZERO", "228 requests failed" or "UNKNOWN": zero only where a count of users' requests shows it, or where it was
    seen that none could reach the new release. A sample alone shows neither."""
    if traffic.by_service:
        impacts = [user_impact(one) for one in traffic.by_service.values()]
        if "UNKNOWN" in impacts:
            return "UNKNOWN"
        traffic = Traffic(0, sum(one.failed or 0 for one in traffic.by_service.values()), traffic.source)
    if traffic.requests is None or traffic.failed is None or traffic.sample:
        return "ZERO" if traffic.spared and not traffic.failed else "UNKNOWN"
    if traffic.failed == 0:
        return "ZERO"
    return f"{traffic.failed:,} request{'s' if traffic.failed != 1 else ''} failed"


def impact_with_count(impact: str, traffic: Mapping[str, Any]) -> str:
    """The impact as every place shows it: never "ZERO" without what shows it."""
    requests, failed = traffic.get("requests"), traffic.get("failed")
    reason = traffic.get("reason") or ""
    if traffic.get("sample") and requests is not None and failed is not None:
        sampled = f"{traffic.get('source')}: {failed:,} of {requests:,} failed"
        return f"{impact}: {sampled}" + (f"; {reason}" if reason else "")
    if requests is None or failed is None:
        known = traffic.get("spared") or traffic.get("by_service")
        return f"{impact if known else 'UNKNOWN'}: {reason or 'nobody measured it'}"
    if requests == 0:
        return f"{impact}: no requests came"
    return f"{impact}: {failed:,} of {requests:,} requests failed"


def exit_code_of(result: Mapping[str, Any]) -> int:
    """The contract's exit code of a finished execution."""
    if result["status"] == "completed":
        return 0
    if result.get("refused"):
        return 5
    return 3 if result["rollback"]["system_status"] == SystemStatus.STABLE else 4


def phases_completed(phases: Sequence[Mapping[str, Any]]) -> int:
    """Skipped counts as completed: the phase was looked at and had nothing to do."""
    return sum(1 for phase in phases if phase["status"] in (PhaseStatus.SUCCEEDED, PhaseStatus.SKIPPED))
