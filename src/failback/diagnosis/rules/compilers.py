"""Compilers: the first error of a build, with file, line and symbol."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.recommend.files import add_file
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType, Recommendation


def repair(scene: Scene, file: str, line: str, said: str, advice: str) -> tuple[Recommendation, ...]:
    """The place to correct, with what the compiler said."""
    shown = scene.in_release(file)
    return (
        high(
            f"Fix {shown}{f' line {line}' if line else ''}",
            f"{advice} ({quoted(said, 160)})",
            f"$EDITOR {shown}{f' +{line}' if line else ''}",
        ),
        commit(shown or ".", f"Fix {shown}"),
    )


@line_rule(
    "javac",
    "error:|[error]|e: |cannot find symbol|compilation error|.groovy|.scala",
    r"(?P<file>[\w./-]+\.(?:java|kt|scala|groovy)):\[?(?P<line>\d+)(?:[,:]\d+)?\]?:?\s+(?:error: )?(?P<what>.+)|e: (?:file://)?(?P<kt>\S+\.kt):(?P<ktl>\d+):\d+:? (?P<ktw>.+)",
    source="javac, kotlinc, scalac, alone or through Maven and Gradle",
)
def javac(hit: Hit) -> Hypothesis | None:
    """Java and Kotlin sources that do not compile."""
    file, line, what = (
        hit.get("file") or hit.get("kt"),
        hit.get("line") or hit.get("ktl"),
        hit.get("what") or hit.get("ktw"),
    )
    if "warning" in what.lower()[:10] or hit.trace or what.startswith("at "):
        return None
    below = hit.document.window(hit.index + 1, 0, 4)
    symbol = re.search(r"symbol:\s+(?:class|variable|method|static)?\s*([\w.<>()$]+)", below) or re.search(
        r"package ([\w.]+) does not exist|[Uu]nresolved reference:? '?(\w+)'?|cannot find symbol class (\w+)", what
    )
    name = next((g for g in symbol.groups() if g), "") if symbol else ""
    missing = f": {name} is unknown" if name else ""
    advice = (
        f"Import or define {name}: add the import, or add the dependency that holds it to pom.xml or build.gradle, or create the class"
        if name
        else "Correct the source at this line"
    )
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"Compilation fails in {hit.scene.in_release(file)}:{line}: {quoted(what)}{missing}",
        0.95,
        repair(hit.scene, file, line, f"{what} {name}", advice),
        names=(hit.scene.in_release(file), name),
        facts={"file": file, "line": line, "symbol": name},
    )


@line_rule(
    "gcc",
    "error:|undefined reference|fatal error:|cannot find -l|multiple definition|undefined symbols|ld: library not found|library not found for -l",
    r"(?P<file>[\w./+-]+\.(?:c|cc|cpp|cxx|h|hpp|m|mm|f90|cu|swift|d|zig|nim)):(?P<line>\d+)(?::\d+)?: (?:fatal )?error: (?P<what>.+)|undefined reference to [`'](?P<sym>[^'`]+)|cannot find -l(?P<lib>[\w+-]+)|library not found for -l(?P<lib2>\S+)|multiple definition of [`'](?P<dup>[^'`]+)",
    source="gcc, clang and ld",
)
def gcc(hit: Hit) -> Hypothesis | None:
    """C and C++ that does not compile or link."""
    library, symbol, dup = hit.get("lib") or hit.get("lib2"), hit.get("sym"), hit.get("dup")
    if library:
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"The linker does not find the library {library} (-l{library}): its development package is not installed: {hit.line}",
            0.88,
            (
                high(
                    f"Install the library {library}",
                    f"Install the development package of {library} in the build image, or correct -L",
                    f"RUN apt-get install -y lib{library.lower()}-dev",
                ),
            ),
            names=(library,),
        )
    if symbol or dup:
        name = symbol or dup
        why = (
            f"undefined reference to {name}: it is declared but defined in no object or library that is linked"
            if symbol
            else f"{name} is defined twice"
        )
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"Linking fails: {why}: {hit.line}",
            0.94,
            (
                high(
                    f"Link the object or library that defines {name}",
                    f"Define {name}, add its source file or object to the link command, or add its library (-l...) after the objects",
                    f"gcc -o app main.o {name}.o -l<library>",
                ),
                commit("Makefile", "Link what is missing"),
            ),
            names=(name,),
        )
    what, file = hit.get("what"), hit.get("file")
    own_line = hit.get("line")
    if file.startswith("/usr/"):
        above = hit.document.window(hit.index, 40, 3)
        user = re.findall(
            r"^([\w][\w./+-]*\.(?:c|cc|cpp|cxx|h|hpp)):(\d+)(?::\d+)?:\s+required from", above, re.MULTILINE
        ) or re.findall(r"from ([\w][\w./+-]*\.(?:c|cc|cpp|cxx|h|hpp)):(\d+)", above)
        if user:
            what, (file, own_line) = f"{what} (in {file.rsplit('/', 1)[-1]}, used there)", user[-1]
    header = re.search(r"([\w./+-]+\.h(?:pp)?): No such file", what)
    if header:
        name = header.group(1)
        if name == "Python.h":
            return Hypothesis(
                FailureType.MISSING_DEPENDENCY,
                f"The header Python.h is not installed, so a native package cannot be compiled: {hit.line}",
                0.92,
                (
                    high(
                        "Install Python's headers",
                        "Install python3-dev and a compiler in the build stage, or use a package that has a wheel",
                        "RUN apt-get update && apt-get install -y python3-dev gcc",
                    ),
                ),
            )
        own = "/" not in name and hit.scene.change.touches(name)
        if own:
            return Hypothesis(
                FailureType.BUILD_FAILURE,
                f"The header {name} of the application is missing, included in {file}:{hit.get('line')}",
                0.85,
                add_file(name, hit.scene),
            )
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"The header {name} is missing: the development package that holds it is not installed ({file}:{hit.get('line')}): {hit.line}",
            0.86,
            (
                high(
                    f"Install the development package with {name}",
                    f"Install the -dev package that holds {name} in the build image, or correct the include path (-I)",
                    f"apt-file search {name}; RUN apt-get install -y lib{name.split('/')[0].split('.')[0].lower()}-dev",
                ),
            ),
            names=(name,),
        )
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"Compilation fails in {hit.scene.in_release(file)}:{own_line}: {quoted(what)}",
        0.94,
        repair(
            hit.scene,
            file,
            own_line,
            what,
            "Correct the source at this line: define, declare, include or convert what the compiler misses",
        ),
        names=(hit.scene.in_release(file),),
    )


@line_rule(
    "rustc",
    "error[e|error: ",
    r"error(?:\[(?P<code>E\d+)\])?: (?P<what>.+)\n\s*--> (?P<file>[^:\s]+):(?P<line>\d+)",
    source="rustc's error codes",
    lines=2,
)
def rustc(hit: Hit) -> Hypothesis | None:
    """Rust that does not compile."""
    below = hit.document.window(hit.index + 1, 0, 14)
    expected = re.search(r"expected `([^`]+)`, found `([^`]+)`|expected ([\w`<>&]+), found ([\w`<>&{}]+)", below)
    types = (
        next(
            (
                f": expected {a}, found {b}"
                for a, b in [(expected.group(1) or expected.group(3), expected.group(2) or expected.group(4))]
            ),
            "",
        )
        if expected
        else ""
    )
    helped = re.search(r"= ?help: (.+)|help: (.+)", below)
    advice = f"{(helped.group(1) or helped.group(2)) if helped else 'Correct the source at this line'}{f'; convert the type, for example with a cast (as {expected.group(1)})' if expected and expected.group(1) else ''}"
    clippy = "clippy::" in below
    code = f" ({hit.get('code')})" if hit.get("code") else ""
    return Hypothesis(
        FailureType.QUALITY_VIOLATION if clippy else FailureType.BUILD_FAILURE,
        f"{'clippy' if clippy else 'Compilation'} fails in {hit.get('file')}:{hit.get('line')}: {quoted(hit.get('what'))}{types}{code}",
        0.95,
        repair(hit.scene, hit.get("file"), hit.get("line"), f"{hit.get('what')}{types}", advice),
        names=(hit.get("file"),),
    )


@line_rule(
    "go-build",
    ".go:",
    r"^(?:vet: )?(?:\./)?(?P<file>[\w./-]+\.go):(?P<line>\d+):(?P<col>\d+): (?P<what>.+)",
    source="the Go compiler and vet",
    flags=re.MULTILINE,
)
def go_build(hit: Hit) -> Hypothesis | None:
    """Go that does not compile."""
    what = hit.get("what")
    if (
        hit.trace
        or hit.document.role != "step"
        or "missing go.sum entry" in what
        or "module lookup disabled" in what
        or re.match(r"\d+ \+0x", what)
    ):
        return None
    embedded = re.search(r"pattern (\S+): no matching files found", what)
    if embedded:
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"go:embed in {hit.get('file')}:{hit.get('line')} names {embedded.group(1)}, which does not exist (no matching files found, missing)",
            0.96,
            (high(f"Make {embedded.group(1)} before go build", f"Build or generate {embedded.group(1)} first (for example npm run build of the frontend), or create, add and commit it; in a Dockerfile COPY it before go build", f"npm run build && go build ./...   # {embedded.group(1)} must exist"),),
            names=(embedded.group(1), hit.get("file")),
        )  # fmt: skip
    name = re.search(
        r"undefined: ([\w.]+)|\"([^\"]+)\" imported and not used|declared and not used: (\w+)|(\w+) declared (?:and|but) not used|no required module provides package ([^\s;:]+)|package ([^\s]+) is not in",
        what,
    )
    shown = next((g for g in name.groups() if g), "") if name else ""
    if "no required module" in what or "is not in std" in what or "cannot find module" in what:
        return Hypothesis(
            FailureType.DEPENDENCY_RESOLUTION,
            f"The Go package {shown} is not in go.mod ({hit.get('file')}:{hit.get('line')}): {quoted(what)}",
            0.9,
            (
                high(
                    f"Add {shown} to go.mod",
                    "Run go get and commit go.mod and go.sum",
                    f"go get {shown} && go mod tidy",
                ),
            ),
            names=(shown, "go.mod"),
        )
    lint = hit.scene.step_type == "quality" or re.search(
        r"\((?:errcheck|govet|staticcheck|unused|ineffassign|gosimple|revive|gocritic|gosec|lll|gofmt|misspell|[a-z]+)\)$",
        what,
    )
    kind = FailureType.QUALITY_VIOLATION if lint else FailureType.BUILD_FAILURE
    return Hypothesis(
        kind,
        f"{'The linter complains' if lint else 'Compilation fails'} in {hit.get('file')}:{hit.get('line')}: {quoted(what)}",
        0.94,
        repair(
            hit.scene,
            hit.get("file"),
            hit.get("line"),
            what,
            f"Define, import or remove {shown}" if shown else "Correct the source at this line",
        ),
        names=(hit.get("file"), shown),
    )


@line_rule(
    "dotnet-build",
    "error cs|error nu|error msb|error fs|error netsdk",
    r"(?P<file>[\w./\\-]+\.\w+proj|[\w./\\-]+\.(?:cs|fs|vb|razor|cshtml))(?:\((?P<line>\d+),\d+\))? ?: error (?P<code>[A-Z]+\d+): (?P<what>[^\[\n]+)|error (?P<code2>[A-Z]+\d+): (?P<what2>[^\[\n]+)",
    source="csc, MSBuild and NuGet codes",
)
def dotnet_build(hit: Hit) -> Hypothesis | None:
    """C# that does not compile, packages that NuGet does not find."""
    code, what = hit.get("code") or hit.get("code2"), hit.get("what") or hit.get("what2")
    file = hit.scene.in_release(hit.get("file").replace("\\", "/"))
    if code.startswith("NU") or code == "NETSDK1004":
        package = re.search(r"package '?([\w.]+)'?|for '([\w.]+)'|([\w.]+\.[\w.]+) \(", what)
        name = next((g for g in package.groups() if g), "") if package else ""
        return Hypothesis(
            FailureType.DEPENDENCY_RESOLUTION,
            f"NuGet cannot resolve {name} ({code}): {quoted(what)}",
            0.93,
            (
                high(
                    f"Correct the version or source of {name}",
                    f"Use a version of {name} that exists and fits the others, or add the package source (nuget.config) that has it",
                    f"dotnet add package {name}",
                ),
            ),
            names=(name, file),
        )
    name = re.search(r"'([^']+)'", what)
    spot = f":{hit.get('line')}" if hit.get("line") else ""
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"Compilation fails in {file or 'the project'}{spot} ({code}): {quoted(what)}",
        0.94,
        repair(
            hit.scene,
            file,
            hit.get("line"),
            what,
            f"Correct the source: define, import (using) or reference {name.group(1) if name else 'what is missing'}",
        ),
        names=(file,),
    )


