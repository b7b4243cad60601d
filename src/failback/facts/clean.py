"""Turns a raw log into plain lines: no colours, no carriage returns, no collector's prefixes, JSON records as text."""

from __future__ import annotations

import json
import re
from typing import Any

from failback.facts.boxes import without_boxes

TEXT_CHARS_MAX = 4_000_000  # of one log; the beginning and the end are kept
HEAD_CHARS = 1_000_000
LINE_CHARS_MAX = 4_000
JSON_CHARS_MAX = 64_000
TOKEN_CHARS_MAX = (
    400  # of a word without a space (base64, minified code); longer ones make patterns slow and say nothing
)
REPEATS_FROM_CHARS = 64_000  # in longer texts what repeats is left out: the first and last two of each shape are kept
REPEATS_KEPT = 2

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)|[@-Z\\-_])")
_DIRECTION = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160), *_DIRECTION)) | {0xFFFD: "?"}
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
# What container runtimes, `docker compose`, BuildKit and `kubectl logs --prefix` put before each line.
_PREFIX = re.compile(
    rf"^(?:{_TIME} (?:stdout|stderr) [FP] |\[pod/[^\]]{{1,200}}\] |#\d{{1,4}} \d+\.\d+ (?=\S| )|[\w.-]{{1,60}} +\| (?={_TIME}|\S)"
    rf"|{_TIME}(?: |\t))+"
)
_MAYBE_PREFIXED = re.compile(r"^(?:\d{4}-\d\d-\d\d|\[pod/|#\d|[\w.-]{1,60} +\| )", re.MULTILINE)
_LONG_WORD = re.compile(rf"\S{{{TOKEN_CHARS_MAX},}}")
_SHAPE = dict.fromkeys(
    map(ord, "0123456789abcdefABCDEF-")
)  # without these, lines that differ in numbers and ids are equal
_ERRORISH = ("error", "fatal", "panic", "exception", "critical", "warn", "fail", "severe")
_MESSAGE_KEYS = ("msg", "message", "@message", "event", "log", "textPayload", "short_message", "body")
_DETAIL_KEYS = ("error", "err", "exc", "exception", "error_message", "reason", "cause", "detail")
_STACK_KEYS = ("stack", "stack_trace", "stacktrace", "exc_info", "traceback", "exception.stacktrace", "full_message")
_LEVELS = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}  # bunyan and pino


def clean_lines(raw: str | bytes) -> tuple[list[str], list[int]]:
    """(lines, their numbers in the raw text counted from 1). Bounded; never raises.

    One JSON record becomes "LEVEL message: error" and the lines of its stack, all with the record's number.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    skipped = 0
    if len(text) > TEXT_CHARS_MAX:
        cut = text[HEAD_CHARS : -(TEXT_CHARS_MAX - HEAD_CHARS)]
        skipped = cut.count("\n")
        text = text[:HEAD_CHARS] + "\n" + text[-(TEXT_CHARS_MAX - HEAD_CHARS) :]
    lines = _plain(text).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    numbers = list(range(1, len(lines) + 1))
    if skipped:
        head = text.count("\n", 0, HEAD_CHARS + 1)
        numbers = [n if n <= head else n + skipped - 1 for n in numbers]
    if _MAYBE_PREFIXED.search(text):
        lines = [_PREFIX.sub("", line, count=1) for line in lines]
    if "Traceback (most recent call last)" in text and "╭" in text:
        lines, numbers = without_boxes(lines, numbers)
    lines = [line if len(line) <= TOKEN_CHARS_MAX else _shortened(line) for line in lines]
    if len(text) > REPEATS_FROM_CHARS:
        lines, numbers = _without_repeats(lines, numbers)
    if '{"' in text or "{ " in text:
        return _with_json_records(lines, numbers)
    return lines, numbers


def _plain(text: str) -> str:
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r:", "\\r:").replace("\r'", "\\r'").replace("\r’", "\\r’")
        text = text.replace("\r", "\n")
    if not text.isascii() or any(chr(c) in text for c in (0, 1, 7, 8, 12, 27)):
        text = text.translate(_CONTROL)
    return text


def _shortened(line: str) -> str:
    """A long line's beginning and end, with long words cut; a JSON record stays whole so that it can be read."""
    if line.lstrip().startswith("{") and len(line) <= JSON_CHARS_MAX:
        return line
    line = _LONG_WORD.sub(lambda word: f"{word.group(0)[:120]}...{word.group(0)[-120:]}", line)
    half = LINE_CHARS_MAX // 2
    return line if len(line) <= LINE_CHARS_MAX else f"{line[:half]} ... {line[-half:]}"


