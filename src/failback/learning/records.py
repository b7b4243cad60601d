"""What is remembered of failures: data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed execution, and how it ended.

    `advice`: its recommendations as they were given. `fixed_by`: the execution that succeeded after it, with `change`
    (what differed between the two releases), `commit` (that of the good one) and `followed` (the actions of `advice`
    that the change did). `retried_at`: when the next release came, whatever became of it.
    """

    execution_id: str
    service: str
    at: float
    signature: str
    type: str
    cause: str
    step_type: str = ""
    advice: tuple[Mapping[str, Any], ...] = ()
    retried_at: float | None = None
    fixed_by: str | None = None
    fixed_at: float | None = None
    change: str = ""
    commit: str = ""
    followed: tuple[str, ...] = field(default=())

    @property
    def fix_s(self) -> float | None:
        """Seconds from the failure to the release that succeeded."""
        return None if self.fixed_at is None else max(0.0, self.fixed_at - self.at)


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said the cause of a signature is. One a person and execution; the last one counts."""

    execution_id: str
    signature: str
    type: str
    note: str
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class Recalled:
    """Everything remembered of one signature, oldest first, without the execution that asks."""

    failures: tuple[Failure, ...] = ()
    corrections: tuple[Correction, ...] = ()
