"""A service that runs, in a namespace of its own, and the way to it that failback has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.input.rig import Rig
from tests.cluster.support import Cluster


@pytest.fixture
async def rig(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig.of(cluster, tmp_path)
    yield made
    await made.site.close()
