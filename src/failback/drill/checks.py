"""What a drill proves: a list of checks, each with what was measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from failback.model.execution import impact_with_count

_PHASES = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was to be proved; `measured` says what was seen, good or bad. `passed` None: it could not be seen
    here, which proves nothing and condemns nothing."""

    name: str
    passed: bool | None
    measured: str

    def as_dict(self) -> dict[str, Any]:
        return {"check": self.name, "passed": self.passed, "measured": self.measured}


def bad_release_checks(result: Mapping[str, Any], expected_type: str, expected_words: Sequence[str]) -> list[Check]:
    """The known-bad release: detected, put back, cause right, archive complete."""
    rollback = result["rollback"]
    found = rollback["detection"] or {}
    cause = result["root_cause"] or {"type": "none", "cause": "none"}
    right = cause["type"] == expected_type and all(word in cause["cause"] for word in expected_words)
    archive: Mapping[str, str] = next((p.get("archive", {}) for p in rollback["phases"] if p["number"] == 7), {})
    return [
        Check(
            "bad release detected",
            result["status"] == "failed" and bool(found.get("rule")),
            f"{found.get('rule') or 'no rule'}, {found.get('seconds', 0):.2f} s after its start, {found.get('stage')}",
        ),
        Check(
            "all eight phases ran",
            rollback["phases_completed"] == _PHASES,
            f"{rollback['phases_completed']} of {_PHASES} in {rollback['total_duration']:.2f} s",
        ),
        Check("system is stable", rollback["system_status"] == "STABLE", rollback["system_status"]),
        nobody_felt_it(result),
        Check("cause named", right, f"{cause['type']}: {cause['cause']}"),
        Check("archive complete", set(archive) == {"execution", "error", "state"}, f"{len(archive)} of 3 files"),
        Check("backup verified first", bool(result["backup_created"]), str((result["backup"] or {}).get("id"))),
    ]


def good_release_checks(result: Mapping[str, Any]) -> list[Check]:
    """The good release: live, and nobody noticed."""
    return [
        Check("good release went live", result["status"] == "completed", result["status"]),
        nobody_felt_it(result),
    ]


def nobody_felt_it(result: Mapping[str, Any]) -> Check:
    """By the target's own count or sight. A target that counts nothing, and whose pods are exchanged one by one, has
    neither."""
    impact, traffic = str(result["rollback"]["user_impact"]), result["traffic"]
    dark = (result["rollback"]["detection"] or {}).get("stage") == "before any user traffic"
    unseen = impact == "UNKNOWN" and traffic["source"] == "endpoints" and dark
    return Check("no user felt it", None if unseen else impact == "ZERO", impact_with_count(impact, traffic))


def load_check(name: str, report: Mapping[str, Any]) -> Check:
    """The client's own count; a load that sent nothing proves nothing."""
    sent, failed = int(report["sent"]), int(report["failed"])
    return Check(name, sent > 0 and failed == 0, f"{failed:,} of {sent:,} requests failed")
