"""`failback deploy`: runs the plan with failback protection."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from failback.cli.options import DEFAULT_PLAN, HomeDir, Json, PlanFile, Yes, ends_with_code, print_json

if TYPE_CHECKING:
    from failback.executor.plan_file import LoadedPlan
    from failback.telemetry.events import Subscriber

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the steps' output as it comes.")]


@ends_with_code
def deploy(
    file: PlanFile = DEFAULT_PLAN,
    home: HomeDir = None,
    yes: Yes = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> int:
    """Run the plan: back up, bring the release up without traffic, judge it, cut over, or put everything back."""
    from failback.executor.engine import Engine
    from failback.executor.home import Home
    from failback.executor.plan_file import load_plan

    loaded = load_plan(file)
    place = Home.at(home)
    approved = yes or _approved(loaded, place)
    with progress(loaded, as_json=as_json, verbose=verbose) as subscriber:
        result = Engine(place).deploy(loaded, approved=approved, subscribers=[subscriber])
    return end(result, as_json=as_json)


def _approved(loaded: LoadedPlan, place: Any) -> bool:
    """Shows what would happen and asks; nobody is asked where there is no terminal."""
    from failback.cli.render.console import on_terminal, write

    if not (sys.stdin.isatty() and on_terminal(sys.stdout)):
        return False
    from failback.cli.commands.plan import describe

    write(describe(loaded, place))
    return consent(f"Deploy {loaded.plan.service}?")


def consent(question: str) -> bool:
    """One question on the terminal; only a clear yes is one."""
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextlib.contextmanager
def progress(loaded: LoadedPlan, *, as_json: bool, verbose: bool = False) -> Iterator[Subscriber]:
    """A live list on a terminal, one line a fact elsewhere; on standard error when standard output is for JSON."""
    from failback.cli.render.console import on_terminal
    from failback.cli.render.progress import LiveProgress, PlainProgress

    stream = sys.stderr if as_json else sys.stdout
    if on_terminal(stream) and not verbose:
        from rich.console import Console

        console = Console(file=stream, highlight=False, soft_wrap=True)
        live = LiveProgress(console, [(step.name, step.type) for step in loaded.plan.steps])
        with live.shown():
            yield live
    else:
        yield PlainProgress(stream, show_output=verbose)


def end(result: dict[str, Any], *, as_json: bool) -> int:
    """Prints the result and gives its exit code."""
    from failback.cli.render.console import on_terminal, write
    from failback.cli.render.report import report
    from failback.model.execution import exit_code_of

    if as_json:
        print_json(result)
    else:
        # Where there is no live list, each phase's actions stand above, as they happened.
        write("\n" + report(result, actions=on_terminal(sys.stdout)))
    return exit_code_of(result)


def known_service(place: Any, service: str) -> Path:
    """The folder of a service of this home. Raises UnknownService, naming those that there are."""
    from failback.model.errors import UnknownService

    folder: Path = place.service(service)
    if not folder.is_dir():
        known = sorted(path.name for path in (place.root / "services").glob("*") if path.is_dir())
        raise UnknownService(
            f"No service {service!r} is known to {place.root}. "
            + (f"Known: {', '.join(known)}." if known else "Nothing was deployed with this home yet."),
            service=service,
            known=known,
        )
    return folder
