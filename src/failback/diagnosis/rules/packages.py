"""Package managers that cannot resolve or fetch: each one's own codes and sentences."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.model.diagnosis import FailureType, Recommendation

_RESOLUTION = FailureType.DEPENDENCY_RESOLUTION


def _versions(name: str, manifest: str, advice: str, command: str) -> tuple[Recommendation, ...]:
    return (
        high(f"Correct the version of {name} in {manifest}", advice, command),
        commit(manifest, f"Correct the version of {name}"),
    )


@line_rule(
    "pip-none",
    "no matching distribution|could not find a version",
    r"(?:No matching distribution found for|Could not find a version that satisfies the requirement) (?P<req>[^\s(;]+(?: ?[<>=!~]=? ?[^\s(]+)?)(?:.*\(from versions: (?P<versions>[^)]*)\))?",
    source="pip's resolver",
)
def pip_none(hit: Hit) -> Hypothesis | None:
    """pip: no such version, no such package, or none for this Python and platform."""
    requirement = hit.get("req")
    name = re.split(r"[<>=!~\[ ]", requirement)[0]
    listed = hit.get("versions") or (
        m.group(1) if (m := re.search(r"from versions: ([^)]*)\)", hit.document.window(hit.index, 2, 1))) else ""
    )
    versions = [v.strip() for v in listed.split(",") if v.strip() and v.strip() != "none"]
    newest = next((v for v in reversed(versions) if re.fullmatch(r"[\d.]+", v)), "")
    around = hit.document.window(hit.index, 12, 2)
    offline = re.search(
        r"NewConnectionError|Temporary failure|Retrying \(|Connection (?:refused|reset)|ProxyError|timed out", around
    )
    python = re.search(r"Requires-Python ([^\s;]+)", around)
    if offline and not versions:
        return Hypothesis(
            FailureType.DEPENDENCY_RESOLUTION,
            f"pip cannot download {requirement}: the package index is not reachable (network): {hit.line}",
            0.86,
            (
                high(
                    "Restore the way to the package index",
                    f"Check network, proxy and index address (PIP_INDEX_URL) where {requirement} is installed, then try again",
                    "pip download --no-deps " + name,
                ),
            ),
        )
    why = (
        f"this version does not exist for the Python in use ({python.group(1)} required)"
        if python
        else f"no version matches; there are {versions[0]} to {newest or versions[-1]}"
        if versions
        else "no package of this name or version exists in the index (or none for this Python version and platform)"
    )
    pick = f"{name}=={newest}" if newest else name
    return Hypothesis(
        _RESOLUTION,
        f"pip cannot resolve {requirement}: {why}: {hit.line}",
        0.95,
        _versions(
            name,
            "requirements.txt",
            f"Change {requirement} to a version that exists for this Python version ({pick}), correct the spelling of the name, use the Python version that it supports, or add the index that has it (--extra-index-url)",
            pick,
        ),
        names=(name, "requirements.txt"),
    )


@line_rule(
    "pip-conflict",
    "resolutionimpossible|conflicting dependencies|cannot install",
    r"Cannot install (?P<what>.+?) because these package versions have conflicting dependencies|ResolutionImpossible",
    source="pip's resolver",
)
def pip_conflict(hit: Hit) -> Hypothesis | None:
    """pip: two requirements that exclude each other."""
    around = hit.document.window(hit.index, 12, 14)
    depends = re.findall(r"^\s+(\S.*? depends on .+|The user requested .+)$", around, re.MULTILINE)
    named = re.search(r"Cannot install (.+?) because", around)
    what = re.sub(r"-r \S+ \(line \d+\)", "", named.group(1)).strip() if named else ""
    shown = "; ".join(dict.fromkeys(quoted(d, 120) for d in depends[:4]))
    return Hypothesis(
        _RESOLUTION,
        f"pip finds conflicting dependencies{f' of {what}' if what else ''}: {shown or hit.line}",
        0.94,
        (
            high(
                f"Make the version ranges compatible ({what})",
                f"Loosen or align the pinned versions so that one version fits all: {shown}; upgrade or downgrade the package that is too strict",
                f"pip install {' '.join(re.split(r'[ ,]+|and', what)[:4])} --dry-run",
            ),
            commit("requirements.txt", "Align versions"),
        ),
        names=(*tuple(re.findall(r"[\w.-]+(?===)", what))[:4], "requirements.txt"),
    )


@line_rule(
    "pip-build",
    "failed building wheel|metadata-generation-failed|subprocess-exited-with-error|failed to build|could not build wheels|getting requirements to build wheel|pg_config executable",
    r"Failed building wheel for (?P<a>[\w.-]+)|Could not build wheels for (?P<b>[\w.,\s-]+?),? which|metadata-generation-failed|Failed to build (?:installable wheels for some pyproject.toml based projects \()?[`']?(?P<c>[\w.=-]+)|pg_config executable not found|Getting requirements to build wheel did not run",
    source="pip and uv building from source",
)
def pip_build(hit: Hit) -> Hypothesis | None:
    """A package without a wheel that cannot be compiled here."""
    name = (hit.get("a") or hit.get("b") or hit.get("c")).strip()
    text = hit.document.text[-20000:]
    need = next(
        (
            f
            for f in (
                "pg_config",
                "gcc",
                "g++",
                "cargo",
                "rustc",
                "Python.h",
                "mysql_config",
                "ffi.h",
                "cmake",
                "make",
                "swig",
                "pkg-config",
                "distutils",
                "pkg_resources",
            )
            if re.search(
                rf"{re.escape(f)}[^\n]*(?:not found|No such file|command|is required|missing|No module)|(?:No module named|unable to execute|error: command|Can't find|can't find) '?{re.escape(f)}",
                text,
            )
        ),
        "",
    )
    if not name:
        listed = re.search(
            r"(?:Failed building wheel for|╰─> (?:See above|\[.*?)|Building wheel for|Collecting) ([\w.-]+)", text
        )
        name = listed.group(1) if listed else "a package"
    tool = {
        "pg_config": "libpq-dev",
        "Python.h": "python3-dev",
        "mysql_config": "default-libmysqlclient-dev",
        "ffi.h": "libffi-dev",
        "gcc": "build-essential",
        "g++": "build-essential",
    }.get(need, need or "build-essential")
    kind = (
        FailureType.MISSING_DEPENDENCY
        if need and need not in ("distutils", "pkg_resources")
        else FailureType.DEPENDENCY_RESOLUTION
        if hit.scene.step_type != "build"
        else FailureType.BUILD_FAILURE
    )
    return Hypothesis(
        kind,
        f"The Python package {name} cannot be built from source{f': {need} is not installed (missing)' if need else ''}: {hit.line}",
        0.8 if need else 0.66,
        (
            high(
                f"Install {tool} for the build of {name}, or use a version with a wheel",
                f"Add {tool} to the build image, or pin a version of {name} (or of Python) for which a ready wheel exists",
                f"RUN apt-get update && apt-get install -y {tool}  # or: pip install --only-binary=:all: {name}",
            ),
        ),
        names=(name, "requirements.txt"),
    )


@line_rule(
    "pip-hash",
    "hashes do not match|these packages do not match the hashes|hash mismatch|in --require-hashes mode",
    r"THESE PACKAGES DO NOT MATCH THE HASHES|hash(?:es)? (?:do not match|mismatch)|require-hashes mode",
    source="pip's hash checking",
)
def pip_hash(hit: Hit) -> Hypothesis | None:
    """A download that is not what the lock file recorded."""
    below = hit.document.window(hit.index, 1, 6)
    name = re.search(r"^\s*([\w.-]+(?:==[\w.]+)?) from ", below, re.MULTILINE)
    shown = name.group(1) if name else "a package"
    return Hypothesis(
        _RESOLUTION,
        f"The download of {shown} does not match the hash in the requirements file (checksum mismatch): {hit.line}",
        0.93,
        (
            high(
                f"Verify and update the hash of {shown}",
                "Find out whether the file was replaced; when it is the right one, regenerate the lock file with its hashes",
                "pip-compile --generate-hashes",
            ),
        ),
        names=(shown,),
    )


@line_rule(
    "poetry-uv",
    "version solving failed|no solution found|because |is not consistent with|pyproject.toml changed significantly|lock file",
    r"version solving failed|No solution found when resolving|requirements are unsatisfiable|pyproject\.toml changed significantly since poetry\.lock|lock ?file (?:needs to be updated|is not (?:up to date|consistent))|Because .{1,300}? depends on .+",
    source="Poetry's and uv's PubGrub resolvers",
)
def pubgrub(hit: Hit) -> Hypothesis | None:
    """Poetry, uv, pub: the resolver's proof that no version fits."""
    if ("lock" in hit.line and "significantly" in hit.line) or re.search(r"lock ?file (?:needs|is not)", hit.line):
        return Hypothesis(
            _RESOLUTION,
            f"The lock file does not fit pyproject.toml: {hit.line}",
            0.92,
            (
                high(
                    "Regenerate and commit the lock file",
                    "Run poetry lock (or uv lock) after each change of pyproject.toml",
                    "poetry lock && git add poetry.lock",
                ),
            ),
            names=("poetry.lock", "pyproject.toml"),
        )
    if (
        "solving failed" not in hit.document.lower
        and "no solution found" not in hit.document.lower
        and "unsatisfiable" not in hit.document.lower
    ):
        return None
    start = next(
        (
            i
            for i in range(max(hit.index - 12, 0), hit.index + 1)
            if "Because" in hit.document.lines[i] or "because" in hit.document.lines[i]
        ),
        hit.index,
    )
    proof = quoted(hit.document.window(start, 0, max(hit.index - start, 0) + 4), 480)
    names = list(dict.fromkeys(re.findall(r"(?<![\w/.-])([a-z][\w.-]*[a-z0-9])(?= ?\(|[<>=!~]| depends on)", proof)))[
        :4
    ]
    names = [
        n for n in names if n not in ("python", "because", "and", "every", "version", "which", "so", "project")
    ] or names
    both = " and ".join(names[-3:]) if names else "the packages named"
    return Hypothesis(
        _RESOLUTION,
        f"No versions fit together: {proof}",
        0.94,
        (
            high(
                f"Make the versions of {both} compatible",
                f"Change one constraint so that a common version exists: widen the range, upgrade or downgrade {both} (the proof names both sides): {quoted(proof, 200)}",
                f"poetry show --tree {names[0] if names else ''}",
            ),
            commit("pyproject.toml", "Align versions"),
        ),
        names=(*names, "pyproject.toml"),
    )


