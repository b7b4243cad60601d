"""What was changed between a release that failed and the one that succeeded, in a few words. Pure.

Both are known by their unified diff against the same stable release (or against nothing), so what differs between the
two diffs is what the fix did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from failback.facts.change import Change, plain_name, read_change

SETTINGS = "release"  # the file name under which targets put the settings of a release into a diff
PARTS_MAX = 5
_NAME = re.compile(
    r"[A-Z][A-Z0-9]*_[A-Z0-9_]+|[\w./-]*[\w-]+\.(?:[a-z]{1,5}\d?)\b|\b[\w-]+==[\w.]+|\b(?:memory|cpu|replicas|start)\b"
)
_COMMIT_ONLY = re.compile(r"\b(?:commit|push)\b", re.IGNORECASE)
_VALUE_CHARS_MAX = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """`text`: for people, on one line. `names`: files, variables, settings and packages that were touched."""

    text: str
    names: frozenset[str]


def between(failed: str, good: str) -> Difference:
    """From the diffs of both releases against the same third one. Never raises."""
    before, after = read_change(failed), read_change(good)
    parts: list[str] = []
    names: set[str] = set()
    packages = dict(_packages(before, after))
    for name, text in packages.items():
        parts.append(text)
        names.add(plain_name(name))
    for file in sorted({*before.added, *after.added}):
        if _lines(before, file) == _lines(after, file):
            continue
        if file == SETTINGS:
            for key, text in _settings(before, after):
                parts.append(text)
                names.update((key, key.rpartition(".")[2]))
        elif not (file.endswith(("/METADATA", "/package.json")) and packages):
            names.update((file, file.rpartition("/")[2]))
            parts.append(f"{file} {_of_file(file, before, after)}")
    more = len(parts) - PARTS_MAX
    text = ", ".join(parts[:PARTS_MAX]) + (f" and {more} more" if more > 0 else "")
    return Difference(text, frozenset(names))


def _lines(change: Change, file: str) -> tuple[Sequence[str], Sequence[str]]:
    return change.added.get(file, ()), change.removed.get(file, ())


def _of_file(file: str, before: Change, after: Change) -> str:
    if file not in after.added:
        return "as in the release before"
    if file not in before.added and not after.removed[file]:
        return "added"
    return "changed"


def _settings(before: Change, after: Change) -> Iterator[tuple[str, str]]:
    """(key, what became of it) for each setting that the two releases have differently."""
    was, now = _pairs(before), _pairs(after)
    for key in sorted({*was, *now}):
        base = was.get(key, now.get(key, (None, None)))[0]  # of the release that both are compared with
        old, new = was.get(key, (base, base))[1], now.get(key, (base, base))[1]
        if old == new:
            continue
        if old is None:
            yield key, f"{key} set to {new}"
        elif new is None:
            yield key, f"{key} removed"
        else:
            yield key, f"{key} {old} -> {new}"


def _pairs(change: Change) -> dict[str, tuple[str | None, str | None]]:
    """Setting -> (value in the third release, value in this one)."""
    found: dict[str, tuple[str | None, str | None]] = {}
    for place, lines in ((0, change.removed.get(SETTINGS, ())), (1, change.added.get(SETTINGS, ()))):
        for line in lines:
            key, sign, value = line.partition(": ")
            if sign:
                both = list(found.get(key, (None, None)))
                both[place] = value[:_VALUE_CHARS_MAX]
                found[key] = (both[0], both[1])
    return found


def _packages(before: Change, after: Change) -> Iterator[tuple[str, str]]:
    old = {dep.name: (dep.old, dep.new) for dep in before.dependencies}
    new = {dep.name: (dep.old, dep.new) for dep in after.dependencies}
    for name in sorted({*old, *new}):
        base = old.get(name, new.get(name, (None, None)))[0]
        was, now = old.get(name, (base, base))[1], new.get(name, (base, base))[1]
        if was != now:
            yield name, f"{name} {was or 'without a version'} -> {now or 'without a version'}"


def followed(advice: Sequence[Mapping[str, Any]], difference: Difference) -> tuple[str, ...]:
    """The actions among the advice that the change did: those that name what it touched."""
    done: list[str] = []
    for item in advice:
        action = str(item.get("action", ""))
        if _COMMIT_ONLY.search(action):
            continue
        said = set(_NAME.findall(f"{action} {item.get('description', '')}"))
        words = {plain_name(word) for word in re.findall(r"[\w.-]{3,}", action)}
        touched = {name for name in difference.names if name in said or plain_name(name) in words}
        if touched or any(_same_file(one, name) for one in said for name in difference.names):
            done.append(action)
    return tuple(done)


def _same_file(said: str, name: str) -> bool:
    """Whether a path in a sentence means a file of the release: "/app/config/x.json" is "config/x.json"."""
    return "." in name and (said == name or said.endswith("/" + name) or name.endswith("/" + said.removeprefix("./")))
