"""A candidate as a change of the user's own manifests: the workload's first container, or a key of a ConfigMap. Pure.

Comments, order and style stay, as in the plan; what kustomize or Helm render is changed where they have it, by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from failback.fixes.yaml_edit import CannotEdit, Step, append_item, remove_value, set_value
from failback.model.fix import REMOVED, Change, PutFile, SetSetting

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
CONTAINER: tuple[Step, ...] = ("spec", "template", "spec", "containers", 0)
_BORDER = re.compile(r"^---(?:[ \t].*)?\r?\n", re.MULTILINE)
_CONFIG_MAP = "configmap/"


def changed(files: Mapping[str, str], change: Change) -> tuple[str, str]:
    """(file, its new text). Raises CannotEdit where it is not clear what to change."""
    if isinstance(change, PutFile):
        name, _, key = change.name.removeprefix(_CONFIG_MAP).partition("/")
        if not change.name.startswith(_CONFIG_MAP) or not key:
            raise CannotEdit(f"{change.name} is no key of a ConfigMap")
        found = [one for one in _documents(files) if _is(one.data, ("ConfigMap",), name)]
        return _only(found, f"ConfigMap {name}").with_text(
            lambda text: set_value(text, ("data", key), change.content.decode("utf-8"))
        )
    found = [one for one in _documents(files) if _is(one.data, WORKLOADS)]
    one = _only(found, "workload")
    return one.with_text(lambda text: _set(text, one.data, change))


class _Document:
    """One document of a file, and where it stands in it."""

    def __init__(self, file: str, whole: str, begin: int, end: int, data: Any) -> None:
        self.file = file
        self.data = data
        self._whole = whole
        self._begin, self._end = begin, end

    def with_text(self, edit: Any) -> tuple[str, str]:
        made = edit(self._whole[self._begin : self._end])
        return self.file, self._whole[: self._begin] + made + self._whole[self._end :]


def _documents(files: Mapping[str, str]) -> Iterator[_Document]:
    for file, text in files.items():
        borders = list(_BORDER.finditer(text))
        begins = [0, *(border.end() for border in borders)]
        ends = [*(border.start() for border in borders), len(text)]
        for begin, end in zip(begins, ends, strict=True):
            try:
                data = yaml.safe_load(text[begin:end])
            except yaml.YAMLError:
                continue
            if isinstance(data, Mapping):
                yield _Document(file, text, begin, end, data)


def _is(data: Mapping[str, Any], kinds: tuple[str, ...], name: str | None = None) -> bool:
    metadata = data.get("metadata")
    named = metadata.get("name") if isinstance(metadata, Mapping) else None
    return data.get("kind") in kinds and (name is None or named == name)


def _only(found: list[_Document], what: str) -> _Document:
    if len(found) != 1:
        raise CannotEdit(f"the manifests have {len(found)} documents that could be the {what}")
    return found[0]


def _set(text: str, data: Any, change: SetSetting) -> str:
    match change.path:
        case ("release", "resources", key):
            return set_value(text, (*CONTAINER, "resources", "limits", key), change.value)
        case ("release", "env", name):
            return _variable(text, data, name, change)
        case ("checks", "ready", key):
            return set_value(text, (*CONTAINER, "readinessProbe", "httpGet", key), change.value)
    raise CannotEdit(f"{'/'.join(change.path)} has no place in a manifest")


def _variable(text: str, data: Any, name: str, change: SetSetting) -> str:
    if change.secret:
        raise CannotEdit(f"{name} is secret: take it from a Secret")
    env = data["spec"]["template"]["spec"]["containers"][0].get("env") or []
    place = next((at for at, one in enumerate(env) if one.get("name") == name), None)
    if change.value is REMOVED:
        if place is None:
            return text
        raise CannotEdit(f"take {name} out of the container's env by hand")
    if place is None:
        return append_item(text, (*CONTAINER, "env"), {"name": name, "value": str(change.value)})
    if "value" not in env[place]:
        made = remove_value(text, (*CONTAINER, "env", place, "valueFrom"))
        return set_value(made, (*CONTAINER, "env", place, "value"), str(change.value))
    return set_value(text, (*CONTAINER, "env", place, "value"), str(change.value))
