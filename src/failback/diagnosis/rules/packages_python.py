"""pip, uv and Poetry: versions that cannot be resolved, fetched or built."""

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
    certificate = re.search(r"confirming the ssl certificate: (.*)|(\[SSL: CERTIFICATE_VERIFY_FAILED\].*)", around)
    if certificate and not versions:
        why_tls = next(g for g in certificate.groups() if g)
        host = re.search(r"https?://[^/\s]+", around)
        return Hypothesis(
            FailureType.TLS_CERTIFICATE,
            f"pip cannot download {requirement}: the certificate of the package index {host.group(0) if host else ''} is not accepted (SSL): {quoted(why_tls)}",
            0.96,
            (high("Trust the certificate authority of the package index", "Add the index's CA certificate to the build (PIP_CERT, --cert, or install it into the system's store), or reissue the index's certificate", "PIP_CERT=/etc/ssl/certs/internal-ca.pem pip install -r requirements.txt"),),
        )  # fmt: skip
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
        f"this version is not offered for the Python in use ({python.group(1)} required)"
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
    if own := _own_project(text, hit):
        return own
    compiler = re.search(
        r"(?:No such file or directory: |unable to execute |error: command |command )'?([\w.+-]*(?:gcc|g\+\+|cc|clang|rustc|cargo|cmake|make|gfortran|nvcc)[\w.+-]*)'?(?:: No such file| failed: No such file|:? not found|$|')",
        text,
        re.MULTILINE,
    )
    need = (
        compiler.group(1)
        if compiler
        else next(
            (
                f
                for f in (
                    "pg_config",
                    "gcc",
                    "g++|library not found for -l",
                    "cargo",
                    "rustc",
                    "Python.h",
                    "mysql_config",
                    "ffi.h",
                    "cmake",
                    "make|package configuration file provided by",
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
        "rustc": "rustc cargo",
        "cargo": "rustc cargo",
    }.get(
        need, "build-essential" if compiler and re.search(r"gcc|g\+\+|cc$|clang", need) else need or "build-essential"
    )
    word = " (no C compiler)" if compiler and re.search(r"gcc|g\+\+|cc$|clang", need) else ""
    kind = (
        FailureType.MISSING_DEPENDENCY
        if need and need not in ("distutils", "pkg_resources")
        else FailureType.DEPENDENCY_RESOLUTION
        if hit.scene.step_type != "build"
        else FailureType.BUILD_FAILURE
    )
    if (not need and "metadata-generation-failed" in text) or "Getting requirements to build wheel" in text:
        kind = FailureType.DEPENDENCY_RESOLUTION
    return Hypothesis(
        kind,
        f"The Python package {name} cannot be built from source{f': {need} is not installed (missing, not found){word}' if need else ''}: {hit.line}",
        (0.93 if compiler else 0.86) if need else 0.84,
        (
            high(
                f"Install {tool} for the build of {name}, or use a version with a wheel",
                f"Add {tool} to the build image, or pin a version of {name} (or of Python) for which a ready wheel exists",
                f"RUN apt-get update && apt-get install -y {tool}  # or: pip install --only-binary=:all: {name}",
            ),
        ),
        names=(name, "requirements.txt"),
    )


_OWN_FOLDER = re.compile(r"^(?:Processing|Obtaining|Building) (?:file://)?(?P<dir>/(?:app|src|usr/src|workspace|build|home|code|srv)\b\S*|\./?\S*|[\w-]+ @ file:///\S+)", re.MULTILINE)  # fmt: skip
_INNER = re.compile(r"╰─> \[\d+ lines? of output\]\n(?P<said>[\s\S]{0,6000}?)\n\s*\[end of output\]")
_INNER_ERROR = re.compile(r"^\s*(?:\w+(?:\.\w+)*(?:Error|Exception)|error): (?P<why>[^\n]+)", re.MULTILINE)


def _own_project(text: str, hit: Hit) -> Hypothesis | None:
    """The release's own folder cannot be packaged: its project file or layout is wrong, no library's."""
    inner = _INNER.search(text)
    last = next(reversed(list(_OWN_FOLDER.finditer(text))), None)
    if last is None or inner is None or "Collecting " in text[last.end() :]:
        return None
    why = next(reversed(list(_INNER_ERROR.finditer(inner.group("said")))), None)
    if why is None or re.search(r"gcc|g\+\+|command '|Python\.h|No module named|pg_config|not found", why.group()):
        return None
    more = quoted(inner.group("said")[why.end() :], 240)
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"The project itself cannot be packaged (pyproject.toml, setup.py or its layout is wrong): {quoted(why.group('why'))}",
        0.93,
        (
            high(
                "Correct pyproject.toml (or setup.py): name the packages and files that belong in it",
                f"{quoted(why.group('why'), 200)} {more}",
                '[tool.setuptools.packages.find]\ninclude = ["<package>*"]',
            ),
        ),
        names=("pyproject.toml", "setup.py"),
    )


@line_rule(
    "pip-hash",
    "hashes do not match|these packages do not match the hashes|hash mismatch|in --require-hashes mode|require-hashes mode|hashes mismatch",
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
    "version solving failed|no solution found|because |is not consistent with|pyproject.toml changed significantly|lock file|lockfile|requirements are unsatisfiable",
    r"version solving failed|No solution found when resolving|requirements are unsatisfiable|pyproject\.toml changed significantly since poetry\.lock|lock ?file (?:at \S+ )?(?:needs to be updated|is not (?:up to date|consistent))|Because .{1,300}? depends on .+",
    source="Poetry's and uv's PubGrub resolvers",
)
def pubgrub(hit: Hit) -> Hypothesis | None:
    """Poetry, uv, pub: the resolver's proof that no version fits."""
    if ("lock" in hit.line and "significantly" in hit.line) or re.search(
        r"lock ?file (?:at \S+ )?(?:needs|is not)", hit.line
    ):
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


@line_rule(
    "pip-environment",
    "externally-managed-environment|externally managed|could not install packages due to an oserror|can not perform a '--user' install|no such option",
    r"externally-managed-environment|environment is externally managed|Could not install packages due to an OSError: (?P<os>.+)",
    source="PEP 668; pip's installation",
    most=1,
)
def pip_environment(hit: Hit) -> Hypothesis | None:
    """pip may not change the system's own Python, or cannot write there."""
    if hit.get("os"):
        if "Errno 13" not in hit.get("os"):
            return None
        return Hypothesis(
            FailureType.FILESYSTEM_PERMISSION,
            f"pip may not write to the environment (permission denied): {hit.line}",
            0.9,
            (high("Install into a virtual environment", "Create a venv that belongs to the user (python -m venv), or install as root in the image", "python -m venv .venv && .venv/bin/pip install -r requirements.txt"),),
        )  # fmt: skip
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"pip may not install into the system's Python: this environment is externally managed (PEP 668): {hit.line}",
        0.96,
        (high("Create and use a virtual environment", "Install into a venv (python3 -m venv), use an image of Python itself, or in a throw-away image pass --break-system-packages", "RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install -r requirements.txt"),),
        names=("Dockerfile",),
    )  # fmt: skip


@line_rule(
    "pip-requirement",
    "invalid requirement|could not open requirements file|expected end or semicolon|expected package name|invalid marker",
    r"Invalid requirement: ?'?(?P<req>[^'\n]*)'?(?:[^\n]*?\(from line (?P<line>\d+) of (?P<file>[^)\n]+)\))?|Could not open requirements file: [^\n]*'(?P<gone>[^']+)'",
    source="pip's reading of requirement files",
    most=1,
)
def pip_requirement(hit: Hit) -> Hypothesis | None:
    """A requirements file that is not there, or a line in it that is none."""
    if hit.get("gone"):
        return Hypothesis(
            FailureType.MISSING_FILE,
            f"The requirements file {hit.get('gone')} is missing (not found): {hit.line}",
            0.95,
            (high(f"Add {hit.get('gone')} or correct its path", f"Create and commit {hit.get('gone')}, COPY it before pip install, or name the file that exists", f"COPY {hit.get('gone')} {hit.get('gone')}"), commit(hit.get("gone"), "Add requirements")),
            names=(hit.get("gone"),),
        )  # fmt: skip
    file = hit.get("file") or "requirements.txt"
    spot = f" line {hit.get('line')}" if hit.get("line") else ""
    return Hypothesis(
        _RESOLUTION,
        f"{file}{spot} is no valid requirement: {hit.get('req')}: {hit.line}",
        0.94,
        (high(f"Correct the requirement {hit.get('req')} in {file}", f"Write it as name, operator and version (==, >=, <, ~=) in {file}", "requests>=2.0"), commit(file, "Correct a requirement")),
        names=(file,),
    )  # fmt: skip
