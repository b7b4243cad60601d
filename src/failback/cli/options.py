"""The options that every command takes, and the one way in which a command ends."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec

import typer

from failback.model.errors import FailbackError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document; messages go to standard error.")]
PlanFile = Annotated[Path, typer.Option("--file", "-f", metavar="PLAN", help="The plan.", show_default=True)]
HomeDir = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help="State folder (default: $FAILBACK_HOME, else the platform's).", show_default=False
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Approve; without it a terminal is asked.")]

DEFAULT_PLAN = Path("failback.yaml")
Arguments = ParamSpec("Arguments")


def ends_with_code(body: Callable[Arguments, int]) -> Callable[Arguments, None]:
    """Turns a command's exit code, and every error of ours, into the contract's exit code and one clear message."""

    @functools.wraps(body)
    def command(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        try:
            code = body(*args, **kwargs)
        except FailbackError as error:
            _fail(error, as_json)
        except BrokenPipeError:
            # The reader of our output (`| head`) has gone; that is no error of anyone.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted.\n")
            code = 130
        except OSError as error:
            from failback.model.errors import InternalError

            where = f" ({error.filename})" if error.filename else ""
            _fail(InternalError(f"The system refused: {error.strerror or error}{where}."), as_json)
        raise typer.Exit(code)

    return command


def _fail(error: FailbackError, as_json: bool) -> NoReturn:
    if as_json:
        sys.stdout.write(json.dumps(error.as_dict(), default=str) + "\n")
    from failback.cli.render.text import plain

    sys.stderr.write(f"failback: {plain(error.message)}  [{error.code}]\n")
    if os.environ.get("FAILBACK_DEBUG"):
        traceback.print_exc()
    raise typer.Exit(error.exit_code)


def print_json(document: Any) -> None:
    """The one JSON document of `--json`."""
    from failback.model.safe_json import safe_json

    sys.stdout.write(safe_json(document, indent=2) + "\n")
