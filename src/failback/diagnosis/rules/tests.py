"""Test runners: the first failing test, where it stands, and what differed."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.recommend.packages import align, changed
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
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


def test_failure(scene: Scene, cause: str, sure: float, name: str, place: str, said: str) -> Hypothesis:
    """One test that failed: `name`, where (`place`: "file:line"), and what it `said`."""
    file = place.split(":")[0]
    return Hypothesis(FailureType.TEST_FAILURE, cause, sure, fixes(name, place, said, scene), names=(file,))


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
    if not detail and (crashed := re.search(r"worker '\w+' crashed while running [^\n]+", hit.document.text)):
        fatal = re.search(r"Fatal Python error: [^\n]+", hit.document.text)
        detail = f"{crashed.group(0)}{f' ({fatal.group(0)})' if fatal else ''}"
    code = next((line[1:].strip() for line in hit.document.lines if line.startswith(">  ")), "")
    if not test and not detail:
        heading = next(
            (
                i
                for i, line in enumerate(hit.document.lines)
                if re.match(rf"^_+ ERROR collecting {re.escape(file)} _+$", line)
            ),
            -1,
        )
        said = quoted(hit.document.window(heading + 1, 0, 6)) if heading >= 0 else hit.line
        return Hypothesis(
            FailureType.TEST_FAILURE,
            f"The tests in {file} cannot be collected: {said}",
            0.6 if said == hit.line else 0.9,
            fixes(file, file, said, hit.scene),
            names=(file,),
        )
    if mismatch := _library_mismatch(hit, detail or why):
        return mismatch
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


_LIBRARY = re.compile(r"site-packages/(?P<library>\w+)[\w./-]*\.py:\d+: (?:TypeError|AttributeError|ImportError)$", re.MULTILINE)  # fmt: skip
_UNFIT = re.compile(r"(?P<call>[\w.]+)\(\) got an unexpected keyword argument '(?P<arg>\w+)'|module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'|cannot import name '(?P<gone>\w+)' from '(?P<of>[\w.]+)'")  # fmt: skip


def _library_mismatch(hit: Hit, said: str) -> Hypothesis | None:
    """A call that one installed library makes and another no longer accepts: no assertion failed."""
    raised, unfit = _LIBRARY.search(hit.document.text), _UNFIT.search(said)
    if raised is None or unfit is None:
        return None
    library, called = raised.group("library"), unfit.group("call") or unfit.group("module") or unfit.group("of")
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"Incompatible versions: {library} calls {called} with what the installed version no longer has ({unfit.group('arg') or unfit.group('name') or unfit.group('gone')}): {quoted(said, 200)}",
        0.95,
        align(library, "python", changed(hit.scene, library)),
        names=(library,),
    )


def _panic_of(hit: Hit) -> tuple[str, str]:
    """What ended a Go test that said nothing itself, and the innermost line of the module's own code."""
    below = hit.document.lines[hit.index + 1 : hit.index + 40]
    said = next((m.group(1) for line in below if (m := re.match(r"^\s*panic: (.+?)(?: \[recovered.*)?$", line))), "")
    frames = (m for line in below if (m := re.match(r"^\s+(/\S+\.go:\d+)(?: \+0x|$)", line)))
    own = next((m.group(1) for m in frames if "/usr/local/go/" not in m.group(1) and "/pkg/mod/" not in m.group(1)), "")
    return (f"panic: {quoted(said, 160)}" if said else ""), hit.scene.in_release(own) if said else ""


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
    example = re.match(
        r"got:\n(?P<got>[\s\S]*?)\nwant:\n(?P<want>[\s\S]*?)(?=\n(?:FAIL|ok|---|===|PASS)|$)", "\n".join(block[1:])
    )
    if example:  # func ExampleX with an // Output: comment
        detail.append(f"got {quoted(example.group('got'), 90)!r}, want {quoted(example.group('want'), 90)!r}")
    test = (re.search(r"--- FAIL: (\S+)", sub).group(1) if sub else hit.get("test")) if sub or hit.get("test") else ""  # type: ignore[union-attr]
    text = quoted(" ".join(part for part in (said.group(2) if said else "", *detail[:4]) if part), 240)
    place = said.group(1) if said else ""
    if not text:
        text, place = _panic_of(hit)
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


@line_rule(
    "cargo-test",
    "panicked at|test result: failed|---- ",
    r"^---- (?P<test>\S[^\n]*?) stdout ----",
    source="libtest, rustdoc",
)
def cargo_test(hit: Hit) -> Hypothesis | None:
    """cargo test: ---- name stdout ----."""
    block = hit.document.window(hit.index + 1, 0, 10)
    place = re.search(r"panicked at (?:'[^']*', )?([\w./-]+\.rs:\d+)", block)
    documented = re.match(r"([\w./-]+\.rs) - (.+?) \(line (\d+)\)", hit.get("test"))
    said = re.search(
        r"assertion [^\n]*failed[^\n]*(?:\n\s+left: .*\n\s*right: .*)?|(?<=panicked at )[^\n]*\n(?!assertion)[^\n]+",
        block,
    )
    text = quoted(said.group(0)) if said else quoted(block)
    spot = f"{documented.group(1)}:{documented.group(3)}" if documented else place.group(1) if place else ""
    return Hypothesis(
        FailureType.TEST_FAILURE,
        f"{'Documentation test' if documented else 'Test'} {hit.get('test')}{f' ({spot})' if spot else ''} fails: {text}",
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
    block = hit.document.window(hit.index + 1, 0, 24)
    message = re.split(r"^\s+at [\w.$/]+\(|^\[(?:ERROR|INFO)\]|^-> at |^\w+ > ", block, maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    said = quoted(message, 260)
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
    "rspec ./|failures:|rspec './",
    r"^rspec (?P<file>\./\S+?):(?P<line>\d+) # (?P<name>.+)|^rspec '?(?P<file2>\./\S+?)\[",
    source="RSpec's summary",
)
def rspec(hit: Hit) -> Hypothesis | None:
    """RSpec: rspec ./file:line # name."""
    name, place = hit.get("name"), f"{(hit.get('file') or hit.get('file2')).removeprefix('./')}:{hit.get('line')}"
    failure = re.search(r"Failure/Error: .+(?:\n.+){0,8}", hit.document.text)
    said = quoted(failure.group(0), 280) if failure else ""
    return test_failure(hit.scene, f'Test "{name}" ({place}) fails: {said}', 0.94, name, place, said)


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
    return test_failure(hit.scene, f"Test {name} ({place}) fails: {said}", 0.92, name, place, said)


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
    ends = next((at for at, line in enumerate(below) if re.match(r"^(?:ERRORS|FAILURES)!|^2\) ", line)), len(below))
    told = (line for line in below[:ends] if line.strip() and not line.startswith(("1) ", "/")))
    said = quoted(" ".join(told)[:260])
    place = next((m.group(1) for line in below if (m := re.match(r"^(/?\S+\.php:\d+)$", line.strip()))), "")
    shown = hit.scene.in_release(place)
    return test_failure(hit.scene, f"Test {name} ({shown}) fails: {said}", 0.93, name, shown, said)


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
    return test_failure(
        hit.scene,
        f"Test {hit.get('name')}{f' ({spot})' if spot else ''} fails: {said}",
        0.92,
        hit.get("name"),
        spot,
        said,
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
    return test_failure(
        hit.scene,
        f"Test {hit.get('test')} ({hit.get('cls')}{', ' + spot if spot else ''}) fails: {quoted(said.group(1)) if said else ''}",
        0.93,
        hit.get("test"),
        spot,
        said.group(1) if said else "",
    )
