"""Compilers and build tools: the first error of a build, with file, line and symbol."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.recommend.files import add_file
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType, Recommendation

_BUILD_STEPS = ("build", "docker", "test", "verify", "deploy", "quality", "")


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
    "error:|[error]|e: |cannot find symbol|compilation error",
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
    "error:|undefined reference|fatal error:|cannot find -l|multiple definition|undefined symbols|ld: library not found",
    r"(?P<file>[\w./+-]+\.(?:c|cc|cpp|cxx|h|hpp|m|mm|f90|cu)):(?P<line>\d+)(?::\d+)?: (?:fatal )?error: (?P<what>.+)|undefined reference to [`'](?P<sym>[^'`]+)|cannot find -l(?P<lib>[\w+-]+)|library not found for -l(?P<lib2>\S+)|multiple definition of [`'](?P<dup>[^'`]+)",
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
        f"Compilation fails in {hit.scene.in_release(file)}:{hit.get('line')}: {quoted(what)}",
        0.94,
        repair(hit.scene, file, hit.get("line"), what, "Correct the source at this line"),
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
    if hit.trace or hit.document.role != "step":
        return None
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
    "typescript",
    "error ts|- error",
    r"(?P<file>[\w./@-]+\.(?:tsx?|mts|cts|vue|jsx?))[(:](?P<line>\d+)[,:]\d+\)?(?:: | - )error (?P<code>TS\d+): (?P<what>.+)|error (?P<code2>TS\d+): (?P<what2>.+)",
    source="tsc's TS codes",
)
def typescript(hit: Hit) -> Hypothesis | None:
    """TypeScript that does not compile."""
    file, line, what, code = (
        hit.get("file"),
        hit.get("line"),
        hit.get("what") or hit.get("what2"),
        hit.get("code") or hit.get("code2"),
    )
    module = re.search(r"Cannot find module '([^']+)'", what) or re.search(
        r"declaration file for module '([^']+)'", what
    )
    if module and not module.group(1).startswith("."):
        name = module.group(1)
        package = (
            "/".join(name.split("/")[:2]) if name.startswith("@") and not name.startswith("@/") else name.split("/")[0]
        )
        return Hypothesis(
            FailureType.BUILD_FAILURE if "declaration" in what else FailureType.MISSING_DEPENDENCY,
            f"TypeScript does not find the module {name} in {file}:{line} ({code}): {quoted(what)}",
            0.88,
            (
                high(
                    f"Install {package} or its types",
                    f"Add {package} (or @types/{package}) to package.json and install again, or correct the path in tsconfig.json",
                    f"npm install {package} && npm install --save-dev @types/{package}",
                ),
            ),
            names=(package, file),
        )
    kind = FailureType.QUALITY_VIOLATION if hit.scene.step_type == "quality" else FailureType.BUILD_FAILURE
    return Hypothesis(
        kind,
        f"TypeScript error {code} in {hit.scene.in_release(file) or 'the project'}{f':{line}' if line else ''}: {quoted(what)}",
        0.94,
        repair(
            hit.scene,
            file or "tsconfig.json",
            line,
            what,
            f"Correct the type, property or import at this line ({code})",
        ),
        names=(hit.scene.in_release(file),),
    )


@line_rule(
    "bundler-resolve",
    "module not found|can't resolve|could not resolve|failed to resolve|rollup failed|unresolved import|is not exported by|cannot resolve",
    r"(?:Can't resolve|Could not resolve|Failed to resolve(?: import| entry for package)?|Rollup failed to resolve import|Cannot resolve(?: module)?) ['\"](?P<module>[^'\"]+)['\"](?: (?:in|from) ['\"](?P<from>[^'\"]+)['\"])?|['\"](?P<name>\w+)['\"] is not exported by ['\"](?P<by>[^'\"]+)['\"]",
    source="webpack, Vite, Rollup, esbuild, Parcel",
)
def bundler(hit: Hit) -> Hypothesis | None:
    """A bundler that does not find an import."""
    scene, module = hit.scene, hit.get("module")
    above = hit.document.window(hit.index, 4, 4)
    entry = re.search(
        r"(?:ERROR in |file: |> |^)(\.?/?[\w./@-]+\.(?:jsx?|tsx?|mjs|vue|svelte|s?css|less))", above, re.MULTILINE
    )
    importer = scene.in_release(entry.group(1)) if entry else scene.in_release(hit.get("from"))
    if hit.get("name"):
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"{hit.get('name')} is not exported by {hit.get('by')}, imported in {importer or hit.get('by')}: {hit.line}",
            0.9,
            (
                high(
                    f"Correct the import of {hit.get('name')}",
                    f"Export {hit.get('name')} from {hit.get('by')}, import the name that exists, or use the version that has it",
                    f"import {{ {hit.get('name')} }} from '{hit.get('by')}'",
                ),
            ),
            names=(hit.get("by"),),
        )
    if module.startswith((".", "/", "@/", "~/", "src/")):
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"The import {module} in {importer or 'the sources'} cannot be resolved (file not found): {quoted(above) if importer and importer not in hit.line else hit.line}",
            0.93,
            (
                high(
                    f"Correct the path {module} in {importer or 'the import'}",
                    f"No file matches {module}: correct the spelling and upper and lower case (Linux distinguishes them: Header and header are two names), or create, add and commit the file",
                    f"git ls-files | grep -i '{module.rsplit('/', 1)[-1]}'",
                ),
                commit(importer or ".", "Correct the import"),
            ),
            names=(importer, module),
        )
    package = "/".join(module.split("/")[:2]) if module.startswith("@") else module.split("/")[0]
    core = package in (
        "crypto",
        "stream",
        "buffer",
        "path",
        "fs",
        "http",
        "https",
        "os",
        "util",
        "zlib",
        "assert",
        "url",
        "vm",
        "process",
    )
    if core:
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"The Node.js core module {package} is not available in a browser bundle (webpack 5 has no polyfill), imported in {importer}: {hit.line}",
            0.88,
            (
                high(
                    f"Provide a fallback for {package}",
                    "Set resolve.fallback in the bundler's configuration, or do not use it in the browser",
                    f"resolve: {{ fallback: {{ {package}: require.resolve('{package}-browserify') }} }}",
                ),
            ),
            names=(package,),
        )
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY,
        f"The package {package} is not installed (import {module} in {importer or 'the sources'} cannot be resolved, not found): {hit.line}",
        0.86,
        (
            high(
                f"Install {package}",
                f"Add {package} to the dependencies in package.json and the lock file, then install again",
                f"npm install --save {package}",
            ),
            commit("package.json package-lock.json", f"Add {package}"),
        ),
        names=(package,),
    )


@line_rule(
    "source-syntax",
    "syntaxerror|unexpected token|parsing error|module parse failed|unterminated|syntax error|module build failed|transform failed",
    r"(?:Module parse failed|Module build failed[^:]*|Transform failed with \d+ errors?|SyntaxError|ERROR): (?P<what>(?:/?[\w./@-]+: )?(?:Unexpected|Unterminated|Missing|Expected|Invalid|Identifier|Support for)[^\n]*)|(?P<file>[\w./@-]+\.(?:[cm]?[jt]sx?|vue|s?css|less|svelte)):(?P<line>\d+):\d+: (?:ERROR|error): (?P<what2>.+)|\[postcss\] (?P<what3>.+)|SassError: (?P<what4>.+)",
    source="Babel, acorn, esbuild, PostCSS, Sass",
)
def source_syntax(hit: Hit) -> Hypothesis | None:
    """Frontend sources that do not parse."""
    if hit.document.role != "step" or "JSON" in hit.line:
        return None
    what = hit.get("what") or hit.get("what2") or hit.get("what3") or hit.get("what4")
    around = hit.document.window(hit.index, 3, 6)
    place = re.search(r"([\w./@-]+\.(?:[cm]?[jt]sx?|vue|s?css|less|svelte|json))(?::| \(|\()?(\d+)?", around)
    file, line = (
        (hit.get("file") or (place.group(1) if place else "")),
        hit.get("line") or (place.group(2) or "" if place else ""),
    )
    spot = re.search(r"\((\d+):\d+\)", around)
    line = line or (spot.group(1) if spot else "")
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"Syntax error in {hit.scene.in_release(file) or 'the sources'}{f' line {line}' if line else ''}: {quoted(what)}",
        0.88,
        repair(hit.scene, file, line, what, "Correct the syntax, or add the loader or plugin for this kind of file"),
        names=(hit.scene.in_release(file),),
    )


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
    "cmake error|could not find a package configuration|could not find_package|missing: ",
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
    found = re.search(r"(?:provided by \"|Could NOT find )(\w+)", below)
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"CMake fails in {hit.get('file')}:{hit.get('line')}: {below}",
        0.8 if not found else 0.6,
        repair(hit.scene, hit.get("file"), hit.get("line"), below, "Correct the CMake file"),
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
    "gradle",
    "what went wrong|execution failed for task|could not compile|build file",
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


@line_rule(
    "npm-script",
    "npm err|npm error|missing script|elifecycle|command failed with exit code",
    r"Missing script: \"?(?P<script>[\w:-]+)|npm (?:ERR!|error) (?:code )?ELIFECYCLE|Command \"(?P<yarn>[\w:-]+)\" not found|ERR_PNPM_NO_SCRIPT.*?(?P<pnpm>[\w:-]+)$",
    source="npm, yarn and pnpm run",
)
def npm_script(hit: Hit) -> Hypothesis | None:
    """A script that package.json does not have."""
    name = hit.get("script") or hit.get("yarn") or hit.get("pnpm")
    if not name:
        return None
    return Hypothesis(
        FailureType.BUILD_FAILURE if hit.scene.step_type != "deploy" else FailureType.BAD_COMMAND,
        f"package.json has no script {name}: {hit.line}",
        0.92,
        (
            high(
                f"Add the script {name} to package.json",
                f'Define "{name}" under scripts in package.json, or correct the command',
                f"npm pkg set scripts.{name}='node server.js'",
            ),
        ),
        names=("package.json", name),
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
