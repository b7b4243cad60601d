"""Archives as streams: the same content gives the same bytes, and nothing of an archive leads out of its folder."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.backup.tar import Source, TarCheck, TarStream, unpack
from failback.model.errors import SnapshotNotVerified


def archive_of(source: Source) -> bytes:
    return b"".join(TarStream(source).chunks())


def test_same_content_gives_the_same_bytes(release, tmp_path):
    """Times of folders change when a service writes a cache there; that makes it no other release."""
    before = archive_of(Source(release))
    (release / "__pycache__" / "more.pyc").write_bytes(b"1")
    os.utime(release / "app", (1, 1))

    assert before == archive_of(Source(release))


@pytest.mark.parametrize("change", ["content", "mode", "link", "name"])
def test_another_content_gives_other_bytes(release, change):
    before = archive_of(Source(release))
    if change == "content":
        os.utime(release / "run.sh", (5, 5))
        (release / "app" / "main.py").write_text("print('ö')\n")
    elif change == "mode":
        (release / "run.sh").chmod(0o644)
    elif change == "link":
        (release / "data").unlink()
        (release / "data").symlink_to("/var/lib/other")
    else:
        (release / "run.sh").rename(release / "go.sh")

    assert before != archive_of(Source(release))


def test_python_and_people_can_read_it(release):
    with tarfile.open(fileobj=io.BytesIO(archive_of(Source(release)))) as opened:
        names = [member.name for member in opened.getmembers()]

    assert names == ["app", "app/empty", "app/main.py", "data", "run.sh"]


def test_names_that_are_no_text_and_very_long_ones_come_back(tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    odd = os.fsdecode(b"\xff\xfe name\n")
    long = "l" * 200
    (folder / odd).write_text("1")
    (folder / long).mkdir()
    (folder / long / long).write_text("2")
    (tmp_path / "tar").write_bytes(archive_of(Source(folder)))

    unpack(tmp_path / "tar", tmp_path / "out")

    assert (tmp_path / "out" / odd).read_text() == "1"
    assert (tmp_path / "out" / long / long).read_text() == "2"


def test_sockets_and_pipes_are_left_out(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        (folder / "file").write_text("x")

        with tarfile.open(fileobj=io.BytesIO(archive_of(Source(folder)))) as opened:
            assert opened.getnames() == ["file"]


def test_one_file_is_an_archive_too(tmp_path):
    (tmp_path / "values.db").write_bytes(b"1" * 1000)

    with tarfile.open(fileobj=io.BytesIO(archive_of(Source(tmp_path / "values.db")))) as opened:
        assert opened.getnames() == ["values.db"]


def test_file_that_shrinks_while_it_is_read_is_an_error(tmp_path):
    """Padding it would be a backup of something that never was."""
    (tmp_path / "f").mkdir()
    path = tmp_path / "f" / "big"
    path.write_bytes(b"x" * 100_000)
    stream = TarStream(Source(tmp_path / "f"))
    stream.read(512)
    os.truncate(path, 10)

    with pytest.raises(SnapshotNotVerified, match=r"big became shorter"):
        b"".join(stream.chunks())


def test_file_that_grows_while_it_is_read_is_archived_as_it_was(tmp_path):
    """A log that is appended to is a whole file at each instant."""
    (tmp_path / "f").mkdir()
    path = tmp_path / "f" / "log"
    path.write_bytes(b"x" * 600)
    stream = TarStream(Source(tmp_path / "f"))
    head = stream.read(512)
    with path.open("ab") as log:
        log.write(b"y" * 600)

    with tarfile.open(fileobj=io.BytesIO(head + b"".join(stream.chunks()))) as opened:
        assert opened.getmember("log").size == 600


def test_estimate_is_never_too_low(release):
    assert Source(release).estimate_bytes() >= len(archive_of(Source(release)))


@given(st.binary(max_size=3000), st.integers(1, 700))
def test_pieces_of_any_size_are_checked_alike(tail, size):
    """The check sees what the disk hands out, wherever that is cut."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        member = tarfile.TarInfo("ü" * 60)
        member.size = len(tail)
        made.addfile(member, io.BytesIO(tail))
    raw = buffer.getvalue()
    check = TarCheck()

    for start in range(0, len(raw), size):
        check.write(raw[start : start + size])
    check.close()

    assert check.members == 2, "the name is no ASCII, so there is an extended header"


@pytest.mark.parametrize("cut", [1, 512, 1024, 1500])
def test_archive_that_is_cut_is_found(release, cut):
    check = TarCheck()
    check.write(archive_of(Source(release))[:-cut])

    with pytest.raises(ValueError, match="cut off"):
        check.close()


def test_archive_with_a_damaged_header_is_found(release):
    raw = bytearray(archive_of(Source(release)))
    raw[100] ^= 1

    with pytest.raises(ValueError, match="member 1 of the archive is damaged"):
        TarCheck().write(bytes(raw))


def hostile(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as made:
        for member in members:
            made.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, mode
    member.size = 1 if kind == tarfile.REGTYPE else 0
    return member


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member_of("../out")], "leads out"),
        ([member_of("/tmp/out")], "leads out"),
        ([member_of("a", tarfile.SYMTYPE, "/tmp"), member_of("a/b")], "through a link"),
        ([member_of("dev", tarfile.CHRTYPE)], "neither file"),
        ([member_of("hard", tarfile.LNKTYPE, "/etc/passwd")], "neither file"),
    ],
)
def test_nothing_is_written_outside(tmp_path, members, why):
    with pytest.raises(ValueError, match=why):
        unpack(hostile(tmp_path / "t", *members), tmp_path / "into")
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/b").exists()


def test_set_user_bits_are_not_restored(tmp_path):
    unpack(hostile(tmp_path / "t", member_of("tool", mode=0o4755)), tmp_path / "into")

    assert (tmp_path / "into" / "tool").stat().st_mode & 0o7777 == 0o755


def test_read_only_folders_can_be_unpacked(tmp_path):
    unpack(
        hostile(tmp_path / "t", member_of("d", tarfile.DIRTYPE, mode=0o555), member_of("d/f", mode=0o444)),
        tmp_path / "into",
    )

    assert (tmp_path / "into" / "d").stat().st_mode & 0o777 == 0o555
    assert hashlib.sha256(b"x").digest() == hashlib.sha256((tmp_path / "into" / "d" / "f").read_bytes()).digest()
