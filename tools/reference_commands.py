"""The pages of the commands and of the exit codes, made from the command line's definitions and the tree of errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer.main

from failback.cli.main import app
from failback.model import errors

_COMMANDS_HEAD = """# Commands

<!-- Made by tools/make_reference.py from the command line itself: change the code. -->

Colours and live progress appear on a terminal only, and `NO_COLOR` is honoured. With `--json` standard output holds one
JSON document and nothing else; messages go to standard error. The state of everything is in one folder, the *home*:
`--home`, else `$FAILBACK_HOME`, else the platform's folder for such state (`~/.local/state/failback`).
"""
_CODES_HEAD = """# Exit codes and error codes

<!-- Made by tools/make_reference.py from failback.model.errors: change the code. -->

| exit | meaning |
|---|---|
| 0 | completed |
| 1 | failback's own error; the execution is recorded, and `failback resume` goes on with it |
| 2 | wrong usage or an invalid plan; nothing was touched |
| 3 | the release failed, and everything is as before: `STABLE` |
| 4 | the release failed, and the service is not stable: a person is needed |
| 5 | refused: not approved, not permitted, no space, or another execution holds the service |
| 6 | a check found a problem (`drill`, `doctor`, `backups verify`) |
| 130 | interrupted before anything was begun |

A script that deploys needs three cases: 0 is live, 3 is *not live and nothing is broken*, all else wants a look.

## Error codes

Every message ends with its code in brackets. With `--json` the document is
`{"error": {"code": "FB-502", "message": "...", ...}}` with the fields of that error beside it.

| code | exit | name | what it says |
|---|---|---|---|
"""


def commands_page() -> str:
    """Every command with its arguments and options."""
    root: Any = typer.main.get_command(app)
    parts = [_COMMANDS_HEAD]
    parts += ["\n".join(_command(f"failback {path}", command)) for path, command in _commands(root)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        elif not command.hidden:
            yield f"{before}{name}", command


def _command(path: str, command: Any) -> Iterator[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## `{path}`"
    yield ""
    yield f"`{path} {usage}`"
    yield ""
    yield " ".join((command.help or "").split())
    rows = [row for parameter in command.params for row in _parameter(parameter, context)]
    if rows:
        yield ""
        yield "| | |"
        yield "|---|---|"
        yield from rows
    yield ""


def _parameter(parameter: Any, context: Any) -> Iterator[str]:
    record = parameter.get_help_record(context)
    if record is None or "--help" in parameter.opts:
        return
    name, told = (" ".join(part.split()).replace("|", "\\|") for part in record)
    yield f"| `{name}` | {told} |"


def codes_page() -> str:
    """The exit codes, and every error with its code."""
    rows = []
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        # FB-100, FB-200 and so on are only the families.
        if issubclass(kind, errors.FailbackError) and not kind.code.endswith("00"):
            told = " ".join((kind.__doc__ or "").split())
            rows.append((kind.code, f"| {kind.code} | {kind.exit_code} | `{kind.__name__}` | {told} |"))
    return _CODES_HEAD + "\n".join(row for _, row in sorted(rows)) + "\n"
