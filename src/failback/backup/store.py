"""Snapshots on disk: written, read back, verified; listed, restored, pruned.

    k8s/<id>.yaml  service/<id>.yaml  configs/<id>.json     the contract's documents (.age when encrypted)
    releases/<hash>.tar                                     large folders, shared by snapshots of the same content
    manifest-<id>.json                                      hashes, sizes, items: written last, so it says "complete"
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import yaml

from failback.backup.keys import Key, ensure_key
from failback.model.errors import NoSpace, SnapshotNotVerified, SnapshotUnreadable, UnknownSnapshot
from failback.model.snapshot import SnapshotContent, SnapshotRef

_SUFFIX = {"k8s": ".yaml", "service": ".yaml", "configs": ".json"}
_DAY_S = 86_400.0
_VERSION = 1


class SnapshotStore:
    """The snapshots below `root`. `clock` gives unix seconds."""

    def __init__(
        self,
        root: Path,
        key_file: Path,
        *,
        encryption: bool,
        retention_days: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self._key_file = key_file
        self._encryption = encryption
        self._retention_days = retention_days
        self._clock = clock

    def create(self, content: SnapshotContent, execution_id: str) -> SnapshotRef:
        """Stores and verifies. Raises NoSpace (nothing is left behind) or SnapshotNotVerified."""
        began = time.monotonic()
        written: list[Path] = []
        try:
            self._room_for(content)
            now = self._clock()
            name = self._claim(now, written)
            key = ensure_key(self._key_file) if self._encryption else None
            files: dict[str, str] = {}
            for kind, text in content.documents.items():
                relative = f"{kind}/{name}{_SUFFIX.get(kind, '.txt')}" + (".age" if key else "")
                files[relative] = self._write(relative, _sealed(key, text.encode()), written)
            archives = {}
            for label, path in content.files.items():
                relative, digest = self._archive(Path(path), key, written)
                files[relative] = digest
                archives[label] = relative
            reference = SnapshotRef(
                id=name,
                service=content.service,
                target=content.target,
                revision=content.revision,
                execution_id=execution_id,
                created_at=now,
                encrypted=key is not None,
                root=str(self.root),
                files=files,
                items=content.items,
            )
            self._check(reference, archives, content)
            reference = dataclasses.replace(
                reference, verified_at=self._clock(), duration_s=round(time.monotonic() - began, 4)
            )
            self._write_manifest(reference, archives, written)
        except OSError as cause:
            _undo(written)
            raise self._no_space(cause) from cause
        except SnapshotNotVerified:
            _undo(written)
            raise
        return reference

    def listed(self, service: str | None = None) -> list[SnapshotRef]:
        """Complete snapshots, oldest first."""
        found = [reference for reference, _ in self._manifests() if service in (None, reference.service)]
        return sorted(found, key=lambda reference: (reference.created_at, reference.id))

    def get(self, snapshot_id: str) -> SnapshotRef:
        return self._manifest(snapshot_id)[0]

    def read(self, snapshot_id: str) -> SnapshotContent:
        """The documents, decrypted. `files` holds the archives' paths. Raises SnapshotUnreadable."""
        reference, archives = self._manifest(snapshot_id)
        documents = {}
        for relative, digest in reference.files.items():
            kind = relative.split("/")[0]
            if relative not in archives.values():
                documents[kind] = self._open(relative, digest, reference).decode()
        return SnapshotContent(
            service=reference.service,
            target=reference.target,
            revision=reference.revision,
            documents=documents,
            files={label: str(self.root / relative) for label, relative in archives.items()},
            items=reference.items,
        )

    def unpack_files(self, snapshot_id: str, folder: Path) -> dict[str, Path]:
        """Unpacks the archived folders below `folder`; name -> path."""
        reference, archives = self._manifest(snapshot_id)
        unpacked = {}
        for label, relative in archives.items():
            raw = self._open(relative, reference.files[relative], reference)
            target = folder / label
            with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
                archive.extractall(target, filter=_as_it_was)
            unpacked[label] = target
        return unpacked

    def verify(self, snapshot_id: str) -> list[str]:
        """Problems, in words; none when every file is there, unchanged, opens and can be parsed."""
        reference, archives = self._manifest(snapshot_id)
        problems = []
        for relative, digest in reference.files.items():
            try:
                plain = self._open(relative, digest, reference)
                _parse(relative, plain, relative in archives.values())
            except (SnapshotUnreadable, ValueError, OSError, tarfile.TarError, yaml.YAMLError) as cause:
                problems.append(f"{relative}: {cause}")
        return problems

    def prune(self, in_use: set[str], now: float) -> list[str]:
        """Removes snapshots past the retention; never a service's newest good one, nor one in use.

        Age counts from the newest snapshot's time where the clock says less (it was set back), and a clock far ahead
        of every snapshot removes nothing but what is older than the newest by the retention too.
        """
        removed = []
        by_service: dict[str, list[SnapshotRef]] = {}
        for reference in self.listed():
            by_service.setdefault(reference.service, []).append(reference)
        for references in by_service.values():
            newest_good = next((one.id for one in reversed(references) if not self.verify(one.id)), None)
            newest = max(one.created_at for one in references)
            for one in references:
                age_s = min(now, newest + _DAY_S) - one.created_at
                if one.id not in in_use and one.id != newest_good and age_s > self._retention_days * _DAY_S:
                    self._remove(one)
                    removed.append(one.id)
        self._remove_leftovers()
        return removed

    def explain_restore(self, reference: SnapshotRef) -> str:
        """How a person restores it when failback is gone."""
        lines = []
        for relative in reference.files:
            path = self.root / relative
            if relative.endswith(".tar.age"):
                lines.append(f"  age -d -i {self._key_file} {path} | tar -x -C FOLDER")
            elif relative.endswith(".tar"):
                lines.append(f"  tar -x -C FOLDER -f {path}")
            elif relative.endswith(".age"):
                lines.append(f"  age -d -i {self._key_file} {path}")
            else:
                lines.append(f"  cat {path}")
        return "\n".join(lines)

    def _room_for(self, content: SnapshotContent) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        needed = sum(len(text) * 4 for text in content.documents.values()) + 65536
        for path in content.files.values():
            if not self._known_archive(Path(path)):
                needed += sum(file.stat().st_size + 1024 for file in Path(path).rglob("*") if file.is_file())
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed} bytes are needed, {free} are free", str(self.root))

    def _known_archive(self, folder: Path) -> bool:
        return any((self.root / "releases").glob(f"{folder.name}.tar*"))

    def _claim(self, now: float, written: list[Path]) -> str:
        """A name of its own: the second, with a suffix where that is taken (also by another process)."""
        number = 1
        while True:
            name = f"{int(now)}" if number == 1 else f"{int(now)}-{number}"
            claim = self.root / f".claim-{name}"
            if not (self.root / f"manifest-{name}.json").exists():
                try:
                    os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                    written.append(claim)
                    return name
                except FileExistsError:
                    pass
            number += 1

    def _write(self, relative: str, content: bytes, written: list[Path]) -> str:
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        written.append(path)
        _write_durably(path, content)
        return hashlib.sha256(content).hexdigest()

    def _archive(self, folder: Path, key: Key | None, written: list[Path]) -> tuple[str, str]:
        """One archive a release: the folder's name is the hash of its content, so the same content is kept once."""
        relative = f"releases/{folder.name}.tar" + (".age" if key else "")
        note = self.root / f"{relative}.sha256"
        path = self.root / relative
        if path.exists() and note.exists():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest == note.read_text():
                return relative, digest
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(folder, arcname=".", filter=_without_caches)
        digest = self._write(relative, _sealed(key, buffer.getvalue()), written)
        _write_durably(note, digest.encode())
        return relative, digest

    def _check(self, reference: SnapshotRef, archives: Mapping[str, str], content: SnapshotContent) -> None:
        """Reads everything back from the disk and compares it with what was meant."""
        for relative, digest in reference.files.items():
            try:
                plain = self._open(relative, digest, reference)
                _parse(relative, plain, relative in archives.values())
            except (SnapshotUnreadable, ValueError, tarfile.TarError, yaml.YAMLError) as cause:
                raise self._differs(reference, relative, str(cause)) from cause
            kind = relative.split("/")[0]
            if relative not in archives.values() and plain.decode() != content.documents[kind]:
                raise self._differs(reference, relative, "it differs after reading it back")

    def _differs(self, reference: SnapshotRef, relative: str, why: str) -> SnapshotNotVerified:
        return SnapshotNotVerified(
            f"{reference.service} was not touched: {relative} of its snapshot is not as it was written ({why}). "
            f"Check the disk below {self.root}.",
            service=reference.service,
            file=relative,
        )

    def _open(self, relative: str, digest: str, reference: SnapshotRef) -> bytes:
        try:
            raw = (self.root / relative).read_bytes()
        except FileNotFoundError:
            raise SnapshotUnreadable(f"{relative} is missing") from None
        if hashlib.sha256(raw).hexdigest() != digest:
            raise SnapshotUnreadable(f"{relative} was changed or damaged: its hash is not the manifest's")
        if not relative.endswith(".age"):
            return raw
        try:
            return ensure_key(self._key_file).decrypt(raw)
        except ValueError as cause:
            raise SnapshotUnreadable(f"{relative} {cause}") from cause

    def _write_manifest(self, reference: SnapshotRef, archives: Mapping[str, str], written: list[Path]) -> None:
        shape = {"version": _VERSION, **dataclasses.asdict(reference), "archives": dict(archives)}
        text = json.dumps(shape, indent=1, sort_keys=True)
        shape["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        path = self.root / f"manifest-{reference.id}.json"
        written.append(path)
        _write_durably(path, json.dumps(shape, indent=1, sort_keys=True).encode())
        (self.root / f".claim-{reference.id}").unlink(missing_ok=True)

    def _manifests(self) -> Iterator[tuple[SnapshotRef, dict[str, str]]]:
        for path in self.root.glob("manifest-*.json") if self.root.exists() else ():
            try:
                yield self._read_manifest(path)
            except SnapshotUnreadable:
                continue  # not complete, so never a snapshot

    def _manifest(self, snapshot_id: str) -> tuple[SnapshotRef, dict[str, str]]:
        path = self.root / f"manifest-{snapshot_id}.json"
        if not path.exists():
            known = ", ".join(one.id for one in self.listed()[-5:]) or "none"
            raise UnknownSnapshot(f"{self.root} has no snapshot {snapshot_id!r}. The newest are: {known}.")
        return self._read_manifest(path)

    def _read_manifest(self, path: Path) -> tuple[SnapshotRef, dict[str, str]]:
        try:
            shape = json.loads(path.read_text())
            digest, archives = shape.pop("sha256"), shape.pop("archives")
            text = json.dumps({**shape, "archives": archives}, indent=1, sort_keys=True)
            if hashlib.sha256(text.encode()).hexdigest() != digest:
                raise ValueError("its own hash is wrong")
            shape.pop("version")
            # A backup folder may have been moved: it is where its manifest is.
            return SnapshotRef(**{**shape, "items": tuple(shape["items"]), "root": str(self.root)}), archives
        except (ValueError, KeyError, TypeError, OSError) as cause:
            raise SnapshotUnreadable(f"{path} is damaged: {cause}", path=str(path)) from cause

    def _remove(self, reference: SnapshotRef) -> None:
        """The manifest first: without it the rest is a leftover, never half a snapshot."""
        (self.root / f"manifest-{reference.id}.json").unlink(missing_ok=True)
        still_used = {relative for other, _ in self._manifests() for relative in other.files}
        for relative in reference.files:
            if relative not in still_used:
                (self.root / relative).unlink(missing_ok=True)
                (self.root / f"{relative}.sha256").unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """What a kill in the middle left: files no manifest names, once they are an hour old."""
        named = {relative for reference, _ in self._manifests() for relative in reference.files}
        claims = {claim.name.removeprefix(".claim-") for claim in self.root.glob(".claim-*")}
        for folder in ("k8s", "service", "configs", "releases"):
            for path in (self.root / folder).glob("*"):
                relative = f"{folder}/{path.name}".removesuffix(".sha256")
                old = self._clock() - path.stat().st_mtime > 3600
                if relative not in named and old and path.name.split(".")[0] not in claims - _old_claims(self.root):
                    path.unlink(missing_ok=True)
        for name in _old_claims(self.root):
            (self.root / f".claim-{name}").unlink(missing_ok=True)

    def _no_space(self, cause: OSError) -> NoSpace:
        full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "has no room for the backup" if full else "cannot be written"
        return NoSpace(
            f"Nothing was touched: {self.root} {what} ({cause.strerror or cause}). "
            f"Free some space, or name another folder as backup.backup_root.",
            path=str(self.root),
        )


def _old_claims(root: Path) -> set[str]:
    now = time.time()
    return {
        claim.name.removeprefix(".claim-") for claim in root.glob(".claim-*") if now - claim.stat().st_mtime > 3600
    }


def _sealed(key: Key | None, plain: bytes) -> bytes:
    return plain if key is None else key.encrypt(plain)


def _parse(relative: str, plain: bytes, archive: bool) -> None:
    if archive:
        with tarfile.open(fileobj=io.BytesIO(plain)) as opened:
            opened.getmembers()
    elif relative.startswith("configs/"):
        json.loads(plain)
    elif ".yaml" in relative:
        yaml.load(plain, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _as_it_was(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """Like tarfile's own "data" filter, but a link may point anywhere (a release's shared folders are such links):
    it is only ever written as a link, and nothing is unpacked through it."""
    if member.issym():
        return member
    return tarfile.data_filter(member, path)


def _without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name.split("/") else member


def _write_durably(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _undo(written: list[Path]) -> None:
    for path in written:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".sha256").unlink(missing_ok=True)
