"""`failback diagnose`: the cause of a recorded failure, or of what a service shows now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from failback.cli.options import HomeDir, Json, ends_with_code, print_json

if TYPE_CHECKING:
    from failback.model.diagnosis import Diagnosis
    from failback.model.evidence import Evidence

_CASE_BYTES_MAX = 64 * 1024 * 1024


@ends_with_code
def diagnose(
    service: Annotated[
        str | None, typer.Argument(metavar="SERVICE", help="What it shows now.", show_default=False)
    ] = None,
    case: Annotated[
        Path | None, typer.Option("--case", metavar="FILE", help="A recorded failure (JSON).", show_default=False)
    ] = None,
    home: HomeDir = None,
    as_json: Json = False,
) -> int:
    """Name the cause of a recorded failure (--case), or of what a service shows now."""
    from failback.diagnosis import diagnose as find_cause
    from failback.model.errors import UsageError

    if (case is None) == (service is None):
        raise UsageError("Say what to diagnose: a SERVICE of this home, or --case FILE (one of the two).")
    evidence = _case(case) if case is not None else _live(service or "", home)
    found = find_cause(evidence)
    if as_json:
        print_json(found.as_root_cause() | {"recommendations": [advice.as_dict() for advice in found.recommendations]})
    else:
        _show(found)
    return 0


def _case(path: Path) -> Evidence:
    from failback.model.errors import CaseError
    from failback.model.evidence import Evidence
    from failback.model.redaction import Redactor

    try:
        if path.stat().st_size > _CASE_BYTES_MAX:
            raise CaseError(f"{path} is larger than {_CASE_BYTES_MAX // 2**20} MiB: cut its logs.", path=str(path))
        shape: Any = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as cause:
        raise CaseError(f"{path} cannot be read: {cause.strerror}.", path=str(path)) from cause
    except ValueError as cause:
        raise CaseError(f"{path} is not JSON: {cause}.", path=str(path)) from cause
    if not isinstance(shape, dict):
        raise CaseError(f"{path} should hold one JSON object with `given`.", path=str(path))
    given: Any = shape.get("given", shape.get("evidence", shape))
    try:
        return Evidence.from_dict(Redactor().redact_value(given))
    except ValueError as cause:
        raise CaseError(f"{path} is not a recorded case: {cause}", path=str(path)) from cause


def _live(service: str, home: Path | None) -> Evidence:
    """What the running revision shows now."""
    import asyncio

    from failback.cli.commands.deploy import known_service
    from failback.executor.home import Home
    from failback.executor.targets import open_existing

    place = Home.at(home)
    known_service(place, service)
    target = open_existing(place, service)
    return asyncio.run(target.evidence(None))


def _show(found: Diagnosis) -> None:
    from failback.cli.render.console import write
    from failback.cli.render.text import one_line, plain

    lines = [
        f"Cause: {plain(found.cause)}",
        f"  {found.type}, {plain(found.component)}, confidence {found.confidence:.0%}",
    ]
    lines += [f"  {citation.source}: {one_line(citation.text)}" for citation in found.evidence[:6]]
    for other in found.alternatives[:3]:
        lines.append(f"  also considered: {plain(other.cause)} ({other.type}, {other.confidence:.0%})")
    if found.recommendations:
        lines += ["", "What to do:"]
    for advice in found.recommendations:
        lines += [f"  [{advice.priority}] {plain(advice.action)}", f"      {one_line(advice.description, 300)}"]
        lines += [f"      │ {line}" for line in plain(advice.example).rstrip().splitlines()]
    write("\n".join(lines) + "\n")
