"""Snapshots: what is returned was read back; what is damaged says so; no secret lies there in the clear."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from failback.backup.store import SnapshotStore
from failback.model.errors import NotPermitted, SnapshotNotVerified, SnapshotUnreadable, UnknownSnapshot


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def flip_a_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_files_have_the_names_of_the_contract(store, content, root):
    """Scripts of users look for these names."""
    ref = store.create(content, "plan_deploy_production_1737354000")

    expected = [
        ".witness.json",
        "configs/1737354000.json.age",
        "k8s/1737354000.yaml.age",
        "manifest-1737354000.json",
        "releases/1737354000.release.tar.age",
        "service/1737354000.yaml.age",
    ]
    assert expected == files_below(root)
    assert ref.id == "1737354000"
    assert ref.verified_at is not None
    assert set(ref.files) == {name for name in expected if "/" in name}


def test_without_encryption_the_files_are_plain(make_store, content, root):
    ref = make_store(encryption=False).create(content, "e")

    assert not ref.encrypted
    assert content.documents["k8s"] == (root / "k8s" / f"{ref.id}.yaml").read_text()
    assert not any(name.endswith(".age") for name in files_below(root))


@pytest.mark.parametrize("encryption", [True, False])
def test_what_is_read_is_what_was_stored(make_store, content, encryption):
    store = make_store(encryption=encryption)
    ref = store.create(content, "e")

    read = store.read(ref.id)

    assert content.documents == read.documents
    assert (content.service, content.target, content.revision) == (read.service, read.target, read.revision)
    assert content.items == read.items


@pytest.mark.parametrize("encryption", [True, False])
def test_release_comes_back_with_modes_links_and_empty_folders(make_store, content, tmp_path, encryption):
    """A restored release must have the very digest that it had: `run.sh` executable, the link still a link."""
    store = make_store(encryption=encryption)
    ref = store.create(content, "e")

    folder = store.unpack_files(ref.id, tmp_path)["release"]

    assert (folder / "app" / "main.py").read_text() == "print('ü')\n"
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (folder / "app" / "empty").is_dir()
    assert str((folder / "data").readlink()) == "/var/lib/notes"
    assert not (folder / "__pycache__").exists(), "caches are made anew by whoever runs it"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".unpacking")] == []


def test_only_the_named_parts_of_a_release_are_archived(store, content, release, tmp_path):
    """A service that writes a log beside its release must not make its backup another release."""
    (release / "debug.log").write_text("written by the service")
    ref = store.create(dataclasses.replace(content, names={"release": ("app", "app/main.py", "run.sh")}), "e")

    folder = store.unpack_files(ref.id, tmp_path)["release"]

    assert sorted(path.name for path in folder.iterdir()) == ["app", "run.sh"]


def test_secret_is_nowhere_in_the_clear(store, content, root, secret):
    ref = store.create(content, "e")

    for path in root.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert secret in store.read(ref.id).documents["configs"]


def test_files_are_for_their_user_alone(store, content, root):
    store.create(content, "e")

    for path in (root, *root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_second_snapshot_in_one_second_gets_a_suffix(store, content):
    names = [store.create(content, "e").id for _ in range(3)]

    assert names == ["1737354000", "1737354000-2", "1737354000-3"]
    assert names == [ref.id for ref in store.listed()]


def test_id_whose_files_are_somebody_elses_is_not_taken(store, content, root):
    """The spec's folder is /backups: another tool may keep files of the same names there."""
    (root / "k8s").mkdir(parents=True)
    theirs = root / "k8s" / "1737354000.yaml"
    theirs.write_text("theirs")

    ref = store.create(content, "e")
    store.prune(set(), 0)

    assert ref.id == "1737354000-2"
    assert theirs.read_text() == "theirs"


def test_unchanged_release_is_archived_once_and_verified_each_time(store, content, root, hooked):
    first = store.create(content, "e1")
    journal = hooked()
    second = store.create(content, "e2", journal)

    assert len(list((root / "releases").iterdir())) == 1
    assert set(first.files) & set(second.files) == {"releases/1737354000.release.tar.age"}
    assert not any("releases" in write for write in journal.writes)


def test_changed_release_is_archived_anew(store, content, root, release):
    store.create(content, "e1")
    (release / "app" / "main.py").write_text("print(2)\n")
    ref = store.create(content, "e2")

    assert len(list((root / "releases").iterdir())) == 2
    assert store.verify(ref.id) == []


def test_damaged_archive_is_not_used_again(store, content, root):
    """The next snapshot must not lean on it, and what it says of itself must stay true."""
    first = store.create(content, "e1")
    flip_a_byte(root / "releases" / "1737354000.release.tar.age")

    second = store.create(content, "e2")

    assert store.verify(second.id) == []
    assert (store.verify(first.id)) == [
        "releases/1737354000.release.tar.age: was changed or damaged: its hash is not the manifest's"
    ]