@line_rule("npm-eresolve", "eresolve", r"ERESOLVE", source="npm's arborist")
def eresolve(hit: Hit) -> Hypothesis | None:
    """npm: peer dependencies that exclude each other."""
    block = hit.document.window(hit.index, 3, 40)
    found = re.search(r"Found: (\S+)", block)
    peer = re.search(r"peer (?:\w+ )?(\S+@\"[^\"]+\") from (\S+)", block)
    have = found.group(1) if found else "the installed version"
    wants = f"{peer.group(2)} needs the peer {peer.group(1)}" if peer else quoted(block, 200)
    package = peer.group(2).rsplit("@", 1)[0] if peer else ""
    base = have.rsplit("@", 1)[0]
    return Hypothesis(
        _RESOLUTION,
        f"npm cannot resolve the dependency tree (ERESOLVE): peer conflict, {wants}, but {have} is found",
        0.96,
        (
            high(
                f"Use compatible versions of {package or 'the package'} and {base}",
                f"Upgrade {package} to a version that supports {have}, or downgrade {base}; as a stopgap use overrides in package.json or --legacy-peer-deps",
                f"npm install {package}@latest   # or: npm install --legacy-peer-deps",
            ),
            commit("package.json package-lock.json", "Align versions"),
        ),
        names=(package, base, "package.json"),
    )


