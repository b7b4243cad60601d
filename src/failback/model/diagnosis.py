"""What the diagnosis says: the cause, how sure it is, on which lines it rests, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class FailureType(StrEnum):
    """The failure types of the contract; their meanings stand in the reference (`docs/reference/failure-types.md`)."""

    MISSING_FILE = "missing_file"
    MISSING_DEPENDENCY = "missing_dependency"
    VERSION_INCOMPATIBILITY = "version_incompatibility"
    MISSING_CONFIGURATION = "missing_configuration"
    INVALID_CONFIGURATION = "invalid_configuration"
    CODE_ERROR = "code_error"
    IMAGE_NOT_FOUND = "image_not_found"
    IMAGE_ACCESS_DENIED = "image_access_denied"
    IMAGE_REGISTRY_UNAVAILABLE = "image_registry_unavailable"
    PLATFORM_MISMATCH = "platform_mismatch"
    BAD_COMMAND = "bad_command"
    FILESYSTEM_PERMISSION = "filesystem_permission"
    RBAC_FORBIDDEN = "rbac_forbidden"
    ADMISSION_DENIED = "admission_denied"
    INVALID_MANIFEST = "invalid_manifest"
    QUOTA_EXCEEDED = "quota_exceeded"
    MEMORY_LIMIT = "memory_limit"
    MEMORY_LEAK = "memory_leak"
    CPU_STARVATION = "cpu_starvation"
    DISK_FULL = "disk_full"
    UNSCHEDULABLE = "unschedulable"
    VOLUME_FAILURE = "volume_failure"
    PROBE_MISCONFIGURED = "probe_misconfigured"
    SLOW_START = "slow_start"
    PORT_CONFLICT = "port_conflict"
    DEPENDENCY_UNREACHABLE = "dependency_unreachable"
    DEPENDENCY_AUTH = "dependency_auth"
    TLS_CERTIFICATE = "tls_certificate"
    MIGRATION_FAILED = "migration_failed"
    NODE_FAILURE = "node_failure"
    BUILD_FAILURE = "build_failure"
    DEPENDENCY_RESOLUTION = "dependency_resolution"
    TEST_FAILURE = "test_failure"
    QUALITY_VIOLATION = "quality_violation"
    VULNERABILITY_FOUND = "vulnerability_found"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"
    NONE = "none"  # healthy evidence: nothing failed


@dataclass(frozen=True, slots=True)
class Citation:
    """One line of the evidence, and where it stands (`source` as `logs/web-1/app:12`, `step_output:3`, `events:0`)."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One thing to do. `example` can be pasted; `verified` says what was tried in the dark, when it was."""

    priority: str  # "HIGH" | "MEDIUM"
    action: str
    description: str
    example: str = ""
    verified: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The contract's shape; `verified` only where something was verified."""
        shape = {
            "priority": self.priority,
            "action": self.action,
            "description": self.description,
            "example": self.example,
        }
        return shape if self.verified is None else shape | {"verified": self.verified}


@dataclass(frozen=True, slots=True)
class Alternative:
    """A hypothesis that was considered and ranked lower."""

    type: FailureType
    cause: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why it failed. `confidence` (0..1) is calibrated: of those said 0.9, nine of ten are right."""

    type: FailureType
    cause: str
    component: str
    confidence: float
    affected_components: tuple[str, ...] = ()
    evidence: tuple[Citation, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    rule: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def as_root_cause(self) -> dict[str, Any]:
        """`root_cause` of the contract."""
        return {
            "type": str(self.type),
            "cause": self.cause,
            "component": self.component,
            "affected_components": list(self.affected_components),
            "evidence": [{"source": c.source, "text": c.text} for c in self.evidence],
            "confidence": round(self.confidence, 2),
            "alternatives": [
                {"type": str(a.type), "cause": a.cause, "confidence": round(a.confidence, 2)} for a in self.alternatives
            ],
            "rule": self.rule,
        }
