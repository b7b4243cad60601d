"""`failback rollback SERVICE`: back to a former revision, with the same protection as a deployment."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from failback.cli.options import HomeDir, Json, Yes, ends_with_code


@ends_with_code
def rollback(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service.", show_default=False)],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="REVISION", help="The revision; default: the one before.", show_default=False),
    ] = None,
    home: HomeDir = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Go back to a former revision, with the same protection as a deployment."""
    from failback.cli.commands.deploy import consent, end, known_service, progress
    from failback.cli.render.console import on_terminal
    from failback.executor.engine import Engine
    from failback.executor.former import former_plan
    from failback.executor.home import Home
    from failback.executor.values import ExecutionValues

    place = Home.at(home)
    known_service(place, service)
    loaded, revision, stable = former_plan(place, service, to)
    approved = yes
    if not approved and sys.stdin.isatty() and on_terminal(sys.stdout):
        approved = consent(f"Roll {service} back from {stable} to {revision}?")
    with progress(loaded, as_json=as_json) as subscriber:
        result = Engine(place).deploy(
            loaded,
            approved=approved,
            kind="rollback",
            from_revision=revision,
            values=ExecutionValues.of_rollback(place.service(service), place.key_file),
            subscribers=[subscriber],
        )
    return end(result, as_json=as_json)
