"""Rules about error lines that the stable revision never prints, on replicas that are otherwise well.

While dark only: once users' requests come, an odd request makes a healthy service log something new, and the counts of
answers say better what it means. Lines that say themselves that they were dealt with condemn nobody, nor do those that
a departing client causes, nor those printed before the replica was ready: it has got over them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from failback.detection.rule import EVIDENCE_MAX, Finding, failed
from failback.detection.sight import live, short
from failback.facts.document import level_of
from failback.model.observation import Limits, ReplicaView, Stage, View

REPEATS = 3  # of the same line since the replica was ready: no longer one odd event

# A named exception at the beginning of a line is the last line of a stack trace ("KeyError: 'x'"); a bare "Error: …" is
# also what programs print about an error that they caught.
_FATAL = re.compile(
    r"(?i:^\W*(?:panic|fatal|critical)\b|\bpanic: |\bfatal (?:error|exception)\b"
    r"|\b(?:unhandled|uncaught)\b|segmentation fault)"
    r"|^(?:[A-Za-z_][\w$]*\.)*[A-Z]\w*(?:Error|Exception)\b(?: \[\w+\])?(?::|$)"
)
_ERROR = re.compile(r"(?i:^\W*errors?\s*[:\]|]|\berror: )|\b[A-Z]\w+(?:Error|Exception)\b")
# Lines that every program prints when its *client* goes away, and headings that say nothing by themselves.
_NO_FAULT = re.compile(
    r"^traceback \(most recent call last\)|exception (?:occurred|happened) (?:during|in) (?:the )?processing of request"
    r"|broken ?pipe|\bEPIPE\b|\bECONNRESET\b|connection ?reset|client (?:disconnected|closed)",
    re.IGNORECASE,
)
_DEALT_WITH = re.compile(
    r"\bnon-?fatal\b|\bignor(?:e|ed|ing)\b|\bfall(?:s|ing)? ?-?back\b|\bretr(?:y|ies|ying)\b|\boptional\b|\bdeprecat"
    r"|\bskipp(?:ed|ing)\b|\brecovered\b|\busing (?:the )?default|\b(?:0|<n>) (?:errors?|failed|failures?)\b",
    re.IGNORECASE,
)
# What a start in the wrong order prints: by its readiness it has got over it. Used where nobody counted since when.
_OF_THE_START = re.compile(
    r"connection ?refused|timed? ?out|not (?:yet )?ready|temporar|unavailable|could not connect|starting up",
    re.IGNORECASE,
)


def _faults(replica: ReplicaView) -> Iterator[tuple[str, int | None]]:
    """Each new error line that may count against a ready replica, and how often it came since (None: not known)."""
    if replica.ready_at_s is None:
        return
    counts = replica.new_error_counts
    counted = len(counts) == len(replica.new_errors)
    for number, line in enumerate(replica.new_errors):
        if _NO_FAULT.search(line) or _DEALT_WITH.search(line) or level_of(line) in ("DEBUG", "INFO", "WARN"):
            continue
        if counted and counts[number] > 0:
            yield line, counts[number]
        elif not counted and not _OF_THE_START.search(line):
            yield line, None


def is_fatal(line: str) -> bool:
    """By its level, or by what runtimes print when nobody caught an error."""
    return level_of(line) == "FATAL" or _FATAL.search(line) is not None


def is_error(line: str) -> bool:
    """A line that claims to be an error. One that merely has the word in it ("error handler registered") does not."""
    return is_fatal(line) or level_of(line) == "ERROR" or _ERROR.search(line) is not None


def fatal_line(view: View, limits: Limits) -> Finding | None:
    if view.stage is not Stage.DARK:
        return None
    for replica in live(view):
        lines = [line for line, _ in _faults(replica) if is_fatal(line)]
        if lines:
            return Finding(
                f"{replica.name} logs a fatal error that the stable revision never does: {short(lines[0], 120)}",
                tuple(lines[:EVIDENCE_MAX]),
            )
    return None


def repeated_line(view: View, limits: Limits) -> Finding | None:
    if view.stage is not Stage.DARK:
        return None
    printed_by: Counter[str] = Counter()
    for replica in live(view):
        for line, count in _faults(replica):
            if not is_error(line):
                continue
            printed_by[line] += 1
            if count is not None and count >= REPEATS:
                return Finding(
                    f"{replica.name} logs {count} times what the stable revision never does: {short(line, 120)}",
                    (line,),
                )
    common = [line for line, times in printed_by.items() if times >= max(2, view.replicas_wanted)]
    if common:
        return Finding(
            f"every replica logs an error that the stable revision never does: {short(min(common), 120)}",
            tuple(sorted(common)[:EVIDENCE_MAX]),
        )
    return None


def lines_told(view: View) -> tuple[str, ...]:
    """New error lines that condemn nobody, for a verdict that ought to mention them."""
    return tuple(f"{replica.name}: {line}" for replica in live(view) for line, _ in _faults(replica) if is_error(line))[
        :EVIDENCE_MAX
    ]


RULES = (
    failed(
        "new-error-lines",
        fatal_line,
        why="the stable revision never prints it, and by its own word it is fatal or was caught by nobody",
        source="templates of the replica's error lines, without those of the stable revision's log",
    ),
    failed(
        "new-errors-everywhere",
        repeated_line,
        why="the same new error on every replica, or again and again on one, is the release's and not a moment's",
        source="templates of the replica's error lines, without those of the stable revision's log",
    ),
)
