"""Snapshots on disk: written, read back, verified; listed, restored, pruned.

k8s/<id>.yaml  service/<id>.yaml  configs/<id>.json     the contract's documents (.age when encrypted)
releases/<id>.<name>.tar                                large folders; a snapshot of the same content refers to it
manifest-<id>.json                                      hashes, sizes, items: written last, so it says "complete"
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from failback.backup import archive as archives
from failback.backup import explain, leftovers, reading
from failback.backup.disk import FolderLock, no_space
from failback.backup.keys import Key, ensure_key, keep_for_people, passphrase_file
from failback.backup.manifest import Manifest, read_manifest
from failback.backup.retention import removable
from failback.backup.tar import unpack
from failback.backup.witness import Witness, system_uptime
from failback.backup.writing import Journal, Unrecorded, Writing, differs, make_folder, undo
from failback.model.errors import NotPermitted, SnapshotUnreadable, UnknownSnapshot
from failback.model.snapshot import SnapshotContent, SnapshotRef

_DAY_S = 86_400.0
_GAP_S_MAX = 7 * _DAY_S  # what the wall clock is believed across a reboot
_PRUNE_WAIT_S_MAX = 5.0


class SnapshotStore:
    """The snapshots below `root`. `clock` gives unix seconds, `uptime` the boot's name and the seconds since.

    `passphrase`: a file whose words open the backup's own copy of the key, for people (`FAILBACK_PASSPHRASE_FILE`).
    """

    def __init__(
        self,
        root: Path,
        key_file: Path,
        *,
        encryption: bool,
        retention_days: float,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], tuple[str, float]] = system_uptime,
        passphrase: Path | None = None,
    ) -> None:
        self.root = root
        self._key_file = key_file
        self._encryption = encryption
        self._retention_s = retention_days * _DAY_S
        self._clock = clock
        self._passphrase = passphrase or passphrase_file(os.environ)
        self._lock = FolderLock(root)
        self._witness = Witness(root, min(_GAP_S_MAX, self._retention_s / 4), uptime)

    def create(self, content: SnapshotContent, execution_id: str, journal: Journal | None = None) -> SnapshotRef:
        """Stores and verifies; what is returned was read back from the device.

        Raises NoSpace (exit 5) when the folder is full or not writable, SnapshotNotVerified when something is not as
        it was written or cannot be read, NotPermitted when the key is not private. Nothing is left behind then.
        """
        made: list[Path] = []
        try:
            key = self._key_for_writing() if self._encryption else None
            make_folder(self.root, made)
            with self._lock.alone(0.0) as alone:
                if alone:
                    leftovers.sweep(self.root)
            with self._lock.shared():
                if key is not None and self._passphrase is not None:
                    keep_for_people(key, self._passphrase, self.root)
                writing = Writing(self.root, key, self._clock, self._witness, journal or Unrecorded(), made)
                return writing.run(content, execution_id)
        except OSError as cause:
            undo(made)
            what = str(cause.filename or self.root)
            raise no_space(self.root, cause) or differs(content.service, self.root, what, cause) from cause
        except BaseException:
            undo(made)
            raise

    def listed(self, service: str | None = None) -> list[SnapshotRef]:
        """Complete snapshots, oldest first (by the time that has surely passed, whatever the clock was set to)."""
        found, _ = leftovers.manifests(self.root) if self.root.is_dir() else ([], {})
        return [one.ref for one in found if service in (None, one.ref.service)]

    def damaged(self) -> dict[str, str]:
        """Snapshots whose very manifest cannot be read, so that they are not listed: id -> why."""
        return leftovers.manifests(self.root)[1] if self.root.is_dir() else {}

    def get(self, snapshot_id: str) -> SnapshotRef:
        """Raises UnknownSnapshot, SnapshotUnreadable."""
        return self._manifest(snapshot_id).ref

    def read(self, snapshot_id: str) -> SnapshotContent:
        """The documents, checked and decrypted. `files` holds the archives' paths. Raises SnapshotUnreadable."""
        manifest = self._manifest(snapshot_id)
        try:
            key = reading.key_of(manifest, self._key_file)
            documents = {
                kind: reading.document(self.root, relative, manifest.ref.files[relative], key).decode(
                    "utf-8", "surrogateescape"
                )
                for kind, relative in manifest.documents().items()
            }
        except (OSError, ValueError) as cause:
            raise self._unreadable(manifest, cause) from cause
        ref = manifest.ref
        paths = {label: str(self.root / archive.file) for label, archive in manifest.archives.items()}
        return SnapshotContent(ref.service, ref.target, ref.revision, documents, paths, ref.items)

    def unpack_files(self, snapshot_id: str, folder: Path) -> dict[str, Path]:
        """Unpacks the archived folders below `folder`; name -> path. Nothing is unpacked of an archive that is not
        whole. Raises SnapshotUnreadable; NoSpace when `folder` has no room."""
        manifest = self._manifest(snapshot_id)
        unpacked = {}
        for label, archive in manifest.archives.items():
            unpacked[label] = folder / label
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                with tempfile.NamedTemporaryFile(dir=folder, prefix=".unpacking-") as plain:
                    key = reading.key_of(manifest, self._key_file)
                    archives.open_archive(self.root / archive.file, archive, key, plain.write)
                    plain.flush()
                    unpack(Path(plain.name), unpacked[label])
            except OSError as cause:
                raise no_space(folder, cause) or self._unreadable(manifest, cause) from cause
            except ValueError as cause:
                raise self._unreadable(manifest, cause) from cause
        return unpacked

    def verify(self, snapshot_id: str) -> list[str]:
        """Problems, in words; none when every file is there, unchanged, opens and can be parsed."""
        try:
            manifest = self._manifest(snapshot_id)
        except SnapshotUnreadable as cause:
            return [cause.message]
        return reading.problems(self.root, manifest, self._key_file)

    def prune(self, in_use: set[str], now: float) -> list[str]:
        """Removes snapshots past the retention and what killed processes left; returns the ids.

        Never a service's newest good one (a damaged one is not good), one in use, or one sealed to another key. Age is
        witnessed time, not the clock's (see witness.py): a clock set forwards removes nothing early, one set backwards
        only makes it late. While others store, and where nothing can be removed, it leaves all as it is.
        """
        removed: list[str] = []
        if not self.root.is_dir():
            return removed
        try:
            with self._lock.alone(_PRUNE_WAIT_S_MAX) as alone:
                if not alone:
                    return removed
                leftovers.sweep(self.root)
                found, _ = leftovers.manifests(self.root)
                ledger = self._witness.look(now, max((one.witnessed_s for one in found), default=0.0))
                for snapshot_id in removable(
                    found,
                    witnessed_s=ledger.total_s,
                    retention_s=self._retention_s,
                    in_use=in_use,
                    judgeable=self._ours,
                    good=lambda one: not reading.problems(self.root, one, self._key_file),
                ):
                    leftovers.discard(self.root, snapshot_id)
                    removed.append(snapshot_id)
                self._witness.keep(ledger)
        except OSError:
            return removed  # a full or read-only folder is told by the next `create`; pruning is no one's main job
        return removed

    def explain_restore(self, reference: SnapshotRef, into: str = "restored") -> str:
        """The commands with which a person restores it when failback is gone."""
        people_key = next(iter(sorted(self.root.glob("key-*.age"))), None) if self.root.is_dir() else None
        return explain.commands(reference, self._key_file, people_key, into)

    def _manifest(self, snapshot_id: str) -> Manifest:
        path = leftovers.manifest_path(self.root, snapshot_id)
        if os.sep in snapshot_id or not path.exists():
            known = ", ".join(one.id for one in self.listed()[-5:]) or "none"
            raise UnknownSnapshot(
                f"{self.root} has no snapshot {snapshot_id!r}. The newest are: {known}. `failback backups list` shows "
                f"all; another folder is named by --root.",
                snapshot=snapshot_id,
            )
        return read_manifest(path)

    def _key_for_writing(self) -> Key:
        try:
            return ensure_key(self._key_file)
        except OSError as cause:
            raise no_space(self._key_file.parent, cause) or cause from cause

    def _ours(self, manifest: Manifest) -> bool:
        try:
            key = reading.key_of(manifest, self._key_file)
        except (SnapshotUnreadable, NotPermitted):
            return False
        return key is None or key.recipient == manifest.recipient

    def _unreadable(self, manifest: Manifest, cause: Exception) -> SnapshotUnreadable:
        return SnapshotUnreadable(
            f"Snapshot {manifest.ref.id} of {manifest.ref.service} cannot be read: {cause}. "
            f"`failback backups verify {manifest.ref.id}` tells all of it, `failback backups list` shows the others.",
            snapshot=manifest.ref.id,
        )
