"""Advice after the trials: what passed stands first, what did not says so, the rest stays as it was."""

from __future__ import annotations

from typing import Any

from failback.executor.fixing import advised
from failback.model.fix import NOT_TRIED, REFUTED, VERIFIED, best

ADVICE = [
    {
        "priority": "HIGH",
        "action": "Increase the memory limit to 128Mi",
        "description": "too low",
        "example": "memory: 128Mi",
    },
    {"priority": "MEDIUM", "action": "Commit and push the change", "description": "", "example": "git push"},
]


def fix(status: str, action: str = "Increase the memory limit to 128Mi", **fields: Any) -> dict[str, Any]:
    told = {"id": action, "action": action, "why": "It is too low", "tried": "128Mi", "status": status}
    return told | {"seconds": 2.14, "reason": "killed again", "patch": "fix-1.patch", **fields}


def test_a_verified_fix_takes_the_place_of_the_same_advice() -> None:
    first, second = advised(ADVICE, [fix(VERIFIED)], "e1")

    assert first["verified"] == "passed the gate with 128Mi in 2.1 s"
    assert first["example"] == "memory: 128Mi\n# or: failback explain e1 --patch | git apply"
    assert second == ADVICE[1]


def test_a_verified_fix_of_another_kind_stands_first() -> None:
    made = advised(ADVICE, [fix(VERIFIED, "Set REGION")], "e1")

    assert [item["action"] for item in made] == ["Set REGION", *(item["action"] for item in ADVICE)]


def test_advice_that_did_not_pass_says_so() -> None:
    first = advised(ADVICE, [fix(REFUTED)], "e1")[0]

    assert "verified" not in first
    assert first["description"].endswith("Tried with 128Mi, it did not pass: killed again")


def test_what_was_not_tried_changes_nothing() -> None:
    assert advised(ADVICE, [fix(NOT_TRIED)], "e1") == ADVICE


def test_the_best_is_verified_else_untried_never_refuted() -> None:
    assert best([fix(REFUTED, "a"), fix(NOT_TRIED, "b"), fix(VERIFIED, "c")])["action"] == "c"  # type: ignore[index]
    assert best([fix(REFUTED, "a"), fix(NOT_TRIED, "b")])["action"] == "b"  # type: ignore[index]
    assert best([fix(REFUTED, "a")]) is None