@line_rule(
    "npm-missing",
    "code e404|404 not found|code etarget|notarget|no matching version|err_pnpm_no_matching|couldn't find package|couldn't find any versions|err_pnpm_fetch_404|is not in this registry|is not in the npm registry",
    r"404\s+'?(?P<a>(?:@[\w.-]+/)?[\w.-]+@[^\s']+)'? is not in|404 Not Found - GET (?P<url>\S+)|No matching version found for (?P<b>\S+?)\.?(?:\s|$)|Couldn't find package \"(?P<c>[^\"]+)\"|Couldn't find any versions for \"(?P<d>[^\"]+)\" that matches \"(?P<dv>[^\"]+)\"|ERR_PNPM_NO_MATCHING_VERSION\s+No matching version found for (?P<e>\S+)|GET (?P<f>\S+): Not Found",
    source="npm E404 and ETARGET, yarn, pnpm",
)
def npm_missing(hit: Hit) -> Hypothesis | None:
    """npm, yarn, pnpm: no such package or version."""
    name = (
        hit.get("a")
        or hit.get("b")
        or hit.get("c")
        or (f"{hit.get('d')}@{hit.get('dv')}" if hit.get("d") else "")
        or hit.get("e")
    )
    if not name:
        url = hit.get("url") or hit.get("f")
        name = re.sub(r"^https?://[^/]+/", "", url).replace("%2f", "/").split("/-/")[0] if "http" in url else ""
    if not name:
        return None
    version = "@" in name[1:]
    return Hypothesis(
        _RESOLUTION,
        f"The npm package {name} does not exist in the registry (not found): {hit.line}",
        0.94,
        (
            high(
                f"Correct {name} in package.json",
                f"Use a {'version' if version else 'name'} that exists (npm view {name.rsplit('@', 1)[0] if version else name} versions); for a private package log in to its registry (.npmrc)",
                f"npm view {name.rsplit('@', 1)[0] if version else name} versions",
            ),
            commit("package.json package-lock.json", f"Correct {name}"),
        ),
        names=(name.rsplit("@", 1)[0] if version else name, "package.json"),
    )


