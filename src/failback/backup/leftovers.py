"""What a killed process left behind in a backup folder, told apart from everything that is not ours.

A snapshot's files come into being under a claim (`.claim-<id>`), and a manifest that is removed becomes one again. So a
claim without a manifest is the one thing that says "these files belong to nobody": only its files are removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from failback.backup.disk import TEMPORARY, sync_folder
from failback.backup.manifest import Manifest, read_manifest
from failback.model.errors import SnapshotUnreadable

CLAIM = ".claim-"
RELEASES = "releases"
_MANIFEST = re.compile(r"manifest-(\d+(?:-\d+)?)\.json")


def manifest_path(root: Path, snapshot_id: str) -> Path:
    return root / f"manifest-{snapshot_id}.json"


def manifests(root: Path) -> tuple[list[Manifest], dict[str, str]]:
    """Those that can be read, oldest first, and why the others cannot, by id."""
    found: list[Manifest] = []
    damaged: dict[str, str] = {}
    for path in sorted(root.glob("manifest-*.json")):
        named = _MANIFEST.fullmatch(path.name)
        if named is None:
            continue
        try:
            found.append(read_manifest(path))
        except SnapshotUnreadable as cause:
            damaged[named.group(1)] = cause.message
    return sorted(found, key=lambda one: one.order), damaged


def claimed_name(root: Path, second: int) -> tuple[str, Path]:
    """An id that nobody has or had: the second, with a suffix where it is taken. Safe between processes.

    Raises OSError.
    """
    number = 1
    while True:
        name = str(second) if number == 1 else f"{second}-{number}"
        number += 1
        claim = root / f"{CLAIM}{name}"
        if _taken(root, name):
            continue
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            continue
        # Between the look and the claim, another process may have finished this very id.
        if _taken(root, name):
            claim.unlink()
            continue
        return name, claim


def discard(root: Path, snapshot_id: str) -> None:
    """Takes a snapshot off the list, at once; then its files go. A kill in between leaves a claim, and no snapshot."""
    claim = root / f"{CLAIM}{snapshot_id}"
    manifest_path(root, snapshot_id).rename(claim)
    sync_folder(root)
    _clear(root, claim)


def sweep(root: Path) -> None:
    """Removes all leftovers. Only for who has the folder alone: nobody is storing, so each claim is a dead one's."""
    for claim in sorted(root.glob(f"{CLAIM}*")):
        _clear(root, claim)
    for folder in (root, *_folders(root)):
        for path in folder.glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)


def _clear(root: Path, claim: Path) -> None:
    name = claim.name.removeprefix(CLAIM)
    if not manifest_path(root, name).exists():
        kept, damaged = manifests(root)
        used = {path for manifest in kept for path in manifest.ref.files}
        for relative in {*_own_files(root, name), *_listed_files(claim)} - used:
            # A manifest that cannot be read may still name an archive that a person wants to rescue.
            if not (damaged and relative.startswith(f"{RELEASES}/")):
                (root / relative).unlink(missing_ok=True)
    claim.unlink(missing_ok=True)


def _own_files(root: Path, name: str) -> Iterator[str]:
    for folder in _folders(root):
        for path in folder.glob(f"{name}.*"):
            yield f"{folder.name}/{path.name}"


def _listed_files(claim: Path) -> tuple[str, ...]:
    try:
        return tuple(read_manifest(claim).ref.files)
    except SnapshotUnreadable:
        return ()


def _taken(root: Path, name: str) -> bool:
    """Also by files that are not ours: they are not written over."""
    return manifest_path(root, name).exists() or any(_own_files(root, name))


def _folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()]
