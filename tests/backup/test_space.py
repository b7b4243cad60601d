"""No room, or no right to write: refused before anything is touched, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from failback.model.errors import NoSpace

MIB = 1024 * 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, leave: int) -> None:
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "filler").write_bytes(b"\0" * (free - leave))


def test_too_large_is_refused_up_front(make_store, content, release, small, hooked):
    (release / "big").write_bytes(b"\0" * 5 * MIB)
    journal = hooked()

    with pytest.raises(NoSpace, match="has no room for the backup") as refusal:
        make_store(root=small / "backups").create(content, "e", journal)

    assert refusal.value.exit_code == 5
    assert journal.writes == []
    assert list(small.iterdir()) == []


@pytest.mark.parametrize("encryption", [True, False])
@pytest.mark.parametrize("at", ["k8s/", "service/", "configs/", "releases/", ""])
def test_disk_that_fills_up_in_the_middle(make_store, content, release, small, hooked, at, encryption):
    """The estimate was right, and then somebody else wrote: at each write of the snapshot."""
    (release / "big").write_bytes(os.urandom(MIB))
    filled: list[str] = []

    def fill_now(file: str) -> None:
        if file.startswith(at) and not filled and (at or not file):
            filled.append(file)
            fill(small, 0)

    with pytest.raises(NoSpace, match="has no room for the backup"):
        make_store(root=small / "backups", encryption=encryption).create(content, "e", hooked(before=fill_now))

    assert filled
    assert [path.name for path in small.rglob("*")] == ["filler"]


def test_disk_that_fills_up_half_way_through_the_release(make_store, content, release, small, hooked):
    (release / "big").write_bytes(os.urandom(2 * MIB))
    store = make_store(root=small / "backups")

    with pytest.raises(NoSpace):
        store.create(content, "e", hooked(before=lambda file: fill(small, MIB) if "releases" in file else None))

    assert [path.name for path in small.rglob("*")] == ["filler"]
    (small / "filler").unlink()
    ref = store.create(content, "e")
    assert store.verify(ref.id) == [], "with room again it works"


def test_former_snapshots_survive_a_full_disk(make_store, content, small):
    store = make_store(root=small / "backups")
    first = store.create(content, "e")
    fill(small, 4096)

    with pytest.raises(NoSpace):
        store.create(dataclasses.replace(content, files={}), "e2")
    store.prune(set(), 0)

    assert [first.id] == [ref.id for ref in store.listed()]
    assert store.verify(first.id) == []


def test_disk_that_is_mounted_read_only(make_store, content, small):
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)

    with pytest.raises(NoSpace, match=r"cannot be written \(Read-only file system\)"):
        make_store(root=small / "backups").create(content, "e")
    with pytest.raises(NoSpace, match="cannot be written"):
        make_store(root=small).create(content, "e")


def test_disk_that_becomes_read_only_keeps_what_it_has(make_store, content, small, clocks):
    store = make_store(root=small / "backups")
    ref = store.create(content, "e")
    clocks.pass_days(100)
    store.create(content, "e2")
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)

    assert store.prune(set(), clocks.wall_s) == [], "pruning is nobody's main job, so it fails nothing"
    assert store.verify(ref.id) == []


def test_root_that_is_a_file(make_store, content, tmp_path):
    (tmp_path / "backups").write_text("")

    with pytest.raises(NoSpace, match="cannot be written"):
        make_store().create(content, "e")


@pytest.mark.parametrize("what", ["root", "key"])
def test_folder_of_another_user(tmp_path, what):
    """As an ordinary user: the folder for backups, or that of the key, belongs to somebody else."""
    (tmp_path / "shut").mkdir(mode=0o755)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    root = tmp_path / ("shut" if what == "root" else "open") / "backups"
    key = tmp_path / ("open" if what == "root" else "shut") / "key.txt"
    script = f"""
        import json, os
        from pathlib import Path
        from failback.backup.store import SnapshotStore
        from failback.model.errors import NoSpace
        from failback.model.snapshot import SnapshotContent

        store = SnapshotStore(Path({str(root)!r}), Path({str(key)!r}), encryption=True, retention_days=1)
        os.setgid(65534)
        os.setuid(65534)
        try:
            store.create(SnapshotContent("notes", "local", "r1", {{"k8s": "a: 1"}}), "e")
        except NoSpace as error:
            print(json.dumps([error.exit_code, error.message]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=True
    )

    code, message = json.loads(done.stdout)
    assert code == 5
    assert "cannot be written (Permission denied)" in message
    assert str(tmp_path / "shut") in message
    assert list((tmp_path / "shut").iterdir()) == []
    assert not root.exists()
