"""Folders that hold failback's own state: a home, or a backup folder. They are never part of a release.

A home beside the service's code is nothing unusual (`--home .failback`), and it holds the key of all backups.
"""

from __future__ import annotations

from pathlib import Path

_DATABASE = "failback.db"
_WITNESS, _MANIFESTS = ".witness.json", "manifest-*.json"


def is_own_state(folder: Path) -> bool:
    """Whether this folder is a home of failback, or one of its backup folders."""
    return (folder / _DATABASE).exists() or ((folder / _WITNESS).exists() and any(folder.glob(_MANIFESTS)))
