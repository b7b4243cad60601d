"""Changes one value in a plan's text and leaves everything else as it stands: comments, order, style. Pure.

Every change is read back: the result is the old document with this one value changed, or it is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z0-9/_.][\w./@+-]*")
# What a YAML reader would take for something else than a text.
_OTHER = re.compile(
    r"(?i:true|false|yes|no|on|off|null|~|\.inf|\.nan|\d[\d_]*:\d+.*)|[-+]?[\d._]+(?:e[-+]?\d+)?|0[xo].*"
)
_QUOTED_KEY = re.compile(r"\s*\{\s*\"")


class CannotEdit(ValueError):
    """The text is not of the kind that can be changed in place; the message says why."""


class _Loader(yaml.SafeLoader):
    """Keeps every scalar's text: what it means is decided by the plan's own reader."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name


Step = str | int  # a key, or a place in a list


def set_value(text: str, path: Sequence[Step], value: Any) -> str:
    """The text with `value` at the path; missing mappings on the way are made. Raises CannotEdit."""
    made = _edited(text, path, value)
    wanted = _with(_data(text), path, _texts(value))
    if _data(made) != wanted:
        raise CannotEdit(f"{_said(path)} cannot be changed in this file without changing something else")
    return made


def append_item(text: str, path: Sequence[Step], item: Mapping[str, Any]) -> str:
    """The text with one more entry in the list at the path; a missing list is made. Raises CannotEdit."""
    node = _find(_root(text), path)
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        return set_value(text, path, [item])
    new = _flow(item, _QUOTED_KEY.match(text) is not None)
    end = _end(node.value[-1])
    if node.flow_style:
        made = text[:end] + ", " + new + text[end:]
    else:
        at = _line_end(text, end)
        head = text[:at] if text[:at].endswith("\n") else text[:at] + "\n"
        made = f"{head}{' ' * node.start_mark.column}- {new}\n{text[at:]}"
    data = _data(text)
    if _data(made) != _with(data, path, [*_at(data, path), _texts(item)]):
        raise CannotEdit(f"{_said(path)} cannot be added to in this file without changing something else")
    return made


def remove_value(text: str, path: Sequence[Step]) -> str:
    """The text without this key; as it is where the key is not there. Raises CannotEdit."""
    parent = _find(_root(text), path[:-1])
    place = _place(parent, path[-1]) if isinstance(parent, yaml.MappingNode) else None
    if not isinstance(parent, yaml.MappingNode) or place is None:
        return text
    key, value = parent.value[place]
    if len(parent.value) == 1:
        made = text[: parent.start_mark.index] + "{}" + text[_end(parent) :]
    elif parent.flow_style:
        if place + 1 < len(parent.value):
            made = text[: key.start_mark.index] + text[parent.value[place + 1][0].start_mark.index :]
        else:
            made = text[: _end(parent.value[place - 1][1])] + text[_end(value) :]
    else:
        begin = text.rfind("\n", 0, key.start_mark.index) + 1
        made = text[:begin] + text[_line_end(text, _end(value)) :]
    wanted = _data(text)
    inner = wanted
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    if (_data(made) or {}) != wanted:
        raise CannotEdit(f"{_said(path)} cannot be taken out of this file without changing something else")
    return made


def _edited(text: str, path: Sequence[Step], value: Any) -> str:
    root = _root(text)
    if not isinstance(root, yaml.MappingNode):
        raise CannotEdit("the file holds no mapping")
    as_json = _QUOTED_KEY.match(text) is not None
    node: yaml.MappingNode = root
    for depth, name in enumerate(path):
        if isinstance(name, int):
            continue  # the entry was taken with the key before it
        place = _place(node, name)
        if place is None:
            return _inserted(text, node, path[depth:], value, as_json)
        found = node.value[place][1]
        following = path[depth + 1] if depth + 1 < len(path) else None
        if isinstance(following, int):
            if not isinstance(found, yaml.SequenceNode) or following >= len(found.value):
                raise CannotEdit(f"{_said(path[: depth + 2])} is not there")
            found, depth = found.value[following], depth + 1
        if depth == len(path) - 1:
            return _replaced(text, found, _flow(value, as_json))
        if not isinstance(found, yaml.MappingNode) or not found.value:
            if isinstance(found, yaml.ScalarNode) and found.value not in ("", "null", "~", "{}"):
                raise CannotEdit(f"{_said(path[: depth + 1])} is no mapping in this file")
            return _replaced(text, found, _nested(path[depth + 1 :], value, as_json))
        node = found
    raise CannotEdit("no key was named")


