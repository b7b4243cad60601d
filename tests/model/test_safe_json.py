"""JSON that is shown on a terminal says what was there, and makes the terminal do nothing."""

from __future__ import annotations

import json

import pytest

from failback.model.safe_json import safe_json


@pytest.mark.parametrize("acting", ["\x1b[2J", "\x9b31m", "\u202e", "\u2066", "\x7f", "\ufeff"])
def test_what_would_act_is_written_as_its_number(acting: str) -> None:
    document = {"said": f"before{acting}after", acting: [acting]}

    text = safe_json(document, indent=2)

    assert acting[0] not in text
    assert json.loads(text) == document


def test_other_scripts_stay_as_they_are() -> None:
    assert "größer ✓ 日本" in safe_json({"said": "größer ✓ 日本"})
