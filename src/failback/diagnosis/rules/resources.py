"""Things that programs look up by name: templates, models, browsers, tools; and limits of the system that are not memory."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.files import add_file, fix_permission
from failback.diagnosis.rule import Hypothesis, placed, quoted, scene_rule, trace_rule
from failback.diagnosis.rules.files import path_in
from failback.diagnosis.scene import Scene
from failback.diagnosis.table import row
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_DEPENDENCY = FailureType.MISSING_DEPENDENCY
_LIMIT = FailureType.INVALID_CONFIGURATION

ROWS = (
    row(
        "template-missing",
        "template|view|manifest|asset|class path resource|partial|layout|pattern matches no files|was not found and is not optional",
        r"TemplateNotFound: (?P<a>[^\s,]+)|TemplateDoesNotExist(?: at [^\n]*)?:? ?(?P<b>[\w./-]+\.\w+)|Failed to lookup view \"(?P<c>[^\"]+)\"|Unable to find template \"(?P<d>[^\"]+)\"|Error resolving template \[(?P<e>[^\]]+)\]|pattern matches no files: [`\"](?P<f>[^`\"]+)|html/template: \"(?P<g>[^\"]+)\" is undefined|(?:ActionView::)?MissingTemplate[^\n]*?(?P<h>[\w./]+)?|Missing (?:template|partial) (?P<i>[\w./-]+)|View \[(?P<j>[^\]]+)\] not found|Missing staticfiles manifest entry for '(?P<k>[^']+)'|Unable to locate file in Vite manifest: (?P<l>[^\s.]+\S*)|Vite manifest not found at: (?P<m>\S+)|(?:can't|cannot) find (?P<n>\S+) in \S*manifest\.json|asset \"(?P<o>[^\"]+)\" is not present in the asset pipeline|class path resource \[(?P<p>[^\]]+)\] cannot be (?:opened|resolved)[^\n]*|(?:View|Template|Layout|Partial) ['\"](?P<q>[^'\"]+)['\"] (?:was )?(?:not found|does not exist|could not be found|is missing)|configuration file '(?P<r>[^']+)' was not found and is not optional",
        FailureType.MISSING_FILE,
        "The file {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n}{o}{p}{q}{r} (template, asset or resource) is missing from the release: not found",
        "Add {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n}{o}{p}{q}{r} to the release",
        "Create the file, or include its folder in the image or package (COPY templates/, package data, the build of the assets), and check the path where it is looked for",
        "COPY templates/ ./templates/   # and: git add {a}{b}{c}{d}{e}{f}{g}{i}{j}{k}{q}",
        source="template engines and asset pipelines of the frameworks, Spring's resources, .NET's configuration",
        sure=0.95,
        steps="-quality|security",
    ),
    row(
        "model-or-data-missing",
        "can't find model|resource |does not appear to have|can't load|unable to load vocabulary|icu package|is not a local folder",
        r"\[E050\] Can't find model '(?P<a>[^']+)'|^\s*(?-i:Resource) \W*(?P<b>(?!mapping)[a-z_]+)\W* not found|(?P<c>[\w./-]+) does not appear to have a file named (?P<c2>\S+)|Can't load (?P<d>tokenizer|config|model|weights|feature extractor|image processor)\w* for '(?P<d2>[^']+)'|Couldn't find a valid ICU package[^\n]*|(?P<e>[\w./-]+) is not a local folder and is not a valid model identifier",
        _DEPENDENCY,
        "Data or a model that a library needs is not installed (not found): {a}{b}{c}{d2}{e}",
        "Download {a}{b}{c}{d2}{e} in the build",
        "Install the model or data in the image while it is built (spacy download, nltk.downloader, huggingface-cli download, libicu), so that nothing is fetched at the start",
        "RUN python -m spacy download {a}   # or: python -m nltk.downloader {b}",
        source="spaCy, NLTK, transformers, .NET's globalization",
        sure=0.9,
    ),
    row(
        "browser-missing",
        "no binary for|binary is missing|unable to obtain driver|cannot find the browser|could not find chrome|could not find chromium|executable doesn't exist|cannot find chrome|chromedriver|geckodriver|failed to launch the browser|unable to find firefox|cannot find firefox",
        r"Could not find (?P<a>Chrom\w+)(?: \(ver\. [^)]*\))?|Executable doesn't exist at (?P<b>\S+)|(?:cannot find|unable to find) (?P<c>Chrom\w+|Firefox|geckodriver|chromedriver)[^\n]*|No binary for (?P<d>\w+) browser on your platform|[Tt]he (?P<e>\w+) binary is missing|Unable to obtain driver for (?P<f>\w+)|Cannot find the browser|Failed to launch the browser process[^\n]*",
        _DEPENDENCY,
        "The browser {a}{b}{c}{d}{e}{f} that the program starts is not installed (its binary is missing)",
        "Install the browser in the image",
        "Run npx playwright install --with-deps (puppeteer browsers install chrome, cypress install, apt-get install chromium with CHROME_BIN=/usr/bin/chromium) in the build of the image, with the same cache folder as at run time",
        "RUN npx playwright install --with-deps chromium",
        source="Puppeteer, Playwright, Selenium",
        sure=0.92,
    ),
    row(
        "native-module-platform",
        "for another platform|could not load the|cannot find module @rollup|native binding|cannot find native|unsupported platform|ebadplatform|was built for|incompatible architecture|wrong architecture|mach-o|cannot find module \"@|cannot find module '@",
        r"installed (?P<a>[\w@/.-]+) for another platform|EBADPLATFORM(?:[^\n]*\n[^\n]*Unsupported platform for (?P<bad>\S+): (?P<bad2>[^\n]*))?|Unsupported platform for (?P<c>\S+): (?P<c2>[^\n]*)|(?:mach-o|incompatible architecture|wrong architecture)[^\n]*|[Cc]annot find (?:module )?['\"]?(?P<e>@[\w.-]+/[\w.-]*(?:linux|darwin|win32|musl|gnu)[\w.-]*)",
        FailureType.PLATFORM_MISMATCH,
        "A native module was installed for another platform (operating system or CPU, darwin or linux, musl or glibc): {a}{c}{e}{bad} {c2}{bad2}",
        "Install {a}{c}{e}{bad} on the platform that runs it",
        "Run npm ci in the image instead of copying node_modules from another machine (add node_modules to .dockerignore), for the right platform (--os, --cpu, --libc), with optional dependencies; a package that exists for one platform only ({a}{c}{e}{bad}) belongs in optionalDependencies, or is removed",
        "RUN npm ci --include=optional   # .dockerignore: node_modules",
        source="esbuild, Rollup, swc, npm EBADPLATFORM, dyld",
        sure=0.95,
        lines=2,
    ),
    row(
        "native-module-missing",
        'could not load the "|native binding|cannot find native|could not locate the bindings|prebuild',
        r"Could not load the \"(?P<b>[\w-]+)\" module using the (?P<p>\S+) runtime|[Cc]annot find native binding[^\n]*|Could not locate the bindings file[^\n]*(?:\n[^\n]*?node_modules/(?P<c>(?:@[\w.-]+/)?[\w.-]+)/)?|Failed to load native binding[^\n]*",
        _DEPENDENCY,
        "The native part (binding) of the package {b}{c} is not installed (missing) for this platform {p}",
        "Rebuild or install {b}{c} on this platform, with its optional dependencies for {p}",
        "Run npm install --include=optional --os=linux --cpu=x64 {b}{c} (npm ci without --omit=optional and without --ignore-scripts) in the image, or npm rebuild {b}{c}",
        "RUN npm rebuild {b}{c}   # or: npm install --include=optional {b}{c}",
        source="sharp, node-gyp's bindings, napi-rs",
        sure=0.94,
        lines=2,
    ),
    row(
        "supervised-command-missing",
        "can't find command|spawnerr|unable to exec|no such program|failed at step exec|executable file not found|command not found:|warning: unable to spawn|fatal: unable to spawn",
        r"(?:spawnerr: )?can't find command '(?P<a>[^']+)'|spawnerr: (?P<b>command at '[^']+' is not executable)|unable to exec (?P<c>\S+): [^\n]*|Failed at step EXEC spawning (?P<d>\S+): [^\n]*|s6-\w+: (?:fatal|warning): unable to (?:exec|spawn) (?P<e>\S+): [^\n]*",
        FailureType.BAD_COMMAND,
        "A program that the supervisor shall start is not found or not executable: {a}{b}{c}{d}{e} (cannot find the command)",
        "Correct the command {a}{b}{c}{d}{e} in the supervisor's configuration",
        "Correct the path in supervisord.conf (or the unit, Procfile, s6 service), or add (COPY) {a}{b}{c}{d}{e} to the image with execute permission",
        "[program:worker]\ncommand=/path/in/image/worker",
        source="supervisord, s6, tini, systemd",
        sure=0.95,
        loud=True,
    ),
    row(
        "process-limit",
        "can't start new thread|unable to create native thread|unable to create new native thread|failed to create new os thread|resource temporarily unavailable|pthread_create|cannot fork|fork failed|fork: retry|eagain|thread creation failed|os error 11)",
        r"can't start new thread|unable to create (?:new )?native thread[^\n]*|failed to create new OS thread[^\n]*|fork: (?:retry: )?Resource temporarily unavailable|(?:cannot|can't) fork[^\n]*|pthread_create (?:failed|error)[^\n]*|(?:fork|clone|spawn)\w*[^\n]{0,60}(?:EAGAIN|Resource temporarily unavailable)|os error 11\)",
        _LIMIT,
        "The limit of processes and threads (pids, ulimit -u) is reached: no new thread or process can be created",
        "Raise the limit of processes (pids) or start fewer threads",
        "Increase the pids limit (pids.max, podPidsLimit, --pids-limit, ulimit -u), or bound the pools of threads and workers so that fewer are started {place}",
        "docker run --pids-limit 512 ...   # kubelet: podPidsLimit",
        source="errno EAGAIN (11) of clone(2): pids cgroup and RLIMIT_NPROC",
        sure=0.92,
    ),
    row(
        "kernel-setting",
        "vm.max_map_count|max file descriptors|max virtual memory areas|transparent huge|fs.inotify|inotify|somaxconn|bootstrap check|fsnotify|system limit for number of file watchers reached",
        r"max virtual memory areas vm\.max_map_count \[(?P<a>\d+)\] is too low, increase to at least \[(?P<b>\d+)\]|max file descriptors \[(?P<c>\d+)\] for \w+ process is too low, increase to at least \[(?P<d>\d+)\]|inotify (?:instance|watch)\w*[^\n]*(?:limit|too many|exceeded)[^\n]*|(?:System limit for number of file watchers reached|user limit (?:on|of) (?:the total number of )?inotify)[^\n]*|fsnotify[^\n]*too many open files|failed to create fsnotify watcher[^\n]*",
        _LIMIT,
        "A limit of the machine's kernel is too low: {a}{c} instead of {b}{d} (inotify watches, vm.max_map_count or open files)",
        "Raise the kernel setting on the node",
        "Increase the limit with sysctl on the machine or node (vm.max_map_count, fs.inotify.max_user_watches, fs.inotify.max_user_instances) or ulimit -n, or watch fewer files",
        "sysctl -w vm.max_map_count=262144 fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512",
        source="Elasticsearch's bootstrap checks, inotify(7)",
        sure=0.93,
    ),
    row(
        "connections-exhausted",
        "too many connections|too many clients|connection slots|max number of clients|max_user_connections|max clients reached|maxclients|exceeded the 'max|connection limit",
        r"too many connections(?: for (?P<k>role|database|user) \"?(?P<who>[\w.-]+))?|too many clients already|remaining connection slots are reserved[^\n]*|max number of clients reached|MaxClients\w*[^\n]*|exceeded the '(?P<lim>max_\w*connections\w*)' resource[^\n]*|connection limit (?:exceeded|reached)[^\n]*",
        FailureType.DEPENDENCY_UNREACHABLE,
        "The database or server accepts no more connections (too many connections, limit reached) {k} {who}{lim}",
        "Use fewer connections: lower the pool size, or raise the server's limit",
        "Reduce the connection pool (size times replicas must stay below the limit {lim}), close connections, put a pooler (PgBouncer) in front, or increase max_connections / the role's CONNECTION LIMIT {who}",
        "ALTER ROLE {who} CONNECTION LIMIT 50;   # or: pool size 5 per replica",
        source="PostgreSQL 53300, MySQL 1040/1203/1226, Redis maxclients",
        sure=0.95,
        unless=r"too many connections from your ip",
    ),
    row(
        "read-only-server",
        "readonly you can't write|read only replica|read-only transaction|--read-only option|super-read-only|not master|notwritableprimary|not primary|hot standby|read_only|--transaction-read-only option so it cannot execute|node is not in primary|notprimary",
        r"READONLY You can't write against a read only (?:replica|slave)|cannot execute \w+ in a read-only transaction|(?:--read-only|--super-read-only|--transaction-read-only) option so it cannot execute|NotWritablePrimary|not master|NotPrimary\w*|node is not (?:in )?primary[^\n]*",
        FailureType.INVALID_CONFIGURATION,
        "The service writes to a replica (read only) of the database: it is connected to the wrong host (not the primary, master)",
        "Point the service to the primary",
        "Change the host in the address (REDIS_URL, DATABASE_URL) to the primary (master) or its Service name, or promote the replica after a fail-over",
        "REDIS_URL=redis://redis-primary:6379",
        source="Redis READONLY, PostgreSQL 25006, MySQL 1290, MongoDB 10107",
        sure=0.95,
    ),
    row(
        "data-directory-permissions",
        "invalid permissions|has wrong ownership|has group or world access|unprotected private key|bad permissions|permissions are too open|must be owned by|should not be readable|wrong owner|bad owner or permissions for|bad owner or permissions on|should not be accessible",
        r"(?:data )?directory \"?(?P<a>[^\"\s]+)\"? has (?:invalid permissions|wrong ownership)|private key file \"?(?P<b>[^\"\s]+)\"? has group or world access|Permissions \d+ for '(?P<c>[^']+)' are too open|(?P<d>/\S+) (?:must be owned by|should not be (?:readable|accessible))[^\n]*|[Bb]ad (?:owner or )?permissions (?:on|for) (?P<e>\S+)",
        FailureType.FILESYSTEM_PERMISSION,
        "{a}{b}{c}{d}{e} has the wrong owner or permissions (invalid permissions)",
        "Correct owner and permissions of {a}{b}{c}{d}{e}",
        "Let it belong to the user that the server runs as, and to nobody else: chown, then chmod 0700 for a folder or 0600 for a key",
        "chown -R postgres:postgres {a}{d} && chmod 0700 {a}{d}; chmod 0600 {b}{c}{e}",
        source="PostgreSQL's and OpenSSH's checks",
        sure=0.95,
    ),
    row(
        "module-missing-other",
        "can't locate |there is no package called|module '|not found in current path|is not available|cannot find package|could not find module|no module named|unable to find module|package ‘",
        r"Can't locate (?P<a>\S+)\.pm in @INC(?: \(you may need to install the (?P<a2>\S+) module\))?|there is no package called [‘'](?P<b>[^’']+)|module '(?P<c>[\w.-]+)' not found:|Package (?P<d>\w+) not found in current path|function (?P<e>[A-Z][\w.]*)\.\w+/\d+ is undefined \(module [\w.]+ is not available\)",
        _DEPENDENCY,
        "The module {a2}{b}{c}{d}{e} ({a}) is not installed (not found)",
        "Install {a2}{b}{c}{d}{e}",
        "Add the package with {a2}{b}{c}{d}{e} to the image or the project's dependencies (cpanm, install.packages, luarocks, Pkg.add, mix.exs), or correct the name if it is the application's own",
        "RUN cpanm {a2}   # or: luarocks install {c}; Rscript -e 'install.packages(\"{b}\")'",
        source="Perl, R, Lua, Julia, Elixir",
        sure=0.9,
    ),
    row(
        "database-file-read-only",
        "readonly database|unable to open database file|sqlite_cantopen|sqlite_readonly|read-only database",
        r"attempt to write a readonly database|SQLITE_READONLY\w*|unable to open database file|SQLITE_CANTOPEN\w*",
        FailureType.FILESYSTEM_PERMISSION,
        "SQLite cannot write or open its database file: the process's user lacks the permission on the file or its folder (read-only), or the folder does not exist",
        "Make the database file and its folder writable for the service's user",
        "Give the user the permission (chown, chmod) on the SQLite database and its folder, or put it on a writable volume; create the folder if it is missing",
        "RUN mkdir -p /app/data && chown -R app:app /app/data   # securityContext: {{fsGroup: 1000}}",
        source="SQLite result codes 8 and 14",
        sure=0.94,
    ),
    row(
        "redis-cannot-persist",
        "misconf redis",
        r"MISCONF Redis is configured to save RDB snapshots[^\n]*",
        FailureType.DISK_FULL,
        "Redis refuses writes because it cannot persist to disk (the disk is full, or its folder is not writable)",
        "Free space or make Redis' data folder writable",
        "Look at the volume of Redis: free or enlarge the disk, correct the owner of its dir, then writes work again (stop-writes-on-bgsave-error is the switch)",
        "redis-cli CONFIG GET dir; df -h; redis-cli BGSAVE",
        source="Redis MISCONF",
        sure=0.94,
    ),
    row(
        "redis-out-of-memory",
        "maxmemory",
        r"command not allowed when used memory > '?maxmemory[^\n]*",
        FailureType.MEMORY_LIMIT,
        "Redis has reached its memory limit (maxmemory) and refuses writes (OOM)",
        "Raise maxmemory of Redis, or let it evict",
        "Increase maxmemory (and the container's limit above it), set an eviction policy (maxmemory-policy allkeys-lru), or give keys a time to live",
        "redis-cli CONFIG SET maxmemory 512mb; redis-cli CONFIG SET maxmemory-policy allkeys-lru",
        source="Redis OOM",
        sure=0.96,
    ),
    row(
        "wheel-platform",
        "is not a supported wheel",
        r"(?P<a>\S+\.whl) is not a supported wheel on this platform",
        FailureType.PLATFORM_MISMATCH,
        "The wheel {a} was built for another platform or Python version",
        "Use a wheel of {a} for this platform",
        "Build or download the package for the platform and Python of the image (linux x86_64), or install it by name from the index so that pip chooses",
        "pip download --platform manylinux2014_x86_64 --only-binary=:all: PACKAGE",
        source="pip's compatibility tags",
        sure=0.95,
    ),
    row(
        "shared-memory",
        "shared memory|/dev/shm",
        r"could not resize shared memory segment[^\n]*|insufficient shared memory[^\n]*|/dev/shm[^\n]*(?:No space|full|too small)[^\n]*",
        FailureType.DISK_FULL,
        "The shared memory (/dev/shm) is full: it is 64 MB in a container unless told otherwise",
        "Give the container a larger /dev/shm",
        "Mount an emptyDir with medium: Memory at /dev/shm (or docker run --shm-size), or use fewer workers",
        "volumes: [{{name: shm, emptyDir: {{medium: Memory, sizeLimit: 1Gi}}}}]",
        source="shm_overview(7), containers' default of 64 MB",
        sure=0.9,
    ),
)


@trace_rule(
    "program-missing", "subprocess, child_process, exec: ENOENT for a bare name is a program that is not installed"
)
def program_missing(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A bare name that a subprocess call cannot find is no file of the release but a tool."""
    match = re.search(
        r"No such file or directory: '(?P<a>[\w.+-]+)'$|Cannot run program \"(?P<b>[^\"/]+)\"|spawn (?P<c>[\w.+-]+) ENOENT|No such file or directory - (?P<d>[\w+-]+)$|exec: \"(?P<e>[^\"/]+)\": executable file not found",
        root.message,
    )
    if match is None:
        return None
    name = next(g for g in match.groups() if g)
    called = (root.name == "FileNotFoundError" and not root.frames) or any(
        word in frame.file or word in frame.function
        for frame in root.frames[-6:]
        for word in (
            "subprocess",
            "asyncio/unix_events",
            "child_process",
            "ProcessBuilder",
            "open3",
            "os/exec",
            "_execute_child",
        )
    )
    if not called and trace.kind == "python" and "." in name:
        return None
    if name.endswith((".py", ".sh", ".js", ".json", ".yaml", ".toml")):
        return None
    return Hypothesis(
        _DEPENDENCY,
        f"The program {name} is not installed (not found in PATH), and {scene.place_of(trace) or 'the code'} starts it: {quoted(root.message)}",
        0.97 if called else 0.9,
        (
            high(f"Install {name} in the image", f"Add the package that holds {name} to the Dockerfile (apt-get install), or give the full path of the program", f"RUN apt-get update && apt-get install -y --no-install-recommends {name}"),
        ),
        names=(name,),
        facts={"command": name},
    )  # fmt: skip


