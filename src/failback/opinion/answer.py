"""Reads what a language model answered: believed as little as the evidence itself. Pure; never raises but Unusable.

Nothing of an answer is ever run, linked or put among the engine's recommendations. A citation that does not exist is
taken out; an answer that rests on none is no answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from failback.model.diagnosis import Citation, FailureType

CAUSE_CHARS_MAX = 500
SUGGESTION_CHARS_MAX = 1_000
CITATIONS_MAX = 8
_ANSWER_CHARS_MAX = 32_000
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_])"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class Unusable(Exception):
    """The answer is dropped; the message says why, in words of ours."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What is shown, beside the engine's own. `dropped`: how many citations did not exist."""

    type: str
    cause: str
    suggestion: str
    evidence: tuple[Citation, ...]
    confidence: float | None = None
    dropped: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "cause": self.cause,
            "suggestion": self.suggestion,
            "confidence": self.confidence,
            "evidence": [{"source": cited.source, "text": cited.text} for cited in self.evidence],
            "citations_dropped": self.dropped,
        }


def content_of(raw: bytes) -> str:
    """The model's words in a response of the chat protocol. Raises Unusable."""
    try:
        content = json.loads(raw)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise Unusable("its server did not answer as the protocol says") from None
    if not isinstance(content, str):
        raise Unusable("its server sent no text")
    return content[:_ANSWER_CHARS_MAX]


def opinion(content: str, lines: Mapping[int, Citation], redact: Callable[[str], str] = lambda text: text) -> Opinion:
    """The opinion in the model's words. Raises Unusable."""
    shape = _object(content)
    numbers = _numbers(shape.get("lines"))
    cited = [lines[number] for number in numbers if number in lines]
    cause = said(shape.get("cause"), CAUSE_CHARS_MAX, redact)
    if not cause:
        raise Unusable("it named no cause")
    if not cited:
        raise Unusable("it cited no line of the evidence that exists")
    kind = str(shape.get("type", "")).strip().lower()
    known = kind in tuple(FailureType) and kind != FailureType.NONE
    return Opinion(
        type=kind if known else str(FailureType.UNKNOWN),
        cause=cause,
        suggestion=said(shape.get("suggestion"), SUGGESTION_CHARS_MAX, redact),
        evidence=tuple(cited[:CITATIONS_MAX]),
        confidence=_confidence(shape.get("confidence")),
        dropped=len(numbers) - len(cited),
    )


def said(text: object, chars_max: int, redact: Callable[[str], str]) -> str:
    """A text of the model on one line: nothing in it acts on a terminal, no secret is in it. "" for what is no text."""
    if not isinstance(text, str):
        return ""
    # Masked twice: a secret may be broken up by signs that are not shown, and whole only without them.
    plain = _CONTROLS.sub("", _ESCAPES.sub("", redact(text[:_ANSWER_CHARS_MAX])))
    line = " ".join(redact(plain).split())
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def _object(content: str) -> Mapping[str, Any]:
    """The JSON object in the answer; models like to put words or a fence around it."""
    begin, end = content.find("{"), content.rfind("}")
    if begin < 0 or end < begin:
        raise Unusable("its answer holds no JSON object")
    try:
        shape = json.loads(content[begin : end + 1])
    except (ValueError, RecursionError):
        raise Unusable("its answer is no valid JSON") from None
    if not isinstance(shape, Mapping):
        raise Unusable("its answer is no JSON object")
    return shape


def _numbers(value: object) -> list[int]:
    """Numbers of lines, whether written as 3, "3" or "[3]"; none twice."""
    if not isinstance(value, list):
        return []
    found: dict[int, None] = {}
    for entry in value[:100]:
        match = re.fullmatch(r"\[?(\d{1,6})\]?", str(entry)) if isinstance(entry, int | str) else None
        found.setdefault(int(match[1]) if match and not isinstance(entry, bool) else -1)
    return list(found)


def _confidence(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return round(float(value), 2) if 0 <= value <= 1 else None