def _without_repeats(lines: list[str], numbers: list[int]) -> tuple[list[str], list[int]]:
    """Without the middle ones of blocks that repeat but for their digits; a block is a line and what is indented below it."""
    starts = [index for index, line in enumerate(lines) if line[:1] not in (" ", "\t")] or [0]
    if starts[0] != 0:
        starts.insert(0, 0)
    shapes: dict[str, list[int]] = {}
    ends = [*starts[1:], len(lines)]
    plain = "\n".join(lines).translate(_SHAPE).split("\n")  # one pass over the text, not one a line
    for block, (start, end) in enumerate(zip(starts, ends, strict=True)):
        shape = plain[start] if end == start + 1 else "\n".join(plain[start : min(end, start + 40)])
        shapes.setdefault(shape, []).append(block)
    kept: set[int] = set()
    for blocks in shapes.values():
        kept.update(blocks if len(blocks) <= 2 * REPEATS_KEPT else [*blocks[:REPEATS_KEPT], *blocks[-REPEATS_KEPT:]])
    if len(kept) == len(starts):
        return lines, numbers
    shown = [index for block in sorted(kept) for index in range(starts[block], ends[block])]
    return [lines[index] for index in shown], [numbers[index] for index in shown]


def _with_json_records(lines: list[str], numbers: list[int]) -> tuple[list[str], list[int]]:
    out_lines: list[str] = []
    out_numbers: list[int] = []
    for line, number in zip(lines, numbers, strict=True):
        shown = _json_record(line) if line.startswith("{") and line.rstrip().endswith("}") else None
        for part in shown or (line,):
            out_lines.append(part)
            out_numbers.append(number)
    return out_lines, out_numbers


def _json_record(line: str) -> list[str] | None:
    lowered = line.lower()
    if not any(word in lowered for word in _ERRORISH) and '"level":50' not in lowered and '"level":60' not in lowered:
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    message = _first_text(record, _MESSAGE_KEYS)
    detail, stack = _error_of(record)
    if not message and not detail and not stack:
        return None
    head = " ".join(part for part in (_level_of(record), message) if part)
    if detail and detail not in message and detail not in stack:
        head = f"{head}: {detail}" if head else detail
    return [part[:LINE_CHARS_MAX] for part in [*head.splitlines()[:200], *stack.splitlines()[:200]] if part]


def _level_of(record: dict[str, Any]) -> str:
    level = record.get("level", record.get("severity", record.get("lvl", record.get("levelname", ""))))
    if isinstance(level, int) and not isinstance(level, bool):
        return _LEVELS.get(level, "")
    return level.upper() if isinstance(level, str) else ""


def _first_text(record: dict[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = record.get(key)
        if isinstance(value, str) and value:
            return value
    return ""


def _error_of(record: dict[str, Any]) -> tuple[str, str]:
    """(short description, stack) of the error that a record carries."""
    detail, stack = _first_text(record, _DETAIL_KEYS), _first_text(record, _STACK_KEYS)
    for key in _DETAIL_KEYS:
        inner = record.get(key)
        if isinstance(inner, dict):
            kind = _first_text(inner, ("type", "name", "class", "kind"))
            text = _first_text(inner, ("message", "msg", "reason"))
            detail = detail or ": ".join(part for part in (kind, text) if part)
            stack = stack or _first_text(inner, _STACK_KEYS)
    return detail, stack
