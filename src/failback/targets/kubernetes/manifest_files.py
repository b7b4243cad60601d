"""Manifests as text: YAML and JSON files, folders of them, several documents in one. Reads; changes nothing.

Promise: what it returns are objects with apiVersion, kind and name, each with the place it came from; anything else is
one ReleaseError that names the file and what to write instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from failback.model.errors import ReleaseError
from failback.targets.kubernetes.kinds import Object

STANDARD_INPUT = "-"
_SUFFIXES = (".yaml", ".yml", ".json")
_FILE_BYTES_MAX = 32 * 1024 * 1024
_OTHER_TOOLS = {
    "kustomization.yaml": "release: {kustomize: PATH}",
    "kustomization.yml": "release: {kustomize: PATH}",
    "Chart.yaml": "release: {helm: {chart: PATH}}",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One object, and where it stands ("k8s/web.yaml, document 2")."""

    obj: Object
    where: str


def read(paths: Sequence[str], folder: Path, standard_input: str | None) -> list[Found]:
    """The objects of all these files and folders, in their order; a folder's files by name."""
    found: list[Found] = []
    for path in paths:
        if path == STANDARD_INPUT:
            if standard_input is None:
                raise ReleaseError(
                    "release/manifests: standard input (-) was not given. Pipe the manifests into failback."
                )
            found += parse(standard_input, "standard input")
            continue
        for file in _files(path, folder):
            found += parse(_text(file), _shown(file, folder))
    return found


def parse(text: str, where: str) -> list[Found]:
    """The objects of one text; `List` kinds are taken apart. Raises ReleaseError."""
    found: list[Found] = []
    documents = list(_documents(text, where))
    for number, document in enumerate(documents, start=1):
        place = where if len(documents) == 1 else f"{where}, document {number}"
        found += [Found(obj, place) for obj in _objects(document, place)]
    return found


def _documents(text: str, where: str) -> Iterator[Any]:
    try:
        yield from (document for document in yaml.load_all(text, Loader=_Loader) if document is not None)
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        hint = " It looks like a template: render it first, or name the chart in release/helm." if "{{" in text else ""
        raise ReleaseError(f"{where}{line}: this is no valid YAML: {cause.problem or cause.context}.{hint}") from cause
    except (yaml.YAMLError, ValueError) as cause:
        raise ReleaseError(f"{where}: this is no valid YAML: {cause}.") from cause


def _objects(document: Any, where: str) -> Iterator[Object]:
    if not isinstance(document, dict):
        raise ReleaseError(f"{where}: should be a Kubernetes object, got {type(document).__name__}.")
    kind, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str) or not kind or not version:
        raise ReleaseError(
            f"{where}: has no apiVersion and kind, so it is no Kubernetes object. Take it out of the manifests."
        )
    if kind == "List" or (kind.endswith("List") and isinstance(document.get("items"), list)):
        for item in document.get("items") or ():
            yield from _objects(item, where)
        return
    if kind in ("Kustomization", "Chart"):
        raise ReleaseError(
            f"{where}: is a {kind}, no object of a cluster. Name its folder: release: {{kustomize: PATH}}."
        )
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        why = " (generateName gives each run another one)" if (metadata or {}).get("generateName") else ""
        raise ReleaseError(f"{where}: {kind} has no metadata/name{why}. Give it one.")
    try:
        yield json.loads(json.dumps(document, allow_nan=False))
    except (TypeError, ValueError) as cause:
        raise ReleaseError(
            f"{where}: {kind}/{name} holds a value that JSON does not have: {cause}. Quote it."
        ) from cause


def _files(path: str, folder: Path) -> Iterator[Path]:
    if re.match(r"https?://", path):
        raise ReleaseError(
            f"release/manifests: {path} is an address. Download it in a step before, so that it is checked."
        )
    full = folder / Path(path).expanduser()
    if not full.exists():
        raise ReleaseError(
            f"release/manifests: {path} is not there. A step before the Deploy step may have to make it."
        )
    if not full.is_dir():
        yield full
        return
    other = next((name for name in _OTHER_TOOLS if (full / name).is_file()), None)
    if other is not None:
        remedy = _OTHER_TOOLS[other].replace("PATH", path)
        raise ReleaseError(f"release/manifests: {path} holds a {other}. Write {remedy}.")
    files = [one for one in sorted(full.iterdir()) if _is_manifest(one)]
    if not files:
        below = sorted({one.parent for one in full.rglob("*.y*ml") if _is_manifest(one)})
        hint = f" Below it: {', '.join(_shown(one, folder) for one in below[:5])}; name those." if below else ""
        raise ReleaseError(f"release/manifests: the folder {path} holds no .yaml, .yml or .json file.{hint}")
    yield from files


def _is_manifest(path: Path) -> bool:
    return path.suffix in _SUFFIXES and not path.name.startswith(".") and path.is_file()


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise ReleaseError(f"{path} is larger than {_FILE_BYTES_MAX // 1024**2} MiB, so it is no manifest.")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as cause:
        why = getattr(cause, "strerror", None) or "it is not UTF-8"
        raise ReleaseError(f"{path} cannot be read: {why}.") from cause


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as kubectl reads it: dates stay texts, and 12:30:45 is no number to the base 60."""


# PyYAML's own table has the resolvers of YAML 1.1; those of kubectl's reader differ in these three.
_KEPT_TAGS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag not in _KEPT_TAGS]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:[0-9][0-9_]*)?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+"
        r"|[-+]?[0-9][0-9_]*\.)$"
    ),
    list("-+0123456789."),
)