@line_rule(
    "npm-lock",
    "npm ci|package-lock.json|frozen-lockfile|lockfile|err_pnpm_outdated|eusage|eintegrity|eio|lock file",
    r"`npm ci` can only install packages when your package\.json and package-lock\.json|can only install (?:packages )?with an existing package-lock|frozen-lockfile|lockfile (?:needs to be updated|would have been modified)|ERR_PNPM_OUTDATED_LOCKFILE|EINTEGRITY|Missing: (?P<m>\S+) from lock file|Invalid: lock file's (?P<i>\S+)",
    source="npm ci, yarn --frozen-lockfile, pnpm",
)
def npm_lock(hit: Hit) -> Hypothesis | None:
    """The lock file does not fit package.json, or a download does not fit the lock file."""
    around = hit.document.window(hit.index, 2, 10)
    entry = re.search(r"(?:Missing|Invalid): (?:lock file's )?(\S+)", around)
    name = entry.group(1) if entry else ""
    if "EINTEGRITY" in hit.line:
        what = re.search(r"(https?://\S+|sha\d+-\S+)", hit.line)
        return Hypothesis(
            _RESOLUTION,
            f"A downloaded package does not match the checksum in package-lock.json (EINTEGRITY): {hit.line}",
            0.92,
            (
                high(
                    "Verify the package and regenerate its lock entry",
                    f"Clear the cache and install again; if the registry really has another file, update the lock file{' for ' + what.group(1) if what else ''}",
                    "npm cache clean --force && npm install",
                ),
            ),
            names=("package-lock.json",),
        )
    return Hypothesis(
        _RESOLUTION,
        f"package.json and the lock file are not in sync{f': {name} is missing in the lock file' if name else ''}: {hit.line}",
        0.93,
        (
            high(
                "Update and commit the lock file",
                f"Run npm install (yarn install, pnpm install) after each change of package.json{f' (adds {name})' if name else ''} and commit the lock file",
                "npm install && git add package-lock.json && git commit -m 'Update lock file'",
            ),
        ),
        names=("package-lock.json", "package.json", name),
    )


