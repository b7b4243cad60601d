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

app.command("init", short_help="Write a plan for this folder; overwrites nothing.")(init.init)
app.command("plan", short_help="Show what would be done and changed; touches nothing.")(plan.plan)
app.command("deploy", short_help="Run the plan with failback protection.")(deploy.deploy)
app.command("status", short_help="Show what runs now.")(status.status)
app.command("history", short_help="List past executions, and their figures.")(history.history)
app.command("explain", short_help="Tell one execution in full: what, why, what to do.")(explain.explain)
app.command("rollback", short_help="Go back to a former revision.")(rollback.rollback)
app.add_typer(backups.app, name="backups")
app.command("drill", short_help="Deploy a bad version on purpose; prove the recovery.")(drill.drill)
app.command("diagnose", short_help="Name the cause of a recorded or present failure.")(diagnose.diagnose)
app.command("resume", short_help="Finish executions whose process died.")(resume.resume)
app.command("down", short_help="Stop a local service and its proxy.")(down.down)
app.command("doctor", short_help="Check what failback needs, and say how to get it.")(doctor.doctor)
app.command("install", short_help="Let the system start the services at boot.")(install.install)


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
