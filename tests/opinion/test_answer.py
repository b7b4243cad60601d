"""An answer is believed as little as the evidence: what is in it is checked, cleaned, bounded, or thrown away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.model.diagnosis import Citation
from failback.model.redaction import Redactor
from failback.opinion.answer import CAUSE_CHARS_MAX, SUGGESTION_CHARS_MAX, Unusable, opinion

LINES = {1: Citation("logs/r2-1/app:4", "KeyError: 'REGION'"), 2: Citation("change:3", "-REGION=eu")}
GOOD: dict[str, Any] = {
    "type": "missing_configuration",
    "cause": "REGION is not set",
    "confidence": 0.8,
    "lines": [1, 2],
    "suggestion": "Set REGION.",
}


def told(**changed: Any) -> str:
    return json.dumps(GOOD | changed)


def test_a_good_answer() -> None:
    found = opinion(told(), LINES)

    assert (found.type, found.cause, found.suggestion) == ("missing_configuration", "REGION is not set", "Set REGION.")
    assert found.evidence == (LINES[1], LINES[2])
    assert (found.confidence, found.dropped) == (0.8, 0)


def test_words_and_fences_around_it_do_not_matter() -> None:
    assert opinion(f"Sure! Here it is:\n```json\n{told()}\n```\nGood luck", LINES).cause == "REGION is not set"


def test_lines_that_do_not_exist_are_taken_out() -> None:
    found = opinion(told(lines=[99, "[1]", 2.5, True, None, "2 ", 1]), LINES)

    assert found.evidence == (LINES[1],)
    assert found.dropped == 2


@pytest.mark.parametrize("lines", [[], [99], "1", None, {"1": 1}, [[1]], [-1], ["logs/r2-1/app:4"]])
def test_without_a_line_that_exists_it_is_no_answer(lines: Any) -> None:
    with pytest.raises(Unusable, match="cited no line"):
        opinion(told(lines=lines), LINES)


@pytest.mark.parametrize("content", ["", "no idea", "{", "{]}", '["a"]', "{" * 10_000 + "}" * 10_000, '{"a": 1'])
def test_no_json_no_answer(content: str) -> None:
    with pytest.raises(Unusable):
        opinion(content, LINES)


def test_nothing_in_it_acts_on_a_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x1b[31mREGION\u202e\u200b is\r\nnot\x00 set\x9b1A"

    found = opinion(told(cause=evil, suggestion=evil), LINES)

    assert found.cause == found.suggestion == "REGION is not set"


def test_an_unknown_type_and_an_odd_confidence_are_not_believed() -> None:
    assert opinion(told(type="aliens"), LINES).type == "unknown"
    assert opinion(told(type="none"), LINES).type == "unknown"
    for odd in (7, -1, "high", True, None, [1]):
        assert opinion(told(confidence=odd), LINES).confidence is None
    assert opinion(told().replace("0.8", "NaN"), LINES).confidence is None


def test_secrets_that_it_echoes_are_masked() -> None:
    """Also one that is broken up by signs that nobody sees."""
    redact = Redactor(("the-key-of-the-account",)).redact

    found = opinion(
        told(cause="it is the-key-of-the-account", suggestion="try the-key-\u200bof-the-\x1b[0maccount again"),
        LINES,
        redact,
    )

    assert "the-key" not in found.cause + found.suggestion


def test_it_is_bounded() -> None:
    found = opinion(told(cause="x" * 9_000, suggestion="y" * 9_000, lines=[1] * 90), LINES)

    assert len(found.cause) == CAUSE_CHARS_MAX
    assert len(found.suggestion) == SUGGESTION_CHARS_MAX
    assert found.evidence == (LINES[1],)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner),
    )
)
def test_whatever_it_is_nothing_else_is_raised(shape: Any) -> None:
    for content in (json.dumps(shape), str(shape)):
        try:
            found = opinion(content, LINES)
        except Unusable:
            continue
        assert found.cause
        assert found.evidence