@line_rule(
    "npm-network",
    "code econnrefused|code etimedout|code enotfound|code econnreset|code eai_again|code e401|code e403|code cert_|unable_to_verify|self_signed|network request to|registry.npmjs|code eneedauth|code ebadengine|unsupported engine|engine ",
    r"npm (?:ERR!|error) code (?P<code>ECONNREFUSED|ETIMEDOUT|ENOTFOUND|ECONNRESET|EAI_AGAIN|E401|E403|ENEEDAUTH|EBADENGINE|\w*CERT\w*|UNABLE_TO_\w+)|The engine \"(?P<engine>\w+)\" is incompatible with this module\. Expected version \"(?P<want>[^\"]+)\"\. Got \"(?P<got>[^\"]+)\"|ERR_PNPM_UNSUPPORTED_ENGINE",
    source="npm's error codes, yarn's engine check",
)
def npm_network(hit: Hit) -> Hypothesis | None:
    """The registry cannot be reached or refuses, or Node.js is too old."""
    code = hit.get("code")
    around = hit.document.window(hit.index, 0, 14)
    if hit.get("engine") or code == "EBADENGINE" or "ENGINE" in hit.line:
        want = hit.get("want") or (
            m.group(1) if (m := re.search(r"Required: (\{.*\})|required: (\{.*\})", around)) and m.group(1) else ""
        )
        got = f", got {hit.get('got')}" if hit.get("got") else ""
        who = re.search(
            r"(?:package: '|Not compatible with your version of node/npm: |error )([@\w./-]+@[\w.-]+)", around
        )
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"{who.group(1) if who else 'A package'} does not support this Node.js version: it wants {want or 'another'}{got}: {hit.line}",
            0.9,
            (
                high(
                    f"Use a Node.js version that fits ({want or 'see engines'})",
                    "Change the base image or .nvmrc to this Node.js version (upgrade), or pin the last version of the package that supports the old one",
                    "FROM node:20-alpine",
                ),
            ),
            names=("node",),
        )
    url = re.search(r"(?:request to |https?://)(\S+)", around)
    if code in ("E401", "E403", "ENEEDAUTH"):
        return Hypothesis(
            _RESOLUTION,
            f"The npm registry refuses access ({code}): no or wrong token: {quoted(around)}",
            0.86,
            (
                high(
                    "Provide a valid token for the registry",
                    "Set the token in .npmrc through an environment variable (NPM_TOKEN) in the build",
                    "//registry.example.com/:_authToken=${NPM_TOKEN}",
                ),
            ),
        )
    return Hypothesis(
        _RESOLUTION,
        f"The npm registry cannot be reached ({code}){f': {url.group(0)}' if url else ''}: {hit.line}",
        0.87,
        (
            high(
                "Restore the way to the registry",
                f"Check network, proxy, DNS and the registry's address ({url.group(0) if url else 'npm config get registry'}), then run the build again",
                'npm ping --registry "$(npm config get registry)"',
            ),
        ),
    )


@line_rule(
    "maven-artifact",
    "could not find artifact|could not resolve dependencies|could not transfer|failure to find|plugin|non-resolvable",
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
    "failed to select a version|no matching package|failed to get|links to the native library|unable to update|is not available for|lock file|checksum for",
    r"failed to select a version for (?:the requirement )?`(?P<a>[^`]+)`|no matching package (?:named|found) ?`?(?P<b>[\w-]*)`?|failed to get `(?P<c>[^`]+)` as a dependency|package `(?P<e>[^`]+)` links to the native library `(?P<lib>[^`]+)`|the lock file \S+ needs to be updated|checksum for `(?P<sum>[^`]+)` (?:changed|could not)|package `(?P<rv>[^`]+)` cannot be built because it requires rustc (?P<rustc>[\d.]+)|requires rustc (?P<rustc2>[\d.]+) or newer",
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
    if "needs to be updated" in hit.line:
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
    r"verifying (?P<a>\S+?)@(?P<av>\S+?): checksum mismatch|missing go\.sum entry for (?:module providing package |go\.mod file )?(?P<b>\S+)|(?P<c>[\w./-]+)@(?P<cv>\S+?): (?:invalid version|unknown revision|reading|module lookup)[^\n]*|no required module provides package (?P<d>[^\s;:]+)|cannot find module providing package (?P<e>\S+)|go\.mod requires go >= (?P<go>[\d.]+)|updates to go\.mod needed|module declares its path as: (?P<p>\S+)|module (?P<f>[^\s@]+)@(?P<fv>\S+) found[^\n]*does not contain package (?P<g>\S+)|inconsistent vendoring",
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
        0.93,
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
    "bundler",
    "could not find compatible versions|bundler could not find|could not find gem|the bundle currently has|frozen mode|deployment mode|version solving has failed|conflicting dependency",
    r"Bundler could not find compatible versions for gem \"(?P<a>[^\"]+)\"|Could not find compatible versions|Could not find gem '(?P<b>[^']+)' in|version solving has failed|your Gemfile\.lock .*(?:frozen|deployment)|(?:frozen|deployment) mode",
    source="Bundler's resolver",
)
def bundler(hit: Hit) -> Hypothesis | None:
    """Bundler: no gem versions that fit, or a lock file that is behind."""
    if re.search(r"frozen|deployment mode", hit.line):
        return Hypothesis(
            _RESOLUTION,
            f"Gemfile.lock does not fit the Gemfile (frozen): {hit.line}",
            0.9,
            (
                high(
                    "Update and commit Gemfile.lock",
                    "Run bundle install without deployment mode and commit the lock file",
                    "bundle install && git add Gemfile.lock",
                ),
            ),
            names=("Gemfile.lock", "Gemfile"),
        )
    name = hit.get("a") or hit.get("b")
    around = quoted(hit.document.window(hit.index, 0, 10), 420)
    gem = name.split(" ")[0] if name else (m.group(1) if (m := re.search(r"([\w-]+) [><=~]", around)) else "the gem")
    return Hypothesis(
        _RESOLUTION,
        f"Bundler cannot resolve {name or gem}: {around}",
        0.93,
        (
            high(
                f"Correct the version of {gem} in the Gemfile",
                f"Use versions that fit together: upgrade, downgrade or loosen the constraint of {gem} (bundle update {gem})",
                f"bundle update {gem}",
            ),
            commit("Gemfile Gemfile.lock", f"Correct {gem}"),
        ),
        names=(gem, "Gemfile"),
    )


