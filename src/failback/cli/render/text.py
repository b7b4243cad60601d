"""Makes text from outside safe to show on a terminal: no escape, no control, no direction override reaches it."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_])"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def plain(text: object) -> str:
    """The text without escape sequences, with other controls shown as `\\xNN`; line ends and tabs stay."""
    without = _ESCAPES.sub("", str(text).replace("\r\n", "\n"))
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}" if ord(match[0]) < 256 else "", without)


def one_line(text: object, width_max: int = 160) -> str:
    """The first line, cut to a width."""
    line = plain(text).strip().split("\n", 1)[0]
    return line if len(line) <= width_max else line[: width_max - 1] + "…"


def seconds(value: float | None) -> str:
    """A duration as people read it: "34 ms", "2.1 s", "3 min 20 s"."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= 0.001 else f"{value * 1000:.1f} ms"
    if value < 120:
        return f"{value:.1f} s"
    if value < 7200:
        return f"{int(value // 60)} min {int(value % 60)} s"
    return f"{value / 3600:.1f} h"


def size(count: int | None) -> str:
    """Bytes as people read them."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
