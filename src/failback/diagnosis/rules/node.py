"""Node.js: modules, ES modules, versions of packages, and uncaught errors."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.recommend.files import add_file
from failback.diagnosis.recommend.packages import align, changed, install
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.facts.change import DependencyChange
from failback.facts.document import Document
from failback.facts.packages import is_node_builtin, package_of
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType, Recommendation


def _package(module: str) -> str:
    parts = module.split("/")
    return "/".join(parts[:2]) if module.startswith("@") else parts[0]


def _resolved(module: str, importer: str) -> str:
    """A relative import as a path of the release: ./config/x from src/server.js is src/config/x."""
    folder = importer.rpartition("/")[0]
    for part in module.split("/"):
        if part == "..":
            folder = folder.rpartition("/")[0]
        elif part not in (".", ""):
            folder = f"{folder}/{part}" if folder else part
    return folder


def _extension(path: str, hit: Hit) -> tuple[Recommendation, ...]:
    """ES modules need the file's extension, which require() and TypeScript's sources leave out."""
    if "ERR_MODULE_NOT_FOUND" not in hit.line or re.search(r"\.[cm]?[jt]sx?$|\.json$|\.node$", path):
        return ()
    return (high(f"Import {path}.js with its extension", f"An ES module import names the whole file: write {path}.js (or {path}/index.js) in the import; for TypeScript set moduleResolution to nodenext so that the compiler insists on it, or bundle the build", f"import ... from './{path.rsplit('/', 1)[-1]}.js'"),)  # fmt: skip


@line_rule(
    "node-module",
    "cannot find module|cannot find package|err_module_not_found",
    r"Cannot find (?P<what>module|package) '(?P<module>[^']+)'(?: imported from '?(?P<from>[^\s']+))?",
    source="Node.js errors MODULE_NOT_FOUND and ERR_MODULE_NOT_FOUND",
)
def module_missing(hit: Hit) -> Hypothesis | None:
    """An own file is not in the release, or a package is not installed."""
    module, scene = hit.get("module"), hit.scene
    below = hit.document.window(hit.index, 0, 14)
    required = hit.get("from") or (m.group(1) if (m := re.search(r"^- (\S+)", below, re.MULTILINE)) else "")
    importer = scene.in_release(required)
    in_test = hit.document.role == "step" and scene.step_type in ("test", "build", "quality")
    if module.startswith((".", "/", "file:")):
        own = package_of(required)
        if own:
            return Hypothesis(
                FailureType.MISSING_DEPENDENCY,
                f"The installed package {own} is incomplete: its file {module} cannot be found ({hit.line})",
                0.8,
                install(own, "node"),
                names=(own,),
            )
        path = scene.in_release(module) if module.startswith("/") else _resolved(module, importer)
        shown = path if module.startswith("/") else f"{path} (imported as '{module}')"
        by = f" by {importer}" if importer and importer != path else ""
        return Hypothesis(
            FailureType.MISSING_FILE,
            f"The application's file {shown} is missing from the release: required{by} and not found: {hit.line}",
            0.94 if not in_test else 0.85,
            (*_extension(path, hit), *add_file(path, scene)),
            names=(path,),
            facts={"path": path},
        )
    if is_node_builtin(module) and not module.startswith("node:"):
        return None
    if module.startswith("node:"):
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"This version of Node.js has no built-in module {module}: {hit.line}",
            0.88,
            align("node", "node", scene.change.runtime(), "", f"Upgrade Node.js to a version that has {module}"),
            names=("node",),
        )
    package = _package(module)
    inner = module[len(package) + 1 :]
    if inner and package_of(required) not in (None, package) and scene.change.dependency(package):
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The installed version of {package} no longer has {inner}, which {package_of(required)} needs: {hit.line}",
            0.85,
            align(package, "node", changed(scene, package), package_of(required) or ""),
            names=(package,),
        )
    user = package_of(required)
    needed = f" needed by {user}" if user else f" required by {importer}" if importer else ""
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY,
        f"The Node.js package {package} is not installed (not found in node_modules){needed}: {hit.line}",
        0.94,
        install(package, "node", dev=scene.step_type == "test" and hit.document.role == "step"),
        names=(package,),
        facts={"package": package},
    )


@line_rule(
    "node-esm",
    'err_require_esm|require() of es module|err_package_path_not_exported|cannot use import statement|named export|does not provide an export|err_unsupported_dir_import|require is not defined in es module|must use import to load|err_require_async|is not defined by "exports" in|no "exports" main defined in',
    r"ERR_REQUIRE_ESM|require\(\) of ES Module (?P<path>\S+)(?: from (?P<from>\S+))?|ERR_PACKAGE_PATH_NOT_EXPORTED|Package subpath '(?P<sub>[^']+)' is not defined by \"exports\" in (?P<json>\S+)|No \"exports\" main defined in (?P<json2>\S+)|Cannot use import statement outside a module|does not provide an export named '?(?P<name>\w+)'?|Named export '(?P<named>\w+)' not found|require is not defined in ES module|Must use import to load ES Module: (?P<old>\S+)|ERR_REQUIRE_ASYNC_MODULE",
    source="Node.js' module loader",
)
def es_module(hit: Hit) -> Hypothesis | None:
    """CommonJS and ES modules mixed: usually a package's major version that became ESM only."""
    around = hit.document.window(hit.index, 0, 3)
    path = hit.get("path") or hit.get("json") or hit.get("json2") or hit.get("old")
    package: str = package_of(path) or package_of(around) or ""
    module = re.search(r"requested module '([^']+)'", around)
    if not package and module:
        package = _package(module.group(1)) if not module.group(1).startswith(".") else ""
    change = changed(hit.scene, package)
    own = hit.scene.in_release(hit.get("from").rstrip(".")) if hit.get("from") else hit.place
    gone = re.search(r"requested module '(\.[^']+)' does not provide an export named '?(\w+)", around)
    if gone:
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"The application's own module {gone.group(1)} does not export {gone.group(2)}{f' ({own})' if own else ''}: {hit.line}",
            0.95,
            (high(f"Export {gone.group(2)} from {gone.group(1)}", f"Export {gone.group(2)} there, or correct the import: it was renamed or removed{' in this release' if hit.scene.change.says(gone.group(2)) else ''}", f"export {{ {gone.group(2)} }};   // in {gone.group(1)}"),),
            names=(gone.group(2), gone.group(1)),
        )  # fmt: skip
    if not package:
        return Hypothesis(
            FailureType.CODE_ERROR if change is None else FailureType.VERSION_INCOMPATIBILITY,
            f"ES module and CommonJS syntax are mixed{f' in {own}' if own else ''}: {hit.line}",
            0.8,
            (high("Use one module system", f"Set \"type\": \"module\" in package.json or name the file .mjs to use import; or use require() / build to CommonJS{f' ({own})' if own else ''}", 'npm pkg set type=module'),),
        )  # fmt: skip
    missing = hit.get("sub") or hit.get("name") or hit.get("named")
    why = (
        f"no longer exports {missing}"
        if missing
        else "is an ES module (ESM) only in the installed version and cannot be loaded with require()"
    )
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"Incompatible version: the package {package} {why}{f' ({own})' if own else ''}: {hit.line}",
        0.94,
        (
            *align(
                package,
                "node",
                change,
                "",
                f"Pin {package} to the last major version that supports CommonJS (downgrade), or load it with import (dynamic: await import('{package}')) and default/named exports as the new version has them",
            ),
            medium(
                "Load it as an ES module",
                f"const {{default: lib}} = await import('{package}')",
                f"const lib = (await import('{package}')).default",
            ),
        ),
        names=(package,),
        facts={"package": package},
    )


