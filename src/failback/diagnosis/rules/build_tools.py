"""make, CMake and Gradle."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.rules.compilers import repair
from failback.model.diagnosis import FailureType


@line_rule(
    "make",
    "no rule to make target|missing separator|*** ",
    r"No rule to make target [`'](?P<target>[^']+)'(?:, needed by [`'](?P<by>[^']+)')?|(?P<file>\S+):(?P<line>\d+): \*\*\* (?P<what>.+?)\.\s+Stop|\*\*\* \[(?P<mf>[^\]]*?)(?::(?P<ml>\d+))?: (?P<tgt>[^\]]+)\] Error (?P<code>\d+)",
    source="GNU make's messages",
)
def make(hit: Hit) -> Hypothesis | None:
    """A Makefile that lacks a rule or does not parse; a failed recipe says only which."""
    target = hit.get("target")
    if target:
        needed = f", needed by {hit.get('by')}" if hit.get("by") else ""
        where = f" where {hit.get('by')} needs it" if hit.get("by") else ""
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"make has no rule to make {target}{needed}, and the file does not exist: {hit.line}",
            0.95,
            (
                high(
                    f"Add a rule or the file for {target}",
                    f"Write a rule for the target {target} in the Makefile, correct its name{where}, or add the missing file {target}",
                    f"{target}:\n\t<command that makes it>",
                ),
                commit("Makefile", f"Make {target}"),
            ),
            names=(target, "Makefile"),
        )
    if hit.get("what"):
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"{hit.get('file')} line {hit.get('line')} is wrong: {hit.get('what')}: {hit.line}",
            0.94,
            (
                high(
                    f"Correct {hit.get('file')} line {hit.get('line')}",
                    f"{hit.get('what')} (recipes begin with a tab, not with spaces)",
                    f"cat -A {hit.get('file')} | sed -n '{hit.get('line')}p'",
                ),
            ),
            names=(hit.get("file"),),
        )
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"make fails at the target {hit.get('tgt')} (exit code {hit.get('code')}): {hit.line}",
        0.42,
        (
            high(
                f"Fix the recipe of {hit.get('tgt')}",
                f"See what the recipe of {hit.get('tgt')} prints before this line",
                f"make {hit.get('tgt')}",
            ),
        ),
    )


@line_rule(
    "cmake",
    "cmake error|could not find a package configuration|could not find_package|missing: |package configuration file provided by",
    r"CMake Error at (?P<file>\S+):(?P<line>\d+)|Could NOT find (?P<pkg>\w+)|package configuration file provided by \"(?P<pkg2>[^\"]+)\"",
    source="CMake",
)
def cmake(hit: Hit) -> Hypothesis | None:
    """CMake does not find what it needs."""
    name = hit.get("pkg") or hit.get("pkg2")
    below = quoted(hit.document.window(hit.index + 1, 0, 3))
    if name:
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"CMake could not find the package {name} (not installed): {hit.line}",
            0.88,
            (
                high(
                    f"Install {name}",
                    f"Install the development package of {name} in the build image, or set {name}_DIR or CMAKE_PREFIX_PATH",
                    f"apt-get install -y lib{name.lower()}-dev",
                ),
            ),
            names=(name,),
        )
    stack = hit.document.window(hit.index + 1, 0, 12)
    own = re.search(r"^\s+(?!/)(\S*CMakeLists\.txt|\S+\.cmake):(\d+)", stack, re.MULTILINE)
    package = re.search(r"/Find(\w+)\.cmake:\d+ \(find_package\)", stack)
    if hit.get("file").startswith("/usr/") and (own or package):
        named = package.group(1) if package else ""
        where = f"{own.group(1)}:{own.group(2)}" if own else "CMakeLists.txt"
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"CMake fails in {where}{f' at find_package({named})' if named else ''}: {below}",
            0.88,
            (high(f"Correct {where}{f' (find_package({named}))' if named else ''}", f"{below}: install the development package of {named or 'what is looked for'}, or enable what its search needs (project languages, paths) in {where}", "cmake -S . -B build"),),
            names=(where.split(":")[0],),
        )  # fmt: skip
    whole = re.search(r"\n\n\s{2,}(\S[^\n]*)\n\n\s+(but [^\n]+|which [^\n]+)", hit.document.window(hit.index + 1, 0, 6))
    if whole:
        below = (
            quoted(f"{below} {whole.group(1)} {whole.group(2)}")
            if whole.group(1) not in below
            else quoted(f"{below} {whole.group(2)}")
        )
    found = re.search(r"(?:provided by \"|Could NOT find )(\w+)", below)
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"CMake fails in {hit.get('file')}:{hit.get('line')}: {below}",
        0.8 if not found else 0.6,
        repair(hit.scene, hit.get("file"), hit.get("line"), below, "Correct the CMake file"),
    )


@line_rule(
    "gradle",
    "what went wrong|execution failed for task|could not compile|build file|task '",
    r"Execution failed for task '(?P<task>[^']+)'|Build file '(?P<file>[^']+)' line: (?P<line>\d+)|Could not compile build file '(?P<file2>[^']+)'|Task '(?P<none>[^']+)' not found",
    source="Gradle's failure report",
)
def gradle(hit: Hit) -> Hypothesis | None:
    """What Gradle says went wrong, when nothing more precise is there."""
    below = quoted(hit.document.window(hit.index + 1, 0, 3))
    name = hit.get("task") or hit.get("file") or hit.get("file2") or hit.get("none")
    certain = 0.82 if hit.get("file") or hit.get("none") else 0.5
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"Gradle fails at {name}: {below or hit.line}",
        certain,
        (high(f"Fix {name}", f"{below or hit.line}", "./gradlew build --stacktrace"),),
    )
