"""TypeScript, bundlers and the scripts of package.json."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, placed, quoted, scene_rule
from failback.diagnosis.rules.compilers import repair
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.model.diagnosis import FailureType


@line_rule(
    "typescript",
    "error ts|- error|error in ",
    r"(?P<file>[\w./@-]+\.(?:tsx?|mts|cts|vue|jsx?))[(:](?P<line>\d+)[,:]\d+\)?(?:: | - )error (?P<code>TS\d+): (?P<what>.+)|error (?P<code2>TS\d+): (?P<what2>.+)|ERROR in (?P<file3>[\w./@-]+)[(:](?P<line3>\d+)[,:]\d+\)?\s*\n\s*(?P<code3>TS\d+): (?P<what3>[^\n]+)",
    source="tsc's TS codes, ts-loader, fork-ts-checker",
    lines=2,
)
def typescript(hit: Hit) -> Hypothesis | None:
    """TypeScript that does not compile."""
    file, line, what, code = (
        hit.get("file") or hit.get("file3"),
        hit.get("line") or hit.get("line3"),
        hit.get("what") or hit.get("what2") or hit.get("what3"),
        hit.get("code") or hit.get("code2") or hit.get("code3"),
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
    if "appropriate loader" in hit.document.window(hit.index, 0, 4):
        entry = re.search(r"ERROR in (\S+)", hit.document.window(hit.index, 3, 0))
        name = entry.group(1).removeprefix("./") if entry else "a file"
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"webpack cannot parse {name}: no loader is configured for this kind of file: {hit.line}",
            0.95,
            (high(f"Add a loader or asset rule for {name}", f"Configure module.rules in webpack.config.js for {name} (type: 'asset/resource', or the loader for its kind), or do not import it", "{ test: /\\.(svg|png)$/, type: 'asset/resource' }"),),
            names=(name, "webpack.config.js"),
        )  # fmt: skip
    what = hit.get("what") or hit.get("what2") or hit.get("what3") or hit.get("what4")
    around = hit.document.window(hit.index, 3, 6)
    named = r"(?<![\w/])((?!\S*node_modules)[\w./@-]+\.(?:[cm]?[jt]sx?|vue|s?css|less|svelte|json))(?::| \(|\()?(\d+)?"
    place = re.search(named, hit.line) or re.search(named, around)
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
    "npm-script",
    'npm err|npm error|missing script|elifecycle|command failed with exit code|err_pnpm_no_script|command "|script not found|task not found',
    r"Missing script: \"?(?P<script>[\w:-]+)|npm (?:ERR!|error) (?:code )?ELIFECYCLE|Command \"(?P<yarn>[\w:-]+)\" not found|ERR_PNPM_NO_SCRIPT.*?(?P<pnpm>[\w:-]+)$|(?:Script|Task) not found:? \"?(?P<bun>[\w:-]+)",
    source="npm, yarn and pnpm run",
)
def npm_script(hit: Hit) -> Hypothesis | None:
    """A script that package.json does not have."""
    name = hit.get("script") or hit.get("yarn") or hit.get("pnpm") or hit.get("bun")
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


_SAID = re.compile(
    r"^\s*(?:✘ \[ERROR\]|\[\w+(?:Error|Exception)\]|(?:Type|Syntax|Lint) error:|\[?(?:ERROR|error|Error)\]?(?:\[\w+\])?:?|[×✖x✗]|\[!\]|SyntaxError:|ParseError:|CompileError:?)\s+(?P<what>\S.{3,300})$"
)
_SPOT = re.compile(
    r"(?:^|[\s(\[│╭─>]|-->)\s*(?P<file>(?!node:|internal/|\S*node_modules)(?:\.?/?[\w@.-]+/)*[\w@-]+(?:\.[\w-]{1,20}){0,3}\.[A-Za-z]\w{0,7})(?:[: (]\[?|, line |:?\s+line )(?P<line>\d+)(?:[:,]\s?\d+)?\b"
)


_ALONE = re.compile(
    r"^\s*(?P<file>\.{0,2}/?(?:[\w@.()\[\]-]+/)+[\w@.\[\]-]+\.[A-Za-z]\w{0,7})(?::(?P<line>\d+)(?::\d+)?)?:?\s*$"
)
_HEADING = re.compile(
    r"^(?:during|reference|building|compiling|stack|trace|found|build failed)\b|^\S+:$|^in \S+$", re.IGNORECASE
)
_BARE = re.compile(r"^\s*(?:Error|Failed to compile|Syntax error|error during build)\W{0,2}\s*$", re.IGNORECASE)


def _what_said(document: Document, index: int) -> str:
    """What an error line says; of a bare "Error:" the next line that is not blank. "" where it is only a heading."""
    line = document.lines[index][:500]
    if _BARE.match(line):
        following = next((text for text in document.lines[index + 1 : index + 4] if text.strip()), "")
        return "" if _ALONE.match(following) else following.strip(" \tx×✖│")
    said = _SAID.match(line)
    if said is None or _HEADING.match(said.group("what")):
        return ""
    what = said.group("what")
    if what.startswith(("NG", "TS")) or re.match(
        r"\s*\[\w+(?:Error|Exception)\]", line
    ):  # it goes on over the next lines
        what = f"{what} {quoted(document.window(index + 1, 0, 2), 160)}"
    return what


@scene_rule(
    "error-then-place",
    "compilers and bundlers that print the error first and the place in the lines below (esbuild, Sass, swc, Svelte, Zig, Elm)",
)
def error_then_place(scene: Scene) -> Iterable[Hypothesis]:
    """A build step's first error whose place follows within a few lines."""
    document = scene.step
    if document is None or scene.step_type not in ("build", "docker") or scene.evidence.exit_code == 0:
        return
    candidates = sorted({index for word in ("error", "✘", "×", "✖", "[!]") for index in document.hits(word)})
    for index in candidates:
        what = _what_said(document, index)
        if not what or scene.is_deprecation(document, index):
            continue
        below = [text for text in document.lines[index : index + 9] if not text.lstrip().startswith("at ")]
        above = next((text for text in reversed(document.lines[max(index - 2, 0) : index]) if text.strip()), "")
        spot = _ALONE.match(above[:300]) or next((m for text in below if (m := _SPOT.search(text[:300]))), None)
        if spot is None:
            continue
        file = scene.in_release(spot.group("file"))
        code = next(
            (
                m.group(1)
                for text in document.lines[index : index + 6]
                if (m := re.match(r"^\s*>?\s*\d+ [│|] (.*\S)", text))
            ),
            "",
        )
        what = f"{what} at `{quoted(code, 100)}`" if code else what
        yield placed(
            Hypothesis(
                FailureType.BUILD_FAILURE,
                f"The build fails in {file}{f':{line}' if (line := spot.group('line') or '') else ''}: {quoted(what)}",
                0.84,
                repair(scene, file, line, what, "Correct the source at this line: define, import, close or rename what the message names"),
                names=(file,),
            ), document, index, scene)  # fmt: skip
        return
