"""Which files and folders a plan names that are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from failback.model.plan_base import nearest, shown
from failback.model.plan_checks import service_parts, steps_of
from failback.model.plan_problems import Path as Where
from failback.model.plan_problems import Problem

_ENTRIES_MAX = 2000


def missing_files(data: Mapping[str, Any], folder: Path) -> list[Problem]:
    """A Problem for each. A step before the Deploy step may say in its command that it makes the folder."""
    made = [
        command for _, step in steps_of(data) if step.get("type") != "deploy" for command in _commands(step.get("run"))
    ]
    found: list[Problem] = []
    for where, path, kind in _named(data):
        problem = _missing(where, path, kind, folder)
        if problem is not None and not (kind != "from_file" and _is_made(path, made)):
            found.append(problem)
    return found


def _named(data: Mapping[str, Any]) -> Iterator[tuple[Where, str, str]]:
    """(where, path, "folder" | "file" | "either" | "from_file")."""
    for where, part in service_parts(data):
        release = part.get("release")
        if isinstance(release, Mapping):
            yield from _in_release((*where, "release"), release)
    for place, step in steps_of(data):
        if isinstance(step.get("cwd"), str):
            yield ("steps", place, "cwd"), step["cwd"], "folder"
    yield from _from_files(data, ())


def _in_release(where: Where, release: Mapping[Any, Any]) -> Iterator[tuple[Where, str, str]]:
    for key, kind in (("path", "folder"), ("kustomize", "folder")):
        path = release.get(key)
        if isinstance(path, str) and not re.match(r"https?://|git@|[a-z]+::", path):
            yield (*where, key), path, kind
    yield from _listed((*where, "manifests"), release.get("manifests"))
    helm = release.get("helm")
    if isinstance(helm, Mapping):
        chart = helm.get("chart")
        if isinstance(chart, str) and chart.startswith((".", "/")):
            yield (*where, "helm", "chart"), chart, "either"
        yield from _listed((*where, "helm", "values"), helm.get("values"))


def _listed(where: Where, paths: Any) -> Iterator[tuple[Where, str, str]]:
    if isinstance(paths, str):
        yield where, paths, "either"
    for place, path in enumerate(paths if isinstance(paths, list | tuple) else ()):
        if isinstance(path, str):
            yield (*where, place), path, "either"


def _from_files(value: Any, where: Where) -> Iterator[tuple[Where, str, str]]:
    if isinstance(value, Mapping):
        if set(value) == {"from_file"} and isinstance(value["from_file"], str):
            yield (*where, "from_file"), value["from_file"], "from_file"
            return
        for key, entry in value.items():
            if key != "params":
                yield from _from_files(entry, (*where, str(key)))
    elif isinstance(value, list | tuple):
        for place, entry in enumerate(value):
            yield from _from_files(entry, (*where, place))


def _missing(where: Where, path: str, kind: str, folder: Path) -> Problem | None:
    if not path or path == "-" or "\0" in path or re.match(r"https?://", path):
        return None
    try:
        full = folder / Path(path).expanduser()
        exists, is_folder = full.exists(), full.is_dir()
    except (OSError, ValueError, RuntimeError):
        return Problem(where, f"should be a path that can be looked up, got {shown(path)}.")
    if exists and kind == "folder" and not is_folder:
        return Problem(where, f"should be a folder, and {shown(path)} is a file.")
    if exists and kind == "from_file" and is_folder:
        return Problem(where, f"should be a file, and {shown(path)} is a folder.")
    if exists:
        return None
    what = "a folder" if kind == "folder" else "a file" if kind == "from_file" else "a file or folder"
    return Problem(where, f"should be {what} that exists, got {shown(path)}.{_hint(full, kind)}")


def _hint(full: Path, kind: str) -> str:
    try:
        names = []
        for number, entry in enumerate(full.parent.iterdir()):
            if number >= _ENTRIES_MAX:
                break
            names.append(entry.name)
    except OSError:
        return f" {full.parent} does not exist either." if kind != "from_file" else ""
    close = nearest(full.name, names)
    if close:
        return f" Did you mean {shown(close)}?"
    return f" If a step makes it, let its command say so: mkdir -p {full.name}." if kind != "from_file" else ""


def _commands(run: Any) -> list[str]:
    if isinstance(run, list | tuple):
        return [" ".join(str(word) for word in run if isinstance(word, str))]
    return [str(run)] if isinstance(run, str) else []


def _is_made(path: str, commands: list[str]) -> bool:
    """Whether a command says that it makes the path, as in `mkdir -p dist` or `go build -o bin/app`."""
    name = Path(path).name
    if not name:
        return False
    word = rf"(?<![\w.-]){re.escape(name)}(?![\w-])"
    makes = rf"\b(?:mkdir|cp|mv|rsync|install|unzip|tar|git clone|tee|touch)\b[^;&|\n]*{word}"
    writes = rf"(?:(?:^|\s)(?:-o|-d|-C|--out\S*|--target|--prefix|--dest\S*|--dist\S*)[ =]?|>\s*)\S*?{word}"
    return any(re.search(makes, command) or re.search(writes, command) for command in commands)
