"""What a target in a cluster gets of a plan, and what has to be kept of it for a resume in another shell."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from failback.backup.keys import ensure_key
from failback.executor import values
from failback.executor.plan_file import LoadedPlan, plan_from_mapping
from failback.executor.values import ExecutionValues
from failback.model.errors import UsageError

PIPED = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def plan(folder: Path, **release: object) -> LoadedPlan:
    (folder / "k8s").mkdir(exist_ok=True)
    shape = {"service": "web", "target": {"kind": "kubernetes", "namespace": "shop"}, "release": release}
    return plan_from_mapping(shape, folder)


@pytest.fixture(autouse=True)
def nothing_read_yet():
    """Standard input can be read once a process; here each story has its own."""
    values._standard_input.cache_clear()
    yield
    values._standard_input.cache_clear()


class Pipe(io.StringIO):
    def __init__(self, text: str, terminal: bool = False) -> None:
        super().__init__(text)
        self.terminal = terminal
        self.reads = 0

    def isatty(self) -> bool:
        return self.terminal

    def read(self, size: int | None = -1) -> str:
        self.reads += 1
        return super().read(size)


def test_the_release_has_the_plans_folder_and_the_image_s_value(tmp_path):
    loaded = plan(tmp_path, manifests=["k8s"], image="registry.example.org/web:${TAG}")

    resolved = ExecutionValues.resolve(loaded, {"TAG": "v42"})
    release = resolved.release(loaded.plan, loaded.folder, from_revision=None)

    assert release.shape["image"] == "registry.example.org/web:v42"
    assert release.shape["plan_folder"] == str(tmp_path)
    assert release.shape["standard_input"] is None


def test_without_an_image_the_manifests_own_is_meant(tmp_path):
    loaded = plan(tmp_path, manifests=["k8s"])

    assert ExecutionValues.resolve(loaded, {}).release(loaded.plan, tmp_path, from_revision=None).shape["image"] is None


def test_what_was_piped_in_is_read_once_and_kept_for_a_resume(tmp_path, monkeypatch):
    """`deploy` shows the plan before it asks, so the values are resolved twice; a resume has no pipe at all."""
    loaded = plan(tmp_path, manifests="-")
    pipe = Pipe(PIPED)
    monkeypatch.setattr(sys, "stdin", pipe)
    key = tmp_path / "key.age"
    ensure_key(key)

    shown = ExecutionValues.resolve(loaded, {})
    run = ExecutionValues.resolve(loaded, {})
    run.seal(tmp_path / "execution", key)
    resumed = ExecutionValues.unseal(tmp_path / "execution", key)

    assert pipe.reads == 1
    for one in (shown, run, resumed):
        assert one.release(loaded.plan, tmp_path, from_revision=None).shape["standard_input"] == PIPED
    assert PIPED.encode() not in (tmp_path / "execution" / "values.age").read_bytes()


def test_a_terminal_is_no_pipe(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe("", terminal=True))

    with pytest.raises(UsageError, match="nothing is piped in"):
        ExecutionValues.resolve(plan(tmp_path, manifests="-"), {})
