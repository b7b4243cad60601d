"""A local release with a fix: a changed copy of its folder and changed settings; the user's own folder stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from failback.model.errors import ReleaseError
from failback.model.fix import REMOVED, PutFile, SetSetting
from failback.targets.base import ReleaseSpec
from failback.targets.local.changing import changed, shape_of


@pytest.fixture
def release(tmp_path: Path) -> ReleaseSpec:
    folder = tmp_path / "app"
    for name in ("app.py", "config/app.json", "data/shop.db", "notes.log"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "config/app.json").chmod(0o444)
    shape = {
        "path": str(folder),
        "start": ["python", "app.py"],
        "env": {"LOG": "plain", "KEY": "hunter2"},
        "resources": {"memory": "64Mi", "cpu": "1"},
        "exclude": ["*.log"],
        "shared": ["data"],
    }
    return ReleaseSpec("shop", shape, {"ready": {"path": "/"}, "smoke": []}, secrets=frozenset({"KEY"}))


def test_what_fixes_see_of_it(release: ReleaseSpec) -> None:
    """Without what is not released."""
    seen = shape_of(release)

    assert seen.names == {"app.py", "config/app.json"}
    assert seen.files["config/app.json"] == b"config/app.json"
    assert "notes.log" not in seen.files
    assert (seen.settings["memory"], seen.ready["path"]) == ("64Mi", "/")
    assert "hunter2" not in repr(seen)


def test_settings_alone_need_no_copy(release: ReleaseSpec, tmp_path: Path) -> None:
    made = changed(
        release,
        [
            SetSetting(("release", "resources", "memory"), "128Mi"),
            SetSetting(("release", "env", "LOG"), REMOVED),
            SetSetting(("release", "env", "TOKEN"), "s3cret-s3cret", "${TOKEN}", secret=True),
            SetSetting(("checks", "ready", "path"), "/health"),
            SetSetting(("release", "start"), ("sh", "-c", "x")),
        ],
        tmp_path / "fix",
    )

    assert made.shape["path"] == release.shape["path"]
    assert made.shape["resources"] == {"memory": "128Mi", "cpu": "1"}
    assert made.shape["env"] == {"KEY": "hunter2", "TOKEN": "s3cret-s3cret"}
    assert made.secrets == {"KEY", "TOKEN"}
    assert (made.checks["ready"]["path"], made.shape["start"]) == ("/health", ["sh", "-c", "x"])
    assert (release.checks["ready"]["path"], release.shape["env"]["LOG"]) == ("/", "plain")
    assert not (tmp_path / "fix").exists()


def test_files_go_into_a_copy(release: ReleaseSpec, tmp_path: Path) -> None:
    """Also in place of one that was read-only; what all releases share is not copied."""
    made = changed(release, [PutFile("config/app.json", b"new"), PutFile("more/x.txt", b"x")], tmp_path / "fix")

    copy = Path(made.shape["path"])
    assert (copy / "config/app.json").read_bytes() == b"new"
    assert (copy / "more/x.txt").read_bytes() == b"x"
    assert not (copy / "data").exists()
    assert not (copy / "notes.log").exists()
    assert (Path(release.shape["path"]) / "config/app.json").read_text() == "config/app.json"


def test_what_has_no_place_is_refused(release: ReleaseSpec, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError):
        changed(release, [SetSetting(("strategy",), "x")], tmp_path / "fix")
    with pytest.raises(ReleaseError, match="outside"):
        changed(release, [PutFile("../../elsewhere", b"x")], tmp_path / "fix")