@line_rule(
    "node-abi",
    "node_module_version|was compiled against a different node|err_dlopen_failed|invalid elf header|compiled against a different node",
    r"NODE_MODULE_VERSION (?P<old>\d+)|compiled against a different Node|ERR_DLOPEN_FAILED|invalid ELF header",
    source="Node.js' ABI versions",
)
def native_module(hit: Hit) -> Hypothesis | None:
    """A native add-on that was built for another Node.js or another system."""
    around = hit.document.window(hit.index, 6, 6)
    if "cannot open shared object" in around:
        return None
    package = package_of(around) or "the native module"
    other = "invalid ELF header" in around
    kind = FailureType.PLATFORM_MISMATCH if other else FailureType.VERSION_INCOMPATIBILITY
    why = (
        "was built for another operating system or CPU (invalid ELF header)"
        if other
        else "was compiled against a different Node.js version (NODE_MODULE_VERSION)"
    )
    return Hypothesis(
        kind,
        f"The native module {package} {why}: {hit.line}",
        0.92,
        (
            high(
                f"Rebuild {package} in the image",
                f"Run npm ci (or npm rebuild {package}) with the same Node.js version and platform as in production; do not copy node_modules from another machine, add it to .dockerignore",
                f"RUN npm ci && npm rebuild {package}",
            ),
            high(
                "Use the same Node.js version",
                "Match the Node.js version of build and runtime images (pin it), or upgrade the package to one that is compatible",
                "FROM node:20 AS build",
            ),
        ),
        names=(package, "node"),
    )


