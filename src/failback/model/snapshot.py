"""The pre-deployment backup: what it holds and how it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SnapshotContent:
    """What a target hands over to be kept: documents by kind, and large files by path.

    `documents`: the spec's three files -> text: "k8s" (deployment or release and proxy, YAML), "service" (YAML),
    "configs" (configuration, environment and secrets, JSON). Plain text here; encrypted in the store.
    `files`: name in the snapshot -> absolute path of a file or folder (a release), archived with it.
    `names`: name in the snapshot -> the relative paths of its folder that are archived, folders before what is in
    them; without an entry all of the folder is. A service that writes beside its release makes it no other release.
    `items`: one line a thing that was backed up, for people ("release sha256:12ab (r3)").
    """

    service: str
    target: str
    revision: str | None
    documents: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    items: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A stored and verified snapshot. `files`: path relative to the backup root -> sha256 of the stored bytes."""

    id: str  # "<unix seconds>", "<unix seconds>-2" for a second one in the same second
    service: str
    target: str
    revision: str | None
    execution_id: str
    created_at: float
    encrypted: bool
    root: str
    files: Mapping[str, str]
    items: tuple[str, ...] = ()
    verified_at: float | None = None
    duration_s: float = 0.0