@line_rule(
    "composer",
    "your requirements could not be resolved|could not find a matching version|could not find package|requires php|problem 1|lock file is not up to date",
    r"Your requirements could not be resolved|could not be found in any version|Could not find (?:a matching version of )?package (?P<a>\S+)|requires php (?P<php>\S+)|lock file is not up to date|ext-(?P<ext>\w+) \S* ?-> it is missing",
    source="Composer's solver",
)
def composer(hit: Hit) -> Hypothesis | None:
    """Composer: what its Problem list says."""
    block = hit.document.window(hit.index, 1, 14)
    problem = re.search(r"- (Root composer\.json requires [^\n]+|[\w./-]+ [^\n]*requires [^\n]+)", block)
    said = quoted(problem.group(1) if problem else hit.line, 300)
    name = hit.get("a") or (
        m.group(1) if (m := re.search(r"requires ([\w.-]+/[\w.-]+|php|ext-\w+)", said)) else "the package"
    )
    return Hypothesis(
        _RESOLUTION,
        f"Composer cannot resolve {name}: {said}",
        0.92,
        (
            high(
                f"Correct the version of {name} in composer.json",
                f"Change the constraint so that a version exists that fits PHP and the other packages (upgrade or downgrade {name}), or install the missing extension: {quoted(said, 160)}",
                f"composer why-not {name}",
            ),
            commit("composer.json composer.lock", f"Correct {name}"),
        ),
        names=(name, "composer.json"),
    )