@line_rule(
    "python-build",
    "sorry: |syntaxerror:|*** error compiling|indentationerror",
    r"\*\*\* Error compiling '(?P<file>[^']+)'|Sorry: \w+: .*\((?P<file2>[^,]+), line (?P<line2>\d+)\)|File \"(?P<file3>[^\"]+)\", line (?P<line3>\d+)",
    source="compileall",
    lines=4,
)
def python_build(hit: Hit) -> Hypothesis | None:
    """A syntax error found by byte-compiling in the build."""
    if hit.document.role != "step" or hit.scene.step_type not in ("build", "docker"):
        return None
    file = hit.get("file") or hit.get("file2") or hit.get("file3")
    around = hit.document.window(hit.index, 4, 5)
    line = hit.get("line2") or hit.get("line3") or (m.group(1) if (m := re.search(r"line (\d+)", around)) else "")
    said = re.search(r"(?:SyntaxError|IndentationError|TabError): .+", around)
    if said is None or re.search(r"site-packages|lib/python", file):
        return None
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"Syntax error in {hit.scene.in_release(file)} line {line}: {quoted(said.group(0))}",
        0.95,
        repair(hit.scene, file, line, said.group(0), "Correct the Python syntax at this line"),
        names=(hit.scene.in_release(file),),
    )


@line_rule(
    "go-import-cycle",
    "import cycle not allowed",
    r"imports (?P<a>\S+)(?: from \S+)?: import cycle not allowed|import cycle not allowed",
    source="the Go compiler",
    most=1,
)
def go_import_cycle(hit: Hit) -> Hypothesis | None:
    """Two packages import each other."""
    chain = re.findall(r"(?:package|imports) (\S+)", hit.document.window(hit.index, 8, 0))
    shown = " -> ".join(dict.fromkeys(chain[-4:]))
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"Import cycle: the packages {shown} import each other, which Go does not allow: {hit.line}",
        0.96,
        (high(f"Break the import cycle of {shown}", "Move (extract) what both need into a third package, or let one depend on an interface, and remove the import that closes the cycle", "go list -deps ./... | sort | uniq -d"), commit(".", "Break the import cycle")),
        names=tuple(name.rsplit("/", 1)[-1] for name in chain[-3:]),
    )  # fmt: skip
