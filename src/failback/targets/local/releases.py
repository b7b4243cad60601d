"""Immutable releases: a folder copied under the hash of its content, complete or not there at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from failback.model.errors import NoSpace, ReleaseError
from failback.model.release import Finding
from failback.targets.local import releases_findings
from failback.targets.local.layout import way_to_releases
from failback.targets.local.releases_content import Content, Entry, all_entries, content_of, copy
from failback.targets.local.releases_findings import self_contained

__all__ = ["ReleaseStore", "StagedRelease", "self_contained"]

_SHORT = 16
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True, slots=True)
class StagedRelease:
    """A release in the store. `digest` is "sha256:..." over paths, kinds, contents and link targets."""

    digest: str
    path: Path
    files: int
    bytes: int


class ReleaseStore:
    """The releases of one service, in `folder`; `shared_folder` (beside it) holds what outlives each release."""

    def __init__(self, folder: Path, shared_folder: Path | None = None) -> None:
        self.folder = folder
        self.shared_folder = shared_folder if shared_folder is not None else folder.parent / "shared"

    def stage(self, source: Path, exclude: Sequence[str] = (), shared: Sequence[str] = ()) -> StagedRelease:
        """Copies `source`; the same content gives the same release, which is then there once.

        Raises NoSpace when the disk is full or not writable, ReleaseError when the source cannot be read.
        """
        source = source.resolve()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(way_to_releases())
            with self._exclusively():
                self._sweep()
                return self._stage(source, exclude, shared)
        except OSError as cause:
            raise _told(cause, source, self.folder) from cause

    def _stage(self, source: Path, exclude: Sequence[str], shared: Sequence[str]) -> StagedRelease:
        # A release that holds this very store would hold itself.
        without = {str(self.folder.resolve()), str(self.shared_folder.resolve())}
        entries = all_entries(source, exclude, shared, without)
        for name in shared:
            self._share(source, name.strip("/"))
        known = content_of(source, entries)
        if not self.verify(known.digest):
            temporary = self.folder / f".staging-{uuid.uuid4().hex[:12]}"
            temporary.mkdir(mode=0o700)
            try:
                known = copy(source, temporary, entries)
                self._settle(temporary, self.path(known.digest), known)
            finally:
                _remove_tree(temporary)
        return StagedRelease(known.digest, self.path(known.digest), known.files, known.bytes)

    def _settle(self, temporary: Path, path: Path, content: Content) -> None:
        """On the disk first, then under its name: who finds the name finds all of it."""
        for entry in content.entries:
            if entry.kind == "shared":
                link = temporary / entry.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(self.shared_folder.resolve() / entry.name)
        names = b"".join(os.fsencode(f"{entry.kind}\0{entry.name}\0") for entry in content.entries)
        self._names(content.digest).write_bytes(names)
        temporary.chmod(0o755)
        _sync_file_system(self.folder)
        if path.exists():
            # Changed or damaged, so worth nothing. A process that runs in it keeps it until it ends.
            path.rename(self._gone(path))
        temporary.rename(path)
        _sync_folder(self.folder)
        self._sweep()

    def _share(self, source: Path, name: str) -> None:
        """The folder that all releases see: made on first use, from what the release brings."""
        kept = self.shared_folder / name
        if kept.exists():
            return
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.shared_folder.chmod(way_to_releases())
        seed = kept.parent / f".seed-{kept.name}-{uuid.uuid4().hex[:8]}"
        try:
            if (source / name).is_dir():
                shutil.copytree(source / name, seed, symlinks=True)
            else:
                seed.mkdir()
            _sync_file_system(kept.parent)
            seed.rename(kept)  # never half of it: a kill before this line leaves it to the next stage
        finally:
            _remove_tree(seed)

    def self_contained(
        self, source: Path, plan_folder: Path, exclude: Sequence[str] = (), shared: Sequence[str] = ()
    ) -> list[Finding]:
        """What ties the release to the folder it was built in; see `releases_findings`."""
        return releases_findings.self_contained(source, plan_folder, exclude, shared)

    def path(self, digest: str) -> Path:
        """Where the release of this digest is, or would be."""
        return self.folder / digest.removeprefix("sha256:")[:_SHORT]

    def digests(self) -> list[str]:
        """Short digests of the releases that are there; each method here takes them, too."""
        if not self.folder.exists():
            return []
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def verify(self, digest: str) -> bool:
        """Whether each entry of the release is what it was.

        What a running program has added beside them (a cache, a log) does not damage the release.
        """
        try:
            words = self._names(digest).read_bytes().split(b"\0")[:-1]
            pairs = zip(words[::2], words[1::2], strict=True)
            entries = [Entry(os.fsdecode(kind), os.fsdecode(name)) for kind, name in pairs]
            now = content_of(self.path(digest), entries).digest
        except (OSError, ValueError):
            return False
        return now.removeprefix("sha256:").startswith(digest.removeprefix("sha256:"))

    def remove(self, digest: str) -> bool:
        """Removes the release; False when it was not there. It vanishes at once, so no half of it is ever used."""
        path = self.path(digest)
        if not path.exists():
            return False
        path.rename(self._gone(path))
        self._names(digest).unlink(missing_ok=True)
        self._sweep_gone()
        return True

    def remove_leftovers(self) -> None:
        """What a kill in the middle left; while another process stages, nothing."""
        if not self.folder.exists():
            return
        with contextlib.suppress(BlockingIOError), self._exclusively(wait=False):
            self._sweep()

    def _sweep(self) -> None:
        """Whoever has the lock is the only one that stages, so every unfinished one is a leftover."""
        for path in self.folder.glob(".staging-*"):
            _remove_tree(path)
        for path in self.shared_folder.rglob(".seed-*") if self.shared_folder.exists() else ():
            _remove_tree(path)
        for path in self.folder.glob(".names-*"):
            if not (self.folder / path.name.removeprefix(".names-")).exists():
                path.unlink(missing_ok=True)
        self._sweep_gone()

    def _sweep_gone(self) -> None:
        for path in self.folder.glob(".gone-*"):
            _remove_tree(path)

    def _names(self, digest: str) -> Path:
        return self.folder / f".names-{digest.removeprefix('sha256:')[:_SHORT]}"

    def _gone(self, path: Path) -> Path:
        return self.folder / f".gone-{path.name}-{uuid.uuid4().hex[:8]}"

    @contextlib.contextmanager
    def _exclusively(self, *, wait: bool = True) -> Iterator[None]:
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield


def _told(cause: OSError, source: Path, folder: Path) -> NoSpace | ReleaseError:
    where = str(cause.filename or "")
    if cause.errno in _NO_ROOM or where.startswith(str(folder)):
        return NoSpace(
            f"The release {source} was not copied to {folder}: {cause.strerror}. Nothing was touched. Free some "
            f"space or make the folder writable, then deploy again.",
            path=str(folder),
        )
    return ReleaseError(
        f"The release {source} cannot be read: {cause.strerror} ({where}). Is `release.path` right, and did the build "
        f"make it?",
        path=str(source),
    )


def _remove_tree(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _sync_file_system(folder: Path) -> None:
    """All of what was written to this file system: one call, where thousands of small files would each be one."""
    if sys.platform == "linux":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) == 0:
                return
        except AttributeError:
            pass  # a C library without it: the whole machine's files are synced instead
        finally:
            os.close(descriptor)
    os.sync()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