@line_rule(
    "apt",
    "unable to locate package|has no installation candidate|failed to fetch|unable to fetch some|version '|unmet dependencies|no_pubkey|is not signed|does not have a release file|release' does not have|hash sum mismatch|no such package|unable to select packages|nothing provides|no match for argument|no package ",
    r"E: Unable to locate package (?P<a>\S+)|E: Package '(?P<b>[^']+)' has no installation candidate|E: Failed to fetch (?P<url>\S+)\s+(?P<why>.+)|Unable to fetch some archives|Version '(?P<ver>[^']+)' for '(?P<c>[^']+)' was not found|unmet dependencies|NO_PUBKEY (?P<key>\w+)|(?P<rel>\S+) (?:Release' )?(?:does not have a Release file|is not signed)|Hash Sum mismatch|(?P<d>\S+) \(no such package\)|(?:Unable to find a match|No match for argument|nothing provides):? (?P<e>\S+)|No package (?P<f>\S+) available",
    source="apt, apk, dnf and yum",
)
def apt(hit: Hit) -> Hypothesis | None:
    """System packages that cannot be found or fetched."""
    name = next((hit.get(k) for k in "abcdef" if hit.get(k)), "").rstrip(":,")
    if hit.get("url"):
        file = hit.get("url").rsplit("/", 1)[-1].replace("%2b", "+").replace("%3a", ":")
        name, _, rest = file.partition("_")
        version = rest.rsplit("_", 1)[0]
        stale = "404" in hit.get("why")
        why = (
            f"its version {version} is no longer on the mirror (404): the package lists are stale"
            if stale
            else hit.get("why")
        )
        return Hypothesis(
            _RESOLUTION,
            f"apt cannot download {name} {version}: {why}",
            0.95,
            (
                high(
                    "Run apt-get update in the same layer as the install",
                    f"The lists in the image are older than the mirror: join apt-get update and apt-get install in one RUN, and do not pin {name} to a version that is gone",
                    f"RUN apt-get update && apt-get install -y --no-install-recommends {name} && rm -rf /var/lib/apt/lists/*",
                ),
                commit("Dockerfile", "Refresh package lists"),
            ),
            names=(name, "Dockerfile"),
        )
    if not name and "Unable to fetch some" in hit.line:
        return None
    if hit.get("key") or hit.get("rel"):
        return Hypothesis(
            _RESOLUTION,
            f"apt does not trust a repository: {hit.line}",
            0.88,
            (
                high(
                    "Add the repository's signing key",
                    "Install the current key (signed-by) for this repository, or correct its address and release name",
                    "curl -fsSL KEY_URL | gpg --dearmor -o /etc/apt/keyrings/repo.gpg",
                ),
            ),
        )
    around = hit.document.window(hit.index, 1, 6)
    return Hypothesis(
        _RESOLUTION,
        f"The system package {name or 'named in the output'} cannot be installed: {hit.line if name else quoted(around)}",
        0.93 if name else 0.75,
        (
            high(
                f"Run apt-get update first and correct the name {name}",
                f"Refresh the package lists in the same RUN (apt-get update), and check that {name or 'the package'} exists under this name{' and version ' + hit.get('ver') if hit.get('ver') else ''} in this distribution's release",
                f"RUN apt-get update && apt-get install -y {name}",
            ),
            commit("Dockerfile", f"Correct {name}"),
        ),
        names=(name, "Dockerfile"),
    )


@line_rule(
    "download",
    "could not resolve host|failed to connect to|unable to access|repository not found|could not read from remote|could not read username|authentication failed for 'http|ssl certificate problem|the requested url returned error|couldn't connect to server|remote branch|did not match any file",
    r"fatal: unable to access '(?P<a>[^']+)'|fatal: repository '(?P<b>[^']+)' not found|(?:curl|wget): \(?(?P<code>\d+)?\)? ?(?P<what>.+)|Could not read from remote repository|could not read Username for '(?P<c>[^']+)'|Authentication failed for '(?P<d>[^']+)'|Remote branch (?P<e>\S+) not found|pathspec '(?P<f>[^']+)' did not match|The requested URL returned error: (?P<http>\d+)",
    source="git and curl",
)
def download(hit: Hit) -> Hypothesis | None:
    """git and curl in a build step: not reachable, no access, or not there."""
    if hit.document.role != "step":
        return None
    line = hit.document.window(hit.index, 1, 2)
    url = (
        hit.get("a")
        or hit.get("b")
        or hit.get("c")
        or hit.get("d")
        or (m.group(0) if (m := re.search(r"https?://[^\s'\"]+|git@[^\s'\"]+", line)) else "")
        or hit.get("e")
        or hit.get("f")
    )
    host = re.sub(r"^(?:\w+://)?(?:[^@/]*@)?([^/]+).*$", r"\1", url)
    low = line.lower()
    if re.search(
        r"authentication failed|could not read username|permission denied \(publickey|403|401|repository .* not found",
        low,
    ):
        why, fix = (
            "access is refused or the repository does not exist (no or wrong credentials)",
            f"Give the step a token or deploy key with read access to {url}, or correct the address",
        )
    elif re.search(r"ssl certificate|certificate", low):
        return None
    elif re.search(r"remote branch|pathspec|404", low):
        why, fix = f"{hit.get('e') or hit.get('f') or url} does not exist there", "Correct the branch, tag or address"
    else:
        why, fix = (
            "the host cannot be reached (connection refused, no DNS or no network)",
            f"Check the address, DNS, proxy and network on the way to {host}, then run the step again",
        )
    return Hypothesis(
        _RESOLUTION,
        f"{url or 'A download'} cannot be fetched: {why}: {hit.line}",
        0.88 if url else 0.7,
        (
            high(
                f"Make {url or 'the address'} reachable",
                fix,
                f"git ls-remote {url}" if "git" in low else f"curl -v {url}",
            ),
        ),
        names=(url,),
    )
