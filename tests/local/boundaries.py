"""Every instant at which a deployment may be killed: computed by recording deployments that are not killed.

A new write, step or phase is in the list on its first day, since the journal and the runtime pass the points.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.local.world import World

SOAK: dict[str, object] = {"checks": {"soak": 0.2, "bake": 0.3}}

# What is deployed, by the kind of a boundary. `mended` is a good release that comes after a bad one: it passes what a
# good one after a good one does not, since the failure's cause is settled then.
GOOD = {"bad": False, "mended": True, "good": True}


def release(world: World, number: int, *, good: bool) -> None:
    """A release that goes live, or one whose settings are missing."""
    world.extra = SOAK
    world.release(number)
    if not good:
        (world.folder / "app" / "settings.json").unlink()


def all_boundaries() -> list[tuple[str, str]]:
    """(kind, point) of each kind of deployment, in the order in which they are passed."""
    with tempfile.TemporaryDirectory(prefix="failback-boundaries-") as folder:
        return recorded(World(Path(folder)), release)


def recorded(here: World, release: Callable[..., None]) -> list[tuple[str, str]]:
    """The same of any place; it is ended afterwards. `mended` has only what `good` does not pass."""
    try:
        release(here, 1, good=True)
        assert here.deploy()["exit_code"] == 0
        found = {}
        for number, (kind, good) in enumerate(GOOD.items(), start=2):
            release(here, number, good=good)
            record = here.folder / f"points-{kind}.txt"
            here.deploy(fault=f"record:{record}")
            found[kind] = record.read_text().splitlines()
        found["mended"] = [point for point in found["mended"] if point not in found["good"]]
        return [(kind, point) for kind, points in found.items() for point in points]
    finally:
        here.end()


def after_a_failure(here: World, number: int, release: Callable[..., None]) -> None:
    """What a `mended` release comes after."""
    release(here, number, good=False)
    assert here.deploy()["exit_code"] == 3
