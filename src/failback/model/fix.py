"""A candidate fix: changes of configuration alone, so that it can be tried, shown as a patch, and taken over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOT_TRIED, VERIFIED, REFUTED = "not tried", "verified", "did not pass"
REMOVED = None  # the value of a setting that the fix takes out of the plan


@dataclass(frozen=True, slots=True)
class SetSetting:
    """A value in the plan. `path`: its way from the top ("release", "env", "REGION").

    `value`: resolved, what is tried; REMOVED takes it out. `reference`: what the plan should say, where that is
    something else (`${API_KEY}` for a secret, whose value is never written into a file).
    """

    path: tuple[str, ...]
    value: Any = field(repr=False)
    reference: Any = None
    secret: bool = False

    @property
    def written(self) -> Any:
        """What is written into the plan."""
        return self.value if self.reference is None else self.reference


@dataclass(frozen=True, slots=True)
class PutFile:
    """A file of the release, whole. `name`: relative to the release's folder."""

    name: str
    content: bytes = field(repr=False)


Change = SetSetting | PutFile


@dataclass(frozen=True, slots=True)
class Candidate:
    """One fix. `action` and `why` are a recommendation's; `tried` says in few words what was tried ("256Mi").

    `rebuild`: the plan's build steps have to run on the changed release before it is what it says. `untried`: why it
    must not be tried here, though it can be taken over.
    """

    action: str
    why: str
    tried: str
    changes: tuple[Change, ...]
    rebuild: bool = False
    untried: str = ""

    @property
    def id(self) -> str:
        """The same for the same changes; no value can be read from it."""
        parts = [f"{change!r}{_content(change)}" for change in self.changes]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:8]


def _content(change: Change) -> str:
    raw = change.content if isinstance(change, PutFile) else repr(change.value).encode("utf-8", "replace")
    return hashlib.sha256(raw).hexdigest()


@dataclass(frozen=True, slots=True)
class ReleaseShape:
    """A release as fixes look at it: of the former revision, or the one that failed.

    `settings`: "memory", "start" and the like, as the plan names them; `ready`: the plan's `checks.ready`.
    `env`: resolved; `secrets`: the names among it whose values are secret. `files`: relative path -> content; read when
    asked for, and a path that is in `names` may still be left out of it (too large).
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = frozenset()
    ready: Mapping[str, Any] = field(default_factory=dict)
    smoke: tuple[Mapping[str, Any], ...] = ()
    names: frozenset[str] = frozenset()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def best(fixes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first that was verified; where none was tried, the first that could be."""
    verified = next((fix for fix in fixes if fix["status"] == VERIFIED), None)
    return verified or next((fix for fix in fixes if fix["status"] == NOT_TRIED), None)
