"""What a release consists of: its entries in a fixed order, their hash, and a copy of them.

Read and written once in the same pass, so that the hash is of what was written. The copy is a real one: a hard link
would change with the source, and a reflink exists on few file systems and saves little where all is hashed anyway.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from failback.targets.local.own_state import is_own_state

# Made anew by whoever runs it, and different each time; and the history is no part of what runs.
_NEVER = frozenset({"__pycache__", ".git"})
_CHUNK_BYTES = 1024 * 1024
_EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: `kind` is "folder", "file", "executable", "link" or "shared"; `name` is relative, with slashes."""

    kind: str
    name: str


@dataclass(slots=True)
class Content:
    """A whole release: `digest` is "sha256:..." over every entry's name and kind, content or link target."""

    digest: str
    entries: list[Entry]
    files: int
    bytes: int


def entries_of(
    folder: Path, exclude: Sequence[str] = (), shared: Sequence[str] = (), without: Collection[str] = ()
) -> Iterator[Entry]:
    """Everything below, by name, so that the order is not the file system's. Sockets, pipes and devices are left out,
    and so is failback's own state.

    `exclude`: patterns for a relative path or a bare name. `shared`: relative paths, exact. `without`: absolute paths.
    """
    rules = tuple(rule.strip("/") for rule in exclude)
    kept = {name.strip("/") for name in shared}

    def visit(inside: str, prefix: str) -> Iterator[Entry]:
        with os.scandir(inside) as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            name = prefix + child.name
            if child.name in _NEVER or name in kept or child.path in without or _excluded(name, child.name, rules):
                continue
            kind = _kind(child)
            if kind == "folder" and is_own_state(Path(child.path)):
                continue
            if kind:
                yield Entry(kind, name)
            if kind == "folder":
                yield from visit(child.path, f"{name}/")

    yield from visit(str(folder), "")


def _excluded(name: str, bare: str, rules: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, rule) or fnmatch.fnmatchcase(bare, rule) for rule in rules)


def _kind(child: os.DirEntry[str]) -> str:
    if child.is_symlink():
        return "link"
    if child.is_dir(follow_symlinks=False):
        return "folder"
    if child.is_file(follow_symlinks=False):
        return "executable" if child.stat(follow_symlinks=False).st_mode & _EXECUTABLE else "file"
    return ""


def all_entries(
    folder: Path, exclude: Sequence[str] = (), shared: Sequence[str] = (), without: Collection[str] = ()
) -> list[Entry]:
    """The entries below, then those that will be links to shared folders. Raises OSError."""
    links = [Entry("shared", name) for name in sorted({name.strip("/") for name in shared})]
    return [*entries_of(folder, exclude, shared, without), *links]


def copy(source: Path, target: Path, entries: Sequence[Entry]) -> Content:
    """Copies into the empty folder `target`; files end read-only and keep their time. Raises OSError."""
    total = hashlib.sha256()
    files = size = 0
    for entry in entries:
        here, there = source / entry.name, target / entry.name
        told = ""
        if entry.kind == "folder":
            there.mkdir(0o755)
        elif entry.kind == "link":
            told = str(here.readlink())
            there.symlink_to(told)
        elif entry.kind != "shared":
            told, written = _copy_file(here, there, 0o555 if entry.kind == "executable" else 0o444)
            files, size = files + 1, size + written
        _count(total, entry, told)
    return Content(f"sha256:{total.hexdigest()}", list(entries), files, size)


def _copy_file(source: Path, target: Path, mode: int) -> tuple[str, int]:
    """The hash of what was written, and how much it was."""
    digest = hashlib.sha256()
    size = 0
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        info = os.fstat(reader.fileno())
        while chunk := reader.read(_CHUNK_BYTES):
            digest.update(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[writer.write(rest) :]
            size += len(chunk)
        os.fchmod(writer.fileno(), mode)
    # A static file's time is its Last-Modified: the same file in the next release is still the same to a browser.
    os.utime(target, ns=(info.st_mtime_ns, info.st_mtime_ns))
    return digest.hexdigest(), size


def content_of(folder: Path, entries: Sequence[Entry]) -> Content:
    """What these entries are now. Raises OSError when one is not there."""
    total = hashlib.sha256()
    files = size = 0
    for entry in entries:
        if entry.kind == "shared":
            _count(total, entry, "")
            continue
        path = folder / entry.name
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            _count(total, Entry("link", entry.name), str(path.readlink()))
        elif stat.S_ISDIR(info.st_mode):
            _count(total, Entry("folder", entry.name), "")
        else:
            with path.open("rb", buffering=0) as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            _count(total, Entry("executable" if info.st_mode & _EXECUTABLE else "file", entry.name), content)
            files, size = files + 1, size + info.st_size
    return Content(f"sha256:{total.hexdigest()}", list(entries), files, size)


def _count(total: hashlib._Hash, entry: Entry, told: str) -> None:
    total.update(os.fsencode(f"{entry.kind}\0{entry.name}\0{told}\0"))
