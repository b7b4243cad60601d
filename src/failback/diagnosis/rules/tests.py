"""Test runners: the first failing test, where it stands, and what differed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType, Recommendation


def fixes(name: str, place: str, said: str, scene: Scene) -> tuple[Recommendation, ...]:
    """Correct the code that the test exercises, or the test when the behaviour is meant to differ."""
    changed = [file for file in scene.change.files if "test" not in file.lower() and "spec" not in file.lower()]
    suspect = f" This release changed {', '.join(changed[:3])}." if changed else ""
    return (
        high(
            f"Fix the code that {name} tests ({place})",
            f"Correct the code so that the assertion holds: {quoted(said, 200)}.{suspect} If the new behaviour is right, change what the test expects",
            "",
        ),
        medium("Run this test alone", "Until it passes", f"# {place}: {name}"),
        commit(place.split(":")[0] if place else ".", f"Fix {name}"[:60]),
    )


@line_rule(
    "pytest",
    "failed |error ",
    r"^(?:FAILED|ERROR) (?P<file>[\w./-]+\.py)(?:::(?P<test>[^\s].*?))?(?: - (?P<why>.+))?$",
    source="pytest's short test summary",
    most=1,
)
def pytest(hit: Hit) -> Hypothesis | None:
    """pytest: FAILED file::test - why."""
    file, test, why = hit.get("file"), hit.get("test"), hit.get("why")
    assertions = [line.strip() for line in hit.document.lines if line.startswith("E  ")]
    others = len([1 for i in hit.document.hits("failed ") if hit.document.lines[i].startswith("FAILED ")])
    detail = "; ".join(dict.fromkeys(line[1:].strip() for line in assertions[:3])) or why
    code = next((line[1:].strip() for line in hit.document.lines if line.startswith(">  ")), "")
    if (not test or not (why or detail)) and not test and not detail:
        return Hypothesis(
            FailureType.TEST_FAILURE,
            f"The tests in {file} cannot be collected: {hit.line}",
            0.6,
            fixes(file, file, hit.line, hit.scene),
            names=(file,),
        )
    fixture = re.search(r"fixture '(\w+)' not found", detail or "")
    line = re.search(rf"{re.escape(file)}:(\d+)", hit.document.text)
    place = f"{file}:{line.group(1)}" if line else file
    more = f" (and {others - 1} more)" if others > 1 else ""
    expression = f" at `{quoted(code, 120)}`" if code else ""
    said = f"fixture {fixture.group(1)} not found" if fixture else quoted(detail or why, 260)
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {test or file} in {place} fails{more}: {said}{expression}",
        0.94,
        fixes(test or file, place, f"{said} {code}", hit.scene),
        names=(file, (test or "").split("[")[0], file.rsplit("/", 1)[-1].removeprefix("test_")),
    )


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
    place = next(
        (
            m.group(1)
            for line in below
            if (m := re.search(r"\(?((?:[\w./-]+/)?[\w.-]+\.[cm]?[jt]s:\d+)", line)) and "node_modules" not in line
        ),
        "",
    )
    name = " ".join(names)
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f'Test "{quoted(name, 160)}"{f" in {place}" if place else ""} fails: {quoted(said)}',
        0.92,
        fixes(quoted(name, 120), place, said, hit.scene),
        names=(place.split(":")[0],),
    )


@line_rule("go-test", "--- fail:", r"^\s*--- FAIL: (?P<test>\S+)", source="go test")
def go_test(hit: Hit) -> Hypothesis | None:
    """go test: --- FAIL: and the lines t.Errorf wrote."""
    block = hit.document.lines[hit.index : hit.index + 14]
    sub = next((line for line in block[1:4] if "--- FAIL" in line), "")
    said = next((m for line in block if (m := re.match(r"^\s+(\S+_test\.go:\d+): ?(.*)", line))), None)
    if said is None:
        above = hit.document.lines[max(hit.index - 6, 0) : hit.index]
        said = next((m for line in reversed(above) if (m := re.match(r"^\s+(\S+_test\.go:\d+): ?(.*)", line))), None)
    detail = [
        m.group(1).strip()
        for line in block
        if (
            m := re.match(
                r"^\s+(?:\S+_test\.go:\d+: ?)?((?:Error:|expected|actual|got|want|Error Trace|Not equal).*)", line
            )
        )
    ]
    test = (re.search(r"--- FAIL: (\S+)", sub).group(1) if sub else hit.get("test")) if sub or hit.get("test") else ""  # type: ignore[union-attr]
    text = quoted(" ".join(part for part in (said.group(2) if said else "", *detail[:4]) if part), 240)
    place = said.group(1) if said else ""
    race = (
        re.search(r"WARNING: DATA RACE\n(?:.*\n){1,12}?\s+(\S+?\.go):(\d+)", hit.document.text)
        if "race detected" in "\n".join(block) or "DATA RACE" in hit.document.text
        else None
    )
    if race:
        frames = [
            f"{m.group(1).rsplit('/', 1)[-1]}:{m.group(2)}"
            for m in re.finditer(
                r"^\s+(/\S+\.go):(\d+) \+", hit.document.text[race.start() : race.start() + 3000], re.MULTILINE
            )
            if "/usr/local/go/" not in m.group(1)
        ]
        spot = frames[0] if frames else race.group(1)
        return Hypothesis(
            FailureType.TEST_FAILURE,
            f"DATA RACE in test {test}: two goroutines use the same memory without a lock at {', '.join(dict.fromkeys(frames[:3])) or spot}",
            0.96,
            (high(f"Guard what {spot} shares with a mutex", "Protect it with sync.Mutex, use sync/atomic, or hand it over by a channel, in every place that reads or writes it", f"go test -race -run {test} ."), commit(spot.split(":")[0], "Guard shared state")),
            names=(spot.split(":")[0], test),
        )  # fmt: skip
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {test}{f' ({place})' if place else ''} fails: {text}",
        0.94,
        fixes(test, place, text, hit.scene),
        names=(place.split(":")[0], place.split(":")[0].replace("_test.go", ".go"), test),
    )


@line_rule("cargo-test", "panicked at|test result: failed|---- ", r"^---- (?P<test>\S+) stdout ----", source="libtest")
def cargo_test(hit: Hit) -> Hypothesis | None:
    """cargo test: ---- name stdout ----."""
    block = hit.document.window(hit.index + 1, 0, 10)
    place = re.search(r"panicked at (?:'[^']*', )?([\w./-]+\.rs:\d+)", block)
    said = re.search(
        r"assertion [^\n]*failed[^\n]*(?:\n\s+left: .*\n\s*right: .*)?|(?<=panicked at )[^\n]*\n(?!assertion)[^\n]+",
        block,
    )
    text = quoted(said.group(0)) if said else quoted(block)
    spot = place.group(1) if place else ""
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {hit.get('test')}{f' ({spot})' if spot else ''} fails: {text}",
        0.94,
        fixes(hit.get("test"), spot, text, hit.scene),
        names=(spot.split(":")[0], hit.get("test")),
    )


@line_rule(
    "junit",
    "<<< failure|<<< error|failed\n|failures:| failed",
    r"(?P<cls>[\w.$]+)\.(?P<test>[\w$ \[\]\(\)]+?)\s+(?:--\s+)?Time elapsed[^\n]*<<< (?P<kind>FAILURE|ERROR)!|^(?P<test2>[\w ]+)\((?P<cls2>[\w.$]+)\)[^\n]*<<< (?:FAILURE|ERROR)!|^(?P<gcls>\w+(?:Test|Tests|Spec|IT)) > (?P<gtest>.+?) FAILED",
    source="Surefire's and Gradle's reports",
)
def junit(hit: Hit) -> Hypothesis | None:
    """JUnit through Maven or Gradle."""
    cls, test = (
        hit.get("cls") or hit.get("cls2") or hit.get("gcls"),
        hit.get("test") or hit.get("test2") or hit.get("gtest"),
    )
    block = hit.document.window(hit.index + 1, 0, 8)
    said = next((line.strip() for line in block.split("\n") if line.strip()), "")
    short = cls.rsplit(".", 1)[-1]
    line = re.search(rf"{re.escape(short)}\.(?:java|kt|groovy|scala):(\d+)", block)
    place = f"{short}.java:{line.group(1)}" if line else short
    name = f"{short}.{test.strip()}"
    tested = short.removesuffix("Tests").removesuffix("Test")
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {name} ({place}) fails: {quoted(said)}",
        0.94,
        fixes(name, f"{place} of {tested}", said, hit.scene),
        names=(short, tested),
    )


@line_rule(
    "rspec",
    "rspec ./|failures:",
    r"^rspec (?P<file>\./\S+?):(?P<line>\d+) # (?P<name>.+)|^rspec '?(?P<file2>\./\S+?)\[",
    source="RSpec's summary",
)
def rspec(hit: Hit) -> Hypothesis | None:
    """RSpec: rspec ./file:line # name."""
    name, place = hit.get("name"), f"{(hit.get('file') or hit.get('file2')).removeprefix('./')}:{hit.get('line')}"
    failure = re.search(r"Failure/Error: .+(?:\n.+){0,8}", hit.document.text)
    said = quoted(failure.group(0), 280) if failure else ""
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f'Test "{name}" ({place}) fails: {said}',
        0.94,
        fixes(name, place, said, hit.scene),
        names=(place.split(":")[0],),
    )


