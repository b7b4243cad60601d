"""One log or output as a searchable document: lines with their numbers, found by the words they hold."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache, cached_property

from failback.facts.clean import clean_lines
from failback.facts.installed import Installed
from failback.facts.traces import Trace, find_traces

HITS_MAX = 40  # of one word; a log that repeats it has told all by then
NOTHING_INSTALLED = Installed()
_UPPER = {c: c + 32 for c in range(65, 91)}
_LEVEL = re.compile(
    r"(?:^|[\s\[(|\"=:<])(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING?|I)?|ERROR|ERR|CRIT(?:ICAL)?|FATAL|SEVERE|PANIC|EMERG|ALERT)(?=[\s\])|\":,>/]|$)"
)
_LEVEL_LOW = re.compile(
    r"(?:level=|lvl=|\"level\": ?\"|\[|^)(trace|debug|info|notice|warn(?:ing)?|error|crit|fatal|emerg)\b"
)
_ACCESS = re.compile(
    r"\"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|CONNECT) \S.{0,2000}? HTTP/[\d.]+\"?"
    r"|^(?:\S+ ){0,6}(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) /\S* +(?:HTTP/[\d.]+|\d{3}\b)"
    r"|\b(?:path|url|uri|request|user_agent|ua|referer|query|q)=[\"']?/?\S*(?:error|exception|traceback|no%20such|not%20found)",
    re.IGNORECASE,
)
# What a proxy says of its own trouble names the request too.
_PROXY_ERROR = re.compile(
    r"\[(?:error|crit|alert|emerg)\] \d+#|while (?:connecting to|reading response header from|reading) upstream|AH0\d{4}:",
    re.IGNORECASE,
)
VOCABULARY_FROM_CHARS = 30_000
_LETTERS = {c: 32 for c in range(128) if not 97 <= c <= 122}
_NO_DIGITS = dict.fromkeys(range(48, 58))


@cache
def _parts(word: str) -> tuple[str, ...]:
    return tuple(part for part in word.translate(_LETTERS).split() if len(part) > 1)


class Document:
    """A cleaned text. `source` says where it stands in the evidence (`logs/web-1/app`, `step_output`)."""

    def __init__(
        self, source: str, raw: str | bytes, role: str = "log", installed: Installed = NOTHING_INSTALLED
    ) -> None:
        self.source = source
        self.installed = installed
        self.role = role  # "log" | "previous" | "step"
        self.lines, self.numbers = clean_lines(raw)
        self.text = "\n".join(self.lines)
        lower = self.text.lower()
        self.lower = lower if len(lower) == len(self.text) else self.text.translate(_UPPER)
        self._starts: list[int] | None = None
        self._found: dict[str, int] = {}
        self._hits: dict[str, tuple[int, ...]] = {}

    @property
    def starts(self) -> list[int]:
        """Offset of each line in `text`."""
        if self._starts is None:
            starts, at = [], 0
            for line in self.lines:
                starts.append(at)
                at += len(line) + 1
            self._starts = starts
        return self._starts

    @cached_property
    def traces(self) -> tuple[Trace, ...]:
        """Every stack trace in the text, in order."""
        return self.installed.seen_in(find_traces(self.lines, self.text))

    @cached_property
    def said_fatal(self) -> bool:
        """True where one of the last lines is at level FATAL."""
        return any(level_of(line) == "FATAL" for line in self.lines[-40:])

    @property
    def long(self) -> bool:
        """True for a text in which messages repeat."""
        return len(self.lower) >= VOCABULARY_FROM_CHARS

    @cached_property
    def vocabulary(self) -> str:
        """Every word (letters only) of the text once, joined: a text that lacks a word's letters lacks the word."""
        return "\n".join(set(self.lower.translate(_LETTERS).split()))

    def may_hold(self, word: str) -> bool:
        """False when the text certainly lacks a lower-case text; a cheap look before the search."""
        if len(self.lower) < VOCABULARY_FROM_CHARS:
            return word in self.lower
        return self._first(word) >= 0

    def _first(self, word: str) -> int:
        """Where a word stands first, -1 where it does not; looked up once, because many rules share words."""
        at = self._found.get(word)
        if at is None:
            known = len(self.lower) < VOCABULARY_FROM_CHARS or all(part in self.vocabulary for part in _parts(word))
            at = self._found[word] = self.lower.find(word) if known else -1
        return at

    def shape(self, index: int) -> str:
        """The line without digits: equal for two prints of one message."""
        return self.lines[index][:1000].translate(_NO_DIGITS)

    def index_at(self, offset: int) -> int:
        """The index of the line at an offset of `text`."""
        return max(bisect_right(self.starts, offset) - 1, 0)

    def hits(self, word: str) -> Iterator[int]:
        """Indices of the lines that hold a word (lower case), each once; the first ones and the last ones of many."""
        if word not in self._hits:
            self._hits[word] = self._lines_with(word)
        yield from self._hits[word]

    def _lines_with(self, word: str) -> tuple[int, ...]:
        found: list[int] = []
        at = self._first(word)
        while at >= 0 and len(found) < HITS_MAX:
            index = self.index_at(at)
            found.append(index)
            end = self.starts[index] + len(self.lines[index])
            at = self.lower.find(word, end)
        if at >= 0:
            end, last = len(self.lower), set(found)
            for _ in range(HITS_MAX // 3):
                back = self.lower.rfind(word, 0, end)
                if back < 0:
                    break
                index = self.index_at(back)
                if index in last:
                    break
                found.append(index)
                end = self.starts[index]
        return tuple(sorted(set(found)))

    def window(self, index: int, before: int = 0, after: int = 0) -> str:
        """The lines around one line, joined."""
        return "\n".join(self.lines[max(index - before, 0) : index + after + 1])

    def number(self, index: int) -> int:
        """The line's number in the raw text, from 1."""
        return self.numbers[index] if 0 <= index < len(self.numbers) else 0

    def trace_at(self, index: int) -> Trace | None:
        """The trace that a line belongs to."""
        for trace in self.traces:
            if trace.start <= index <= trace.end:
                return trace
        return None

    def level(self, index: int) -> str:
        """The level that a line says it has: "DEBUG", "INFO", "WARN", "ERROR", "FATAL", or "" where it says none."""
        return level_of(self.lines[index])


def level_of(line: str) -> str:
    """The level word at the beginning of a log line, normalised; "" where there is none."""
    head = line[:120]
    match = _LEVEL.search(head) or _LEVEL_LOW.search(head)
    if not match:
        return ""
    word = match.group(1).upper()
    for prefix, level in (
        ("TRACE", "DEBUG"),
        ("DEBUG", "DEBUG"),
        ("INFO", "INFO"),
        ("NOTICE", "INFO"),
        ("WARN", "WARN"),
    ):
        if word.startswith(prefix):
            return level
    return "FATAL" if word in ("CRIT", "CRITICAL", "FATAL", "PANIC", "EMERG", "ALERT") else "ERROR"


def is_access_line(line: str) -> bool:
    """True for a line that records a request: what stands in it was written by the caller, not by the service."""
    return _ACCESS.search(line[:3000]) is not None and _PROXY_ERROR.search(line[:600]) is None
