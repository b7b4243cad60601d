"""The tree of errors: each says what happened to whom, why, and what to do; `code` and fields are for programs.

FailbackError
 |- UsageError (exit 2: nothing was touched)
 |   |- PlanError            FB-101  the plan is invalid; `problems` holds each with line and column
 |   |- PlanNotFound         FB-102
 |   |- UnknownService       FB-103
 |   |- UnknownExecution     FB-104
 |   |- UnknownSnapshot      FB-105
 |   |- CaseError            FB-106  a recorded case cannot be read
 |   `- NotPossibleHere      FB-107  this platform or target cannot do it
 |- Refused (exit 5)
 |   |- NotApproved          FB-501
 |   |- ServiceHeld          FB-502  another execution holds the service
 |   |- NoSpace              FB-503  disk full or not writable
 |   |- NotPermitted         FB-504
 |   |- LeaseLost            FB-505  a stale executor's write was refused
 |   `- StrategyRefused      FB-506  zero downtime cannot be kept
 |- ReleaseError (exit 3: nothing of the service was touched, or it is back)
 |   |- ReleaseNotSelfContained FB-301
 |   `- PreflightFailed      FB-302
 |- SnapshotError (exit 1; nothing was touched)
 |   |- SnapshotNotVerified  FB-204
 |   `- SnapshotUnreadable   FB-205  wrong key, damaged file
 |- TargetError (exit 1)
 |   |- TargetUnavailable    FB-401  supervisor, Envoy or the API server does not answer
 |   `- WriteRejected        FB-402
 |- PhaseError               FB-601  one phase of a rollback could not do its job
 `- InternalError (exit 1)   FB-001
"""

from __future__ import annotations

from typing import Any, ClassVar


class FailbackError(Exception):
    """Base of all. `message` is one or two sentences for a person; keyword fields become attributes and `fields`."""

    code: ClassVar[str] = "FB-000"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields: dict[str, Any] = fields
        for name, value in fields.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors survive the durable store: they are rebuilt from the message and the fields.
        return (_rebuild, (type(self), self.message, self.fields))

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        return {"error": {"code": self.code, "message": self.message, **self.fields}}


def _rebuild(kind: type[FailbackError], message: str, fields: dict[str, Any]) -> FailbackError:
    return kind(message, **fields)


class UsageError(FailbackError):
    """Wrong usage or an invalid plan: nothing was touched."""

    code = "FB-100"
    exit_code = 2


class PlanError(UsageError):
    """The plan is invalid. Field `problems`: list of {"where", "line", "column", "message"}."""

    code = "FB-101"


class PlanNotFound(UsageError):
    """There is no plan file at the path."""

    code = "FB-102"


class UnknownService(UsageError):
    """No service of that name is known to this home or cluster."""

    code = "FB-103"


class UnknownExecution(UsageError):
    """No execution of that id is known to this home."""

    code = "FB-104"


class UnknownSnapshot(UsageError):
    """No snapshot of that id is known."""

    code = "FB-105"


class CaseError(UsageError):
    """A recorded case cannot be read."""

    code = "FB-106"


class NotPossibleHere(UsageError):
    """This platform, installation or target cannot do what was asked; the message says what would."""

    code = "FB-107"


class Refused(FailbackError):
    """Refused: not approved, not permitted, no space, or another execution holds the service."""

    code = "FB-500"
    exit_code = 5


class NotApproved(Refused):
    """Nobody approved the plan."""

    code = "FB-501"


class ServiceHeld(Refused):
    """Another live execution holds the service."""

    code = "FB-502"


class NoSpace(Refused):
    """The disk is full or the folder is not writable; nothing was touched."""

    code = "FB-503"


class NotPermitted(Refused):
    """The account lacks a right that the plan needs."""

    code = "FB-504"


class LeaseLost(Refused):
    """A stale executor tried to write: its fencing token is older than the one on the target."""

    code = "FB-505"


class StrategyRefused(Refused):
    """The plan demands a guarantee that this strategy or workload cannot keep."""

    code = "FB-506"


class ReleaseError(FailbackError):
    """The release cannot be deployed; the service is as it was."""

    code = "FB-300"
    exit_code = 3


class ReleaseNotSelfContained(ReleaseError):
    """The release's folder points into the plan's folder, so a restart could load another release's files."""

    code = "FB-301"


class PreflightFailed(ReleaseError):
    """A check before the first mutation says that this release must fail."""

    code = "FB-302"


class SnapshotError(FailbackError):
    """The backup could not be made or used."""

    code = "FB-200"


class SnapshotNotVerified(SnapshotError):
    """The snapshot differs after reading it back, or its restore would not be accepted."""

    code = "FB-204"


class SnapshotUnreadable(SnapshotError):
    """The snapshot cannot be read: wrong key, damaged or missing file."""

    code = "FB-205"


class TargetError(FailbackError):
    """The target did not do what was asked."""

    code = "FB-400"


class TargetUnavailable(TargetError):
    """The target's supervisor, proxy or API server does not answer."""

    code = "FB-401"


class WriteRejected(TargetError):
    """The target refused a write."""

    code = "FB-402"


class PhaseError(FailbackError):
    """One phase of a rollback could not do its job; the others go on."""

    code = "FB-601"


class MemoryUnavailable(FailbackError):
    """The memory of failures cannot be read or written: its file is spoiled, or its database is away."""

    code = "FB-602"


class InternalError(FailbackError):
    """A defect of failback itself."""

    code = "FB-001"
