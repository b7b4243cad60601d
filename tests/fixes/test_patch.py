"""A patch does with git and with patch what the candidate says, whatever the files look like."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from failback.fixes.patch import NoPatch, files_of, unified
from failback.model.fix import REMOVED, Candidate, Change, PutFile, SetSetting

PLAN = b"service: shop\r\nrelease:\r\n  path: app\r\n  env: {A: b}\r\n"


def made(folder: Path, *changes: Change, plan: str | None = "failback.yaml") -> tuple[str, dict[str, bytes]]:
    candidate = Candidate("Do it", "because", "it", changes)

    def read(path: str) -> bytes | None:
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    files = files_of(candidate, read, plan=plan, release="app")
    return unified(files, read), files


@pytest.fixture(params=["git", "patch"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "failback.yaml").write_bytes(PLAN)
    (tmp_path / ".tool").write_text(request.param)
    return tmp_path


def apply(folder: Path, patch: str) -> None:
    tool = (folder / ".tool").read_text()
    command = ["git", "apply"] if tool == "git" else ["patch", "-p1", "--binary", "--force"]
    if tool == "git":
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(command, cwd=folder, input=patch.encode(), check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "changes",
    [
        (SetSetting(("release", "resources", "memory"), "256Mi"),),
        (SetSetting(("release", "env", "A"), REMOVED),),
        (PutFile("config/production.json", b'{"port": 3000}'),),
        (PutFile("with a space.json", b"{}\n"), PutFile("emp ty/ä.txt", b"x\n")),
        (PutFile("old.txt", b"one\n2\nthree"), SetSetting(("release", "env", "B"), "c")),
        (PutFile("old.txt", b"one\x0c\ntwo\x1e\r\nthree\n"),),
    ],
    ids=["setting", "removed", "new file", "names", "two files", "odd lines"],
)
def test_applied_it_is_what_was_tried(folder: Path, changes: tuple[Change, ...]) -> None:
    (folder / "app" / "old.txt").write_bytes(b"one\ntwo\nthree\n")
    patch, files = made(folder, *changes)

    apply(folder, patch)

    assert {path: (folder / path).read_bytes() for path in files} == files


def test_a_reference_is_written_and_not_its_value(tmp_path: Path) -> None:
    (tmp_path / "failback.yaml").write_bytes(PLAN)
    secret = SetSetting(("release", "env", "KEY"), "hunter2-hunter2", "${KEY}", secret=True)

    patch, _ = made(tmp_path, secret)

    assert '"${KEY}"' in patch
    assert "hunter2" not in patch


def test_what_cannot_be_a_patch_says_why(tmp_path: Path) -> None:
    (tmp_path / "failback.yaml").write_bytes(PLAN)
    setting = SetSetting(("release", "env", "A"), "c")

    with pytest.raises(NoPatch, match="passed from Python"):
        made(tmp_path, setting, plan=None)
    with pytest.raises(NoPatch, match="is not there any more"):
        made(tmp_path, setting, plan="gone.yaml")
    with pytest.raises(NoPatch, match="no text"):
        made(tmp_path, PutFile("logo.png", b"\x89PNG\0"))
    with pytest.raises(NoPatch, match="outside"):
        made(tmp_path, PutFile("../../etc/passwd", b"x"))


def test_nothing_to_change_is_an_empty_patch(tmp_path: Path) -> None:
    (tmp_path / "failback.yaml").write_bytes(PLAN)

    assert made(tmp_path, SetSetting(("release", "env", "A"), "b"))[0] == ""