@scene_rule(
    "path-named-above", "error chains that print the path on one line and errno on the next (anyhow, eyre, Go's %w)"
)
def path_above(scene: Scene) -> Iterable[Hypothesis]:
    """ENOENT or EACCES without a path on its own line: the line above names what was read."""
    for document in scene.documents:
        for index in sorted({*document.hits("(os error 2)"), *document.hits("(os error 13)")}):
            line = document.lines[index]
            if path_in(line):
                continue
            above = document.window(index, 3, 0).split("\n")[:-1]
            named = next(
                (
                    m.group(1)
                    for text in reversed(above)
                    if (m := re.search(r"((?:[\w.~-]*/)*[\w.-]+\.\w{2,10}|/[\w./-]+)(?:[\"'`:\s]|$)", text))
                ),
                "",
            )
            if not named:
                continue
            path = scene.in_release(named)
            denied = "os error 13" in line
            yield placed(
                Hypothesis(
                    FailureType.FILESYSTEM_PERMISSION if denied else FailureType.MISSING_FILE,
                    f"The process may not read {path} (permission denied): {quoted(' '.join([*above[-2:], line]))}" if denied else f"The file {path} is missing: no such file or directory, not found: {quoted(' '.join([*above[-2:], line]))}",
                    0.94,
                    fix_permission(named, "read", scene) if denied else add_file(path, scene),
                    names=(path,),
                    facts={"path": named},
                ), document, index, scene)  # fmt: skip
