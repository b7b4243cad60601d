"""Which fixes that change configuration alone may end a failure, the likeliest first. Pure.

Each finder knows one mechanism and asks for a reason in the evidence: a change nobody has a reason for is not tried,
since one that passes by chance would be worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from failback.fixes.case import Case
from failback.fixes.environment import from_defaults, from_former
from failback.fixes.files import missing_files, reverted_parts
from failback.fixes.limits import memory
from failback.fixes.packages import pins
from failback.fixes.probes import port, ready
from failback.model.diagnosis import FailureType
from failback.model.fix import Candidate

COUNT_MAX = 8
Finder = Callable[[Case], Iterable[Candidate]]

FINDERS: tuple[Finder, ...] = (memory, missing_files, from_former, from_defaults, reverted_parts, pins, ready, port)
# What no setting of a release can end: somebody else's outage, a fault of the program, a limit of the machine.
_NOT_BY_CONFIGURATION = frozenset(
    {
        FailureType.NONE, FailureType.DISK_FULL, FailureType.NODE_FAILURE,
        FailureType.TEST_FAILURE, FailureType.QUALITY_VIOLATION, FailureType.VULNERABILITY_FOUND,
    }
)  # fmt: skip


def candidates(case: Case) -> list[Candidate]:
    """At most COUNT_MAX of them, none twice."""
    if case.diagnosis.type in _NOT_BY_CONFIGURATION:
        return []
    found: dict[str, Candidate] = {}
    for candidate in _all(case):
        found.setdefault(candidate.id, candidate)
        if len(found) >= COUNT_MAX:
            break
    return list(found.values())


def _all(case: Case) -> Iterator[Candidate]:
    for finder in FINDERS:
        yield from finder(case)
