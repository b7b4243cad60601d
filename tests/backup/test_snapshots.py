"""Snapshots: verified before they count, readable without failback, and never thrown away while they matter."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from failback.backup import keys
from failback.backup.store import SnapshotStore
from failback.model.errors import NoSpace, NotPermitted, SnapshotNotVerified, SnapshotUnreadable, UnknownSnapshot
from failback.model.snapshot import SnapshotContent

DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_737_354_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def store(tmp_path: Path, clock: Clock, *, encryption: bool = True, days: float = 30) -> SnapshotStore:
    return SnapshotStore(
        tmp_path / "backups", tmp_path / "key.age", encryption=encryption, retention_days=days, clock=clock
    )


@pytest.fixture
def content(tmp_path: Path) -> SnapshotContent:
    release = tmp_path / "release-0123"
    release.mkdir(exist_ok=True)
    (release / "app.py").write_text("print('hi')\n")
    (release / "run.sh").write_text("#!/bin/sh\n")
    (release / "run.sh").chmod(0o755)
    return SnapshotContent(
        service="shop",
        target="local",
        revision="r1",
        documents={
            "k8s": "kind: LocalService\n",
            "service": "listen: 127.0.0.1:8080\n",
            "configs": json.dumps({"secrets": {"TOKEN": "s3cr3t-value"}}),
        },
        files={"release": str(release)},
        items=("release (r1)", "proxy configuration"),
    )


def test_the_contracts_files_encrypted(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    reference = store(tmp_path, clock).create(content, "x1")

    assert reference.id == "1737354000"
    assert sorted(reference.files) == [
        "configs/1737354000.json.age",
        "k8s/1737354000.yaml.age",
        "releases/release-0123.tar.age",
        "service/1737354000.yaml.age",
    ]
    assert reference.verified_at is not None
    for path in (tmp_path / "backups").rglob("*"):
        if path.is_file():
            assert b"s3cr3t-value" not in path.read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_it_reads_back_what_was_written(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    snapshots = store(tmp_path, clock)
    reference = snapshots.create(content, "x1")

    again = snapshots.read(reference.id)
    files = snapshots.unpack_files(reference.id, tmp_path / "out")

    assert dict(again.documents) == dict(content.documents)
    assert (again.service, again.revision, again.items) == ("shop", "r1", content.items)
    assert (files["release"] / "app.py").read_text() == "print('hi')\n"
    assert os.access(files["release"] / "run.sh", os.X_OK)


def test_a_person_restores_it_with_plain_age(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    """The commands that `backups list` shows, as they stand, without failback."""
    snapshots = store(tmp_path, clock)
    reference = snapshots.create(content, "x1")
    (tmp_path / "there").mkdir()
    for line in snapshots.explain_restore(reference).splitlines():
        command = line.strip().replace("FOLDER", str(tmp_path / "there"))
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=True)
        if "configs" in command:
            assert b"s3cr3t-value" in done.stdout

    assert (tmp_path / "there" / "app.py").read_text() == "print('hi')\n"


def test_two_in_one_second_never_collide(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    snapshots = store(tmp_path, clock)

    assert [snapshots.create(content, "x").id for _ in range(3)] == ["1737354000", "1737354000-2", "1737354000-3"]


def test_an_unchanged_release_is_kept_once(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    snapshots = store(tmp_path, clock)
    first, second = snapshots.create(content, "a"), snapshots.create(content, "b")

    assert len(list((tmp_path / "backups" / "releases").glob("*.age"))) == 1
    assert snapshots.verify(first.id) == snapshots.verify(second.id) == []


def test_damage_is_found_and_named(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    snapshots = store(tmp_path, clock)
    reference = snapshots.create(content, "x")
    path = tmp_path / "backups" / "configs" / "1737354000.json.age"
    path.write_bytes(path.read_bytes()[:-1] + b"!")

    assert "configs/1737354000.json.age" in snapshots.verify(reference.id)[0]
    with pytest.raises(SnapshotUnreadable):
        snapshots.read(reference.id)


def test_a_changed_manifest_is_no_snapshot(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    snapshots = store(tmp_path, clock)
    snapshots.create(content, "x")
    manifest = tmp_path / "backups" / "manifest-1737354000.json"
    manifest.write_text(manifest.read_text().replace("shop", "shed"))

    assert snapshots.listed() == []


def test_the_wrong_key_says_so(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    snapshots = store(tmp_path, clock)
    reference = snapshots.create(content, "x")
    (tmp_path / "key.age").unlink()
    keys.ensure_key(tmp_path / "key.age")

    with pytest.raises(SnapshotUnreadable, match=r"key\.age"):
        snapshots.read(reference.id)


def test_written_but_not_what_was_meant(
    tmp_path: Path, clock: Clock, content: SnapshotContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that swallows bytes is found by reading back, and nothing is left that looks like a snapshot."""
    real = Path.read_bytes

    def lossy(path: Path) -> bytes:
        raw = real(path)
        return raw[:-1] if "k8s" in path.parts else raw

    monkeypatch.setattr(Path, "read_bytes", lossy)
    with pytest.raises(SnapshotNotVerified, match="k8s"):
        store(tmp_path, clock).create(content, "x")
    monkeypatch.undo()

    assert store(tmp_path, clock).listed() == []
    assert list((tmp_path / "backups").glob("manifest*")) == []


