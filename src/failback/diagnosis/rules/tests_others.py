"""Test runners of scenarios, documentation and C++, and what can be said of a runner that no rule knows."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, scene_rule
from failback.diagnosis.rules.tests import fixes, test_failure
from failback.diagnosis.rules.tests_compared import compared
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType


@line_rule(
    "behave",
    "failing scenarios|assert failed|scenario:",
    r"^Failing scenarios:|^\s*\d+\) Scenario: (?P<name>[^#]+?)\s*# (?P<place>\S+\.feature:\d+)",
    source="behave, Cucumber",
    most=1,
)
def behave(hit: Hit) -> Hypothesis | None:
    """Cucumber's languages: the failing scenario, and the step that failed."""
    listed = re.search(r"(\S+\.feature:\d+)\s+(.+)", hit.document.window(hit.index + 1, 0, 2))
    place = hit.get("place") or (listed.group(1) if listed else "")
    name = hit.get("name") or (listed.group(2).strip() if listed else "")
    failed = re.search(
        r"^\s+((?:Given|When|Then|And|But) .+?)(?:\s+#.*)?\n\s+((?:ASSERT FAILED|Assertion|Traceback|\w*Error).*)",
        hit.document.text,
        re.MULTILINE,
    )
    step = f' at the step "{failed.group(1)}": {failed.group(2)}' if failed else ""
    return test_failure(hit.scene, f'The scenario "{name}" ({place}) fails{step}', 0.93, name, place, step)


_FAILED_LINE = re.compile(
    r"\bFAIL(?:ED|URE|ING)?\b|^\s*[✗✘✖×]\s|^not ok |[Aa]ssert\w* (?:failed|error)|AssertionError|\bexpected\b.{0,80}\b(?:but|got|actual|received|was)\b",
    re.IGNORECASE,
)


@line_rule(
    "doctest",
    "failed example:",
    r"File \"(?P<file>[^\"\n]+)\", line (?P<line>\d+), in (?P<name>[\w.]+)\nFailed example:\n\s*(?P<code>[^\n]+)",
    source="Python's doctest",
    before=1,
    lines=8,
    most=1,
)
def doctest(hit: Hit) -> Hypothesis | None:
    """doctest: an example in a docstring gives something else."""
    file, name = hit.scene.in_release(hit.get("file")), hit.get("name")
    below = quoted(hit.document.window(hit.index + 1, 0, 6), 160)
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"The doctest of {name} in {file}:{hit.get('line')} fails: {below}",
        0.93,
        fixes(name, f"{file}:{hit.get('line')}", below, hit.scene),
        names=(file, name),
    )


@line_rule(
    "numbered-failure",
    "1) ",
    r"^\s*1\) (?P<name>[^\n]{3,200})\n\s*(?:Message:)?\s*(?P<said>[^\n]{3,300})\n(?:[^\n]*\n){0,12}?\s*(?:Stack:|at |# )",
    source="Jasmine, Karma, Mocha, RSpec: numbered failures with their message below",
    lines=14,
    most=1,
)
def numbered(hit: Hit) -> Hypothesis | None:
    """A numbered failure: its name, what differed, and where."""
    if hit.document.role != "step" or hit.scene.step_type != "test":
        return None
    block = hit.document.window(hit.index, 0, 14)
    place = re.search(r"((?:[\w@-]+/)*[\w.@-]+\.(?:[cm]?[jt]sx?|rb|feature)):(\d+)", block)
    spot = f"{hit.scene.in_release(place.group(1))}:{place.group(2)}" if place else ""
    said = next((line.strip() for line in block.split("\n")[1:] if line.strip() and "Message:" not in line), "")
    name = quoted(hit.get("name"), 160)
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {name} fails{f' ({spot})' if spot else ''}: {quoted(said, 200)}",
        0.8,
        fixes(name, spot, said, hit.scene),
        names=(spot.split(":")[0],) if spot else (),
    )


