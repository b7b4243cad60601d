"""Releases in the store: immutable, content-addressed, complete or not there."""

from __future__ import annotations

import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failback.model.errors import NoSpace, ReleaseError
from failback.targets.local.releases import ReleaseStore


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "plan" / "app"
    (folder / "lib").mkdir(parents=True)
    (folder / "main.py").write_text("print('one')\n")
    (folder / "lib" / "util.py").write_text("x = 1\n")
    (folder / "run").write_text("#!/bin/sh\nexec python3 main.py\n")
    (folder / "run").chmod(0o750)
    (folder / "current").symlink_to("lib/util.py")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "home" / "releases")


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_release_is_what_the_source_was(source: Path, store: ReleaseStore) -> None:
    staged = store.stage(source)

    assert listed(source) == listed(staged.path)
    assert (staged.path / "main.py").read_text() == "print('one')\n"
    assert str((staged.path / "current").readlink()) == "lib/util.py"
    assert (staged.files, staged.path) == (3, store.path(staged.digest))
    assert staged.bytes == sum((source / name).stat().st_size for name in ("main.py", "lib/util.py", "run"))
    assert store.verify(staged.digest)
    assert store.digests() == [staged.path.name]


def test_the_source_may_change_or_go(source: Path, store: ReleaseStore) -> None:
    """A restart of an old release must find the old release: neither a link to the source nor to its content."""
    staged = store.stage(source)
    with (source / "main.py").open("r+") as file:
        file.write("broken")
    (source / "lib" / "util.py").unlink()

    assert store.verify(staged.digest)
    assert (staged.path / "main.py").read_text() == "print('one')\n"
    assert (staged.path / "main.py").stat().st_ino != (source / "main.py").stat().st_ino


def test_files_of_a_release_are_read_only_and_still_executable(source: Path, store: ReleaseStore) -> None:
    staged = store.stage(source)

    assert stat.S_IMODE((staged.path / "main.py").stat().st_mode) == 0o444
    assert stat.S_IMODE((staged.path / "run").stat().st_mode) == 0o555


def test_a_files_time_is_kept(source: Path, store: ReleaseStore) -> None:
    """It is what static servers send as Last-Modified: the same file of the next release is the same to a browser."""
    os.utime(source / "main.py", ns=(10**18, 10**18))

    staged = store.stage(source)

    assert (staged.path / "main.py").stat().st_mtime_ns == 10**18


def test_the_same_content_is_one_release(source: Path, store: ReleaseStore) -> None:
    """Twice the same write: the second changes nothing."""
    first = store.stage(source)
    inode = first.path.stat().st_ino
    (source / "main.py").touch()

    assert store.stage(source) == first
    assert first.path.stat().st_ino == inode


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "main.py").write_text("print('two')\n"),
        lambda folder: (folder / "main.py").rename(folder / "main2.py"),
        lambda folder: (folder / "run").chmod(0o640),
        lambda folder: (folder / "empty").mkdir(),
        lambda folder: ((folder / "current").unlink(), (folder / "current").symlink_to("main.py")),
        lambda folder: ((folder / "current").unlink(), (folder / "current").write_text("lib/util.py")),
        lambda folder: (folder / "lib" / "util.py").rename(folder / "util.py"),
    ],
    ids=["content", "name", "mode", "empty folder", "link target", "link or file", "place"],
)
def test_any_difference_is_another_release(source: Path, store: ReleaseStore, change: object) -> None:
    before = store.stage(source)
    change(source)  # type: ignore[operator]

    after = store.stage(source)

    assert before.digest != after.digest
    assert store.verify(before.digest)
    assert store.verify(after.digest)


@pytest.mark.parametrize("folder", [".git", "__pycache__", "lib/__pycache__"])
def test_what_is_no_part_of_what_runs_is_left_out(source: Path, store: ReleaseStore, folder: str) -> None:
    """History and caches differ each time, and would make each build another release."""
    before = store.stage(source)
    (source / folder).mkdir()
    (source / folder / "x").write_text("y")

    assert store.stage(source).digest == before.digest


def test_excluded_names_are_left_out(source: Path, store: ReleaseStore) -> None:
    (source / "debug.log").write_text("x")
    (source / "lib" / "more.log").write_text("x")
    (source / "tests").mkdir()
    (source / "tests" / "test_x.py").write_text("x")

    staged = store.stage(source, exclude=["*.log", "tests/"])

    assert listed(staged.path) == {"main.py", "lib", "lib/util.py", "run", "current"}


@pytest.mark.parametrize("marks", [("failback.db", "key.age"), (".witness.json", "manifest-1795606702.json")])
def test_failbacks_own_state_is_left_out(source: Path, store: ReleaseStore, marks: tuple[str, ...]) -> None:
    """A home beside the code holds the key of the backups; and it changes with each command, the release does not."""
    before = store.stage(source)
    (source / ".failback").mkdir()
    for name in marks:
        (source / ".failback" / name).write_text("AGE-SECRET-KEY-1")

    assert store.stage(source).digest == before.digest