def test_a_full_disk_is_refused_with_nothing_left(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    """On a real file system of 256 KiB: refused by the estimate, and also when it fills up in the middle."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    try:
        snapshots = SnapshotStore(small, tmp_path / "key.age", encryption=True, retention_days=30, clock=clock)
        big = replace(content, documents={**content.documents, "k8s": "a: " + "x" * 300_000})
        with pytest.raises(NoSpace, match="Nothing was touched"):
            snapshots.create(big, "x")
        (small / "filler").write_bytes(b"\0" * 150_000)
        middling = replace(content, documents={**content.documents, "k8s": "a: " + "x" * 60_000}, files={})
        snapshots._room_for = lambda _: None  # type: ignore[method-assign]  # the estimate said yes, the disk says no
        with pytest.raises(NoSpace):
            snapshots.create(middling, "x")

        assert [path.name for path in small.rglob("*") if path.is_file()] == ["filler"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_retention_never_takes_the_newest_good_one(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    snapshots = store(tmp_path, clock, days=30)
    old = snapshots.create(content, "a")
    clock.now += 10 * DAY
    used = snapshots.create(content, "b")
    clock.now += 100 * DAY
    good = snapshots.create(content, "c")
    clock.now += DAY
    damaged = snapshots.create(content, "d")
    (tmp_path / "backups" / "k8s" / f"{damaged.id}.yaml.age").unlink()

    removed = snapshots.prune({used.id}, clock.now)

    assert removed == [old.id]
    assert {one.id for one in snapshots.listed()} == {used.id, good.id, damaged.id}
    assert snapshots.verify(good.id) == []


@pytest.mark.parametrize("jump", [-400 * DAY, 400 * DAY])
def test_a_jumping_clock_deletes_nothing(tmp_path: Path, clock: Clock, content: SnapshotContent, jump: float) -> None:
    """A wrong date must not be what throws good backups away."""
    snapshots = store(tmp_path, clock, days=30)
    for _ in range(3):
        snapshots.create(content, "x")
        clock.now += DAY

    assert snapshots.prune(set(), clock.now + jump) == []


def test_retention_is_by_service(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    """Another service's young snapshots do not make the only one of this service expendable."""
    snapshots = store(tmp_path, clock, days=1)
    only = snapshots.create(replace(content, service="rare"), "x")
    clock.now += 90 * DAY
    snapshots.create(content, "y")

    assert snapshots.prune(set(), clock.now) == []
    assert only.id in {one.id for one in snapshots.listed()}


def test_unknown_ids_name_the_known(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    snapshots = store(tmp_path, clock)
    snapshots.create(content, "x")

    with pytest.raises(UnknownSnapshot, match="1737354000"):
        snapshots.get("nonsense")


def test_a_moved_backup_folder_still_reads(tmp_path: Path, clock: Clock, content: SnapshotContent) -> None:
    reference = store(tmp_path, clock).create(content, "x")
    shutil.move(tmp_path / "backups", tmp_path / "elsewhere")
    moved = SnapshotStore(tmp_path / "elsewhere", tmp_path / "key.age", encryption=True, retention_days=30)

    assert moved.verify(reference.id) == []
    assert moved.get(reference.id).root == str(tmp_path / "elsewhere")


def test_the_key_is_private_and_made_once(tmp_path: Path) -> None:
    first, second = keys.ensure_key(tmp_path / "k"), keys.ensure_key(tmp_path / "k")

    assert first == second
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert first.decrypt(second.encrypt(b"x")) == b"x"


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keys.ensure_key(tmp_path / "k")
    (tmp_path / "k").chmod(0o644)

    with pytest.raises(NotPermitted, match="chmod 600"):
        keys.ensure_key(tmp_path / "k")
