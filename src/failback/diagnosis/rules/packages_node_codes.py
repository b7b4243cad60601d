"""npm's error codes that say that package.json, its overrides or its specs are wrong, whatever the code is."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.model.diagnosis import FailureType

# Codes that other rules know, and those of the system or of a script.
_OTHERS = re.compile(r"^(?:\d+|ELIFECYCLE|ENOENT|EACCES|EPERM|ENOSPC|EROFS|ENOTEMPTY|EEXIST|EMFILE|ECONN\w+|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTFOUND|EAI_AGAIN|E401|E403|E404|ETARGET|ERESOLVE|EINTEGRITY|EUSAGE|EBADENGINE|EBADPLATFORM|EJSONPARSE|ENEEDAUTH|ENOAUDIT|ENOWORKSPACES|\w*CERT\w*|UNABLE_\w+)$")  # fmt: skip


@line_rule(
    "npm-code",
    "npm error code e|npm err! code e",
    r"npm (?:error|ERR!) code (?P<code>E[A-Z]+)\b",
    source="npm's error codes",
    flags=0,
    most=1,
)
def npm_code(hit: Hit) -> Hypothesis | None:
    """npm refuses what package.json asks for; the lines below say what."""
    code = hit.get("code")
    if _OTHERS.match(code):
        return None
    said = [
        re.sub(r"^npm (?:error|ERR!) ?", "", line).strip()
        for line in hit.document.lines[hit.index + 1 : hit.index + 6]
        if line.startswith("npm ") and "complete log" not in line
    ]
    text = quoted(" ".join(said), 220)
    advice = {
        "EUNSUPPORTEDPROTOCOL": "npm does not know this kind of spec (workspace: is of pnpm and yarn, catalog: of pnpm): install with the package manager that the repository is made for, or write a version or a file: path",
        "EOVERRIDE": "an override may not contradict a direct dependency: set the same version in both (or use $name in overrides), or remove the override",
        "EDUPLICATEWORKSPACE": "two workspaces have the same name: rename one",
        "EINVALIDPACKAGENAME": "correct the package's name",
    }.get(code, "change the entry that it names")
    return Hypothesis(
        FailureType.DEPENDENCY_RESOLUTION,
        f"npm refuses what package.json asks for ({code}): {text}",
        0.92,
        (
            high(f"Correct package.json: {quoted(text, 100)}", f"{code}: {advice}: {text}", "npm pkg get dependencies overrides workspaces"),
            commit("package.json package-lock.json", f"Correct {code}"),
        ),
        names=("package.json",),
    )  # fmt: skip
