"""Error lines as templates, so that an error which is new can be told from one that the stable revision prints as well."""

from __future__ import annotations

import re
from collections.abc import Iterator

from failback.facts.document import Document, is_access_line, level_of

SIGNATURES_MAX = 2_000
_ERROR_WORDS = (
    "error", "exception", "fatal", "panic", "critical", "traceback", "failed", "failure", "cannot ", "can't ", "could not", "unable to",
    "denied", "refused", "unhandled", "uncaught", "segfault", "killed", "no such", "not found", "undefined", "missing", "invalid",
    "abort", "severe",
)  # fmt: skip
_MASKS = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d{1,2}/\w{3}/\d{4}[: ]\d\d:\d\d:\d\d(?: [+-]\d{4})?|\b\d{4}/\d\d/\d\d \d\d:\d\d:\d\d|\b\d\d:\d\d:\d\d(?:[.,]\d+)?"), "<time>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<id>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<address>"),
    (re.compile(r"(?<![\w.])/(?:[\w.@+-]+/)+"), "<path>/"),
    (re.compile(r"\d+(?:\.\d+)*"), "<n>"),
)  # fmt: skip


def template(line: str) -> str:
    """The line with times, ids, addresses, folders and numbers masked; equal for two prints of the same message."""
    line = line.strip()[:600]
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line


def signatures(text: str | bytes) -> frozenset[str]:
    """Templates of every error line of a log (requests' lines apart). New ones: `signatures(new) - signatures(stable)`."""
    return frozenset(error_lines(Document("text", text)))


def error_lines(document: Document) -> dict[str, int]:
    """Template of each error line -> index of the first line that has it. Frames of traces are left out."""
    found: dict[str, int] = {}
    for index in _error_indices(document):
        found.setdefault(template(document.lines[index]), index)
        if len(found) >= SIGNATURES_MAX:
            break
    return found


def error_counts(document: Document) -> dict[str, int]:
    """Template of each error line -> how many lines have it; at least that many in a log that is full of them."""
    found: dict[str, int] = {}
    for index in _error_indices(document):
        name = template(document.lines[index])
        if name in found or len(found) < SIGNATURES_MAX:
            found[name] = found.get(name, 0) + 1
    return found


def _error_indices(document: Document) -> Iterator[int]:
    candidates: set[int] = set()
    for word in _ERROR_WORDS:
        candidates.update(document.hits(word))
    for index in sorted(candidates):
        line = document.lines[index]
        if line.lstrip().startswith(("at ", "File ", "from ", "#")) or is_access_line(line):
            continue
        if level_of(line) not in ("DEBUG", "INFO"):
            yield index
