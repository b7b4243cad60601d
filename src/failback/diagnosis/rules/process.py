"""How a process could not be started, or how the kernel ended it: exit codes, signals, loaders, ports, limits."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.kube import container_states
from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.recommend.packages import align
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Citation, FailureType

SYSTEM_PACKAGES = {"libpq": "libpq5", "libGL": "libgl1", "libgthread-2.0": "libglib2.0-0", "libgobject-2.0": "libglib2.0-0", "libssl.so.1.1": "libssl1.1", "libssl": "libssl3", "libcrypto": "libssl3", "libxml2": "libxml2",
                   "libmysqlclient": "libmysqlclient21", "libmariadb": "libmariadb3", "libgomp": "libgomp1", "libstdc++": "libstdc++6", "libnss3": "libnss3", "libatk": "libatk1.0-0", "libcairo": "libcairo2", "libpango": "libpango-1.0-0",
                   "libz": "zlib1g", "libcurl": "libcurl4", "libffi": "libffi8", "libxslt": "libxslt1.1", "libjpeg": "libjpeg62-turbo", "libmagic": "libmagic1", "libsqlite3": "libsqlite3-0", "libodbc": "unixodbc", "libaio": "libaio1", "libvips": "libvips42",
                   "libtiff": "libtiff6", "libgdal": "libgdal32", "libgeos_c": "libgeos-c1v5", "libzbar": "libzbar0", "libsndfile": "libsndfile1", "libldap": "libldap-2.5-0", "libXext": "libxext6", "libX11": "libx11-6", "libSM": "libsm6", "libicu": "libicu72"}  # fmt: skip
_SIGNALS = {
    4: "SIGILL (illegal instruction)",
    6: "SIGABRT (aborted)",
    7: "SIGBUS (bus error)",
    8: "SIGFPE (arithmetic error)",
    11: "SIGSEGV (segmentation fault)",
}


@line_rule(
    "shared-library",
    "error while loading shared libraries|cannot open shared object|library not loaded|error loading shared library|cannot load library|unable to load dynamic library|shared libraries|not loaded|needed by",
    r"(?:loading shared libraries: |Error loading shared library |Library not loaded: |cannot load library '?|dynamic library '?)?(?P<lib>lib[\w.+-]+?\.(?:so[\w.]*|dylib)|[\w.+-]+\.so[\w.]*):? [^\n]*(?:cannot open shared object file|No such file|needed by)|(?:shared libraries|shared library|not loaded)[: ]+'?(?P<lib2>[\w./+-]+)",
    source="ld.so and musl's loader",
)
def shared_library(hit: Hit) -> Hypothesis | None:
    """A shared object is not installed in the image."""
    if "wrong ELF class" in hit.line or "invalid ELF header" in hit.line:
        return None
    lib = (hit.get("lib") or hit.get("lib2")).rsplit("/", 1)[-1]
    stem = lib.split(".so")[0]
    package = SYSTEM_PACKAGES.get(lib, "") or next(
        (pkg for name, pkg in SYSTEM_PACKAGES.items() if stem.startswith(name)), ""
    )
    from_package = package or stem.lower()
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY,
        f"The shared library {lib} is not installed (missing in the image){f'; it is in the system package {package}' if package else ''}{hit.at}: {hit.line}",
        0.95,
        (high(f"Install {lib} in the image", f"Add the system package that holds {lib} ({from_package}) to the runtime image, also to the last stage of a multi-stage Dockerfile",
              f"RUN apt-get update && apt-get install -y --no-install-recommends {from_package} && rm -rf /var/lib/apt/lists/*"), commit("Dockerfile", f"Install {from_package}")),
        names=(lib, from_package),
        facts={"library": lib},
    )  # fmt: skip


@line_rule(
    "glibc-version",
    "glibc_|glibcxx_|cxxabi_|symbol lookup error|undefined symbol|symbol not found|error relocating|version `|version 'openssl_",
    r"version [`'](?P<version>(?:GLIBC|GLIBCXX|CXXABI|OPENSSL)_[\d.]+)' not found|undefined symbol: (?P<symbol>\w+)|symbol not found: (?P<symbol2>\w+)|Error relocating (?P<file>\S+): (?P<symbol3>\w+)",
    source="ld.so symbol versions; musl",
)
def symbol_version(hit: Hit) -> Hypothesis | None:
    """Built against a newer C library, or another version of a library, than the image has."""
    version = hit.get("version")
    symbol = hit.get("symbol") or hit.get("symbol2") or hit.get("symbol3")
    what = (
        f"it needs {version}, which is newer than the C library of this image has"
        if version
        else f"the symbol {symbol} does not exist in the library that is installed (built for another version, or glibc against musl)"
    )
    program = re.match(r"^([\w./+-]+): ", hit.line)
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"{program.group(1) if program else 'The program'} does not fit the system libraries of the image: {what}: {hit.line}",
        0.95,
        (high("Build and run on the same base image", f"Build the program on the same distribution as the runtime image (or an older one), use a newer base image (or the version of the library) that has {version or symbol}, rebuild it against the library that is installed, or link statically (CGO_ENABLED=0, musl target)",
              "FROM debian:bookworm  # for both the build and the runtime stage"), commit("Dockerfile", "Use one base image")),
        names=(version or symbol,),
    )  # fmt: skip


@line_rule(
    "exec-format",
    "exec format error|cannot execute binary file|bad cpu type|does not match the detected host platform|no match for platform|wrong elf class|does not match the detected specified platform",
    r"exec format error|cannot execute binary file|Bad CPU type|does not match the (?:detected )?(?:specified|host) platform|no match for platform|wrong ELF class",
    source="errno ENOEXEC (8)",
)
def exec_format(hit: Hit) -> Hypothesis | None:
    """A binary for another CPU, or a script without a shebang."""
    if "warning" in hit.line.lower() and hit.document.role == "step":
        return None
    program = re.search(r"[Ee]xec format error: '([^']+)'", hit.line) or re.search(
        r"(?:exec |exec: \"|execute )?'?\"?((?:/|\./)[\w./-]+)", hit.line
    )
    name = program.group(1) if program else "the program"
    script = (
        name.endswith((".sh", ".py", ".rb"))
        and "docker-entrypoint" not in name
        and not name.startswith(("/usr/", "/bin/", "/sbin/"))
    )
    if script:
        return Hypothesis(
            FailureType.BAD_COMMAND,
            f"{name} cannot be executed: it has no valid shebang line (exec format error): {hit.line}",
            0.85,
            (
                high(
                    f"Add a shebang to {name}",
                    f"The first line of {name} must be #!/bin/sh (no blank line or BOM before it), with LF line endings",
                    f"sed -i '1i #!/bin/sh' {name}",
                ),
            ),
        )
    return Hypothesis(
        FailureType.PLATFORM_MISMATCH,
        f"{name} was built for another CPU architecture or operating system (exec format error): {hit.line}",
        0.94,
        (high(f"Build {name} for the node's platform", f"Build {name} and the image for the CPU architecture of the node (linux/amd64 or linux/arm64), or publish a multi-platform image", "docker buildx build --platform linux/amd64,linux/arm64 -t IMAGE --push ."),
         medium("Or choose nodes that fit", "Set a nodeSelector for the image's architecture", "nodeSelector: {kubernetes.io/arch: arm64}")),
        names=(name,),
    )  # fmt: skip


@line_rule(
    "interpreter-missing",
    "bad interpreter|cannot execute: required file not found|\\r|^m:|env: ‘",
    r"(?P<script>[\w./-]+): (?:[\w./]+(?:\^M)?: )?(?:bad interpreter|cannot execute: required file not found)|env: ['‘\"]?(?P<what>[\w.-]+)(?:\\r|\^M)|(?P<crlf>[\w./-]+)\\r[:'’]|\$'\\r'",
    source="kernel binfmt_script; bash and coreutils messages",
)
def interpreter(hit: Hit) -> Hypothesis | None:
    """The shebang names something that is not there: often a carriage return from Windows."""
    script = hit.get("script") or hit.get("what") or hit.get("crlf") or "the script"
    program = re.match(r"^([\w./-]+): line \d+", hit.line)
    script = program.group(1) if program else script
    crlf = "^M" in hit.line or "\\r" in hit.line
    why = (
        "its lines end in CRLF (\\r, Windows line endings), so the interpreter is not found"
        if crlf
        else "the interpreter in its first line (shebang) is not found: CRLF (Windows) line endings, or that interpreter is not in the image"
    )
    return Hypothesis(
        FailureType.BAD_COMMAND,
        f"{script} cannot be executed: {why}: {hit.line}",
        0.93,
        (
            high(
                f"Convert {script} to LF line endings",
                f"Save {script} with LF instead of CRLF (dos2unix) and keep it so with .gitattributes; if its endings are right, correct the shebang or install the interpreter",
                f"dos2unix {script} && echo '*.sh text eol=lf' >> .gitattributes",
            ),
            commit(f"{script} .gitattributes", "LF line endings"),
        ),
        names=(script,),
    )


_SHELLS = r"(?:(?:/bin/)?(?:ba|da|z|a)?sh|/usr/bin/env|env|[\w./-]+\.sh|[\w./-]+): (?:line )?(?:\d+: )?(?:exec: )?"


@line_rule(
    "command-not-found",
    "not found|no such file or directory|enoent|is not recognized as",
    rf"^\s*{_SHELLS}['‘\"]?(?P<a>[\w./+@-]+)['’\"]?: (?:command )?not found|spawn (?P<b>\S+) ENOENT|exec: \"(?P<c>[^\"]+)\": (?:executable file not found|stat [^\n]*: no such file)|(?:env|/usr/bin/env): ['‘\"]?(?P<d>[\w./+-]+)['’\"]?: No such file|exec (?P<e>/?[\w./-]+): no such file|'(?P<f>[\w.-]+)' is not recognized as|(?:can't|cannot) (?:exec|find command) ['\"]?(?P<g>[\w./-]+)|^(?:/bin/)?\w*sh: \d+: (?P<h>[\w./-]+): not found|command not found: (?P<k>[\w./-]+)|fork/exec (?P<i>\S+): no such file|^(?:make|bash|sh)(?:\[\d+\])?: (?P<j>[\w./-]+): No such file or directory$",
    source="shells' exit 127; execvp ENOENT; runc",
    flags=re.IGNORECASE | re.MULTILINE,
)
def command_missing(hit: Hit) -> Hypothesis | None:
    """The program to start is not installed, or not where the command says."""
    name = next((v for v in hit.match.groupdict().values() if v), "")
    if not name or name in ("line", "module", "file") or "shared librar" in hit.line:
        return None
    script = "/" in name or name.endswith((".sh", ".py"))
    called = "executable file not found in $PATH" in hit.line and hit.scene.evidence.exit_code not in (
        126,
        127,
        128,
        None,
    )  # by the running program
    certain = 0.93 if hit.scene.evidence.exit_code in (126, 127, 128, None) or hit.document.role != "step" else 0.82
    if script:
        text = f"The command {name} is not found in the release or image: {hit.line}"
        fix = high(
            f"Correct the command {name}",
            f"Make sure that {name} is copied into the image or release (COPY) and executable (chmod +x), that its shebang's interpreter exists, and that the start command or PATH names it rightly",
            f"COPY --chmod=755 {name} {name}",
        )
    else:
        text = f"The command {name} is not installed (not found in PATH): {hit.line}"
        fix = high(
            f"Install {name} or correct the command",
            f"{name} is not in the PATH of the image or machine: install it (add it to the Dockerfile or the dependencies), or use its full path",
            f"RUN apt-get update && apt-get install -y {name}",
        )
    return Hypothesis(
        FailureType.BAD_COMMAND
        if script or (hit.document.role != "step" and not called)
        else FailureType.MISSING_DEPENDENCY,
        text,
        certain,
        (
            fix,
            medium(
                "Start by hand in the same image",
                f"See what is there: which {name}",
                f"docker run --rm -it --entrypoint sh IMAGE -c 'which {name}; echo $PATH'",
            ),
        ),
        names=(name.rsplit("/", 1)[-1],),
        facts={"command": name},
    )


@line_rule(
    "not-executable",
    "permission denied|cannot execute|eacces",
    r"(?:exec(?:ve)?|/bin/\w*sh|entrypoint|spawn|unable to start container process|cannot execute)[^\n]*?['\"]?(?P<path>(?:/|\./)?[\w./-]+)['\"]?:? [^\n]*(?:permission denied|EACCES)|sh: (?:line )?\d+: (?P<path2>\S+): Permission denied|spawn (?P<path3>\S+) EACCES",
    source="execve EACCES; shells' exit 126",
)
def not_executable(hit: Hit) -> Hypothesis | None:
    """The file to start has no execute permission."""
    inner = re.search(r"exec: \"([^\"]+)\"", hit.line)
    path = inner.group(1) if inner else hit.get("path") or hit.get("path2") or hit.get("path3")
    if not path or any(word in hit.line for word in ("bind", "mkdir", "open(")):
        return None
    certain = 0.92 if hit.scene.evidence.exit_code in (126, None) else 0.8
    return Hypothesis(
        FailureType.BAD_COMMAND,
        f"{path} cannot be started: permission denied, it is not executable: {hit.line}",
        certain,
        (
            high(
                f"Make {path} executable",
                f"Set the execute permission of {path} in git and in the image (chmod +x)",
                f"git update-index --chmod=+x {path.lstrip('./')}  # or: COPY --chmod=755 {path} {path}",
            ),
            commit(path, "Make it executable"),
        ),
        names=(path,),
    )


@scene_rule("died-of-signal", "wait(2): 128 + signal; kernel signals of broken native code")
def signals(scene: Scene) -> Iterable[Hypothesis]:
    """A crash in native code, known only by its signal."""
    codes = [
        (scene.evidence.exit_code, "exit_code"),
        *((r.exit_code, f"replicas/{r.name}") for r in scene.evidence.replicas),
    ]
    codes += [(s.end_code, f"pods/{s.pod}") for pod in scene.pods() for s in container_states(pod)]
    for code, source in codes:
        number = code - 128 if code is not None and code > 128 else -code if code is not None and code < 0 else 0
        if number not in _SIGNALS:
            continue
        name = _SIGNALS[number]
        last = next((quoted(line) for d in scene.logs for line in reversed(d.lines) if line.strip()), "")
        crash = _crash_line(scene)
        after = f"; the last thing it printed is: {last}" if last else ""
        yield Hypothesis(
            FailureType.CODE_ERROR,
            f"The process crashed with {name}, exit code {128 + number}: native code (a C/C++ extension or binary) broke{f': {crash}' if crash else after}",
            0.88 if number in (11, 7, 4) else 0.6,
            (high("Find the crash in the native code", f"Get a core dump or backtrace of the crash ({name.split()[0]}) and fix or upgrade the native module or library that broke; roll back what changed since the last good release", "ulimit -c unlimited; gdb -batch -ex bt PROGRAM core"),
             medium("Look at changed native dependencies", "A native package built for another C library or CPU crashes like this: rebuild it in the image")),
            citations=(Citation(source, f"exit code {code}"),),
            component=scene.evidence.service or scene.step_name,
        )  # fmt: skip


@line_rule(
    "native-abort",
    "core dumped|segmentation fault|stack smashing|double free|free(): invalid|malloc(): |corrupted|terminate called|addresssanitizer|assertion `|bus error|illegal instruction|runtime error:|assertion",
    r"Segmentation fault|stack smashing detected|double free|free\(\): invalid|malloc\(\): |corrupted (?:size|double)|terminate called after throwing an instance of '(?P<type>[^']+)'|AddressSanitizer: (?P<asan>[\w-]+)|(?P<where>[\w./-]+:\d+): .*Assertion [`'](?P<assertion>.+)' failed|Bus error|Illegal instruction|core dumped",
    source="glibc's and libstdc++'s abort messages, sanitizers",
)
def native_abort(hit: Hit) -> Hypothesis | None:
    """C and C++: the message with which a program is aborted."""
    what = next((line.strip() for line in hit.document.lines[hit.index + 1 : hit.index + 3] if "what():" in line), "")
    place = hit.get("where")
    spot = re.search(r"#0 .* ([\w./-]+:\d+)", hit.document.window(hit.index, 0, 8))
    place = place or (spot.group(1) if spot else "")
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"The native program crashed{f' at {place}' if place else ''}: {hit.line}{f' {quoted(what)}' if what else ''}",
        0.84,
        (
            high(
                f"Fix the crash{f' at {place}' if place else ''}",
                f"Debug the native code with a core dump: {quoted(what or hit.line)} (memory error, invalid pointer, uncaught C++ exception or failed assertion)",
                "gdb -batch -ex bt PROGRAM core",
            ),
        ),
        names=(place.split(":")[0],) if place else (),
    )


_PYTEST_PLUGINS = (
    ("--cov", "pytest-cov"),
    ("--no-cov", "pytest-cov"),
    ("--numprocesses", "pytest-xdist"),
    ("--dist", "pytest-xdist"),
    ("-n", "pytest-xdist"),
    ("--timeout", "pytest-timeout"),
    ("--asyncio-mode", "pytest-asyncio"),
    ("--reruns", "pytest-rerunfailures"),
    ("--html", "pytest-html"),
    ("--json-report", "pytest-json-report"),
    ("--benchmark", "pytest-benchmark"),
    ("--ds", "pytest-django"),
    ("--reuse-db", "pytest-django"),
    ("--mypy", "pytest-mypy"),
    ("--random-order", "pytest-random-order"),
    ("--alluredir", "allure-pytest"),
)


@line_rule(
    "bad-option",
    "missing option|missing argument|missing required|arguments are required|arguments were not provided|required flag|required option|missing parameter|unrecognized|unknown option|unknown flag|unknown argument|unknown command|invalid option|illegal option|no such option|flag provided but not defined|bad option|unexpected argument|no such command|unexpected option|unknown shorthand|unrecognised command line|unrecognised command-line|unrecognised option|unrecognised argumentss|arguments is required",
    r"(?P<need>[Mm]issing (?:required )?(?:option|argument|parameter|flag)s?\b|arguments? (?:are|is) required: ?|required arguments were not provided|required (?:flag|option)(?:\(s\))?[^\n]{0,40} not (?:set|specified|provided))|unrecogni[sz]ed (?:option|arguments?|command[- ]line)s?:?|unknown (?:option|flag|argument|command|shorthand)|invalid option|illegal option|no such (?:option|command)|flag provided but not defined|unexpected (?:argument|option)|Unrecognized (?:VM )?option",
    source="getopt, argparse, click, cobra, clap, JVM",
)
def bad_option(hit: Hit) -> Hypothesis | None:
    """The start command has an option that the program does not know."""
    named = re.search(r"(?<![\w-])(-{1,2}[A-Za-z][\w.-]*|-XX:\S+)", hit.line.split(":", 1)[-1]) or re.search(
        r"['\"`‘](\S+?)['\"`’]|: (\S+)$", hit.line
    )
    option = next((g for g in named.groups() if g), "") if named else ""
    if hit.get("need"):
        below = hit.document.window(hit.index, 0, 2)
        wanted = re.search(r"(--?[A-Za-z][\w-]*|<[\w-]+>)", below) or re.search(
            r"required: (.+)|['\"](\w[\w-]*)['\"]|(?:argument|option|parameter|flag)s?: (\w[\w -]*)$",
            below,
            re.MULTILINE,
        )
        name = next((g for g in wanted.groups() if g), "") if wanted else "what the message names"
        return Hypothesis(
            FailureType.BAD_COMMAND,
            f"The command lacks an option or argument that the program requires (missing): {name}: {hit.line}",
            0.86,
            (high(f"Add {name} to the command", f"Pass {name} with its value in the start command or step, or set the variable that the program reads instead", f"PROGRAM {name} VALUE"),),
            names=(name,),
        )  # fmt: skip
    plugin = next((package for start, package in _PYTEST_PLUGINS if option.startswith(start)), "")
    if plugin and "pytest" in hit.document.window(hit.index, 2, 2):
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"pytest does not know {option}: the plug-in {plugin} that brings this option is not installed: {hit.line}",
            0.93,
            (high(f"Install {plugin}", f"Add {plugin} to the test dependencies (requirements-dev, the dev group) and install them in the step, or remove {option} from the command or addopts", f"pip install {plugin}"),),
            names=(plugin,),
        )  # fmt: skip
    runtime = "VM option" in hit.line or "Unrecognized option" in hit.line
    return Hypothesis(
        FailureType.BAD_COMMAND if not runtime else FailureType.INVALID_CONFIGURATION,
        f"The start command has an option that the program does not know: {option or hit.line}: {hit.line}",
        0.82,
        (
            high(
                f"Correct the option {option} in the start command",
                f"Remove {option or 'the option'} or use the name that the installed version has (run it with --help)",
                "PROGRAM --help",
            ),
            *align(hit.line.split(":")[0].strip()[:40] or "the program", "python", None)[:0],
        ),
        names=(option,),
    )


def _crash_line(scene: Scene) -> str:
    for document in scene.logs:
        for index in document.hits("fatal python error"):
            return quoted(document.lines[index])
    return ""
