"""One figure of the bench."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`met` None: printed, with no bar to meet."""

    what: str
    bar: str
    measured: str
    met: bool | None = None
