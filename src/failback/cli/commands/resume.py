"""`failback resume`: takes up executions whose process died."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from failback.cli.options import HomeDir, Json, ends_with_code, print_json

if TYPE_CHECKING:
    from failback.executor.home import Home


@ends_with_code
def resume(
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="PLAN",
            help="Also end what another machine left behind of this plan's service.",
            show_default=False,
        ),
    ] = None,
    home: HomeDir = None,
    as_json: Json = False,
) -> int:
    """Take up executions whose process died, and bring each to its end."""
    from failback.cli.render.console import write
    from failback.cli.render.progress import PlainProgress
    from failback.cli.render.report import report
    from failback.executor.engine import Engine
    from failback.executor.home import Home

    place = Home.at(home)
    results = Engine(place).resume([PlainProgress(sys.stderr if as_json else sys.stdout)])
    repairs = _left_behind(place, file) if file is not None else []
    if as_json:
        # With a plan there is more to tell than the executions; without one the document is as it always was.
        print_json(results if file is None else {"executions": results, "repairs": repairs})
        return _code(results)
    for text in repairs:
        write(f"✓ {text}\n")
    if not results and not repairs:
        write("Nothing to take up: every execution has ended or is running.\n")
    else:
        for result in results:
            write("\n" + report(result, actions=False))
    return _code(results)


def _left_behind(place: Home, file: Path) -> list[str]:
    from failback.executor.plan_file import load_plan
    from failback.executor.taking_up import end_left_behind

    return end_left_behind(place, load_plan(file))


def _code(results: list[dict[str, Any]]) -> int:
    from failback.model.execution import exit_code_of

    # A recovered failure is what resume is for; only an unstable service needs a person.
    return 4 if any(exit_code_of(result) == 4 for result in results) else 0
