"""Maven, Gradle, cargo and the go command: versions that cannot be resolved or fetched."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.model.diagnosis import FailureType

_RESOLUTION = FailureType.DEPENDENCY_RESOLUTION


@line_rule(
    "maven-artifact",
    "could not find artifact|could not find |could not resolve dependencies|could not transfer|failure to find|plugin|non-resolvable|the following artifacts could not be resolved",
    r"Could not find artifact (?P<a>[\w.:-]+)(?: in (?P<repo>\S+))?|Failure to find (?P<b>[\w.:-]+)|The following artifacts could not be resolved: (?P<c>[\w.:-]+)|Could not transfer artifact (?P<d>[\w.:-]+) from/to (?P<drepo>.+?):|Plugin (?P<e>[\w.:-]+) or one of its dependencies could not be resolved|Non-resolvable parent POM[^:]*: .*?(?P<f>[\w.-]+:[\w.-]+:\S+)|Could not find (?P<g>[\w.-]+:[\w.-]+:[\w.+-]+)\.|Could not resolve (?P<h>[\w.-]+:[\w.-]+:[\w.+-]+)\.?",
    source="Maven's and Gradle's resolvers",
)
def maven(hit: Hit) -> Hypothesis | None:
    """Maven and Gradle: an artifact that no repository has, or that cannot be fetched."""
    if "[WARNING]" in hit.line:
        return None
    artifact = next((hit.get(k) for k in "abcdefgh" if hit.get(k)), "")
    if not artifact or artifact.count(":") < 1:
        return None
    parts = artifact.split(":")
    group, name, version = parts[0], parts[1], parts[-1]
    around = hit.document.window(hit.index, 2, 3)
    network = re.search(
        r"Connection refused|timed out|Unknown host|status code: 50\d|PKIX|Connect to|Name or service", around
    )
    denied = re.search(r"status code: 40[13]|Unauthorized|Forbidden|Not authorized", around)
    why = (
        "access to the repository was refused"
        if denied
        else "the repository cannot be reached"
        if network
        else "it was not found: no configured repository has it (wrong coordinates or version, or a repository is missing)"
    )
    where = f" in {hit.get('repo')}" if hit.get("repo") else ""
    advice = (
        "Give the build valid credentials for the repository (settings.xml)"
        if denied
        else "Check the repository's address, proxy and network"
        if network
        else f"Correct the coordinates of {name} (groupId {group}, artifactId, version {version}): it may have moved to another groupId or need another repository"
    )
    return Hypothesis(
        _RESOLUTION,
        f"The artifact {group}:{name} version {version} could not be resolved{where}: {why}: {hit.line}",
        0.94,
        (
            high(
                f"Correct {group}:{name}:{version} in the build file",
                advice,
                f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>EXISTING</version></dependency>",
            ),
            commit("pom.xml", f"Correct {name}"),
        ),
        names=(name, f"{group}:{name}", "pom.xml"),
    )


@line_rule(
    "cargo",
    "failed to parse lock file|re-vendored|failed to load manifest|failed to select a version|no matching package|failed to get|links to the native library|unable to update|is not available for|lock file|checksum for|requires rustc",
    r"failed to parse lock file at: (?P<plock>\S+)|perhaps a crate was updated and forgotten to be re-vendored|failed to select a version for (?:the requirement )?`(?P<a>[^`]+)`|no matching package (?:named|found) ?`?(?P<b>[\w-]*)`?|failed to get `(?P<c>[^`]+)` as a dependency|package `(?P<e>[^`]+)` links to the native library `(?P<lib>[^`]+)`|the lock file \S+ needs to be updated|cannot update the lock file (?P<locked>\S+) because --locked|checksum for `(?P<sum>[^`]+)` (?:changed|could not)|package `(?P<rv>[^`]+)` cannot be built because it requires rustc (?P<rustc>[\d.]+)|requires rustc (?P<rustc2>[\d.]+) or newer",
    source="cargo's resolver",
)
def cargo(hit: Hit) -> Hypothesis | None:
    """cargo: versions that do not fit, packages that do not exist, a compiler that is too old."""
    text = hit.document.text
    rustc = hit.get("rustc") or hit.get("rustc2")
    if rustc:
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The Rust compiler is too old: {hit.get('rv') or 'a crate'} requires rustc {rustc}: {hit.line}",
            0.93,
            (
                high(
                    f"Use Rust {rustc} or newer",
                    "Upgrade the toolchain (base image, rust-toolchain.toml), or pin an older version of the crate",
                    f"FROM rust:{rustc}",
                ),
            ),
            names=("rust", "rust-toolchain"),
        )
    links = re.search(r"package `([^`]+)` links to the native library `([^`]+)`, but it conflicts", text)
    name = next((hit.get(k) for k in "abce" if hit.get(k)), "").split(" ")[0] or hit.get("sum")
    if links:
        owners = list(dict.fromkeys(re.findall(r"(?:required by package|of package) `([\w-]+) v", text)))
        roots = [o for o in owners if not re.search(rf"`{re.escape(o)} v[^`]*\(/", text)]
        pair = " and ".join(f"{r}" for r in roots) or name
        return Hypothesis(
            _RESOLUTION,
            f"Two crates want different versions of {links.group(1)}, which links to the native library {links.group(2)} and may be there only once (conflict): {pair}",
            0.95,
            (
                high(
                    f"Use versions of {pair} that share one {links.group(1)}",
                    f"Align them: upgrade (or downgrade) one of {pair} so that both need the same version of {links.group(1)}",
                    f"cargo tree -i {links.group(1)}",
                ),
                commit("Cargo.toml Cargo.lock", "Align versions"),
            ),
            names=(*roots, links.group(1), "Cargo.toml"),
        )
    if "needs to be updated" in hit.line or hit.get("locked"):
        return Hypothesis(
            _RESOLUTION,
            f"Cargo.lock does not fit Cargo.toml: {hit.line}",
            0.92,
            (
                high(
                    "Update and commit Cargo.lock",
                    "Run cargo update (or cargo build without --locked) and commit Cargo.lock",
                    "cargo generate-lockfile",
                ),
            ),
            names=("Cargo.lock",),
        )
    around = quoted(hit.document.window(hit.index, 0, 6), 400)
    return Hypothesis(
        _RESOLUTION,
        f"cargo cannot resolve {name}: {around}",
        0.92,
        (
            high(
                f"Correct the version of {name} in Cargo.toml",
                f"Use a version of {name} that exists and that all crates accept (cargo tree shows who needs it); upgrade or align the ones that are too strict, or correct the feature name",
                f"cargo update -p {name}",
            ),
            commit("Cargo.toml Cargo.lock", f"Correct {name}"),
        ),
        names=(name, "Cargo.toml"),
    )


@line_rule(
    "go-modules",
    "checksum mismatch|missing go.sum entry|unknown revision|invalid version|no required module|module lookup disabled|updates to go.mod needed|reading https|cannot find module providing|go.mod requires go|ambiguous import|410 gone|malformed module|module declares its path|inconsistent vendoring|does not contain package|terminal prompts disabled",
    r"module lookup disabled by GOPROXY|verifying (?P<a>\S+?)@(?P<av>\S+?): checksum mismatch|missing go\.sum entry for (?:module providing package |go\.mod file )?(?P<b>\S+)|(?P<c>[\w./-]+)@(?P<cv>\S+?): (?:invalid version|unknown revision|reading|module lookup)[^\n]*|no required module provides package (?P<d>[^\s;:]+)|cannot find module providing package (?P<e>\S+)|go\.mod requires go >= (?P<go>[\d.]+)|updates to go\.mod needed|module declares its path as: (?P<p>\S+)|module (?P<f>[^\s@]+)@(?P<fv>\S+) found[^\n]*does not contain package (?P<g>\S+)|inconsistent vendoring",
    source="the go command's module errors",
)
def go_modules(hit: Hit) -> Hypothesis | None:
    """Go modules: checksums, versions and packages."""
    if hit.get("go"):
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"go.mod requires Go {hit.get('go')} or newer, an older one is installed: {hit.line}",
            0.94,
            (
                high(
                    f"Use Go {hit.get('go')}",
                    "Upgrade the Go toolchain of the build image, or lower the go line in go.mod",
                    f"FROM golang:{hit.get('go')}",
                ),
            ),
            names=("go", "go.mod"),
        )
    if "module lookup disabled" in hit.line:
        wanted = re.search(r"(?:downloading|finding) (\S+) (v\S+)", hit.document.window(hit.index, 6, 0))
        named = f"{wanted.group(1)} {wanted.group(2)}" if wanted else "a module"
        return Hypothesis(
            _RESOLUTION,
            f"The Go module {named} cannot be downloaded: the module proxy is disabled (GOPROXY=off) and it is not in the cache or vendor folder: {hit.line}",
            0.95,
            (high("Set GOPROXY, or vendor the modules", f"Enable the download (GOPROXY=https://proxy.golang.org,direct), fill the cache before, or commit vendor/ with {named} (go mod vendor)", "go mod vendor && go build -mod=vendor ./..."),),
            names=("go.mod",),
        )  # fmt: skip
    module = next((hit.get(k) for k in "abcdefp" if hit.get(k)), "").rstrip(":;,")
    version = (hit.get("av") or hit.get("cv") or hit.get("fv")).rstrip(":;,")
    if hit.get("a"):
        return Hypothesis(
            _RESOLUTION,
            f"The checksum of {module} {version} does not match go.sum (checksum mismatch): the download is not what go.sum recorded: {hit.line}",
            0.96,
            (
                high(
                    f"Verify {module} {version} and correct go.sum",
                    "Find out whether the tag was moved upstream; when the download is trusted, remove its lines from go.sum, then run go clean -modcache and go mod tidy to regenerate them; otherwise restore go.sum or use a trusted GOPROXY",
                    "go clean -modcache && go mod tidy && go mod verify",
                ),
                commit("go.mod go.sum", "Correct go.sum"),
            ),
            names=(module, "go.sum"),
        )
    around = quoted(hit.document.window(hit.index, 0, 2))
    if hit.get("b") or "updates to" in hit.line or "vendoring" in hit.line:
        return Hypothesis(
            _RESOLUTION,
            f"go.mod and go.sum are not complete{f': {module} has no entry in go.sum (missing)' if module else ''}: {hit.line}",
            0.94,
            (
                high(
                    "Run go mod tidy and commit the result",
                    f"Add the missing entries{f' for {module}' if module else ''} to go.sum (with vendoring: go mod vendor)",
                    "go mod tidy && git add go.mod go.sum",
                ),
            ),
            names=(module, "go.mod", "go.sum"),
        )
    private = re.search(
        r"terminal prompts disabled|could not read Username|410 Gone|Permission denied",
        around + hit.document.window(hit.index, 0, 6),
    )
    return Hypothesis(
        _RESOLUTION,
        f"The Go module {module}{f' {version}' if version else ''} cannot be resolved{' (private repository, no access)' if private else ''}: {around}",
        0.96,
        (
            high(
                f"Correct {module} in go.mod",
                f"Use a version of {module} that exists (go list -m -versions {module}){'; for a private module set GOPRIVATE and give git credentials' if private else ''}",
                f"go get {module}@latest && go mod tidy",
            ),
            commit("go.mod go.sum", f"Correct {module}"),
        ),
        names=(module, "go.mod"),
    )


@line_rule(
    "maven-enforcer",
    "dependency convergence|banneddependencies|requireupperbound|enforcer|requirejavaversion|requiremavenversion|rule 0:|is not in the allowed range|require upper bound dependencies error for|found banned dependency",
    r"Dependency convergence error for (?P<a>\S+)|Found Banned Dependency: (?P<b>\S+)|Require upper bound dependencies error for (?P<c>\S+)|Detected (?P<rt>JDK|Maven) [Vv]ersion:? (?P<have>\S+?) .*is not in the allowed range (?P<want>\S+)",
    source="maven-enforcer-plugin's rules",
)
def enforcer(hit: Hit) -> Hypothesis | None:
    """The enforcer's rule: two versions of one artifact, a banned one, a JDK that is not allowed."""
    if hit.get("rt"):
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The build wants {hit.get('rt')} {hit.get('want')}, {hit.get('have')} is installed: {hit.line}",
            0.94,
            (high(f"Use {hit.get('rt')} {hit.get('want')}", "Change the JDK or Maven of the build image, or the range in the enforcer's rule", "FROM maven:3-eclipse-temurin-21"),),
        )  # fmt: skip
    artifact = hit.get("a") or hit.get("b") or hit.get("c")
    name = artifact.split(":")[1] if ":" in artifact else artifact
    versions = sorted(
        set(re.findall(rf"{re.escape(name)}:(?:jar:)?([\w.-]+?)(?::\w+)?(?=\s|$)", hit.document.text[:100_000]))
    )
    return Hypothesis(
        _RESOLUTION,
        f"Dependency convergence: {artifact} is wanted in two versions ({', '.join(versions[:4])}) that conflict: {hit.line}",
        0.95,
        (high(f"Manage the version of {name}", f"Pin {name} to one version in dependencyManagement, or exclude it from the dependency that brings the other one", f"<dependencyManagement><dependencies><dependency>{artifact}</dependency></dependencies></dependencyManagement>"), commit("pom.xml", f"Manage {name}")),
        names=(name, "pom.xml"),
    )  # fmt: skip


