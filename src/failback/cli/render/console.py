"""Where text goes and in which colours: only a terminal gets colours, and NO_COLOR is honoured."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_COLOURS = {"✓": "32", "✗": "1;31", "!": "33", "–": "2", "■": "33"}


def on_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def colours(stream: TextIO) -> bool:
    return on_terminal(stream) and not os.environ.get("NO_COLOR")


def write(text: str, stream: TextIO | None = None) -> None:
    """Writes a report; on a terminal, lines that begin with a mark are coloured."""
    out = stream if stream is not None else sys.stdout
    out.write(_coloured(text) if colours(out) else text)
    out.flush()


def _coloured(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        colour = _COLOURS.get(line.lstrip()[:1])
        if colour is None and line.endswith(":") and line[:1].isalpha():
            colour = "1"
        lines.append(f"\x1b[{colour}m{line}\x1b[0m" if colour else line)
    return "\n".join(lines)


def table(rows: list[list[str]], head: list[str]) -> str:
    """Columns by their width; no frame, so that it can be cut and searched."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    return "\n".join(lines) + "\n"
