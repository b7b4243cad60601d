"""Fixtures of the stories with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A home with nothing in it yet."""
    made = World(tmp_path)
    yield made
    made.end()


@pytest.fixture
def live(world: World) -> World:
    """A home in which release 1 is live."""
    world.release(1)
    result = world.deploy()
    assert result["status"] == "completed", result
    return world