def _replaced(text: str, node: yaml.Node, new: str) -> str:
    begin, end = node.start_mark.index, _end(node)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return text[:begin] + new + "\n" + text[end:].lstrip("\n") if end > begin else text
    between = "" if begin == 0 or text[begin - 1] in " \n[{," else " "  # an empty value stands right after its colon
    if begin != end and text[:begin].rstrip(" ").endswith("\n"):
        # A block collection on the lines below its key: the new value goes onto the key's own line.
        return text[:begin].rstrip() + " " + new + text[end:]
    return text[:begin] + between + new + text[end:]


def _inserted(text: str, node: yaml.MappingNode, path: Sequence[Step], value: Any, as_json: bool) -> str:
    new = f"{_key(path[0], as_json)}: {_nested(path[1:], value, as_json)}"
    if node.flow_style:
        if not node.value:
            begin = node.start_mark.index + 1
            return text[:begin] + new + text[begin:]
        end = _end(node.value[-1][1])
        last = node.value[-1][0]
        before = text[: last.start_mark.index].rpartition("\n")
        own_line = bool(before[1]) and not before[2].strip()  # one entry a line, as a JSON writer lays it out
        return text[:end] + (",\n" + before[2] if own_line else ", ") + new + text[end:]
    indent = " " * node.value[0][0].start_mark.column
    at = _line_end(text, _end(node.value[-1][1]))
    head = text[:at] if text[:at].endswith("\n") else text[:at] + "\n"
    return f"{head}{indent}{new}\n{text[at:]}"


def _nested(path: Sequence[Step], value: Any, as_json: bool) -> str:
    if not path:
        return _flow(value, as_json)
    return f"{{{_key(path[0], as_json)}: {_nested(path[1:], value, as_json)}}}"


def _key(name: Step, as_json: bool) -> str:
    if isinstance(name, int):
        raise CannotEdit("a list is not there")
    return json.dumps(name, ensure_ascii=False) if as_json or not _PLAIN.fullmatch(name) else name


def _flow(value: Any, as_json: bool) -> str:
    """The value in one line. Texts that another reader might take for a number are quoted."""
    if isinstance(value, list | tuple):
        entries = (
            _flow(entry, as_json) if isinstance(entry, Mapping) else json.dumps(str(entry), ensure_ascii=False)
            for entry in value
        )
        return "[" + ", ".join(entries) + "]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(name), as_json)}: {_flow(entry, as_json)}" for name, entry in value.items())
        return f"{{{inner}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    text = str(value)
    if as_json or not _PLAIN.fullmatch(text) or _OTHER.fullmatch(text):
        return json.dumps(text, ensure_ascii=False)
    return text


def _root(text: str) -> yaml.Node:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        raise CannotEdit(f"the file cannot be read as YAML: {error}") from None
    finally:
        loader.dispose()
    if root is None:
        raise CannotEdit("the file is empty")
    return root


def _data(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise CannotEdit(f"the changed file could not be read as YAML: {error}") from None


def _texts(value: Any) -> Any:
    """The value as the reader that keeps texts will find it."""
    if isinstance(value, Mapping):
        return {str(name): _texts(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(entry) if isinstance(entry, Mapping) else str(entry) for entry in value]
    return _flow(value, False) if isinstance(value, bool | int | float) else str(value)


def _with(data: Any, path: Sequence[Step], value: Any) -> Any:
    if not path:
        return value
    if isinstance(path[0], int):
        entries = list(data)
        entries[path[0]] = _with(entries[path[0]], path[1:], value)
        return entries
    made = dict(data) if isinstance(data, Mapping) else {}
    made[path[0]] = _with(made.get(path[0]), path[1:], value)
    return made


def _at(data: Any, path: Sequence[Step]) -> Any:
    for name in path:
        data = data[name]
    return data


def _said(path: Sequence[Step]) -> str:
    return "/".join(str(name) for name in path)


def _find(node: yaml.Node | None, path: Sequence[Step]) -> yaml.Node | None:
    for name in path:
        if isinstance(name, int):
            node = node.value[name] if isinstance(node, yaml.SequenceNode) and name < len(node.value) else None
            continue
        place = _place(node, name) if isinstance(node, yaml.MappingNode) else None
        if place is None or not isinstance(node, yaml.MappingNode):
            return None
        node = node.value[place][1]
    return node


def _place(node: yaml.MappingNode, name: Step) -> int | None:
    return next((at for at, (key, _) in enumerate(node.value) if key.value == name), None)


def _end(node: yaml.Node) -> int:
    """Where the node's own text ends: a block collection's mark stands after the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _line_end(text: str, at: int) -> int:
    """After the end of the line in which `at` is."""
    if at > 0 and text[at - 1] == "\n":
        return at
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1
