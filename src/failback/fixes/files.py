"""Files of configuration: one that the former release had, and parts of one that this release took out or changed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence

import yaml

from failback.fixes.case import Case, is_configuration, may_be_restored, text_of
from failback.model.fix import Candidate, PutFile

_FOLDER_FILES_MAX = 50
_PARTS_MAX = 3
_WORD = re.compile(r"[A-Za-z_][\w.-]{2,}")
_USUAL = frozenset(
    {"true", "false", "null", "none", "name", "type", "value", "error", "info", "debug", "config", "app"}
)


def missing_files(case: Case) -> Iterator[Candidate]:
    """What is gone since the former release and is named by the evidence; then its folder, where more of it is gone."""
    former = case.former
    if former is None:
        return
    gone = sorted(name for name in former.names - case.new.names if may_be_restored(name))
    for name in [name for name in gone if _is_missed(case, name)]:
        content = former.files.get(name)
        if content is None:
            continue
        yield Candidate(
            f"Put {name} back, as the former release had it",
            f"The release needs {name}, which the former one had and this one lacks",
            name,
            (PutFile(name, content),),
        )
        folder = name.rpartition("/")[0]
        beside = [one for one in gone if folder and one.startswith(folder + "/") and one in former.files]
        if 1 < len(beside) <= _FOLDER_FILES_MAX:
            yield Candidate(
                f"Put the folder {folder} back, as the former release had it",
                f"{len(beside)} files of {folder} are gone since the former release, {name} among them",
                f"{folder}/ ({len(beside)} files)",
                tuple(PutFile(one, former.files[one]) for one in beside),
            )


def _is_missed(case: Case, name: str) -> bool:
    """Whether the output speaks of this file, by its path or by the end of one."""
    base = name.rpartition("/")[2]
    for match in re.finditer(rf"(?<![\w.-])[\w./@-]*{re.escape(base)}(?![\w-])", case.said):
        said = match[0].removeprefix("./")
        if said in (base, name) or said.endswith("/" + name) or name.endswith("/" + said.lstrip("/")):
            return True
    return False


def reverted_parts(case: Case) -> Iterator[Candidate]:
    """Changed lines of a configuration file that hold what the evidence names; then the whole file as it was."""
    former = case.former
    if former is None:
        return
    both = sorted(name for name in former.names & case.new.names if is_configuration(name))
    for name in both:
        old, new = text_of(former, name), text_of(case.new, name)
        if old is None or new is None or old == new:
            continue
        parts = list(_changed_parts(old, new))
        named = [part for part in parts if _speaks_of(case, part)]
        file_named = _is_missed(case, name)
        for part in named[:_PARTS_MAX]:
            made = _with_part(old, new, part.place)
            if made != old and _is_valid(name, made):
                yield Candidate(
                    f"Put {part.subject} in {name} back",
                    f"This release changed it: {part.summary}",
                    f"{part.subject} in {name} as before",
                    (PutFile(name, made.encode()),),
                )
        if named or file_named:
            yield Candidate(
                f"Put {name} back, as the former release had it",
                f"This release changed {name}, which the failure speaks of",
                f"{name} as before",
                (PutFile(name, old.encode()),),
            )


class _Part:
    """Lines that differ at one place: `place` is the number of the place, `old` and `new` are the lines."""

    def __init__(self, place: int, old: Sequence[str], new: Sequence[str]) -> None:
        self.place = place
        self.old = old
        self.new = new

    @property
    def words(self) -> set[str]:
        """Names that stand in it; those that are on both sides say less, but a changed value is on both."""
        found = {word.strip(".-") for line in (*self.old, *self.new) for word in _WORD.findall(line)}
        return {word for word in found if word.lower() not in _USUAL}

    @property
    def subject(self) -> str:
        line = next((line.strip() for line in self.old if line.strip()), "what this release added")
        match = re.match(r"[\"']?([\w.-]+)[\"']?\s*[:=]", line)
        return match[1] if match else line[:60]

    @property
    def summary(self) -> str:
        def shown(lines: Sequence[str]) -> str:
            return " ".join(" ".join(lines).split())[:80] or "nothing"

        return f"{shown(self.old)} became {shown(self.new)}"


def _changed_parts(old: str, new: str) -> Iterator[_Part]:
    before, after = old.splitlines(), new.splitlines()
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for place, (tag, i1, i2, j1, j2) in enumerate(matcher.get_opcodes()):
        if tag != "equal":
            yield _Part(place, before[i1:i2], after[j1:j2])


def _with_part(old: str, new: str, place: int) -> str:
    """The new text with this one place as it was."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    plain = difflib.SequenceMatcher(a=old.splitlines(), b=new.splitlines(), autojunk=False)
    made: list[str] = []
    for number, (_, i1, i2, j1, j2) in enumerate(plain.get_opcodes()):
        made += before[i1:i2] if number == place else after[j1:j2]
    return "".join(made)


def _speaks_of(case: Case, part: _Part) -> bool:
    return any(case.mentions(word) for word in part.words)


def _is_valid(name: str, text: str) -> bool:
    """Whether the mended file can be read at all, where its kind is known."""
    try:
        if name.endswith(".json"):
            json.loads(text)
        elif name.endswith((".yaml", ".yml")):
            list(yaml.safe_load_all(text))
    except (ValueError, yaml.YAMLError, RecursionError):
        return False
    return True
