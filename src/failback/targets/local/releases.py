"""Immutable releases: a folder copied under the hash of its content, complete or not there at all.

The copy is a real one. A hard link would change with the source, and the tests of a release would then be of files
that are gone; a reflink is used where the file system has it, since it keeps the content apart all the same.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from failback.model.errors import ReleaseNotSelfContained
from failback.model.release import Finding

_CHUNK_BYTES = 1024 * 1024
_SHEBANG_BYTES_MAX = 256
_TEXT_BYTES_MAX = 64 * 1024
_SHORT = 16


@dataclass(frozen=True, slots=True)
class StagedRelease:
    """A release in the store. `digest` is "sha256:..." over paths, modes, contents and link targets."""

    digest: str
    path: Path
    files: int
    bytes: int


class ReleaseStore:
    """The releases of one service, in `folder`; `shared` folders stand beside it and outlive each release."""

    def __init__(self, folder: Path, shared_folder: Path) -> None:
        self.folder = folder
        self.shared_folder = shared_folder

    def stage(self, source: Path, exclude: Sequence[str] = (), shared: Sequence[str] = ()) -> StagedRelease:
        """Copies `source`; the same content gives the same release, which is then not copied again."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.remove_leftovers()
        temporary = self.folder / f".staging-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        temporary.mkdir(mode=0o700)
        try:
            copied = _copy(source, temporary, tuple(exclude), tuple(shared))
            path = self.path(copied.digest)
            if path.exists() and self.verify(copied.digest):
                _remove_tree(temporary)
            else:
                if path.exists():
                    _remove_tree(path)  # damaged: an incomplete or changed one is worth nothing
                self._link_shared(source, temporary, shared)
                _make_read_only(temporary)
                self._names(copied.digest).write_text("\0".join(copied.names))
                os.sync()
                temporary.rename(path)
                _sync_folder(self.folder)
        except BaseException:
            _remove_tree(temporary)
            raise
        return StagedRelease(copied.digest, path, copied.files, copied.bytes)

    def path(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")[:_SHORT]

    def digests(self) -> list[str]:
        """Short digests of the releases that are there."""
        if not self.folder.exists():
            return []
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def verify(self, digest: str) -> bool:
        """Whether the release still is what its digest says."""
        # What a running program has added beside the release's own files (a cache, a log) does not damage it.
        try:
            names = self._names(digest).read_text().split("\0")
            return _hash(self.path(digest), names) == digest
        except OSError:
            return False

    def _names(self, digest: str) -> Path:
        return self.folder / f".names-{digest.removeprefix('sha256:')[:_SHORT]}"

    def remove(self, digest: str) -> bool:
        """Removes the release; False when it was not there. It vanishes at once, so no half of it is ever used."""
        path = self.path(digest)
        if not path.exists():
            return False
        gone = self.folder / f".gone-{path.name}-{uuid.uuid4().hex[:8]}"
        path.rename(gone)
        _remove_tree(gone)
        self._names(digest).unlink(missing_ok=True)
        return True

    def remove_leftovers(self) -> None:
        """What a kill in the middle left; nothing else has a name of this form."""
        for path in self.folder.glob(".staging-*"):
            pid = int(path.name.split("-")[1])
            if pid == os.getpid() or not _alive(pid):
                _remove_tree(path)
        for path in self.folder.glob(".gone-*"):
            _remove_tree(path)

    def _link_shared(self, source: Path, staged: Path, shared: Sequence[str]) -> None:
        for name in shared:
            kept = self.shared_folder / name
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                if (source / name).is_dir():
                    shutil.copytree(source / name, kept, symlinks=True)
                else:
                    kept.mkdir()
            link = staged / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(kept)


def self_contained(source: Path, plan_folder: Path) -> list[Finding]:
    """What in the release points out of it into a folder that the next build will change: each one blocks.

    Raises ReleaseNotSelfContained only when the folder itself cannot be read.
    """
    source, plan_folder = source.resolve(), plan_folder.resolve()
    findings = []
    try:
        for path in _walk(source, ()):
            told = _points_out(path, source, plan_folder)
            if told:
                name = path.relative_to(source)
                findings.append(
                    Finding(
                        "error",
                        str(name),
                        told,
                        "Install into the release itself (`pip install --target vendor`, `npm ci`), or use a relative link: "
                        "otherwise a restart of an old release would load the new one's files.",
                        blocking=True,
                    )
                )
    except OSError as cause:
        raise ReleaseNotSelfContained(
            f"The release {source} cannot be read: {cause.strerror} ({cause.filename}).", path=str(source)
        ) from cause
    return findings[:20]


def _points_out(path: Path, source: Path, plan_folder: Path) -> str:
    if path.is_symlink():
        target = Path(os.path.normpath(path.parent / path.readlink()))
        inside = target == source or source in target.parents
        if inside and not os.path.isabs(path.readlink()):
            return ""
        into_plan = plan_folder in target.parents or target == plan_folder
        return f"is a link to {path.readlink()}, in the plan's folder" if into_plan else ""
    if not path.is_file():
        return ""
    if path.name == "pyvenv.cfg":
        return "makes this a virtual environment, whose scripts and packages hold the path at which it was built"
    if path.suffix in (".pth", ".egg-link"):
        text = path.read_bytes()[:_TEXT_BYTES_MAX].decode("utf-8", "replace")
        found = next((line for line in text.splitlines() if _within(line.strip(), plan_folder)), None)
        return f"adds {found.strip()}, in the plan's folder, to Python's path" if found else ""
    with path.open("rb") as file:
        head = file.read(_SHEBANG_BYTES_MAX)
    if head.startswith(b"#!"):
        interpreter = head[2:].split(b"\n", 1)[0].decode("utf-8", "replace").strip().split(" ")[0]
        if _within(interpreter, plan_folder):
            return f"is run by {interpreter}, in the plan's folder"
    return ""


def _within(text: str, folder: Path) -> bool:
    return text == str(folder) or text.startswith(f"{folder}/")


@dataclass(slots=True)
class _Copied:
    digest: str
    names: list[str]
    files: int
    bytes: int


def _copy(source: Path, target: Path, exclude: tuple[str, ...], shared: tuple[str, ...]) -> _Copied:
    total = hashlib.sha256()
    files = size = 0
    names = []
    for path in _walk(source, exclude + shared):
        name = path.relative_to(source)
        names.append(name.as_posix())
        there = target / name
        there.parent.mkdir(parents=True, exist_ok=True)
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            there.symlink_to(path.readlink())
            _count(total, name, "link", str(path.readlink()))
        elif stat.S_ISDIR(info.st_mode):
            there.mkdir(exist_ok=True)
            _count(total, name, "folder", "")
        elif stat.S_ISREG(info.st_mode):
            content = _copy_file(path, there)
            executable = bool(info.st_mode & 0o111)
            there.chmod(0o755 if executable else 0o644)
            _count(total, name, "executable" if executable else "file", content)
            files, size = files + 1, size + info.st_size
    return _Copied(f"sha256:{total.hexdigest()}", names, files, size)


def _copy_file(source: Path, target: Path) -> str:
    """Copies and returns the hash of what was written; a reflink where the file system has one."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()


def _hash(folder: Path, names: Sequence[str]) -> str:
    total = hashlib.sha256()
    for name in names:
        path = folder / name
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            _count(total, Path(name), "link", str(path.readlink()))
        elif stat.S_ISDIR(info.st_mode):
            _count(total, Path(name), "folder", "")
        else:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            _count(total, Path(name), "executable" if info.st_mode & 0o111 else "file", content)
    return f"sha256:{total.hexdigest()}"


def _count(total: hashlib._Hash, name: Path, kind: str, content: str) -> None:
    total.update(f"{kind}\0{name.as_posix()}\0{content}\0".encode("utf-8", "surrogateescape"))


def _walk(folder: Path, exclude: tuple[str, ...]) -> Iterator[Path]:
    """Everything below, folders first and by name, so that the hash does not depend on the file system's order."""

    def visit(inside: Path) -> Iterator[Path]:
        for entry in sorted(os.scandir(inside), key=lambda entry: entry.name):
            path = Path(entry.path)
            name = path.relative_to(folder).as_posix()
            if any(fnmatch.fnmatchcase(name, rule) or fnmatch.fnmatchcase(entry.name, rule) for rule in exclude):
                continue
            if entry.name == "__pycache__":
                continue  # made anew by whoever runs it, and different each time
            yield path
            if entry.is_dir(follow_symlinks=False):
                yield from visit(path)

    yield from visit(folder)


def _make_read_only(folder: Path) -> None:
    """Files of a release are never written; folders stay writable, since many programs put caches beside them."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)


def _remove_tree(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
