"""Numbers that a log repeats, as series: which of them only grow until the end."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

SAMPLES_MIN = 6
RISING_SHARE_MIN = 0.75
GROWTH_MIN = 1.4  # last value over the first
LINES_MAX = 1_500  # the last ones of a log
_PAIR = re.compile(r"\b([A-Za-z_][\w.]{0,40})\"?\s?[=:]\s?\"?(\d{1,15}(?:\.\d{1,6})?)\s?([KMG]i?B|kB|B\b|bytes)?")
_FIGURE = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?([KMG]i?B)\b")
_WORDS = re.compile(
    r"\b(cache|sessions?|history|queue|buffer|entries|listeners?|subscribers?|connections|registry|backlog|objects|heap|rss|memory)\b[^\d\n]{1,30}?(\d{1,15}(?:\.\d+)?)\s?([KMG]i?B|kB|bytes)?",
    re.IGNORECASE,
)
_MEMORY = re.compile(r"goroutines|threads|_mb\b|_mib\b|sys_|rss|heap|mem|vsz|alloc|resident|footprint", re.IGNORECASE)
# What grows in every healthy program.
_COUNTERS = re.compile(
    r"^(?:\w*(?:handled|requests?|served|count|counter|seq|sequence|offset|id|ids|step|tick|uptime|time|ts|epoch|iteration|iter|pid|port|processed|total|done|progress|part|percent|page|line|row|rows|elapsed|sec|secs|seconds|ms|min|hour|i|n|no|num|batch|round|attempt|version|max|limit|heap_max))$",
    re.IGNORECASE,
)
_UNIT = {"b": 1, "bytes": 1, "kb": 1e3, "kib": 1024, "mb": 1e6, "mib": 1024**2, "gb": 1e9, "gib": 1024**3}


@dataclass(frozen=True, slots=True)
class Growing:
    """A number that grew from `first` to `last` over `samples` lines, the last of them at `index`."""

    name: str
    first: float
    last: float
    samples: int
    index: int
    unit: str

    @property
    def memory(self) -> bool:
        """True where the name says that it is memory."""
        return _MEMORY.search(self.name) is not None

    @property
    def text(self) -> str:
        """ "rss from 9 MiB to 29 MiB in 24 lines"."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} from {self.first:g}{unit} to {self.last:g}{unit} in {self.samples} lines"


def growing(lines: Sequence[str]) -> tuple[Growing, ...]:
    """Series that rise steadily up to the end of the log; counters of normal work are left out. Memory first."""
    series: dict[str, list[tuple[float, int, str]]] = {}
    start = max(len(lines) - LINES_MAX, 0)
    for index in range(start, len(lines)):
        line = lines[index][:400]
        if "=" not in line and ":" not in line and not line[-1:].isalnum():
            continue
        seen: set[str] = set()
        figures = _FIGURE.findall(line)
        if len(figures) == 1:
            series.setdefault("memory", []).append((float(figures[0][0]), index, figures[0][1]))
        for match in (*_PAIR.finditer(line), *_WORDS.finditer(line)):
            name = match.group(1)
            if name not in seen:
                seen.add(name)
                series.setdefault(name, []).append((float(match.group(2)), index, match.group(3) or ""))
    found = [grown for name, values in series.items() if (grown := _grown(name, values))]
    return tuple(sorted(found, key=lambda grown: (not grown.memory, -grown.samples)))


def _grown(name: str, values: list[tuple[float, int, str]]) -> Growing | None:
    if len(values) < SAMPLES_MIN or _COUNTERS.match(name):
        return None
    while values and values[0][0] == 0:
        values = values[1:]
    if len(values) < SAMPLES_MIN:
        return None
    numbers = [value * _UNIT.get(unit.lower(), 1) for value, _, unit in values]
    rising = sum(b > a for a, b in itertools.pairwise(numbers)) / (len(numbers) - 1)
    falling = any(b < a * 0.9 for a, b in itertools.pairwise(numbers))
    if falling or numbers[0] <= 0 or numbers[-1] < numbers[0] * GROWTH_MIN:
        return None
    if rising < RISING_SHARE_MIN and not (_MEMORY.search(name) and rising > 0.3):
        return None
    return Growing(name, values[0][0], values[-1][0], len(values), values[-1][1], values[-1][2])
