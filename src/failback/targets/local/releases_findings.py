"""Finds what ties a release to the folder it was built in, where the next build changes it under a running service.

A restart of an old release would then load the new one's files: the one thing that an immutable release is to prevent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from failback.model.errors import ReleaseNotSelfContained
from failback.model.release import Finding
from failback.targets.local.own_state import is_own_state
from failback.targets.local.releases_content import Entry, entries_of

_FINDINGS_MAX = 20
_SHEBANG_BYTES_MAX = 1_024
_TEXT_BYTES_MAX = 256 * 1024
_REMEDY_LINK = "Make it a relative link to something in the release, or copy what it points to into the release."
_REMEDY_VENV = (
    "Install into the release itself (`pip install --target vendor -r requirements.txt`, with PYTHONPATH=vendor), "
    "or leave this folder out with `exclude`."
)
_REMEDY_SCRIPT = (
    "Start the program as a module (`python3 -m gunicorn ...`), and leave this script out with `exclude`; or install "
    "with an interpreter from outside the plan's folder."
)
_REMEDY_STATE = "Name the folder of the service at release.path, and another one for --home or backup_root."
_REMEDY_PATH = "Install the package itself (`pip install --target vendor .`), not as an editable one."


def self_contained(
    source: Path, plan_folder: Path, exclude: Sequence[str] = (), shared: Sequence[str] = ()
) -> list[Finding]:
    """Each thing in the release that leads into the plan's folder, or would lead nowhere once copied; all of it blocks.

    `exclude` and `shared` as in the plan: what is left out of the release cannot tie it. At most 20 are told.
    Raises ReleaseNotSelfContained when the folder itself cannot be read.
    """
    checker = _Checker(source.resolve(), plan_folder.resolve())
    findings: list[Finding] = []
    if is_own_state(source):
        return [
            _finding("the release", f"{source} holds failback's own state, with the key of its backups", _REMEDY_STATE)
        ]
    try:
        for entry in entries_of(checker.source, exclude, shared):
            if any(entry.name.startswith(inside) for inside in checker.told_of):
                continue
            findings += checker.look_at(entry)
            if len(findings) >= _FINDINGS_MAX:
                break
    except OSError as cause:
        raise ReleaseNotSelfContained(
            f"The release {source} cannot be read: {cause.strerror} ({cause.filename}). Is the path right, and may "
            f"this user read it?",
            path=str(source),
        ) from cause
    return findings


class _Checker:
    def __init__(self, source: Path, plan_folder: Path) -> None:
        self.source = source
        self._changed = (str(source), str(plan_folder))  # folders that the next build changes
        self.told_of: list[str] = []  # prefixes of which enough was said

    def look_at(self, entry: Entry) -> Iterator[Finding]:
        name = entry.name.rpartition("/")[2]
        if entry.kind == "folder":
            if os.path.lexists(self.source / entry.name / "pyvenv.cfg"):
                yield from self._virtual_environment(entry.name)
        elif entry.kind == "link":
            yield from self._link(entry.name)
        elif name == "pyvenv.cfg":
            yield from self._virtual_environment("")
        elif name.endswith((".pth", ".egg-link")) or (name.startswith("__editable__") and name.endswith(".py")):
            yield from self._python_path(entry.name)
        elif entry.kind == "executable":
            yield from self._script(entry.name)

    def _virtual_environment(self, folder: str) -> Iterator[Finding]:
        self.told_of.append(f"{folder}/" if folder else "")
        yield _finding(
            folder or "the release",
            "is a virtual environment: its scripts and settings hold the path at which it was made",
            _REMEDY_VENV,
        )

    def _link(self, name: str) -> Iterator[Finding]:
        path = self.source / name
        target = path.readlink()
        reached = os.path.normpath(path.parent / target)  # by its words alone: what it leads to may not be there yet
        if target.is_absolute():
            if self._in_changed(reached):
                yield _finding(name, f"is a link to {target}, in the plan's folder", _REMEDY_LINK)
        elif not _within(reached, str(self.source)):
            yield _finding(name, f"is a link to {target}, which leads out of the release", _REMEDY_LINK)

    def _python_path(self, name: str) -> Iterator[Finding]:
        text = self._read(name, _TEXT_BYTES_MAX)
        # As a path of its own line, or quoted in the code of an editable install.
        for folder in self._changed:
            if folder != "/" and any(
                _within(line.strip(), folder) or f"'{folder}" in line for line in text.splitlines()
            ):
                yield _finding(name, f"adds {folder}, which the next build changes, to Python's path", _REMEDY_PATH)
                return

    def _script(self, name: str) -> Iterator[Finding]:
        head = self._read(name, _SHEBANG_BYTES_MAX)
        if not head.startswith("#!"):
            return
        first, _, rest = head[2:].partition("\n")
        words = first.split()
        # Where a path is too long or has a space, installers write `#!/bin/sh` and name the interpreter below it.
        if words and Path(words[0]).name in ("sh", "bash") and rest.startswith("'''exec'"):
            words = rest.split("\n", 1)[0].removeprefix("'''exec'").replace('"', "").split(" $0")[:1]
            words = [word.strip() for word in words]
        for word in words:
            if self._in_changed(word):
                yield _finding(name, f"is run by {word}, in the plan's folder", _REMEDY_SCRIPT)
                return

    def _in_changed(self, path: str) -> bool:
        return any(_within(path, folder) for folder in self._changed)

    def _read(self, name: str, limit: int) -> str:
        with (self.source / name).open("rb") as file:
            return file.read(limit).decode("utf-8", "replace")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _finding(subject: str, message: str, remedy: str) -> Finding:
    return Finding("error", subject, message, remedy, blocking=True)
