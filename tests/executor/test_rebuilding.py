"""A trial build happens in a copy: what belongs into it, what must not, and when there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from failback.executor import rebuilding
from failback.executor.rebuilding import CannotRebuild


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "plan"
    own = ["app/app.py", "app/requirements.txt", "notes.txt"]
    brought = ["app/lib/flask/__init__.py", "app/lib/flask-2.dist-info/METADATA", "node_modules/x/index.js"]
    for name in (*own, *brought, ".venv/pyvenv.cfg", "odd env/pyvenv.cfg", "home/failback.db"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "link").symlink_to("notes.txt")
    return folder


def copied(source: Path, target: Path) -> set[str]:
    rebuilding._copy(source, target, source / "home")
    return {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}


def test_build_products_are_left_out(source: Path, tmp_path: Path) -> None:
    """An installer would keep the old version that lies there already. A link stays a link."""
    assert copied(source, tmp_path / "copy") == {"app/app.py", "app/requirements.txt", "notes.txt", "link"}
    assert (tmp_path / "copy" / "link").is_symlink()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../elsewhere", "{source}/notes.txt"])
def test_a_link_that_leads_out_of_the_copy(source: Path, tmp_path: Path, target: str) -> None:
    """A build could write through it into the user's own folder."""
    (source / "app" / "out").symlink_to(target.format(source=source))

    with pytest.raises(CannotRebuild, match="leads out of the copy"):
        copied(source, tmp_path / "copy")


def test_a_link_to_a_folder_is_not_copied(source: Path, tmp_path: Path) -> None:
    (source / "again").symlink_to(source / "app")

    assert "again" not in copied(source, tmp_path / "copy")


def test_in_a_repository_it_is_a_checkout_with_what_is_new(source: Path, tmp_path: Path) -> None:
    (source / ".gitignore").write_text("app/lib\nnode_modules\n.venv\nodd env\nhome\n")
    subprocess.run(["git", "init", "-q"], cwd=source, check=True)
    subprocess.run(["git", "add", "app/app.py"], cwd=source, check=True)

    assert copied(source, tmp_path / "copy") == {
        ".gitignore",
        "app/app.py",
        "app/requirements.txt",
        "notes.txt",
        "link",
    }


def test_a_folder_that_is_too_large_is_not_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "COPY_BYTES_MAX", 10)

    with pytest.raises(CannotRebuild, match="too large"):
        copied(source, tmp_path / "copy")