@line_rule(
    "openssl3-md4",
    "0308010c|err_ossl_evp_unsupported|digital envelope routines",
    r"0308010C|ERR_OSSL_EVP_UNSUPPORTED|digital envelope routines::unsupported",
    source="OpenSSL 3 in Node.js 17 and newer; webpack 4 hashes with MD4",
)
def openssl3(hit: Hit) -> Hypothesis | None:
    """An old bundler asks for a hash that OpenSSL 3 no longer has."""
    around = hit.document.text[:20000]
    tool = next(
        (t for t in ("webpack", "react-scripts", "vue-cli-service", "gatsby", "next") if t in around), "webpack"
    )
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"{tool} (webpack 4) uses the MD4 hash, which OpenSSL 3 in this Node.js version no longer supports: {hit.line}",
        0.95,
        (high("Upgrade webpack to version 5", f"webpack 5 (webpack@5) does not use MD4; upgrade {tool} and its loaders", "npm install --save-dev webpack@5 webpack-cli@latest"),
         high("Until then use the legacy provider or an older Node.js", "Set NODE_OPTIONS=--openssl-legacy-provider for the build, or build with Node.js 16", "NODE_OPTIONS=--openssl-legacy-provider npm run build")),
        names=(tool, "node", "webpack"),
    )  # fmt: skip


@line_rule(
    "node-missing-export",
    "missing parameter name at|path-to-regexp|patherror|unterminated group|unterminated quote",
    r"(?:Missing parameter name at|Unexpected \S+ at \d+, expected|Unterminated (?:quote|group))[^\n]*(?:pathToRegexp|path-to-regexp|index \d+|https?://)",
    source="path-to-regexp 8 / Express 5: wildcards need names",
)
def route_syntax(hit: Hit) -> Hypothesis | None:
    """Express 5: `*` in a route needs a name."""
    change = hit.scene.change.dependency("express", "path-to-regexp", "router", "@nestjs/core")
    original = re.search(r"originalPath: '([^']+)'", hit.document.window(hit.index, 0, 16))
    route = f" '{original.group(1)}'" if original else ""
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"The route path{route} is written for Express 4: path-to-regexp of Express 5 wants a name for the wildcard *{hit.at}: {hit.line}",
        0.92,
        (*align("express", "node", change, "path-to-regexp", "Stay on Express 4 (pin express@4, downgrade), or write wildcards with a name: '/*splat' or '/{*splat}' instead of '*'"),
         medium("Name the wildcard", "In Express 5 app.get('*') becomes app.get('/{*splat}')", "app.get('/{*splat}', handler)")),
        names=("express", "path-to-regexp"),
    )  # fmt: skip


@line_rule(
    "node-option",
    "bad option|is not allowed in node_options",
    r"node: bad option: (?P<opt>\S+)|(?P<opt2>\S+) is not allowed in NODE_OPTIONS",
    source="Node.js' command line",
)
def bad_option(hit: Hit) -> Hypothesis | None:
    """An option that this version of Node.js does not know."""
    option = hit.get("opt") or hit.get("opt2")
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION if "NODE_OPTIONS" in hit.line else FailureType.BAD_COMMAND,
        f"This version of Node.js does not know the option {option} (bad option): {hit.line}",
        0.88,
        (
            high(
                f"Remove or correct the option {option}",
                f"Correct the start command or NODE_OPTIONS, or use (upgrade to) a Node.js version that has {option}",
                "FROM node:22-alpine",
            ),
        ),
        names=("node", option),
    )