def test_a_folder_with_the_name_of_a_mark_alone_is_the_applications(source: Path, store: ReleaseStore) -> None:
    (source / "evidence").mkdir()
    (source / "evidence" / ".witness.json").write_text("{}")

    assert "evidence/.witness.json" in listed(store.stage(source).path)


def test_sockets_and_pipes_are_left_out(source: Path, store: ReleaseStore) -> None:
    """A running development server leaves them; they are no content."""
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(source)
        try:
            server.bind("dev.sock")
        finally:
            os.chdir(here)

        staged = store.stage(source)

    assert not {"pipe", "dev.sock"} & listed(staged.path)
    assert store.verify(staged.digest)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "main.py").write_text("evil"),
        lambda path: (path / "main.py").unlink(),
        lambda path: (path / "lib" / "util.py").chmod(0o555),
        lambda path: ((path / "current").unlink(), (path / "current").symlink_to("main.py")),
    ],
    ids=["content", "gone", "mode", "link"],
)
def test_a_changed_release_is_not_verified_and_is_made_anew(source: Path, store: ReleaseStore, damage: object) -> None:
    staged = store.stage(source)
    (staged.path / "main.py").chmod(0o644)
    damage(staged.path)  # type: ignore[operator]

    assert not store.verify(staged.digest)
    assert store.stage(source) == staged
    assert store.verify(staged.digest)


def test_what_a_program_writes_beside_the_release_does_not_damage_it(source: Path, store: ReleaseStore) -> None:
    """The look-alike: Python's caches, a log, a socket."""
    staged = store.stage(source)
    (staged.path / "__pycache__").mkdir()
    (staged.path / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"\0")
    (staged.path / "app.log").write_text("hello")

    assert store.verify(staged.digest)


def test_an_unknown_release_is_not_verified(store: ReleaseStore) -> None:
    assert not store.verify("sha256:" + "0" * 64)
    assert store.digests() == []
    assert not store.remove("sha256:" + "0" * 64)


def test_removing_leaves_nothing(source: Path, store: ReleaseStore) -> None:
    staged = store.stage(source)

    assert store.remove(staged.digest)
    assert not store.remove(staged.digest)
    assert [path.name for path in store.folder.iterdir()] == [".lock"]


def test_short_digests_are_taken_everywhere(source: Path, store: ReleaseStore) -> None:
    store.stage(source)
    short = store.digests()[0]

    assert store.verify(short)
    assert store.path(short).exists()
    assert store.remove(short)


def test_shared_folders_are_seeded_once_and_kept(source: Path, store: ReleaseStore) -> None:
    (source / "data").mkdir()
    (source / "data" / "seed.txt").write_text("first")
    one = store.stage(source, shared=["data"])
    (one.path / "data" / "notes.db").write_text("users' notes")
    (source / "data" / "seed.txt").write_text("second")
    (source / "main.py").write_text("print('two')\n")

    two = store.stage(source, shared=["data"])

    assert one.digest != two.digest
    assert (two.path / "data" / "notes.db").read_text() == "users' notes"
    assert (two.path / "data" / "seed.txt").read_text() == "first"
    assert store.verify(one.digest)
    assert (source / "data" / "seed.txt").read_text() == "second"


def test_a_shared_folder_that_the_release_does_not_bring_is_made(source: Path, store: ReleaseStore) -> None:
    staged = store.stage(source, shared=["var/uploads"])

    assert (staged.path / "var" / "uploads").is_dir()
    assert store.verify(staged.digest)


def test_shared_names_one_folder_and_not_each_of_that_name(source: Path, store: ReleaseStore) -> None:
    """The look-alike: a package's own `data` belongs to the release."""
    for folder in (source / "data", source / "lib" / "data"):
        folder.mkdir()
        (folder / "x").write_text("x")

    staged = store.stage(source, shared=["data"])

    assert (staged.path / "data").is_symlink()
    assert not (staged.path / "lib" / "data").is_symlink()
    assert (staged.path / "lib" / "data" / "x").read_text() == "x"


def test_with_and_without_sharing_are_two_releases(source: Path, store: ReleaseStore) -> None:
    """The first deployment with `shared` must not find the release without the link."""
    (source / "data").mkdir()
    without = store.stage(source, exclude=["data"])
    shared = store.stage(source, shared=["data"])

    assert without.digest != shared.digest
    assert (shared.path / "data").is_symlink()


def test_a_staged_release_staged_again_is_the_same(source: Path, store: ReleaseStore, tmp_path: Path) -> None:
    """A restore from a backup starts with the release's own folder."""
    (source / "data").mkdir()
    staged = store.stage(source, shared=["data"])
    other = ReleaseStore(tmp_path / "elsewhere" / "releases")

    assert other.stage(staged.path, shared=["data"]).digest == staged.digest


