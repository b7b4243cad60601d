"""Rules as rows: a pattern, a type, and sentences with the pattern's named groups in braces."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from string import Formatter

from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.packages import align, changed
from failback.diagnosis.rule import Hit, Hypothesis, Rule, line_rule
from failback.model.diagnosis import FailureType, Recommendation

MORE = ("line", "at", "place", "program", "read")  # read: what the own code reads from the environment there
_FORMATTER = Formatter()


def row(
    name: str,
    words: str,
    pattern: str,
    kind: FailureType,
    cause: str,
    fix: str,
    advice: str,
    example: str = "",
    *,
    source: str,
    sure: float = 0.92,
    steps: str = "",
    unless: str = "",
    lines: int = 1,
    before: int = 0,
    package: str = "",
    ecosystem: str = "python",
    flags: int = re.IGNORECASE,
    loud: bool = False,
) -> Rule:
    """One row. `words` find the lines, `pattern` must match there, `unless` must not.

    `cause`, `fix`, `advice` and `example` may name the groups of the pattern, {line}, {at} and {place}; the line is put after the
    cause. `steps`: kinds of steps ("build|docker") in which the row counts, or with a minus before it does not ("-quality|security").
    `package`: a dependency whose versions are at fault; what the release changed of it goes into the recommendations.
    """
    _check(name, pattern, (cause, fix, advice, example, package))
    excluded = re.compile(unless, re.IGNORECASE) if unless else None
    allowed = frozenset(steps.lstrip("-").split("|")) if steps else frozenset()

    only_steps = bool(allowed) and not steps.startswith("-") and "deploy" not in allowed

    def build(hit: Hit) -> Hypothesis | None:
        if excluded and excluded.search(hit.document.window(hit.index, before, lines - 1)):
            return None
        if allowed and hit.document.role == "step" and (hit.scene.step_type in allowed) == steps.startswith("-"):
            return None
        if only_steps and hit.document.role != "step":  # what a build tool says is no word of a running service
            return None
        values = {key: (value or "").strip(" .,;:'\"`") for key, value in hit.match.groupdict().items()}
        values |= {
            "line": hit.line,
            "at": hit.at,
            "place": hit.place or "the code",
            "program": "",
            "read": _read_at(hit),
        }

        def fill(text: str) -> str:
            return " ".join(_FORMATTER.vformat(text, (), values).replace("  ", " ").split(" "))

        said = fill(cause)
        fixes: Sequence[Recommendation] = (high(fill(fix), fill(advice), fill(example)),)
        owner = fill(package)
        change = changed(hit.scene, owner) if package else None
        if package and change:
            fixes = (*fixes, *align(owner, ecosystem, change)[:1])
        return Hypothesis(
            kind,
            f"{said}{hit.at}: {hit.line}",
            sure,
            tuple(fixes),
            loud=loud,
            names=tuple(value for value in values.values() if 2 < len(value) < 80 and value not in (hit.line, hit.at))[
                :6
            ],
        )

    make: Callable[[Callable[[Hit], Hypothesis | None]], Rule] = line_rule(
        name, words, pattern, source, lines=lines, before=before, flags=flags
    )
    shown = " ".join(re.sub(r"(?:\{\w+\} ?)+", "… ", cause).split()).replace(" …:", ":").strip(" …:")
    return replace(make(build), says=f"{shown}.")


_READ = re.compile(r"(?:environ(?:\.get)?|getenv|env|ENV(?:\.fetch)?|config|settings|Getenv)[\[(.]+['\"]?(\w{2,60})")


def _read_at(hit: Hit) -> str:
    """The setting that the own line of code of the trace reads; "" where it reads none."""
    frame = hit.trace.own_frame() if hit.trace else None
    found = _READ.search(frame.code) if frame else None
    return found.group(1) if found else ""


def _check(name: str, pattern: str, texts: Sequence[str]) -> None:
    """A row that names a group which its pattern does not have is a defect that shows at import."""
    known = set(re.compile(pattern).groupindex) | set(MORE)
    for text in texts:
        named = {field for _, field, _, _ in _FORMATTER.parse(text) if field}
        if not named <= known:
            raise ValueError(f"row {name}: its pattern has no group {', '.join(sorted(named - known))}")
