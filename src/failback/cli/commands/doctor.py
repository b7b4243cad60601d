"""`failback doctor`: checks every prerequisite and permission, and says how to get what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from failback.cli.options import DEFAULT_PLAN, HomeDir, Json, ends_with_code, print_json


@ends_with_code
def doctor(
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="PLAN",
            help="Also check this plan and its cluster (default: failback.yaml where there is one).",
            show_default=False,
        ),
    ] = None,
    home: HomeDir = None,
    as_json: Json = False,
) -> int:
    """Check prerequisites and permissions, and say how to get what is missing. Exit code 6 if something is."""
    import dataclasses

    from failback.cli.render.console import write
    from failback.executor.examination import examine
    from failback.executor.home import Home

    loaded = None
    if file is not None or DEFAULT_PLAN.is_file():
        from failback.executor.plan_file import load_plan

        loaded = load_plan(file or DEFAULT_PLAN)
    findings = examine(Home.at(home), loaded)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        marks = {"ok": "✓", "info": "·", "warning": "!", "error": "✗"}
        for finding in findings:
            write(f"{marks[finding.level]} {finding.subject}: {finding.message}\n")
            for line in finding.remedy.splitlines():
                write(f"    {line}\n")
    return 6 if any(finding.level == "error" for finding in findings) else 0