@pytest.mark.parametrize("kind", ["k8s", "service", "configs", "releases"])
@pytest.mark.parametrize("encryption", [True, False])
def test_each_damaged_file_is_found(make_store, content, root, kind, encryption):
    store = make_store(encryption=encryption)
    ref = store.create(content, "e")
    flip_a_byte(next((root / kind).iterdir()))

    problems = store.verify(ref.id)

    assert len(problems) == 1
    assert problems[0].startswith(f"{kind}/")
    assert "changed or damaged" in problems[0]


@pytest.mark.parametrize("kind", ["k8s", "releases"])
def test_missing_and_cut_files_are_found(store, content, root, kind):
    ref = store.create(content, "e")
    path = next((root / kind).iterdir())
    raw = path.read_bytes()

    path.write_bytes(raw[:-5])
    assert "changed or damaged" in store.verify(ref.id)[0]
    path.unlink()
    assert "is missing" in store.verify(ref.id)[0]


def test_damaged_manifest_is_no_snapshot_and_is_told(store, content, root):
    """A snapshot that is not listed must not vanish without a word."""
    ref = store.create(content, "e")
    path = root / f"manifest-{ref.id}.json"
    path.write_text(path.read_text().replace('"service": "notes"', '"service": "other"'))

    assert store.listed() == []
    assert [ref.id] == list(store.damaged())
    assert "does not have the hash that it names" in store.verify(ref.id)[0]
    with pytest.raises(SnapshotUnreadable):
        store.read(ref.id)


def test_reading_a_damaged_snapshot_is_refused(store, content, root, tmp_path):
    ref = store.create(content, "e")
    flip_a_byte(root / "k8s" / f"{ref.id}.yaml.age")
    flip_a_byte(root / "releases" / f"{ref.id}.release.tar.age")

    with pytest.raises(SnapshotUnreadable, match="cannot be read: was changed"):
        store.read(ref.id)
    with pytest.raises(SnapshotUnreadable, match="cannot be read: was changed"):
        store.unpack_files(ref.id, tmp_path)
    assert not (tmp_path / "release").exists(), "nothing is unpacked of an archive that is not whole"


def test_document_that_differs_after_writing_is_no_snapshot(store, content, root, hooked):
    """A disk that loses what was written must be found before anything is touched."""

    def damage(file: str) -> None:
        if file.startswith("service/"):
            flip_a_byte(root / file)

    with pytest.raises(SnapshotNotVerified, match="notes was not touched: service/"):
        store.create(content, "e", hooked(after=damage))

    assert store.listed() == []
    assert not root.exists()


