"""What a failing assertion compared, in whatever words a test runner prints it."""

from __future__ import annotations

import re

from failback.diagnosis.rule import quoted

_PAIRS = (
    re.compile(r"^\W*expected(?: (?:value|result|string|status|output))?\s*[:=]\s*(?P<want>\S.*)\n(?:.*\n){0,4}?\W*(?:received|actual|got|but (?:was|got)|found)(?: (?:value|result|string|status|output))?\s*[:=]\s*(?P<got>\S.*)$", re.IGNORECASE | re.MULTILINE),
    re.compile(r"^\W*(?:received|actual|got|result|left)\s*[:=]\s*(?P<got>\S.*)\n(?:.*\n){0,2}?\W*(?:expected|want|right)\s*[:=]\s*(?P<want>\S.*)$", re.IGNORECASE | re.MULTILINE),
    re.compile(r"^[ \t]*[-+] ?expected\b.*\n[ \t]*[-+] ?(?:received|actual)\b.*\n(?:\s*\n)?(?:.*\n)??[ \t]*- ?(?P<want>\S.*)\n[ \t]*\+ ?(?P<got>\S.*)$", re.IGNORECASE | re.MULTILINE),
    re.compile(r"expected:? ?[<\[(](?P<want>[^>\])]+)[>\])] ?but (?:was|got|found):? ?[<\[(](?P<got>[^>\])]+)[>\])]", re.IGNORECASE),
)  # fmt: skip


def compared(block: str) -> str:
    """ "expected 422, got 200", or "" where the block compares nothing."""
    for pattern in _PAIRS:
        if found := pattern.search(block):
            return f"expected {quoted(found.group('want').strip(), 100)}, got {quoted(found.group('got').strip(), 100)}"
    return ""
