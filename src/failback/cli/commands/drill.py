"""`failback drill [--bundled]`: deploys a known-bad version and checks that recovery works."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from failback.cli.options import DEFAULT_PLAN, HomeDir, Json, PlanFile, Yes, ends_with_code, print_json

if TYPE_CHECKING:
    from failback.drill.bundled import DrillReport


@ends_with_code
def drill(
    bundled: Annotated[bool, typer.Option("--bundled", help="Use the service that the package carries.")] = False,
    file: PlanFile = DEFAULT_PLAN,
    home: HomeDir = None,
    yes: Yes = False,
    rate: Annotated[
        float, typer.Option("--rate", help="Requests per second of the bundled drill.", min=1, max=1000)
    ] = 200.0,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Bundled: use and keep this folder.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> int:
    """Deploy a known-bad version, dark, and prove that recovery works; --bundled needs no plan."""
    from failback.cli.render.console import write
    from failback.cli.render.progress import PlainProgress

    out = sys.stderr if as_json else sys.stdout
    progress = PlainProgress(out)

    def say(text: str) -> None:
        write(f"\n{text}\n", out)

    if bundled:
        from failback.drill.bundled import run_bundled

        report = run_bundled(say, [progress], rate_per_s=rate, folder=keep)
    else:
        report = _own(file, home, yes, say, progress)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    return 0 if report.passed else 6


def _own(file: Path, home: Path | None, yes: bool, say: object, progress: object) -> DrillReport:
    from failback.cli.commands.deploy import consent
    from failback.cli.render.console import on_terminal
    from failback.drill.own import run_own
    from failback.executor.home import Home
    from failback.executor.plan_file import load_plan
    from failback.model.errors import NotApproved

    loaded = load_plan(file)
    asked = sys.stdin.isatty() and on_terminal(sys.stdout)
    question = f"Start a version of {loaded.plan.service} that exits on purpose, without traffic, beside the live one?"
    if not yes and not (asked and consent(question)):
        raise NotApproved("Nothing was touched: nobody approved the drill. Pass --yes.", service=loaded.plan.service)
    return run_own(loaded, Home.at(home), say, [progress])  # type: ignore[arg-type, list-item]


def _show(report: DrillReport) -> None:
    from failback.cli.render.console import write
    from failback.cli.render.report import report as result_report
    from failback.cli.render.text import one_line

    for bad in (result for name, result in report.results.items() if name.endswith("bad")):
        write("\nWhat a user of failback reads after the bad release:\n\n" + result_report(bad))
    lines = ["", "What was proved:"]
    marks = {True: "✓", False: "✗", None: "–"}
    for check in report.checks:
        lines.append(f"{marks[check.passed]} {check.name}: {one_line(check.measured, 150)}")
    for name, load in report.loads.items():
        latency = load.get("latency_ms") or {}
        lines.append(
            f"  {name}: {load['sent']:,} requests in {load['seconds']} s, {load['failed']} failed, "
            f"p50 {latency.get('p50', 0)} ms, p99 {latency.get('p99', 0)} ms"
        )
    verdict = "✓ The drill passed" if report.passed else "✗ The drill failed"
    passed = sum(check.passed is True for check in report.checks)
    lines += ["", f"{verdict} in {report.seconds:.1f} s: {passed} of {len(report.checks)} checks."]
    write("\n".join(lines) + "\n")
