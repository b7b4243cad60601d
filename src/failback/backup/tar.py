"""Tar archives as streams: read from a folder, checked, and unpacked, in memory of a fixed size."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from failback.model.errors import SnapshotNotVerified

_BLOCK = tarfile.BLOCKSIZE
_CHUNK_BYTES = 512 * 1024
_CACHES = frozenset({"__pycache__"})  # made anew by whoever runs it, and different each time
_MEMBER_BYTES_MAX = 4096  # of headers and padding, for the estimate


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be archived: a folder (or one file), and which relative names of it; None: all of it."""

    path: Path
    names: tuple[str, ...] | None = None

    def estimate_bytes(self) -> int:
        """At most so much will the archive have. Raises OSError."""
        return sum(info.st_size + _MEMBER_BYTES_MAX for _, info in _members(self)) + 4 * _BLOCK


class TarStream:
    """A reader of the archive of a source. The same content gives the same bytes, whoever owns it.

    Raises SnapshotNotVerified when a file cannot be read or changes while it is read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chunks = self._produce()
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return b""
            except OSError as cause:
                raise SnapshotNotVerified(
                    f"Nothing was touched: {cause.filename or self._source.path}, which is to be backed up, cannot be "
                    f"read ({cause.strerror}).",
                    path=str(self._source.path),
                ) from cause
        piece = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(piece) :]
        return bytes(piece)

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk

    def _produce(self) -> Iterator[bytes]:
        for name, info in _members(self._source):
            path = self._source.path / name if name else self._source.path
            member = tarfile.TarInfo(name or self._source.path.name)
            member.mode = stat.S_IMODE(info.st_mode) & 0o777
            if stat.S_ISDIR(info.st_mode):
                member.type = tarfile.DIRTYPE
                yield _header(member)
            elif stat.S_ISLNK(info.st_mode):
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
                yield _header(member)
            elif stat.S_ISREG(info.st_mode):
                yield from self._file(path, member)
        yield bytes(2 * _BLOCK)

    def _file(self, path: Path, member: tarfile.TarInfo) -> Iterator[bytes]:
        with path.open("rb", buffering=0) as file:
            info = os.fstat(file.fileno())
            member.size, member.mtime = info.st_size, int(info.st_mtime)
            yield _header(member)
            left = member.size
            while left:
                chunk = file.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise SnapshotNotVerified(
                        f"Nothing was touched: {path} became shorter while it was backed up. A release must not "
                        f"change; what a service writes belongs into `release.shared`.",
                        path=str(path),
                    )
                left -= len(chunk)
                yield chunk
            yield bytes(-member.size % _BLOCK)


class TarCheck:
    """A writer that follows an archive from header to header; after `close` it is known to be whole.

    Raises ValueError at the first header that is none, or when the end is missing.
    """

    def __init__(self) -> None:
        self.members = 0
        self._skip = 0
        self._held = b""
        self._zero_blocks = 0

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            if self._skip:
                passed = min(self._skip, len(view))
                self._skip -= passed
                view = view[passed:]
                continue
            wanted = _BLOCK - len(self._held)
            self._held += bytes(view[:wanted])
            view = view[wanted:]
            if len(self._held) == _BLOCK:
                self._header(self._held)
                self._held = b""
        return len(data)

    def close(self) -> None:
        if self._skip or self._held or self._zero_blocks < 2:
            raise ValueError("the archive is cut off")

    def _header(self, block: bytes) -> None:
        if block.count(0) == _BLOCK:
            self._zero_blocks += 1
            return
        if self._zero_blocks:
            raise ValueError("the archive goes on after its end")
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as cause:
            raise ValueError(f"member {self.members + 1} of the archive is damaged ({cause})") from None
        self.members += 1
        self._skip = member.size + -member.size % _BLOCK


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks into `folder`. The archive was checked, yet nothing is written outside or through a link.

    Modes are kept but for set-user and set-group bits; owners are those of this process. Raises ValueError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    modes: list[tuple[Path, int]] = []
    with tarfile.open(archive) as opened:
        for member in opened:
            path = _inside(folder, member.name)
            if member.isdir():
                path.mkdir(exist_ok=True)
                modes.append((path, member.mode & 0o777))
            elif member.issym():
                # It may lead anywhere (a release's shared folders are such links): it is only written as a link.
                path.symlink_to(member.linkname)
            elif member.isreg():
                content = opened.extractfile(member)
                if content is None:
                    raise ValueError(f"{member.name!r} in the archive has no content")
                with content, path.open("xb") as file:
                    shutil.copyfileobj(content, file, _CHUNK_BYTES)
                path.chmod(member.mode & 0o777)
                os.utime(path, (member.mtime, member.mtime))
            else:
                raise ValueError(f"{member.name!r} in the archive is neither file, folder nor link")
    for path, mode in reversed(modes):  # last: a folder may be read-only
        path.chmod(mode)


def _inside(folder: Path, name: str) -> Path:
    parts = Path(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ValueError(f"{name!r} in the archive leads out of its folder")
    path = folder
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink() or not path.is_dir():
            raise ValueError(f"{name!r} in the archive leads through a link")
    return path / parts[-1]


def _header(member: tarfile.TarInfo) -> bytes:
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _members(source: Source) -> Iterator[tuple[str, os.stat_result]]:
    """Relative names in a fixed order, folders before what is in them; sockets, pipes and devices are left out."""
    top = source.path.lstat()
    if stat.S_ISREG(top.st_mode):
        yield "", top
        return
    for name in source.names if source.names is not None else _walked(source.path, ""):
        info = (source.path / name).lstat()
        if stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
            yield name, info


def _walked(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        children = sorted(found, key=lambda child: child.name)
    for child in children:
        if child.name in _CACHES:
            continue
        name = prefix + child.name
        yield name
        if child.is_dir(follow_symlinks=False):
            yield from _walked(Path(child.path), f"{name}/")
