"""`failback plan`: the steps, what would change, what approval it needs, the risks; touches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from failback.cli.options import DEFAULT_PLAN, HomeDir, Json, PlanFile, ends_with_code, print_json

if TYPE_CHECKING:
    from failback.executor.forecast import Forecast
    from failback.executor.home import Home
    from failback.executor.plan_file import LoadedPlan


@ends_with_code
def plan(file: PlanFile = DEFAULT_PLAN, home: HomeDir = None, as_json: Json = False) -> int:
    """Show the steps as a graph, what would change, what approval it needs and the risks; touches nothing."""
    from failback.cli.render.console import write
    from failback.executor.home import Home
    from failback.executor.plan_file import load_plan

    loaded = load_plan(file)
    place = Home.at(home)
    if as_json:
        print_json(_document(loaded, place))
        return 0
    write(describe(loaded, place))
    return 0


def describe(loaded: LoadedPlan, place: Home) -> str:
    """The plan for a person."""
    from failback.executor.forecast import forecast

    return "\n".join(_lines(loaded, forecast(loaded, place))) + "\n"


def _document(loaded: LoadedPlan, place: Home) -> dict[str, Any]:
    import dataclasses

    from failback.executor.forecast import forecast

    told = forecast(loaded, place)
    several = bool(told.services)
    return {
        "service": loaded.plan.service,
        "environment": loaded.plan.environment,
        "steps": [
            {"number": number, "name": step.name, "type": step.type, "needs": list(told.needs[step.name])}
            for number, step in enumerate(loaded.plan.steps, start=1)
        ],
        "levels": [list(level) for level in told.levels],
        "now": told.now,
        "change": told.change,
        "approval": "required: --yes, or a yes on the terminal",
        **({"services": {name: {"now": n, "change": c} for name, (n, c) in told.services.items()}} if several else {}),
        "findings": [dataclasses.asdict(finding) for finding in told.findings],
    }


def _lines(loaded: LoadedPlan, told: Forecast) -> Iterator[str]:
    from failback.cli.render.text import one_line, plain, seconds

    plan = loaded.plan
    steps = {step.name: (number, step) for number, step in enumerate(plan.steps, start=1)}
    if told.services:
        yield f"{plan.service} ({plan.environment}): {len(told.services)} services, all of them or none"
        for name, (now, _) in told.services.items():
            yield f"  {name}: {now}"
    else:
        yield f"{plan.service} ({plan.environment}): {told.now}"
    yield ""
    yield "Steps:"
    for level in told.levels:
        for name in level:
            number, step = steps[name]
            needs = told.needs[name]
            after = f"after {', '.join(needs)}" if needs else "at once"
            command = step.run if isinstance(step.run, str) else " ".join(step.run or ())
            shown = (
                one_line(command, 60)
                if command
                else f"{step.service} rolled out by failback".removeprefix("None ")
                if step.type == "deploy"
                else "no command"
            )
            yield f"  {number}. {name:<10} {step.type:<9} {after:<18} at most {seconds(step.timeout):<8} {shown}"
    yield ""
    for name, (_, change) in told.services.items():
        yield from _change(f"Change of {name}:", change)
    if not told.services:
        yield from _change("Change:", told.change)
    yield "Approval: needed; --yes, or a yes on the terminal"
    if told.findings:
        yield ""
        yield "Risks:"
    for finding in told.findings:
        mark = {"error": "✗", "warning": "!", "info": "·", "ok": "✓"}[finding.level]
        message = plain(finding.message).rstrip(".")
        yield (
            f"{mark} {finding.subject}: {message}. {plain(finding.remedy)}".rstrip()
            if finding.remedy
            else (f"{mark} {finding.subject}: {message}")
        )


def _new_files_short(lines: list[str]) -> Iterator[str]:
    """The diff, with a file that is new or gone as one line: what is in it says nothing about the change."""
    at = 0
    while at < len(lines):
        head, name = lines[at], lines[at + 1] if at + 1 < len(lines) else ""
        whole = head == "--- /dev/null" or name == "+++ /dev/null"
        if not (whole and name.startswith("+++ ")):
            yield head
            at += 1
            continue
        end = at + 2
        # A removed line may begin with "-- " itself; only a file's head is followed by its other half.
        while end < len(lines) and not (
            lines[end].startswith("--- ") and lines[end + 1 : end + 2] and lines[end + 1].startswith("+++ ")
        ):
            end += 1
        count = sum(line[:1] in "+-" for line in lines[at + 2 : end])
        what = f"new     {name[6:]}" if head == "--- /dev/null" else f"removed {head[6:]}"
        yield f"{what} ({count:,} lines)"
        at = end


def _change(title: str, change: str) -> Iterator[str]:
    from failback.cli.render.text import plain

    yield title
    lines = list(_new_files_short(plain(change).splitlines()))
    for line in lines[:60]:
        yield f"  {line}"
    if len(lines) > 60:
        yield f"  ... and {len(lines) - 60} lines more (--json shows all)"
    if not lines:
        yield "  none: the same release would be deployed again"
    yield ""
