"""Releases as fixes look at them, and a release with a fix: a changed copy of its folder, and changed settings."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from failback.model.errors import ReleaseError
from failback.model.fix import REMOVED, Change, PutFile, ReleaseShape, SetSetting
from failback.targets.base import ReleaseSpec
from failback.targets.local import sealing
from failback.targets.local.release_files import left_out, own_files, to_be_released
from failback.targets.local.releases_content import all_entries, copy
from failback.targets.local.site import Site

_FILE_BYTES_MAX = 1024 * 1024


class FolderFiles(Mapping[str, bytes]):
    """The files of a folder, each read when it is asked for; a large one is as if it were not there."""

    def __init__(self, folder: Path, names: frozenset[str]) -> None:
        self._folder = folder
        self._known = names

    def __getitem__(self, name: str) -> bytes:
        if name not in self._known:
            raise KeyError(name)
        path = self._folder / name
        try:
            if path.stat().st_size > _FILE_BYTES_MAX:
                raise KeyError(name)
            return path.read_bytes()
        except OSError as cause:
            raise KeyError(name) from cause

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))

    def __len__(self) -> int:
        return len(self._known)


def former_shape(site: Site) -> ReleaseShape | None:
    """The stable revision, with its secret values: they are tried, and never shown."""
    state = site.state()
    stable = state.revision(state.stable)
    if stable is None:
        return None
    secrets, _ = sealing.unseal(site.layout.sealed(stable.id), site.key_file)
    folder = site.releases.path(stable.digest)
    return _shape(
        stable.shape, {**stable.shape["env"], **secrets}, frozenset(stable.secrets), stable.checks, folder, _all(folder)
    )


def shape_of(release: ReleaseSpec) -> ReleaseShape:
    """The release that failed; its folder may have been changed since by nobody but its user."""
    shape = release.shape
    folder = Path(shape["path"])
    names = frozenset(to_be_released(folder, *left_out(shape)))
    return _shape(shape, shape["env"], release.secrets, release.checks, folder, names)


def _all(folder: Path) -> frozenset[str]:
    return frozenset(own_files(folder))


def _shape(
    shape: Mapping[str, Any],
    env: Mapping[str, str],
    secrets: frozenset[str],
    checks: Mapping[str, Any],
    folder: Path,
    names: frozenset[str],
) -> ReleaseShape:
    resources = shape.get("resources") or {}
    return ReleaseShape(
        settings={"start": tuple(shape.get("start") or ()), "memory": resources.get("memory")},
        env=dict(env),
        secrets=secrets,
        ready=dict(checks.get("ready") or {}),
        smoke=tuple(checks.get("smoke") or ()),
        names=names,
        files=FolderFiles(folder, names),
    )


def changed(release: ReleaseSpec, changes: Sequence[Change], folder: Path) -> ReleaseSpec:
    """Raises ReleaseError for a change that a local release has no place for."""
    files = [change for change in changes if isinstance(change, PutFile)]
    shape = {**release.shape, "env": dict(release.shape["env"])}
    checks = {**release.checks, "ready": dict(release.checks["ready"])}
    secrets = set(release.secrets)
    if files:
        shape["path"] = str(_with_files(release, files, folder))
    for change in changes:
        if isinstance(change, SetSetting):
            _set(change, shape, checks, secrets)
    return dataclasses.replace(release, shape=shape, checks=checks, secrets=frozenset(secrets))


def _set(change: SetSetting, shape: dict[str, Any], checks: dict[str, Any], secrets: set[str]) -> None:
    match change.path:
        case ("release", "env", name):
            shape["env"].pop(name, None)
            secrets.discard(name)
            if change.value is not REMOVED:
                shape["env"][name] = str(change.value)
                if change.secret:
                    secrets.add(name)
        case ("release", "resources", key):
            shape["resources"] = {**(shape.get("resources") or {}), key: change.value}
        case ("release", "start"):
            shape["start"] = [str(word) for word in change.value]
        case ("checks", "ready", key):
            checks["ready"][key] = change.value
        case _:
            raise ReleaseError(f"{'/'.join(change.path)} cannot be tried on a local release.", path=change.path)


def _with_files(release: ReleaseSpec, files: Sequence[PutFile], folder: Path) -> Path:
    """A copy of the release's folder with these files in it; what all releases share stays where it is."""
    shape = release.shape
    source, made = Path(shape["path"]), folder / "release"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    copy(source, made, all_entries(source, *left_out(shape)))
    for file in files:
        path = made / file.name
        if not path.resolve().is_relative_to(made.resolve()):
            raise ReleaseError(f"{file.name} lies outside of the release.", path=file.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a copied file is read-only
        path.write_bytes(file.content)
    return made
