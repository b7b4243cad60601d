"""What all tests share: where those that need a cluster run, and where they don't."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.cluster.support import Cluster

# The machine's load is no property of the code.
settings.register_profile("failback", deadline=None)
settings.load_profile("failback")


def why_no_cluster(selected: str) -> str:
    """Empty when the tests may use the cluster that KUBECONFIG names. A KUBECONFIG alone is no consent: it may be
    production, and the tests make and delete things."""
    if not os.environ.get("FAILBACK_TESTBED") and "cluster" not in selected:
        return "needs a cluster: testbed/up, then testbed/run python -m pytest -m cluster (docs/how-to/testbed.md)"
    if not os.environ.get("KUBECONFIG"):
        return "needs a cluster: KUBECONFIG names none"
    if not shutil.which("kubectl"):
        return "needs a cluster: kubectl is not on PATH"
    return ""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shard", default="1/1", help="2/3: the second third of the tests (tools/run_tests.py)")
    parser.addoption("--failed-to", default="", help="file that gets the ids of tests that failed (tools/again.py)")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("failed_to")
    if path:
        config.pluginmanager.register(FailedTo(path))


class FailedTo:
    """Keeps the ids of failed tests, so that they can be tried once more when nothing else runs."""

    def __init__(self, path: str) -> None:
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            with Path(self._path).open("a", encoding="utf-8") as file:
                file.write(report.nodeid + "\n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part, parts = map(int, config.getoption("shard").split("/"))
    items[:] = items[part - 1 :: parts]
    reason = why_no_cluster(config.getoption("markexpr"))
    for item in items:
        if reason and item.get_closest_marker("cluster"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A namespace of this test's own on the real cluster; deleted afterwards with everything in it."""
    made = Cluster.with_new_namespace()
    yield made
    made.delete_namespace()
