"""A snapshot's manifest: plain JSON with hashes, sizes and items, and the hash of itself. No secret stands in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from failback.backup.archive import Archive
from failback.backup.disk import read_from_device
from failback.model.errors import SnapshotUnreadable
from failback.model.snapshot import SnapshotRef

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """`archives`: label -> its archive. `sizes`: relative path -> bytes. `recipient`: the age key, "" when plain.

    `witnessed_s`: the folder's witnessed time when it was made (see witness.py); it orders and ages snapshots.
    """

    ref: SnapshotRef
    archives: Mapping[str, Archive]
    sizes: Mapping[str, int]
    recipient: str
    witnessed_s: float

    @property
    def order(self) -> tuple[float, float, str]:
        return (self.witnessed_s, self.ref.created_at, self.ref.id)

    def documents(self) -> dict[str, str]:
        """Kind -> relative path, of the files that are no archives."""
        archived = {archive.file for archive in self.archives.values()}
        return {path.split("/")[0]: path for path in self.ref.files if path not in archived}

    def as_bytes(self) -> bytes:
        shape = {
            "version": _VERSION,
            **asdict(self.ref),
            "archives": {label: asdict(archive) for label, archive in self.archives.items()},
            "sizes": dict(self.sizes),
            "recipient": self.recipient,
            "witnessed_s": self.witnessed_s,
        }
        del shape["root"]  # a backup folder may be moved: it is where its manifest is
        return _text({**shape, "sha256": _hash(shape)})


def read_manifest(path: Path) -> Manifest:
    """Raises SnapshotUnreadable when it is damaged, changed, or of a version that we do not know."""
    try:
        shape = json.loads(read_from_device(path))
        if shape.pop("sha256") != _hash(shape):
            raise ValueError("it does not have the hash that it names")
        if shape.pop("version") != _VERSION:
            raise ValueError("another version of failback made it")
        return _parsed(shape, str(path.parent))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else str(cause)
        raise SnapshotUnreadable(f"The manifest {path} cannot be used: {why}.", path=str(path)) from cause


def _parsed(shape: dict[str, Any], root: str) -> Manifest:
    archives = {label: Archive(**archive) for label, archive in shape.pop("archives").items()}
    sizes, recipient, witnessed_s = shape.pop("sizes"), shape.pop("recipient"), float(shape.pop("witnessed_s"))
    ref = SnapshotRef(**{**shape, "items": tuple(shape["items"]), "root": root})
    return Manifest(ref, archives, sizes, recipient, witnessed_s)


def _hash(shape: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(shape)).hexdigest()


def _text(shape: Mapping[str, Any]) -> bytes:
    return json.dumps(shape, indent=1, sort_keys=True).encode()
