"""`failback down SERVICE`: stops the service and its proxy; releases and backups stay."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from failback.cli.options import HomeDir, Json, Yes, ends_with_code, print_json


@ends_with_code
def down(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service.", show_default=False)],
    home: HomeDir = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Stop a local service and its proxy; releases and backups stay."""
    from failback.cli.commands.deploy import consent, known_service
    from failback.cli.render.console import on_terminal, write
    from failback.cli.render.progress import action_line
    from failback.executor.former import plan_services
    from failback.executor.home import Home
    from failback.executor.taking_down import take_down
    from failback.model.errors import NotApproved

    place = Home.at(home)
    members = () if place.service(service).is_dir() else plan_services(place, service)
    for name in members or (service,):
        known_service(place, name)
    # A command that names the service is consent enough for a script; a person at a terminal is asked once.
    asked = sys.stdin.isatty() and on_terminal(sys.stdout) and not yes
    if asked and not consent(f"Stop {', '.join(members) or service}? Users will not reach it any more."):
        raise NotApproved(f"{service} goes on as it was.", service=service)
    actions = take_down(place, *(members or (service,)))
    if as_json:
        print_json({"service": service, "actions": actions})
    else:
        write("\n".join(action_line(taken) for taken in actions) + "\n")
    return 1 if any(taken["ok"] is False for taken in actions) else 0