@line_rule(
    "minitest",
    "failure:|error:",
    r"(?:^|\s)(?:\d+\) )?(?:Failure|Error):\n(?P<name>\S+#\w+) \[(?P<place>[^\]]+)\]|^(?:FAIL|Failure:)\s*(?P<name2>\S+#\w+)",
    source="Minitest's report",
    lines=2,
)
def minitest(hit: Hit) -> Hypothesis | None:
    """Minitest: Failure: then Class#test [file:line]."""
    name, place = hit.get("name") or hit.get("name2"), hit.get("place")
    said = quoted(hit.document.window(hit.index + 2, 0, 3))
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {name} ({place}) fails: {said}",
        0.92,
        fixes(name, place, said, hit.scene),
        names=(place.split(":")[0],),
    )


@line_rule(
    "phpunit",
    "failures!|errors!|there was 1|there were",
    r"^There (?:was|were) \d+ (?:failure|error)s?:",
    source="PHPUnit's report",
)
def phpunit(hit: Hit) -> Hypothesis | None:
    """PHPUnit: the numbered list."""
    below = hit.document.lines[hit.index + 1 : hit.index + 16]
    name = next((m.group(1) for line in below if (m := re.match(r"^1\) (.+)$", line))), "")
    said = quoted(" ".join(line for line in below if line.strip() and not line.startswith(("1) ", "/")))[:260])
    place = next((m.group(1) for line in below if (m := re.match(r"^(/?\S+\.php:\d+)$", line.strip()))), "")
    shown = hit.scene.in_release(place)
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {name} ({shown}) fails: {said}",
        0.93,
        fixes(name, shown, said, hit.scene),
        names=(shown.split(":")[0],),
    )


