"""The files of a release that are the application's own; what package managers brought is named by its metadata alone.

So a change of libraries reads as a change of versions, and nobody takes an installed file for the application's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from failback.targets.local.own_state import is_own_state
from failback.targets.local.releases_content import all_entries

FILES_MAX = 5_000
_NOT_SOURCE = frozenset({"node_modules", "site-packages", ".venv", "__pycache__", ".git"})
_BROUGHT_MAX = 500
_RECORD_BYTES_MAX = 4 * 1024 * 1024


def own_files(folder: Path, files_max: int = FILES_MAX) -> Iterator[str]:
    """Paths relative to the folder, in no order; at most so many, metadata of packages not counted."""
    count = 0
    for top, folders, names in os.walk(folder):
        root = Path(top)
        brought = [name for name in folders if name.endswith(".dist-info")]
        installed: set[str] = set()
        for name in sorted(brought)[:_BROUGHT_MAX]:
            metadata = root / name / "METADATA"
            if metadata.is_file():
                yield str(metadata.relative_to(folder))
            installed |= _tops(root / name / "RECORD")
        # Composer's and Go's vendor folders have no such metadata: there is nothing in them that is the application's.
        if root.name == "vendor" and root != folder and not brought:
            folders.clear()
            continue
        passed = {*_NOT_SOURCE, *brought, *installed}
        folders[:] = [name for name in folders if name not in passed and not is_own_state(root / name)]
        for name in names:
            if name in installed:
                continue
            yield str((root / name).relative_to(folder))
            count += 1
            if count >= files_max:
                return


def left_out(shape: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(`exclude`, `shared`) of a release's settings: what of its folder is not copied."""
    return tuple(shape.get("exclude") or ()), tuple(shape.get("shared") or ())


def to_be_released(folder: Path, exclude: Sequence[str] = (), shared: Sequence[str] = ()) -> set[str]:
    """Of a folder that is not released yet: those of its own files that the release will have; none where there is no
    such folder. Raises OSError."""
    if not folder.is_dir():
        return set()
    return set(own_files(folder)) & {entry.name for entry in all_entries(folder, exclude, shared)}


def _tops(record: Path) -> set[str]:
    """The files and folders beside a package's metadata that belong to it, as its RECORD lists them."""
    try:
        if record.stat().st_size > _RECORD_BYTES_MAX:
            return set()
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {line.split(",", 1)[0].strip('"').split("/", 1)[0] for line in lines} - {"", ".", ".."}
