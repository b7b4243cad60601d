"""Test runners of JavaScript: Jest, Vitest, Mocha, node:test."""

from __future__ import annotations

import re

from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.rules.tests import fixes, test_failure
from failback.diagnosis.rules.tests_compared import compared
from failback.model.diagnosis import FailureType


@line_rule(
    "jest",
    "● |✕|× ",
    r"^\s*● (?P<name>(?!Console|Cannot log|Deprecation|Validation)\S.*)$|^\s*(?:✕|×) (?P<mark>.+?)(?: \(?\d+ ?m?s\)?)?$",
    source="Jest's and Vitest's reports",
    flags=re.MULTILINE,
)
def jest(hit: Hit) -> Hypothesis | None:
    """Jest: a bullet with the test's name, then Expected and Received."""
    if hit.scene.step_type != "test" and not any(tool in hit.document.lower for tool in ("jest", "vitest")):
        return None
    name = hit.get("name") or hit.get("mark")
    block = hit.document.window(hit.index, 0, 45)
    if not hit.get("name") and re.search(r"^\s*● ", hit.document.text, re.MULTILINE):
        return None
    if "Test suite failed to run" in name:
        inner = re.search(r"(?:SyntaxError|Cannot find module|TypeError|ReferenceError|Error)[^\n]*", block)
        file = _file(hit, block)
        return Hypothesis(
            FailureType.TEST_FAILURE,
            f"The test suite {file} cannot run: {quoted(inner.group(0)) if inner else hit.line}",
            0.75,
            fixes(file, file, inner.group(0) if inner else "", hit.scene),
            names=(file,),
        )
    file = _file(hit, block)
    values = re.search(r"Expected(?: \w+)*: ?(.+)\n\s*Received(?: \w+)*: ?(.+)", block)
    said = f"expected {values.group(1).strip()}, received {values.group(2).strip()}" if values else _first_said(block)
    code = re.search(r"^\s*> \d+ \|\s?(.+)$", block, re.MULTILINE)
    expression = f" at `{quoted(code.group(1), 120)}`" if code else ""
    stall = "Exceeded timeout" in block
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f'Test "{quoted(name, 160)}" in {file} fails: {quoted(said)}{expression}',
        0.94 if not stall else 0.85,
        fixes(quoted(name, 120), file, f"{said} {code.group(1) if code else ''}", hit.scene),
        names=(file.split(":")[0], file.split(":")[0].replace(".test", "").replace(".spec", "")),
    )


def _file(hit: Hit, block: str) -> str:
    match = re.search(r"\(?((?:[\w.@/-]+/)?[\w.@-]+\.(?:test|spec|e2e)\.[cm]?[jt]sx?)(?::(\d+))?", block) or re.search(
        r"^\s*(?:FAIL|❯)\s+(\S+\.[cm]?[jt]sx?)()", hit.document.text, re.MULTILINE
    )
    return f"{match.group(1)}{':' + match.group(2) if match.group(2) else ''}" if match else "the tests"


def _first_said(block: str) -> str:
    for line in block.split("\n")[1:]:
        if line.strip() and not line.strip().startswith(("at ", ">", "|")):
            return line.strip()
    return ""


@line_rule(
    "vitest",
    "fail  |assertionerror:|failed tests",
    r"^\s*FAIL\s+(?P<file>\S+\.(?:test|spec)\.\S+) > (?P<name>.+)$",
    source="Vitest's report",
)
def vitest(hit: Hit) -> Hypothesis | None:
    """Vitest: FAIL file > suite > name."""
    block = hit.document.window(hit.index + 1, 0, 14)
    said = re.search(r"((?:Assertion)?Error: .+|.*expected .+)", block)
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f'Test "{hit.get("name")}" in {hit.get("file")} fails: {quoted(said.group(1)) if said else quoted(block)}',
        0.94,
        fixes(hit.get("name"), hit.get("file"), said.group(1) if said else "", hit.scene),
        names=(hit.get("file"), hit.get("file").replace(".test", "").replace(".spec", "")),
    )


@line_rule("mocha", " failing", r"^\s*\d+ failing", source="Mocha's spec reporter")
def mocha(hit: Hit) -> Hypothesis | None:
    """Mocha: the numbered list after "failing"."""
    below = hit.document.lines[hit.index + 1 : hit.index + 30]
    names: list[str] = []
    said = ""
    for line in below:
        if (
            re.match(r"^\s*(?:\d+\) )?\S.*:?$", line)
            and not said
            and not re.search(r"Error|^\s+at ", line)
            and len(names) < 3
        ):
            names.append(re.sub(r"^\s*\d+\) ", "", line).strip().rstrip(":"))
        elif "Error" in line and not said:
            said = line.strip()
            if said.endswith(("{", "[", ":", "(")):  # the message goes on
                said = quoted(
                    re.split(r"^\s+at ", "\n".join(below[below.index(line) :]), maxsplit=1, flags=re.MULTILINE)[0], 220
                )
    place = next(
        (
            m.group(1)
            for line in below
            if (m := re.search(r"\(?((?:[\w./-]+/)?[\w.-]+\.[cm]?[jt]s:\d+)", line)) and "node_modules" not in line
        ),
        "",
    )
    name = " ".join(names)
    if not name and not said:
        return None
    return test_failure(
        hit.scene,
        f'Test "{quoted(name, 160)}"{f" in {place}" if place else ""} fails: {quoted(said)}',
        0.92,
        quoted(name, 120),
        place,
        said,
    )


@line_rule(
    "node-test",
    "not ok |✖ ",
    r"^\s*not ok \d+ - (?P<name>.+)$|^✖ (?P<name2>(?!failing tests|\d+ problem).+?) \([\d.]+ms\)",
    source="TAP and node:test",
)
def tap(hit: Hit) -> Hypothesis | None:
    """TAP: not ok n - name."""
    name = hit.get("name") or hit.get("name2")
    block = hit.document.window(hit.index + 1, 0, 25)
    if name.endswith((".js", ".ts", ".mjs")) and "subtest" in block.lower():
        return None
    said = re.search(r"error: (?:\|-?\s*)?'?(.+?)'?$|(AssertionError[^\n]*)|(\w*Error: .+)", block, re.MULTILINE)
    text = next((g for g in said.groups() if g), "") if said else ""
    if values := compared(block):
        text = f"{text} ({values})" if text else values
    place = re.search(r"((?:[\w./-]+/)?[\w.-]+\.(?:test|spec)?\.?[cm]?[jt]s):(\d+)", block)
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f'Test "{quoted(name, 160)}"{f" ({hit.scene.in_release(place.group(1))}:{place.group(2)})" if place else ""} fails: {quoted(text)}',
        0.88,
        fixes(quoted(name, 120), place.group(1) if place else "", text, hit.scene),
    )
