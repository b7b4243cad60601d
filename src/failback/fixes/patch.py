"""A candidate as a unified diff against the user's own files, for `git apply` and `patch -p1`. Pure.

Nothing secret can be in it: of a secret variable the plan gets its reference, and files come from a former release.
"""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence

from failback.fixes import manifest_patch
from failback.fixes.yaml_edit import CannotEdit, remove_value, set_value
from failback.model.fix import REMOVED, Candidate, Change, PutFile, SetSetting

Read = Callable[[str], bytes | None]  # path -> content, None where there is no such file


class NoPatch(ValueError):
    """The candidate cannot be written as a change of the user's files; the message says why."""


def files_of(
    candidate: Candidate,
    read: Read,
    *,
    plan: str | None,
    release: str,
    below: tuple[str, ...] = (),
    manifests: Sequence[str] | None = None,
) -> dict[str, bytes]:
    """Path -> new content of each file that the candidate changes. `plan`, `release`: paths from where `read` starts.

    `below`: where in the plan the service stands, in one of several. `manifests`: the files of a release for a cluster,
    which are changed instead of the plan.

    Raises NoPatch.
    """
    made: dict[str, bytes] = {}
    for change in candidate.changes:
        if manifests is not None:
            made |= _in_manifests(change, {path: made.get(path) or read(path) or b"" for path in manifests})
            continue
        if isinstance(change, PutFile):
            made[posixpath.normpath(posixpath.join(release, change.name))] = change.content
            continue
        if plan is None:
            raise NoPatch("the plan was passed from Python, so there is no plan file to change")
        raw = made.get(plan, read(plan))
        if raw is None:
            raise NoPatch(f"the plan {plan} is not there any more")
        made[plan] = _edited(raw, change, below)
    outside = next((path for path in made if path.startswith(("../", "/"))), None)
    if outside is not None:
        raise NoPatch(f"{outside} lies outside of the repository, or of the plan's folder")
    return made


def _in_manifests(change: Change, raw: Mapping[str, bytes]) -> dict[str, bytes]:
    if not raw:
        raise NoPatch("kustomize or Helm renders the manifests: make the change where they have it")
    try:
        path, text = manifest_patch.changed({path: content.decode("utf-8") for path, content in raw.items()}, change)
    except (CannotEdit, UnicodeDecodeError) as error:
        raise NoPatch(str(error)) from None
    return {path: text.encode()}


def _edited(raw: bytes, change: SetSetting, below: tuple[str, ...]) -> bytes:
    try:
        text = raw.decode("utf-8-sig")
        path = (*below, *change.path)
        made = remove_value(text, path) if change.value is REMOVED else set_value(text, path, change.written)
    except (CannotEdit, UnicodeDecodeError) as error:
        raise NoPatch(str(error)) from None
    mark = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
    return mark + made.encode()


def unified(files: Mapping[str, bytes], read: Read) -> str:
    """The diff from what `read` finds to `files`. Raises NoPatch for a file that is no text."""
    parts: list[str] = []
    for path in sorted(files):
        before = read(path)
        if before == files[path]:
            continue
        parts += _of_file(path, before, files[path])
    return "".join(parts)


def _of_file(path: str, before: bytes | None, after: bytes) -> Iterator[str]:
    old, new = _lines(path, before or b""), _lines(path, after)
    yield f"diff --git {_quoted('a/' + path)} {_quoted('b/' + path)}\n"
    if before is None:
        yield "new file mode 100644\n"
    # A name with a space is ended by a tab, or `patch` would take what follows the space for a date.
    tab = "\t" if " " in path else ""
    old_name = "/dev/null" if before is None else _quoted(f"a/{path}") + tab
    hunks = difflib.unified_diff(old, new, "old", "new", n=3)
    for line in list(hunks)[2:]:
        if line.startswith("@@") and old_name:
            yield f"--- {old_name}\n+++ {_quoted('b/' + path)}{tab}\n"
            old_name = ""
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(path: str, raw: bytes) -> list[str]:
    if b"\0" in raw:
        raise NoPatch(f"{path} is no text: copy it from the former release")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NoPatch(f"{path} is no UTF-8 text: copy it from the former release") from None
    # By "\n" alone, as git and patch do: other separators are part of a line.
    pieces = text.split("\n")
    return [f"{piece}\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _quoted(path: str) -> str:
    """A path as git writes it: in quotes, with escapes, where it holds a sign that would be misread."""
    if not any(char in '"\\' or ord(char) < 32 or ord(char) == 127 for char in path):
        return path
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(char, f"\\{ord(char):03o}" if ord(char) < 32 else char) for char in path) + '"'
