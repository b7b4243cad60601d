"""A dependency whose version changed since the former release: pinned to the version that worked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from failback.facts.change import plain_name, read_change
from failback.fixes.case import Case, text_of
from failback.model.diagnosis import FailureType
from failback.model.fix import Candidate, PutFile, ReleaseShape

_TYPES = frozenset(
    {
        FailureType.VERSION_INCOMPATIBILITY, FailureType.MISSING_DEPENDENCY, FailureType.CODE_ERROR,
        FailureType.DEPENDENCY_RESOLUTION,
    }
)  # fmt: skip
_INSTALLED = re.compile(r"(?:^|/)([A-Za-z0-9][\w.]*?)-(\d[\w.+!]*)\.dist-info/")
_REQUIREMENTS = re.compile(r"(?:^|/)requirements[\w.-]*\.txt$")
_PINS_MAX = 3


def pins(case: Case) -> Iterator[Candidate]:
    """First the packages that the evidence names; all that changed, where versions do not fit each other at all."""
    former = case.former
    file = _requirements(case.new)
    if former is None or file is None or case.diagnosis.type not in _TYPES:
        return
    text = text_of(case.new, file)
    if text is None:
        return
    changed = _changed(case, former)
    named = [name for name in changed if _is_named(case, name)]
    others = [name for name in changed if name not in named]
    if case.diagnosis.type is not FailureType.VERSION_INCOMPATIBILITY:
        others = []
    installed = _installed(case.new).keys() | _installed(former).keys()
    for name in (*named, *others)[:_PINS_MAX]:
        old, new = changed[name]
        yield Candidate(
            f"Pin {name} back to {old}",
            f"{name} was {old} in the former release and is {new or 'not there'} in this one",
            f"{name}=={old}",
            (PutFile(file, pinned(text, name, old).encode()),),
            rebuild=True,
            # A build that installs elsewhere (this machine's Python, a folder of live processes) would change more than
            # the trial.
            untried="" if plain_name(name) in installed else "the packages are not in the release's own folder",
        )


def _changed(case: Case, former: ReleaseShape) -> dict[str, tuple[str, str | None]]:
    """Package -> (former version, version now): from what is installed in both, else from the lists of both."""
    before, now = _installed(former), _installed(case.new)
    found: dict[str, tuple[str, str | None]] = {}
    for plain, (name, version) in before.items():
        other = now.get(plain, (name, None))[1]
        if other != version:
            found[name] = (version, other)
    for dep in read_change(case.evidence.change).dependencies:
        known = {plain_name(name) for name in found}
        if dep.old and not dep.runtime and plain_name(dep.name) not in known and dep.old[:1].isdigit():
            found[dep.name] = (dep.old, dep.new)
    return found


def _installed(shape: ReleaseShape) -> Mapping[str, tuple[str, str]]:
    matches = (_INSTALLED.search(name) for name in shape.names if name.endswith("/METADATA"))
    return {plain_name(match[1]): (match[1].replace("_", "-"), match[2]) for match in matches if match}


def _is_named(case: Case, name: str) -> bool:
    return any(case.mentions(word) for word in {name, name.lower(), name.lower().replace("-", "_"), plain_name(name)})


def _requirements(shape: ReleaseShape) -> str | None:
    """The list that the build installs: the one nearest to the top."""
    found = [name for name in shape.names if _REQUIREMENTS.search(name)]
    return min(found, key=lambda name: (name.count("/"), len(name), name), default=None)


def pinned(text: str, name: str, version: str) -> str:
    """The list with this version of the package; where it is not listed it is added at the end."""
    lines = text.splitlines(keepends=True)
    for place, line in enumerate(lines):
        match = re.match(r"([A-Za-z0-9][\w.-]*)(\[[\w,.\s-]*\])?\s*([^;#\r\n]*?)(\s*(?:[;#].*)?)(\r?\n?)$", line)
        if match and plain_name(match[1]) == plain_name(name):
            lines[place] = f"{match[1]}{match[2] or ''}=={version}{match[4]}{match[5]}"
            return "".join(lines)
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{end}{name}=={version}\n"