def test_archive_that_differs_after_writing_is_no_snapshot(content, root, tmp_path, release):
    """The same for the release; the bytes change between its last write and its first reading."""
    script = f"""
        import os, sys
        from pathlib import Path
        from failback.backup.store import SnapshotStore
        from failback.model.errors import SnapshotNotVerified
        from failback.model.snapshot import SnapshotContent

        def damage(event, arguments):
            if event == "os.rename" and ".tar" in str(arguments[0]):
                descriptor = os.open(arguments[0], os.O_RDWR)
                os.pwrite(descriptor, b"!", 400)
                os.close(descriptor)

        sys.addaudithook(damage)
        store = SnapshotStore(Path({str(root)!r}), Path({str(tmp_path / "key")!r}), encryption=True, retention_days=1)
        try:
            store.create(SnapshotContent("notes", "local", "r1", {{}}, {{"release": {str(release)!r}}}), "e")
        except SnapshotNotVerified as error:
            print(error.message)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=True
    )

    assert "releases/" in done.stdout
    assert "is not what was written" in done.stdout
    assert not root.exists()


@pytest.mark.parametrize(
    ("kind", "text", "why"), [("configs", "{no json", "is no JSON"), ("k8s", "a: [1", "is no YAML")]
)
def test_document_that_nobody_could_parse_is_no_snapshot(store, content, root, kind, text, why):
    broken = dataclasses.replace(content, documents={**content.documents, kind: text})

    with pytest.raises(SnapshotNotVerified, match=why):
        store.create(broken, "e")
    assert not root.exists()


def test_release_that_cannot_be_read_names_it(store, content, root, release):
    with pytest.raises(SnapshotNotVerified, match="nowhere"):
        store.create(dataclasses.replace(content, files={"release": str(release / "nowhere")}), "e")
    assert not root.exists()


def test_names_that_would_lead_elsewhere_are_refused(store, content, root):
    for documents, files in (({"../k8s": ""}, {}), ({"releases": ""}, {}), ({}, {"../../x": "/etc/hostname"})):
        with pytest.raises(SnapshotNotVerified, match="cannot be the name"):
            store.create(dataclasses.replace(content, documents=documents, files=files), "e")


def test_unknown_snapshot_names_the_newest(store, content):
    ref = store.create(content, "e")

    with pytest.raises(UnknownSnapshot, match=ref.id):
        store.get("1")
    with pytest.raises(UnknownSnapshot):
        store.get("../../etc/passwd")


def test_reading_never_makes_a_key(store, content, tmp_path):
    """With a new key in the place of the lost one, nobody would see any more what is wrong."""
    ref = store.create(content, "e")
    key = tmp_path / "home" / "key.txt"
    key.unlink()

    assert all("is missing" in problem for problem in store.verify(ref.id))
    with pytest.raises(SnapshotUnreadable, match="Put it back"):
        store.read(ref.id)
    assert not key.exists()


def test_other_key_is_told_as_such(store, content, tmp_path):
    ref = store.create(content, "e")
    (tmp_path / "home" / "key.txt").unlink()
    store.create(content, "e2")

    assert len(store.verify(ref.id)) == 4
    assert all("cannot be opened with" in problem for problem in store.verify(ref.id))


def test_key_that_others_can_read_stops_the_backup(store, content, tmp_path, root):
    store.create(content, "e")
    (tmp_path / "home" / "key.txt").chmod(0o640)

    with pytest.raises(NotPermitted, match="chmod 600"):
        store.create(content, "e2")
    assert len(store.listed()) == 1


def test_moved_folder_is_still_a_backup(store, make_store, content, root, tmp_path):
    ref = store.create(content, "e")
    root.rename(tmp_path / "elsewhere")
    moved = make_store(root=tmp_path / "elsewhere")

    assert moved.verify(ref.id) == []
    assert str(tmp_path / "elsewhere") == moved.get(ref.id).root


def test_listed_by_service(store, content):
    store.create(content, "e")
    other = store.create(dataclasses.replace(content, service="shop"), "e")

    assert [other.id] == [ref.id for ref in store.listed("shop")]
    assert len(store.listed()) == 2


def test_manifest_is_json_that_says_what_is_there(store, content, root, secret):
    ref = store.create(content, "plan_deploy_production_1737354000")

    shape = json.loads((root / f"manifest-{ref.id}.json").read_text())

    assert list(content.items) == shape["items"]
    assert set(shape["files"]) == set(shape["sizes"]) == set(ref.files)
    assert shape["execution_id"] == "plan_deploy_production_1737354000"


def test_second_backup_in_the_middle_of_the_first(store, make_store, content, root, hooked):
    """Another service is deployed at the same moment: what the first has begun is no leftover."""
    others = []

    def deploy_the_other(file: str) -> None:
        if "releases/" in file:
            others.append(make_store().create(dataclasses.replace(content, service="shop"), "e2"))

    ref = store.create(content, "e1", hooked(before=deploy_the_other))

    assert [one.id for one in others] == [f"{ref.id}-2"]
    assert [problem for one in store.listed() for problem in store.verify(one.id)] == []
    assert len(store.listed()) == 2


def test_pruning_leaves_who_stores_alone(store, make_store, content, clocks, root, hooked):
    """It would take the unfinished files for a dead one's, and an archive that is just about to be referred to."""
    old = store.create(content, "e1")
    clocks.pass_days(31)
    store.create(dataclasses.replace(content, files={}), "e2")
    removed = []

    def prune_now(file: str) -> None:
        if "k8s/" in file:
            removed.extend(make_store().prune(set(), clocks.wall_s))

    ref = store.create(content, "e3", hooked(before=prune_now))

    assert removed == []
    assert f"releases/{old.id}.release.tar.age" in ref.files
    assert store.verify(ref.id) == []
    assert store.prune(set(), clocks.wall_s) == [old.id]
    assert store.verify(ref.id) == []


def _create_many(root: Path, key: Path, release: Path, count: int) -> None:
    from failback.model.snapshot import SnapshotContent

    store = SnapshotStore(root, key, encryption=True, retention_days=30, clock=lambda: 1_737_354_000.0)
    kept = SnapshotContent("notes", "local", "r1", {"k8s": "a: 1\n", "configs": "{}"}, {"release": str(release)})
    for number in range(count):
        store.create(kept, f"e{number}")
        store.prune(set(), 0)


def test_processes_at_once_collide_in_nothing(root, tmp_path, release):
    """Two deployments of two services share the folder: no id twice, no file of the other taken for a leftover."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_create_many, args=(root, tmp_path / "key", release, 6)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    store = SnapshotStore(root, tmp_path / "key", encryption=True, retention_days=30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len({ref.id for ref in store.listed()}) == 18
    assert [problem for ref in store.listed() for problem in store.verify(ref.id)] == []
    assert not list(root.glob(".claim-*"))