def test_a_store_inside_the_release_is_no_part_of_it(source: Path) -> None:
    """`--home .failback` in a plan's folder that is the release: else each release would hold all former ones."""
    store = ReleaseStore(source / ".failback" / "releases")

    first = store.stage(source)
    (source / "main.py").write_text("two")
    second = store.stage(source)

    assert not [name for name in listed(second.path) if "releases/" in name]
    assert store.verify(first.digest)


def test_names_that_are_no_text_are_kept(source: Path, store: ReleaseStore) -> None:
    odd = os.fsencode(source) + b"/caf\xe9 \n*.txt"
    Path(os.fsdecode(odd)).write_text("x")

    staged = store.stage(source)

    assert Path(os.fsdecode(os.fsencode(staged.path) + b"/caf\xe9 \n*.txt")).exists()
    assert store.verify(staged.digest)


def test_a_source_that_is_not_there_is_said(tmp_path: Path, store: ReleaseStore) -> None:
    with pytest.raises(ReleaseError, match="cannot be read"):
        store.stage(tmp_path / "nothing")


def test_a_store_that_cannot_be_written_is_no_space(source: Path, tmp_path: Path) -> None:
    """Told as such before anything was touched, and not as a fault of the release."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NoSpace, match="Nothing was touched"):
        ReleaseStore(tmp_path / "file" / "releases").stage(source)


def test_a_full_disk_is_said_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    """By a limit on the size of files, at which the same write fails in the middle of a file."""
    code = f"""
import resource, signal, sys
from pathlib import Path
from failback.model.errors import NoSpace
from failback.targets.local import releases
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
releases._NO_ROOM.add(27)  # EFBIG: what the limit answers, as ENOSPC is what a full disk answers
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    releases.ReleaseStore(Path({str(tmp_path / "home")!r})).stage(Path({str(source)!r}))
except NoSpace as error:
    print(error.code, sorted(path.name for path in Path({str(tmp_path / "home")!r}).iterdir()))
"""
    (source / "large").write_bytes(b"x" * 100_000)

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "FB-503 ['.lock']\n"


@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_instant_it_leaves_nothing_that_is_taken_for_a_release(tmp_path: Path, seed: int) -> None:
    """Whatever is under a digest's name is whole, and the next call removes the rest."""
    source, home = tmp_path / "app", tmp_path / "home"
    for number in range(400):
        path = source / f"d{number % 20}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(3_000))
    (source / "data").mkdir()
    (source / "data" / "seed").write_text("x" * 10_000)
    store = ReleaseStore(home / "releases")
    code = f"""
from pathlib import Path
from failback.targets.local.releases import ReleaseStore
print("go", flush=True)
ReleaseStore(Path({str(home / "releases")!r})).stage(Path({str(source)!r}), shared=["data"])
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, 0.25))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    whole = [store.verify(digest) for digest in store.digests()]
    seeded = (home / "shared" / "data" / "seed").exists() or not (home / "shared" / "data").exists()
    staged = store.stage(source, shared=["data"])
    left = {path.name for path in store.folder.iterdir()}

    assert all(whole)
    assert seeded
    assert store.verify(staged.digest)
    assert left == {".lock", staged.path.name, f".names-{staged.path.name}"}
    assert [path.name for path in (home / "shared").iterdir()] == ["data"]


def test_a_release_that_another_process_is_staging_is_no_leftover(source: Path, store: ReleaseStore) -> None:
    """The look-alike: clean-up after one deployment while another stages."""
    code = f"""
import sys
from pathlib import Path
from failback.targets.local.releases import ReleaseStore
store = ReleaseStore(Path({str(store.folder)!r}))
with store._exclusively():
    (store.folder / ".staging-x").mkdir()
    print("has it", flush=True)
    sys.stdin.readline()
"""
    store.stage(source)
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    store.remove_leftovers()
    during = (store.folder / ".staging-x").exists()
    process.communicate("\n")

    store.remove_leftovers()

    assert during
    assert not (store.folder / ".staging-x").exists()


NAME = st.from_regex(r"[a-z]{1,3}", fullmatch=True)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.lists(NAME, min_size=1, max_size=3).map("/".join), st.binary(max_size=50), max_size=8))
def test_whatever_is_staged_comes_out_the_same(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name, content in tree.items():
        path = folder / "app" / name
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (folder / "app").mkdir(exist_ok=True)
    store = ReleaseStore(folder / "releases")

    staged = store.stage(folder / "app")

    assert listed(folder / "app") == listed(staged.path)
    files = [name for name in listed(staged.path) if (staged.path / name).is_file()]
    assert all((folder / "app" / name).read_bytes() == (staged.path / name).read_bytes() for name in files)
    assert store.verify(staged.digest)
