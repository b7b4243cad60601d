"""Every instant at which a deployment may be killed: computed by recording one bad and one good deployment.

A new write, step or phase is in the list on its first day, since the journal and the runtime pass the points.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.local.world import World

SOAK: dict[str, object] = {"checks": {"soak": 0.2, "bake": 0.3}}


def release(world: World, number: int, *, good: bool) -> None:
    """A release that goes live, or one whose settings are missing."""
    world.extra = SOAK
    world.release(number)
    if not good:
        (world.folder / "app" / "settings.json").unlink()


def all_boundaries() -> list[tuple[str, str]]:
    """(kind, point) of both kinds of deployment, in the order in which they are passed."""
    with tempfile.TemporaryDirectory(prefix="failback-boundaries-") as folder:
        world = World(Path(folder))
        try:
            release(world, 1, good=True)
            assert world.deploy()["exit_code"] == 0
            found = []
            for kind in ("bad", "good"):
                release(world, 2, good=kind == "good")
                record = Path(folder) / f"{kind}.txt"
                world.deploy(fault=f"record:{record}")
                found += [(kind, point) for point in record.read_text().splitlines()]
            return found
        finally:
            world.end()