@scene_rule("test-summary", "a test step that failed in a format that no other rule knows")
def test_summary(scene: Scene) -> Iterable[Hypothesis]:
    """The first lines that say that a test failed."""
    document = scene.step
    if document is None or scene.step_type not in ("test", "verify") or scene.evidence.exit_code in (0, None, 124, 127):
        return
    found = [
        index
        for index, line in enumerate(document.lines[:20_000])
        if _FAILED_LINE.search(line[:400]) and not re.search(r"\b0 fail", line)
    ][:4]
    if not found:
        return
    numbered = next(
        (
            quoted(line, 120)
            for line in reversed(document.lines[max(found[0] - 5, 0) : found[0]])
            if re.match(r"^\s*\d+\) ", line)
        ),
        "",
    )
    values = compared(document.text[:20_000])
    shown = "; ".join(
        part for part in (numbered, values, *(quoted(document.lines[index], 150) for index in found)) if part
    )
    below = quoted(document.window(found[0] + 1, 0, 3), 200)
    place = re.search(r"((?:[\w@-]+/)*[\w.@-]+\.\w{1,5}):(\d+)", document.window(found[0], 3, 8))
    spot = f"{place.group(1)}:{place.group(2)}" if place else ""
    yield Hypothesis(
        FailureType.TEST_FAILURE,
        f"A test fails{f' ({spot})' if spot else ''}: {shown}: {below}",
        0.64,
        fixes(quoted(document.lines[found[0]], 80), spot, f"{shown}: {below}", scene),
        (scene.cite(document, found[0]),),
        scene.step_name,
        names=(spot.split(":")[0],) if spot else (),
    )


@line_rule("ctest", "the following tests failed", r"The following tests FAILED:", source="CTest's summary", most=1)
def ctest(hit: Hit) -> Hypothesis | None:
    """CTest: the numbered list of what failed; the output of the test stands above."""
    named = re.findall(r"^\s+\d+ - (\S+) \(([^)]+)\)", hit.document.window(hit.index + 1, 0, 8), re.MULTILINE)
    if not named:
        return None
    said = next(
        (
            quoted(line, 160)
            for line in hit.document.lines[: hit.index]
            if re.search(r"Assertion|[Ff]ailure|error:|expected|terminate", line)
        ),
        "",
    )
    place = re.search(r"([\w./-]+\.(?:c|cc|cpp|cxx)):(\d+)", said)
    spot = f"{hit.scene.in_release(place.group(1))}:{place.group(2)}" if place else named[0][0]
    return test_failure(
        hit.scene,
        f"Test {', '.join(name for name, _ in named[:4])} ({named[0][1]}) fails: {said or hit.line}",
        0.95,
        named[0][0],
        spot,
        said,
    )


@line_rule("ginkgo", "[failed]", r"^\s*\[FAILED\] (?P<said>(?!\[\d).+)", source="Ginkgo with Gomega's matchers", most=1)
def ginkgo(hit: Hit) -> Hypothesis | None:
    """A spec's failed expectation over several lines; where it stands comes last, its name in the summary."""
    below = hit.document.lines[hit.index : hit.index + 12]
    end = next((at for at, line in enumerate(below) if re.match(r"^\s*In \[\w+\] at: ", line)), 0)
    if not end:
        return None
    place = re.search(r" at: (\S+:\d+)", below[end])
    said = quoted(" ".join([hit.get("said"), *(line.strip() for line in below[1:end])]), 240)
    named = re.search(r"^\s*\[FAIL\] (.+)$", hit.document.text, re.MULTILINE)
    name, where = named.group(1).strip() if named else "", hit.scene.in_release(place.group(1)) if place else ""
    return test_failure(hit.scene, f"The spec {name} ({where}) fails: {said}", 0.95, name, where, said)


@line_rule(
    "rspec-load",
    "an error occurred while loading",
    r"An error occurred while loading (?P<file>\S+?)\.$",
    source="RSpec",
    most=1,
)
def rspec_load(hit: Hit) -> Hypothesis | None:
    """A spec file that could not even be read: the error is in what it loads."""
    below = hit.document.lines[hit.index + 1 : hit.index + 12]
    error = next((at for at, line in enumerate(below) if re.match(r"^\s*[A-Z][\w:]*(?:Error|Exception)\b", line)), None)
    if error is None:
        return None
    said = quoted(" ".join(line.strip() for line in below[error : error + 3] if not line.lstrip().startswith("#")), 200)
    file = hit.get("file").removeprefix("./")
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"The tests of {file} cannot be loaded: {said}",
        0.9,
        fixes(file, file, said, hit.scene),
        names=(file,),
    )
