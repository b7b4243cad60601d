"""Reads a snapshot's files from the device: unchanged, opened, and parsed, or it says what is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from failback.backup.archive import open_archive
from failback.backup.disk import read_from_device
from failback.backup.keys import Key, existing_key
from failback.backup.manifest import Manifest
from failback.model.errors import NotPermitted, SnapshotUnreadable


def key_of(manifest: Manifest, key_file: Path) -> Key | None:
    """The key that opens it, None where it is plain. Raises SnapshotUnreadable, NotPermitted."""
    return existing_key(key_file) if manifest.ref.encrypted else None


def document(root: Path, relative: str, stored: str, key: Key | None) -> bytes:
    """One document, checked against the hash of what was stored, and decrypted. Raises ValueError, OSError."""
    raw = read_from_device(root / relative)
    if hashlib.sha256(raw).hexdigest() != stored:
        raise ValueError("was changed or damaged: its hash is not the manifest's")
    return raw if key is None else key.decrypt(raw)


def parse(relative: str, plain: bytes) -> None:
    """Whether a document is what its name says. Raises ValueError."""
    name = relative.removesuffix(".age")
    try:
        if name.endswith(".json"):
            json.loads(plain)
        elif name.endswith(".yaml"):
            for _ in yaml.load_all(plain, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                pass
    except yaml.YAMLError as cause:
        raise ValueError(f"is no YAML: {cause}") from None
    except ValueError as cause:
        raise ValueError(f"is no JSON: {cause}") from None


def problems(root: Path, manifest: Manifest, key_file: Path) -> list[str]:
    """What is wrong with a snapshot, in words; none when every file is there, unchanged, opens and can be parsed."""
    found = []
    held = {archive.file: archive for archive in manifest.archives.values()}
    for relative, stored in manifest.ref.files.items():
        try:
            key = key_of(manifest, key_file)
            if relative in held:
                open_archive(root / relative, held[relative], key)
            else:
                parse(relative, document(root, relative, stored, key))
        except (SnapshotUnreadable, NotPermitted) as cause:
            found.append(f"{relative}: {cause.message}")
        except FileNotFoundError:
            found.append(f"{relative}: is missing")
        except (ValueError, OSError) as cause:
            found.append(f"{relative}: {cause}")
    return found