@line_rule(
    "dotnet-test",
    "[fail]|failed ",
    r"^\s*(?:\[xUnit[^\]]*\]\s+)?(?:Failed )?(?P<name>[\w.]+\.[\w.]+(?:\([^)]*\))?) \[(?:FAIL|[\d<]+ ?m?s)\]",
    source="dotnet test",
)
def dotnet_test(hit: Hit) -> Hypothesis | None:
    """dotnet test: name [FAIL]."""
    if "FAIL" not in hit.line and "Failed" not in hit.line:
        return None
    block = hit.document.window(hit.index + 1, 0, 14)
    said = quoted(block, 220)
    place = re.search(r"in (\S+?\.cs):line (\d+)", block)
    spot = f"{hit.scene.in_release(place.group(1))}:{place.group(2)}" if place else ""
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {hit.get('name')}{f' ({spot})' if spot else ''} fails: {said}",
        0.92,
        fixes(hit.get("name"), spot, said, hit.scene),
        names=(spot.split(":")[0],),
    )


@line_rule(
    "unittest",
    "fail: |error: ",
    r"^(?:FAIL|ERROR): (?P<test>\w+) \((?P<cls>[\w.]+)\)",
    source="Python's unittest, Django's test runner",
)
def unittest(hit: Hit) -> Hypothesis | None:
    """unittest: FAIL: test (module.Class)."""
    block = hit.document.window(hit.index + 1, 0, 25)
    said = re.search(r"^(\w*(?:Error|Exception|Failure)\w*: .+|AssertionError.*)$", block, re.MULTILINE)
    place = re.search(r'File "([^"]+)", line (\d+)', block)
    spot = f"{hit.scene.in_release(place.group(1))}:{place.group(2)}" if place else ""
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"Test {hit.get('test')} ({hit.get('cls')}{', ' + spot if spot else ''}) fails: {quoted(said.group(1)) if said else ''}",
        0.93,
        fixes(hit.get("test"), spot, said.group(1) if said else "", hit.scene),
        names=(spot.split(":")[0],),
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
    place = re.search(r"((?:[\w./-]+/)?[\w.-]+\.(?:test|spec)?\.?[cm]?[jt]s):(\d+)", block)
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f'Test "{quoted(name, 160)}"{f" ({hit.scene.in_release(place.group(1))}:{place.group(2)})" if place else ""} fails: {quoted(text)}',
        0.88,
        fixes(quoted(name, 120), place.group(1) if place else "", text, hit.scene),
    )


