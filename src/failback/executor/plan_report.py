"""The text of a PlanError: every problem with its place, its line of the file and a caret. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from failback.model.errors import PlanError
from failback.model.plan_problems import Path, Problem
from failback.model.redaction import Redactor
from failback.model.values import Position

PROBLEMS_SHOWN_MAX = 25
_LINE_CHARS_MAX = 110
# Below these keys a value may be a secret that was written down: no excerpt shows it.
_SECRETIVE = ("env", "headers", "password", "username", "api_key", "webhook_url", "urls", "params")
_SECRETIVE_KEY = re.compile(rf"\b(?:{'|'.join(_SECRETIVE)})[\"']?\s*:\s*")


def plan_error(
    name: str,
    problems: Sequence[tuple[Problem, Position | None]],
    source: str | None = None,
    places: Mapping[Path, Position] | None = None,
) -> PlanError:
    """The error for a plan. `name`: its file as people call it; `source`: its text, for the excerpts.

    `places`: where every value of the file stands, so that none that may be a secret is shown.
    `problems` of the error: [{"where", "line", "column", "message"}, ...], in the order of the file.
    """
    ordered = sorted(problems, key=lambda one: (one[1] or (1 << 30, 0), one[0].text))
    unique = list(dict.fromkeys(ordered))
    lines = source.splitlines() if source is not None else []
    hidden = _hidden(lines, places or {})
    blocks = [_block(name, problem, position, lines, hidden) for problem, position in unique[:PROBLEMS_SHOWN_MAX]]
    if len(unique) > PROBLEMS_SHOWN_MAX:
        blocks.append(f"... and {len(unique) - PROBLEMS_SHOWN_MAX} more.")
    count = "a problem" if len(unique) == 1 else f"{len(unique)} problems"
    heading = f"{name} has {count}; nothing was touched."
    return PlanError(
        "\n".join([heading, *blocks]),
        problems=[_shape(problem, position) for problem, position in unique],
        source=name,
    )


def _shape(problem: Problem, position: Position | None) -> Mapping[str, object]:
    line, column = position or (None, None)
    return {"where": problem.text, "line": line, "column": column, "message": problem.message}


def _hidden(lines: Sequence[str], places: Mapping[Path, Position]) -> dict[int, int]:
    """Line -> the place (from 0) at which the first value begins that may be a secret."""
    found: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        match = _SECRETIVE_KEY.search(line)
        if match:
            found[number] = match.end()
    for path, (number, column) in places.items():
        if path[-1:] != ("from_file",) and any(part in _SECRETIVE for part in path[:-1]):
            found[number] = min(found.get(number, column - 1), column - 1)
    return found


def _block(
    name: str, problem: Problem, position: Position | None, lines: Sequence[str], hidden: Mapping[int, int]
) -> str:
    where = f"{problem.text}: " if problem.where else ""
    if position is None:
        return f"  {where}{problem.message}"
    line, column = position
    said = f"{name}:{line}:{column}: {where}{problem.message}"
    if not 1 <= line <= len(lines):
        return said
    shown, caret = _excerpt(lines[line - 1], column - 1, hidden.get(line))
    margin = f"{line:>5} | "
    return f"{said}\n{margin}{shown}\n{' ' * (len(margin) - 2)}| {' ' * caret}^"


def _excerpt(line: str, caret: int, hidden: int | None) -> tuple[str, int]:
    """The line as it is shown, and where the caret stands (from 0)."""
    text = "".join(char if char.isprintable() else " " for char in line)
    if hidden is not None:
        text, caret = f"{text[:hidden]}***", min(caret, hidden)
    masked = Redactor().redact(text)
    if masked != text:
        # Masking moved what stands behind it, so only what is before the caret can be shown safely.
        masked = Redactor().redact(text[:caret])
        text, caret = f"{masked}***", len(masked)
    if caret > _LINE_CHARS_MAX - 30:
        cut = caret - (_LINE_CHARS_MAX - 30)
        text, caret = "..." + text[cut + 3 :], caret - cut
    return (text if len(text) <= _LINE_CHARS_MAX else text[: _LINE_CHARS_MAX - 3] + "..."), caret