@line_rule(
    "native-tool-missing",
    "custom build command|c compiler|linker `|find python|pkg-config|not found: make|no compiler is provided|could not find directory of|find vs|unable to find|javac: not found|tools.jar|pkg_config|gyp err! stack error: not found: cmake|gyp err! stack error: not found: g++",
    r"Could not find directory of (?P<a>\w+) installation|failed to run custom build command for `(?P<crate>[^ `]+)|C compiler \"(?P<b>[^\"]+)\" not found|linker `(?P<c>[^`]+)` not found|gyp ERR! find (?P<d>Python|VS)|gyp ERR! stack Error: not found: (?P<e>make|cmake|g\+\+)|Package (?P<f>[\w.+-]+) was not found in the pkg-config search path|(?P<g>No compiler is provided in this environment)|(?:pkg-config|pkg_config)[^\n]*(?:not found|could not be run|No such file)",
    source="cargo's build scripts, cgo, rustc, node-gyp, pkg-config, Maven: a tool or development package that a native build needs",
    most=4,
)
def native_tool(hit: Hit) -> Hypothesis | None:
    """A native build without its compiler, linker or development package."""
    crate = hit.get("crate")
    near = hit.document.text[:200_000]
    named = re.search(
        r"Could not find directory of (\w+) installation|Package (\S+) was not found in the pkg-config|Could not find `?(protoc|cmake|clang|libclang|perl|make)`?",
        near,
    )
    name = (
        next((hit.get(k) for k in "abcdef" if hit.get(k)), "")
        or ("JDK" if hit.get("g") else "")
        or (next((g for g in named.groups() if g), "") if named else "")
    )
    if not name and not crate:
        return None
    package = {
        "OpenSSL": "libssl-dev pkg-config",
        "gcc": "build-essential",
        "cc": "build-essential",
        "Python": "python3",
        "make": "build-essential",
        "g++": "build-essential",
        "JDK": "default-jdk",
        "protoc": "protobuf-compiler",
        "libclang": "libclang-dev",
    }.get(name, name.lower() or "build-essential")
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY if name else FailureType.BUILD_FAILURE,
        f"The native build{f' of {crate}' if crate else ''} needs {name or 'something'}, which is not installed (not found): {hit.line}",
        0.93 if name and not crate else 0.86 if name else 0.6,
        (high(f"Install {package} in the build image", f"Add {package} ({name or crate}) to the image or runner that builds, or use a prebuilt version", f"RUN apt-get update && apt-get install -y {package}"), commit("Dockerfile", f"Install {package}")),
        names=(name, crate, "Dockerfile"),
    )  # fmt: skip


@line_rule(
    "maven-pom",
    "pom |is missing",
    r"(?:Non-parseable|Malformed|Non-readable) POM (?P<f>\S+?):? (?P<why>.+)|'(?P<tag>[\w.:\[\]-]+)' (?:for \S+ )?is missing\.? ?(?P<at>@.*)?",
    source="Maven's model builder",
    most=1,
)
def maven_pom(hit: Hit) -> Hypothesis | None:
    """A pom.xml that cannot be read, or lacks something."""
    if "[ERROR]" not in hit.line and "FATAL" not in hit.line:
        return None
    line = re.search(r"line (\d+)|:(\d+):\d+", hit.line)
    spot = f" line {next(g for g in line.groups() if g)}" if line else ""
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"pom.xml is not valid{spot}: {hit.get('why') or hit.get('tag') + ' is missing'}: {hit.line}",
        0.93,
        (high(f"Correct pom.xml{spot}", f"{hit.get('why') or 'Add ' + hit.get('tag')}", "xmllint --noout pom.xml && mvn -q validate"), commit("pom.xml", "Correct pom.xml")),
        names=("pom.xml",),
    )  # fmt: skip
