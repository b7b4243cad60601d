"""Stores one snapshot: claimed, written, read back from the device, and only then listed by its manifest."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from failback.backup import archive as archives
from failback.backup import leftovers, reading
from failback.backup.archive import Archive
from failback.backup.disk import free_bytes, sync_folder, write_durably
from failback.backup.keys import Key
from failback.backup.manifest import Manifest, read_manifest
from failback.backup.tar import Source
from failback.backup.witness import Witness
from failback.model.errors import SnapshotNotVerified
from failback.model.snapshot import SnapshotContent, SnapshotRef

_SUFFIX = {"k8s": ".yaml", "service": ".yaml", "configs": ".json"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_SEAL_BYTES = 1024  # of an age header, at most
_MARGIN_BYTES = 256 * 1024


class Journal(Protocol):
    """The part of the write-ahead record that is needed here."""

    def intent(self, write: str, /, **detail: Any) -> AbstractContextManager[None]: ...


class Unrecorded:
    """For callers that hold one intent around the whole snapshot."""

    def intent(self, write: str, /, **detail: Any) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


@dataclass(slots=True)
class Writing:
    """One snapshot in the making. `made`: what came into being, in order, so that the caller can take it back."""

    root: Path
    key: Key | None
    clock: Callable[[], float]
    witness: Witness
    journal: Journal
    made: list[Path]
    files: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def run(self, content: SnapshotContent, execution_id: str) -> SnapshotRef:
        """Raises OSError, SnapshotNotVerified."""
        began = time.monotonic()
        _check_names(content)
        known, _ = leftovers.manifests(self.root)
        kept = self._kept_archives(content, known)
        self._check_room(content, kept)
        now = self.clock()
        name, claim = leftovers.claimed_name(self.root, int(now))
        self.made.append(claim)
        for kind, text in content.documents.items():
            self._document(f"{kind}/{name}{_SUFFIX.get(kind, '.txt')}", text)
        stored = {label: kept.get(label) or self._archive(name, label, content) for label in content.files}
        for archive in stored.values():
            self.files[archive.file], self.sizes[archive.file] = archive.stored, archive.bytes
        for folder in sorted({Path(relative).parent for relative in self.files}):
            sync_folder(self.root / folder)
        self._check_documents(content)
        ref = SnapshotRef(
            id=name,
            service=content.service,
            target=content.target,
            revision=content.revision,
            execution_id=execution_id,
            created_at=now,
            encrypted=self.key is not None,
            root=str(self.root),
            files=self.files,
            items=content.items,
            verified_at=self.clock(),
            duration_s=round(time.monotonic() - began, 4),
        )
        self._complete(ref, stored, known)
        claim.unlink()
        return ref

    def _kept_archives(self, content: SnapshotContent, known: list[Manifest]) -> dict[str, Archive]:
        """Archives of the very same content, by label: read back whole now, so that they count as verified."""
        kept: dict[str, Archive] = {}
        recipient = self.key.recipient if self.key else ""
        for label in content.files:
            candidates = [
                manifest.archives[label]
                for manifest in reversed(known)
                if label in manifest.archives
                and manifest.ref.service == content.service
                and manifest.recipient == recipient
            ]
            if not candidates:
                continue
            digest = archives.digest_of(_source(content, label))
            for archive in candidates:
                if archive.content == digest:
                    with contextlib.suppress(OSError, ValueError):  # a damaged one is not used: it is archived anew
                        archives.open_archive(self.root / archive.file, archive, self.key)
                        kept[label] = archive
                    break
        return kept

    def _check_room(self, content: SnapshotContent, kept: dict[str, Archive]) -> None:
        needed = _MARGIN_BYTES + sum(
            len(text.encode("utf-8", "surrogateescape")) for text in content.documents.values()
        )
        for label in content.files:
            if label not in kept:
                try:
                    needed += _source(content, label).estimate_bytes() + _SEAL_BYTES
                except OSError as cause:
                    raise SnapshotNotVerified(
                        f"{content.service} was not touched: {cause.filename}, which is to be backed up, cannot be "
                        f"read ({cause.strerror}).",
                        service=content.service,
                    ) from cause
        free = free_bytes(self.root)
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed, {free:,} are free", str(self.root))

    def _document(self, relative: str, text: str) -> None:
        plain = text.encode("utf-8", "surrogateescape")
        sealed = plain if self.key is None else self.key.encrypt(plain)
        relative += ".age" if self.key else ""
        path = self._place(relative)
        with self.journal.intent("snapshot.write", file=relative):
            write_durably(path, sealed)
        self.files[relative], self.sizes[relative] = hashlib.sha256(sealed).hexdigest(), len(sealed)

    def _archive(self, name: str, label: str, content: SnapshotContent) -> Archive:
        relative = f"{leftovers.RELEASES}/{name}.{label}.tar" + (".age" if self.key else "")
        path = self._place(relative)
        with self.journal.intent("snapshot.write", file=relative):
            try:
                return archives.store(_source(content, label), path, relative, self.key)
            except ValueError as cause:
                raise differs(content.service, self.root, relative, cause) from cause

    def _place(self, relative: str) -> Path:
        path = self.root / relative
        make_folder(path.parent, self.made)
        self.made.append(path)
        return path

    def _check_documents(self, content: SnapshotContent) -> None:
        for relative, stored in self.files.items():
            kind = relative.split("/")[0]
            if kind == leftovers.RELEASES:
                continue
            try:
                plain = reading.document(self.root, relative, stored, self.key)
                if plain != content.documents[kind].encode("utf-8", "surrogateescape"):
                    raise ValueError("holds another text than was written")
                reading.parse(relative, plain)
            except (OSError, ValueError) as cause:
                raise differs(content.service, self.root, relative, cause) from cause

    def _complete(self, ref: SnapshotRef, stored: dict[str, Archive], known: list[Manifest]) -> None:
        """The manifest, last: from here on it is a snapshot."""
        newest_s = max((one.witnessed_s for one in known), default=0.0)
        ledger = self.witness.look(ref.created_at, newest_s)
        recipient = self.key.recipient if self.key else ""
        manifest = Manifest(ref, stored, self.sizes, recipient, ledger.total_s)
        path = leftovers.manifest_path(self.root, ref.id)
        with self.journal.intent("snapshot.complete", snapshot=ref.id):
            self.made.append(path)
            write_durably(path, manifest.as_bytes())
            sync_folder(self.root)
            if replace(read_manifest(path).ref, root=ref.root) != ref:
                raise differs(ref.service, self.root, path.name, ValueError("differs after reading it back"))
        self.witness.keep(ledger)


def make_folder(path: Path, made: list[Path]) -> None:
    """The folder with its parents, readable by its user alone; those that were made are noted. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent, made)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        made.append(path)


def undo(made: list[Path]) -> None:
    """Takes back what a snapshot that failed has made, the manifest first and the claim after its files."""
    for path in reversed(made):
        # What cannot be removed stays under its claim: the next one who can write here removes it.
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)


def differs(service: str, root: Path, what: str, cause: Exception) -> SnapshotNotVerified:
    why = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(cause)
    return SnapshotNotVerified(
        f"{service} was not touched: {what} of its snapshot is not what was written ({why}). "
        f"Check the disk below {root}, or name another folder as backup.backup_root.",
        service=service,
        file=what,
    )


def _source(content: SnapshotContent, label: str) -> Source:
    names = content.names.get(label)
    return Source(Path(content.files[label]), None if names is None else tuple(names))


def _check_names(content: SnapshotContent) -> None:
    for name in (*content.documents, *content.files):
        if not _NAME.fullmatch(name) or (name == leftovers.RELEASES and name in content.documents):
            raise SnapshotNotVerified(
                f"{content.service} was not touched: {name!r} cannot be the name of a part of a snapshot. Use letters, "
                f"digits, - and _.",
                service=content.service,
            )