@trace_rule("node-exception", "V8's errors and where the innermost own frame stands", "node")
def exception(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """Any other error that was thrown."""
    said = f"{root.name}: {root.message}".rstrip(": ")
    if re.search(r"ECONN|ENOTFOUND|EADDR|EACCES|ENOENT|ETIMEDOUT|Cannot find (?:module|package)", root.message):
        return None
    frame = trace.own_frame()
    innermost = root.frames[-1] if root.frames else None
    packages = trace.packages()
    not_function = re.search(
        r"(?P<what>[\w.$()]+) is not a (?:function|constructor)|Cannot read propert(?:y|ies) .*|Class extends value",
        root.message,
    )
    change = _changed_package(scene, frame.place if frame else "")
    if change and (not_function or (innermost and innermost.package)):
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The release changed {change.text}; the code does not fit the new version (it changed its exports or API): {quoted(said)}{f' at {scene.place_of(trace)}' if frame else ''}",
            0.86,
            (*align(change.name, "node", change, "", f"Pin {change.name} to {change.old or 'the version that worked'} (downgrade), or change the code to the new API: a package that became an ES module is loaded with import or its default export"),),
            names=(change.name,),
        )  # fmt: skip
    if frame is None:
        package = packages[0] if packages else ""
        if not package:
            return Hypothesis(
                FailureType.CODE_ERROR,
                f"An uncaught error: {quoted(said)}",
                0.45,
                (
                    high(
                        "Handle the error",
                        f"{quoted(said)} ended the process: catch it where it is raised and fix its cause",
                    ),
                ),
            )
        host = next((other for other in packages if other != package), "")
        if host and not_function and "is not a" in not_function.group(0):
            # None of the application's own code is in between: one package calls what the other one does not have.
            return Hypothesis(
                FailureType.VERSION_INCOMPATIBILITY,
                f"The packages {package} and {host} do not fit one another: {package} calls what the installed {host} does not have (any more): {quoted(said)}",
                0.8,
                align(package, "node", changed(scene, package), "", f"Upgrade {package} to a version that supports the installed {host}, or pin {host} to the version before (downgrade)"),
                names=(package, host),
            )  # fmt: skip
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"The package {package} throws {quoted(said)}",
            0.5,
            (
                high(
                    "Correct what the error names",
                    f"{quoted(said)}: correct the value or call that is given to {package}",
                ),
                *align(package, "node", changed(scene, package)),
            ),
            names=(package,),
        )
    file = scene.in_release(frame.file)
    own_error = root.name in ("TypeError", "ReferenceError", "SyntaxError", "RangeError")
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Uncaught {quoted(said)} at {file}:{frame.line}",
        0.82 if own_error else 0.6,
        (
            high(
                f"Fix {file} line {frame.line}",
                f"{frame.function or 'The code'} throws {quoted(said)}: check the value before it is used, or correct the name",
                f"$EDITOR {file} +{frame.line}",
            ),
            commit(file, f"Fix {file}"),
        ),
        names=(file,),
    )


def _changed_package(scene: Scene, place: str) -> DependencyChange | None:
    """The one dependency that this release changed, when it can be what the error speaks of."""
    if not scene.change.dependencies:
        return None
    own = scene.change.touches(place.split(":")[0]) if place else None
    majors = [
        d
        for d in scene.change.dependencies
        if d.old is None
        or d.new is None
        or re.sub(r"^\D*", "", d.old).split(".")[0] != re.sub(r"^\D*", "", d.new).split(".")[0]
    ]
    return majors[0] if majors and own is None else None


@line_rule(
    "unhandled-rejection",
    "unhandledpromiserejection|unhandled 'error' event|unhandledrejection|unhandled_rejection",
    r"UnhandledPromiseRejection\w*: .*reason \"(?P<why>[^\"]*)\"|UNHANDLED_REJECTION",
    source="Node.js' process events",
)
def rejection(hit: Hit) -> Hypothesis | None:
    """A promise rejected with something that is no error."""
    reason = f" (reason: {hit.get('why')})" if hit.get("why") else ""
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"A promise was rejected and nobody handled it{reason}: {hit.line}",
        0.86 if hit.get("why") else 0.55,
        (
            high(
                "Handle the rejected promise",
                f"Add a catch or await it in try/catch; reject with an Error that says what failed{hit.at}",
            ),
        ),
    )
