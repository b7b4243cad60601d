"""The `failback` command: one function a command, each in a file of its own; nothing heavy is imported here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from failback.cli.commands import (
    backups,
    deploy,
    diagnose,
    doctor,
    down,
    drill,
    explain,
    history,
    init,
    install,
    plan,
    resume,
    rollback,
    status,
)

app = typer.Typer(
    name="failback",
    help="Deploys a service so that a bad release never reaches a user: backup, dark launch, judgement, recovery.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("init")(init.init)
app.command("plan")(plan.plan)
app.command("deploy")(deploy.deploy)
app.command("status")(status.status)
app.command("history")(history.history)
app.command("explain")(explain.explain)
app.command("rollback")(rollback.rollback)
app.add_typer(backups.app, name="backups")
app.command("drill")(drill.drill)
app.command("diagnose")(diagnose.diagnose)
app.command("resume")(resume.resume)
app.command("down")(down.down)
app.command("doctor")(doctor.doctor)
app.command("install")(install.install)


def _show_version(wanted: bool) -> None:
    if wanted:
        from failback import __version__

        sys.stdout.write(f"failback {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The entry point."""
    app()


if __name__ == "__main__":
    main()
