"""One namespace and one stable Deployment for all stories about looking: each of them launches its own template."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cluster.support import Cluster
from tests.cluster.watching.rig import Rig


@pytest.fixture(scope="session")
def shared_namespace() -> Iterator[str]:
    made = Cluster.with_new_namespace()
    yield made.namespace
    made.delete_namespace()


@pytest.fixture
async def rig(shared_namespace: str, tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path, shared_namespace)
    await made.serve()
    yield made
    await made.close()