@scene_rule("coverage", "coverage.py, Jest, Istanbul, JaCoCo, go tool cover")
def coverage(scene: Scene) -> Iterable[Hypothesis]:
    """Coverage below its threshold."""
    document = scene.step
    if document is None or "cover" not in document.lower:
        return
    pattern = re.compile(
        r"(?:Required test coverage of (?P<a>[\d.]+)%? not reached\. Total coverage: (?P<ah>[\d.]+)|total of (?P<bh>[\d.]+)%? is less than fail-under=(?P<b>[\d.]+)|coverage threshold for (?P<what>\w+) \((?P<c>[\d.]+)%?\) not met: (?P<ch>[\d.]+)|Coverage for (?P<dw>\w+) \((?P<dh>[\d.]+)%\) does not meet (?:global )?(?:threshold )?\(?(?P<d>[\d.]+)|covered ratio is (?P<eh>[\d.]+), but expected minimum is (?P<e>[\d.]+)|coverage:? (?P<fh>[\d.]+)%? (?:is )?(?:below|less than|under)[^\d]*(?P<f>[\d.]+)|Line coverage \((?P<gh>[\d.]+)%\) is below the expected minimum coverage \((?P<g>[\d.]+))",
        re.IGNORECASE,
    )
    found = []
    for index in document.hits("cover"):
        match = pattern.search(document.lines[index])
        if match:
            groups = match.groupdict()
            want = next((groups[k] for k in "abcdefg" if groups.get(k)), "")
            have = next((groups[k] for k in ("ah", "bh", "ch", "dh", "eh", "fh", "gh") if groups.get(k)), "")
            found.append((index, groups.get("what") or groups.get("dw") or "total", have, want))
    if not found:
        return
    uncovered = _uncovered(document.lines)
    shown = "; ".join(f"{what} {have}% instead of {want}%" for _, what, have, want in found[:4])
    worst = f", least covered: {', '.join(uncovered[:3])}" if uncovered else ""
    yield Hypothesis(
        FailureType.QUALITY_VIOLATION,
        f"The coverage is below its threshold: {shown}{worst}",
        0.96,
        (high(f"Add tests for {uncovered[0] if uncovered else 'what is not covered'}", f"Write tests that cover {', '.join(uncovered[:3]) or 'the new code'} (lines, branches) until the threshold of {found[0][3]}% is reached", ""),
         medium("Or lower the threshold on purpose", f"Only if {found[0][2]}% is enough; the threshold stands in the test configuration", f"fail_under = {found[0][2]}")),
        citations=tuple(scene.cite(document, index) for index, *_ in found[:3]),
        component=scene.step_name,
        names=tuple(name.split(" ")[0] for name in uncovered[:2]),
    )  # fmt: skip


def _uncovered(lines: list[str]) -> list[str]:
    """Files with the lowest coverage of a text table, each with its uncovered lines."""
    rows: list[tuple[float, str]] = []
    for line in lines:
        python = re.match(r"^(\S+\.py)\s+\d+\s+\d+.*?\s(\d+)%\s*(.*)$", line)
        node = re.match(r"^\s*(\S+\.[cm]?[jt]sx?)\s*\|\s*([\d.]+)\s*\|.*\|\s*([\d,\s.-]*)$", line)
        match = python or node
        if match and float(match.group(2)) < 100:
            rows.append((float(match.group(2)), f"{match.group(1)} {match.group(3).strip()}".strip()))
    return [name for _, name in sorted(rows)]


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
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f'The scenario "{name}" ({place}) fails{step}',
        0.93,
        fixes(name, place, step, hit.scene),
        names=(place.split(":")[0],),
    )


_FAILED_LINE = re.compile(
    r"\bFAIL(?:ED|URE|ING)?\b|^\s*[✗✘✖×]\s|^not ok |[Aa]ssert\w* (?:failed|error)|AssertionError|\bexpected\b.{0,80}\b(?:but|got|actual|received|was)\b",
    re.IGNORECASE,
)


@scene_rule("test-summary", "a test step that failed in a format that no other rule knows")
def test_summary(scene: Scene) -> Iterable[Hypothesis]:
    """The first lines that say that a test failed."""
    document = scene.step
    if document is None or scene.step_type != "test" or scene.evidence.exit_code in (0, None, 124, 127):
        return
    found = [
        index
        for index, line in enumerate(document.lines[:20_000])
        if _FAILED_LINE.search(line[:400]) and not re.search(r"\b0 fail", line)
    ][:4]
    if not found:
        return
    shown = "; ".join(quoted(document.lines[index], 150) for index in found)
    below = quoted(document.window(found[0] + 1, 0, 3), 200)
    place = re.search(r"((?:[\w@-]+/)*[\w.@-]+\.\w{1,5}):(\d+)", document.window(found[0], 3, 8))
    spot = f"{place.group(1)}:{place.group(2)}" if place else ""
    yield Hypothesis(
        FailureType.TEST_FAILURE,
        f"A test fails{f' ({spot})' if spot else ''}: {shown}: {below}",
        0.64,
        fixes(quoted(document.lines[found[0]], 80), spot, shown, scene),
        (scene.cite(document, found[0]),),
        scene.step_name,
        names=(spot.split(":")[0],) if spot else (),
    )
