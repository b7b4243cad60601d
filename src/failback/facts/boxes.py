"""Python traces that rich (Typer, Textual, FastAPI's command) draws in boxes, as the interpreter prints them."""

from __future__ import annotations

import re

_HEAD = re.compile(r"^\s*╭─+ Traceback \(most recent call last\) ─+╮\s*$")
_FOOT = re.compile(r"^\s*╰─+╯\s*$")
_FRAME = re.compile(
    r"^(?P<file>(?:/|<|[A-Za-z]:\\|\.{0,2}/)?[\w./\\@+<>-]+):(?P<line>\d+) in(?: (?P<function>[\w.<>]+))?$"
)
_CODE = re.compile(r"^❱\s*\d+ (?P<code>.*)$")
_NAME = re.compile(r"^[\w.<>]+$")


def without_boxes(lines: list[str], numbers: list[int]) -> tuple[list[str], list[int]]:
    """The lines with each drawn trace as "File ..., line ..., in ..."; excerpts and local variables are left out."""
    plain: list[str] = []
    kept: list[int] = []
    inside, open_frame = False, False
    for line, number in zip(lines, numbers, strict=True):
        if not inside:
            inside = bool(_HEAD.match(line))
            plain.append("Traceback (most recent call last):" if inside else line)
            kept.append(number)
            continue
        if _FOOT.match(line):
            inside = False
            continue
        text = line.strip().strip("│").strip()
        if open_frame and _NAME.match(text):  # the function's name did not fit behind the file
            plain[-1] += text
            open_frame = False
            continue
        said = _unboxed(text)
        if said:
            plain.append(said)
            kept.append(number)
            open_frame = said.endswith(", in ")
    return plain, kept


def _unboxed(text: str) -> str:
    frame = _FRAME.match(text)
    if frame:
        return f'  File "{frame.group("file")}", line {frame.group("line")}, in {frame.group("function") or ""}'
    code = _CODE.match(text)
    return f"    {code.group('code').replace('│', ' ').strip()}" if code else ""
