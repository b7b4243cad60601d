"""`failback install`: lets the operating system keep this home's services alive across reboots."""

from __future__ import annotations

from typing import Annotated

import typer

from failback.cli.options import HomeDir, Json, ends_with_code, print_json


@ends_with_code
def install(
    show: Annotated[bool, typer.Option("--print", help="Only print the unit; write nothing.")] = False,
    home: HomeDir = None,
    as_json: Json = False,
) -> int:
    """Write the unit (systemd or launchd) that starts this home's services when the machine boots."""
    from failback.cli.render.console import write
    from failback.executor.home import Home
    from failback.executor.installing import unit_for, write_unit

    unit = unit_for(Home.at(home))
    if not show:
        write_unit(unit)
    if as_json:
        print_json({"path": str(unit.path), "text": unit.text, "next": list(unit.next), "written": not show})
    elif show:
        write(f"# {unit.path}\n{unit.text}")
    else:
        write(f"✓ wrote {unit.path}\n" + "".join(f"  {command}\n" for command in ("Next:", *unit.next)))
    return 0
