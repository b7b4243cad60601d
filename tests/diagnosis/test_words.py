"""A line rule looks at lines that hold one of its words: an alternative of its pattern without such a word never matches."""

from __future__ import annotations

import itertools
import re
import re._parser as sre  # type: ignore[import-not-found]  # the standard library's own, without stubs
from collections.abc import Iterable
from typing import Any

import pytest

from failback.diagnosis.rule import Rule
from failback.diagnosis.rules import RULES

ANY = "\0"
VARIANTS_MAX = 3_000
# Their words are narrower than the pattern on purpose: an alternative only counts beside a word (or the word ends it).
NARROWER = frozenset({"answer-other-than-expected", "download", "django-check", "python-build", "variable-missing", "interpreter-error", "source-syntax", "image-pull", "name-not-resolved", "npm-missing", "command-not-found", "value-unparsable"})  # fmt: skip


@pytest.mark.parametrize("rule", [r for r in RULES if r.pattern and r.name not in NARROWER], ids=lambda rule: rule.name)
def test_every_alternative_of_a_pattern_can_be_found_by_a_word(rule: Rule) -> None:
    """Given a rule's pattern, when each of its alternatives is written out, then one of the rule's words is in each."""
    tree = sre.parse(rule.pattern, re.IGNORECASE)
    unreached = [texts[0] for texts in _alternatives(tree) if not any(_reaches(text, rule.words) for text in texts)]
    assert unreached == [], f"no word of {rule.name} finds these"


def _alternatives(tree: Any) -> list[list[str]]:
    """For each alternative at the top of a pattern the texts that it may look like."""
    if len(tree) == 1 and str(tree[0][0]) == "BRANCH":
        return [_texts(branch) for branch in tree[0][1][1]]
    if len(tree) == 1 and str(tree[0][0]) == "SUBPATTERN":
        return _alternatives(tree[0][1][3])
    return [_texts(tree)]


def _texts(tree: Any) -> list[str]:
    texts = [""]
    for op, value in tree:
        if str(op) in ("AT", "ASSERT", "ASSERT_NOT"):
            continue
        pieces = list(_pieces(str(op), value))
        texts = [text + piece for text in texts for piece in pieces][:VARIANTS_MAX]
    return [text.lower() for text in texts]


def _pieces(op: str, value: Any) -> Iterable[str]:
    if op == "LITERAL":
        return [chr(value)]
    if op == "BRANCH":
        return [text for branch in value[1] for text in _texts(branch)]
    if op == "SUBPATTERN":
        return _texts(value[3])
    if op == "IN" and all(str(kind) == "LITERAL" for kind, _ in value):
        return [chr(letter) for _, letter in value][:3]
    if op in ("MAX_REPEAT", "MIN_REPEAT") and value[1] == 1:
        return [*_texts(value[2]), *([""] if value[0] == 0 else [])]
    return [ANY]


def _reaches(text: str, words: tuple[str, ...]) -> bool:
    """True when a word is in the text; what is left open may hold the word's end or its beginning."""
    if any(word in text for word in words):
        return True
    parts = text.split(ANY)
    return any(
        before.endswith(word[:cut]) and after.startswith(word[rest:]) and max(cut, len(word) - rest) >= 3
        for word in words
        for before, after in itertools.pairwise(parts)
        for cut in range(len(word) + 1)
        for rest in range(cut, len(word) + 1)
    )
