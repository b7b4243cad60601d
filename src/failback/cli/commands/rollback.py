"""`failback rollback SERVICE`: back to a former revision, with the same protection as a deployment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from failback.cli.options import HomeDir, Json, Yes, ends_with_code

if TYPE_CHECKING:
    from failback.executor.plan_file import LoadedPlan


@ends_with_code
def rollback(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="The service, or a plan of several.", show_default=False)
    ],
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
    from failback.executor.former import former_plan, former_plans, plan_services
    from failback.executor.home import Home
    from failback.executor.values import ExecutionValues
    from failback.model.errors import UsageError

    place = Home.at(home)
    members = () if place.service(service).is_dir() else plan_services(place, service)
    loaded: LoadedPlan
    revision: str | dict[str, str]
    if members:
        if to is not None:
            raise UsageError(f"{service} has several services, each with revisions of its own: --to names one of one.")
        loaded, revision, now = former_plans(place, service)
        shown, stable = (", ".join(f"{name} {r}" for name, r in each.items()) for each in (revision, now))
    else:
        known_service(place, service)
        loaded, revision, stable = former_plan(place, service, to)
        shown = revision
    approved = yes
    if not approved and sys.stdin.isatty() and on_terminal(sys.stdout):
        approved = consent(f"Roll {service} back from {stable} to {shown}?")
    with progress(loaded, as_json=as_json) as subscriber:
        result = Engine(place).deploy(
            loaded,
            approved=approved,
            kind="rollback",
            from_revision=revision,
            values=ExecutionValues.of_rollback(place.service(members[0] if members else service), place.key_file),
            subscribers=[subscriber],
        )
    return end(result, as_json=as_json)
