"""What the commented example says about each key: its description, default and example."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from failback.model.plan_keys import Key, all_keys

_KEY_LINE = re.compile(r"(?P<indent>\s*)(?P<dash>- )?(?P<key>[A-Za-z_][A-Za-z0-9_]*):(?:\s+(?P<value>[^#\s].*?))?\s*$")
_DEFAULT = re.compile(r"Default: `([^`]*)`")


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of the example. `default`: its text as in YAML, None when none is said; `example`: its value's text."""

    path: tuple[str, ...]
    text: str  # the description, the line about the default apart
    default_text: str  # "Default: `2`, ..." or "Required."
    example: str
    line: int

    @property
    def default(self) -> str | None:
        match = _DEFAULT.search(self.default_text)
        return match.group(1) if match else None

    @property
    def required(self) -> bool:
        return self.default_text.startswith("Required.")

    @property
    def reserved(self) -> bool:
        return "reserved" in self.text.lower()


def reference_text() -> str:
    """The commented example, as it is packaged."""
    return files("failback.model").joinpath("config_reference.yaml").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def reference() -> Mapping[tuple[str, ...], Entry]:
    """Path with `*` for places in lists and names of services -> what the example says."""
    return entries(reference_text())


def entries(text: str) -> Mapping[tuple[str, ...], Entry]:
    """Reads the comments above each key of block style; the first one that says something counts."""
    found: dict[tuple[str, ...], Entry] = {}
    for path, value, comment, line in _lines(text):
        known = found.get(path)
        if known is not None and (known.text or known.default_text):
            continue
        prose, default_text = _split(comment)
        found[path] = Entry(path, prose, default_text, value, line)
    return found


def _lines(text: str) -> Iterator[tuple[tuple[str, ...], str, list[str], int]]:
    """(path, value's text, comment lines, line from 1) of every key."""
    stack: list[tuple[int, str]] = []
    comment: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        if stripped == "---":
            stack = []
        match = _KEY_LINE.match(line)
        if match:
            indent = len(match["indent"])
            while stack and stack[-1][0] >= indent + (1 if match["dash"] else 0):
                stack.pop()
            if match["dash"]:
                stack.append((indent + 1, "*"))
                indent += 2
            stack.append((indent, match["key"]))
            yield _pattern(tuple(name for _, name in stack)), match["value"] or "", comment, number
        comment = []


def _pattern(path: tuple[str, ...]) -> tuple[str, ...]:
    """Below `services` stand names of services, and below those the keys of the top level."""
    if path[:1] == ("services",) and len(path) > 1:
        path = ("services", "*", *path[2:])
        return path[2:] if len(path) > 3 else path
    return path


def _split(comment: list[str]) -> tuple[str, str]:
    place = next((at for at, line in enumerate(comment) if re.match(r"Default: |Required\.", line)), len(comment))
    return " ".join(line for line in comment[:place] if line), " ".join(comment[place:])


def entry_of(key: Key) -> Entry | None:
    return reference().get(key.path)


def described() -> Iterator[tuple[Key, Entry]]:
    """Every key with what the example says of it, in the models' order; a key without an entry is left out."""
    for key in all_keys():
        entry = entry_of(key)
        if entry is not None:
            yield key, entry


def default_of(key: Key) -> Any:
    """The real default of a key as JSON; raises LookupError for a required key."""
    if key.field.is_required():
        raise LookupError(key.text)
    shape = key.model.model_construct().model_dump(mode="json", by_alias=True, include={key.field_name})
    return next(iter(shape.values()))
