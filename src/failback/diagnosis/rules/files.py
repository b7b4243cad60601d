"""Files: missing, forbidden, on a full disk. The kernel's errno texts are the same in every language."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.files import add_file, fix_permission, free_disk, mount_file
from failback.diagnosis.rule import Hit, Hypothesis, line_rule
from failback.model.diagnosis import FailureType

_OWN_ROOTS = ("/app", "/usr/src", "/srv", "/home", "/opt", "/workspace", "/code", "/var/www", "/var/task")
_SYSTEM = ("/proc", "/sys", "/dev")
_PATHS = (
    r"filesystem error: [^\[\n]*\[(?P<cpp>[^\]]+)\]",
    r"(?:open|stat|lstat|scandir|access|mkdir|unlink|readlink|copyfile|rename|spawn|read|chdir) '(?P<node>[^']+)'",
    r"(?:No such file or directory|not found|cannot find the file)[^'\"]{0,20}[:,]? ['\"](?P<quoted>[^'\"]+)['\"]",
    r"(?:open|stat|lstat|read|chdir|mkdir|unlink|fork/exec|lchown|CreateFile) (?P<go>[^\s:]+): (?:no such file|permission denied|read-only)",
    r"\"file://(?P<uri>[^\"\n]+)\": open",
    r"^(?:\S+/)?[\w.-]+(?: \(\w+\))?: (?P<tool>[\w@+-]*[./][\w./@+-]*): (?:Cannot (?:open|stat): )?No such file",  # cat: config/x.json: No such file or directory
    r"(?<![\w/.-])(?:can't open file|cannot open|could not open|failed to open|unable to open|can't find|cannot find|could not find|cannot load|failed to load|unable to load|cannot read|could not read"
    r"|failed to read|unable to read|error (?:opening|reading|loading)|cannot access|cannot create(?: directory)?|cannot stat|missing\b(?!-))[\w ]{0,30}:? ?['\"‘`(]?(?P<verb>[\w./~@+-]*[/.][\w./~@+-]+)",
    r"Could not find (?:file|a part of the path) '(?P<net>[^']+)'",
    r"@ [\w]+ - (?P<ruby>\S+)",
    r"(?:FileNotFoundException|NoSuchFileException|AccessDeniedException|FileSystemException): (?P<java>[^\s(:]+)",
    r"(?:BIO_new_file|fopen|include|require(?:_once)?|file_get_contents)\(['\"]?(?P<call>[^'\",()]+)['\"]?[,)]",
    r"[\"'`‘](?P<any>/[^\"'`’]+|\.{0,2}/?[\w./-]+\.\w{2,10})[\"'`’]",
    r"(?P<bare>(?<![\w])/(?:[\w.@+-]+/)*[\w.@+-]+): (?:No such file|Permission denied|Read-only|cannot)",
    r"(?<![\w:/])(?P<last>/(?:[\w.@+-]+/)+[\w.@+-]+)",
)
_PHP_PLACE = re.compile(r" in \S+\.php(?: on line |:)\d+")  # where the code stands, not what it wanted
_COMPILED = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _PATHS)


def path_in(line: str) -> str:
    """The path that an error line speaks of, by the forms in which runtimes and tools name one; "" where there is none."""
    line = _PHP_PLACE.sub("", line)
    for pattern in _COMPILED:
        match = pattern.search(line)
        if match:
            found = next((value for value in match.groups() if value), "")
            if 1 < len(found) < 400 and not found.startswith(_SYSTEM):
                return found.rstrip(".,;:")
    return ""


def is_outside_release(path: str) -> bool:
    """True for an absolute path that is not below a folder where releases lie."""
    return path.startswith("/") and not path.startswith(_OWN_ROOTS)


def missing(path: str, hit: Hit, confidence: float) -> Hypothesis:
    """The hypothesis that a file of the release, or one it is given, is not there."""
    shown = hit.scene.in_release(path)
    outside = is_outside_release(path)
    fixes = mount_file(path, hit.scene) if outside else add_file(shown, hit.scene)
    where = "where the service runs" if outside else "in the release"
    return Hypothesis(
        FailureType.MISSING_FILE,
        f"The file {shown} is missing: it does not exist {where}{hit.at}: {hit.line}",
        confidence,
        fixes,
        names=(shown,),
        facts={"path": path},
    )


@line_rule(
    "file-missing",
    "no such file or directory|enoent|filenotfound|nosuchfile|could not find file|could not find a part of the path|the system cannot find|os error 2|notfound, message|failed opening required|can't open file|unable to access jarfile|could not open input file|could not find a part|cannot find the file|cannot find the path|kind: notfound",
    r"no such file or directory|ENOENT|FileNotFound|NoSuchFile|Could not find (?:file|a part)|cannot find the (?:file|path)|os error 2\)|kind: NotFound|Failed opening required|can't open file|Unable to access jarfile|Could not open input file",
    source="errno ENOENT (2) as glibc, libuv, the JVM, .NET, Go, Ruby, PHP and Rust print it",
)
def file_missing(hit: Hit) -> Hypothesis | None:
    """ENOENT with a path. Sockets, executables and shared objects have rules of their own."""
    line = hit.line
    low = line.lower()
    if (
        any(
            word in low
            for word in (
                ".so",
                "spawn ",
                "bad interpreter",
                "exec format",
                "executable file not found",
                "exec: ",
                "socket",
                ".sock",
                "fork/exec",
                "oci runtime",
                "file or assembly",
                "entrypoint",
            )
        )
        or "\\r'" in line
    ):
        return None
    path = path_in(line)
    if not path:
        jar = re.search(r"(?:jarfile|input file:|can't open file) '?([^\s']+)", line)
        path = jar.group(1) if jar else ""
    if not path and hit.trace:
        path = path_in(hit.document.window(hit.index, 2, 4))
    if not path:
        return Hypothesis(
            FailureType.MISSING_FILE,
            f"A file is missing: {line}{hit.at}",
            0.55,
            add_file("the missing file", hit.scene),
        )
    bare = re.search(r"No such file or directory: '([a-z][\w+-]{1,30})'$", line)
    if bare and path == bare.group(1):
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"The program {path} is not installed (not found in PATH){hit.at}: {line}",
            0.82,
            (high(f"Install {path} in the image", f"{path} has no folder and no extension, so it is a program that is started: add its package to the Dockerfile (or correct the path, if it is a file)", f"RUN apt-get update && apt-get install -y {path}"),),
            names=(path,),
        )  # fmt: skip
    if hit.trace is None and hit.document.level(hit.index) == "" and hit.document.role == "step":
        return missing(path, hit, 0.78)
    return missing(path, hit, 0.93)


@line_rule(
    "file-forbidden",
    "permission denied|eacces|eperm|operation not permitted|accessdeniedexception|access to the path|read-only file system|erofs|os error 13|unauthorizedaccess",
    r"permission denied|EACCES|EPERM|operation not permitted|AccessDeniedException|Access to the path|read-only file system|EROFS|os error 13\)",
    source="errno EACCES (13), EPERM (1), EROFS (30)",
)
def file_forbidden(hit: Hit) -> Hypothesis | None:
    """EACCES on a path. Ports, databases, registries and SSH keys are refused by others."""
    line, low = hit.line, hit.line.lower()
    others = (
        "bind",
        "listen",
        "socket: ",
        "publickey",
        "for table",
        "for relation",
        "for schema",
        "for database",
        "user '",
        "pulling",
        "docker daemon",
        "registry",
        "port ",
        "forbidden:",
        "authentication",
    )
    if any(word in low for word in others):
        return None
    path = path_in(line)
    if (
        not path
        and hit.trace
        and any(
            frame.function in ("server_bind", "bind", "listen", "server_activate") or ".bind(" in frame.code
            for frame in hit.trace.root.frames[-6:]
        )
    ):
        return None
    if not path and _PHP_PLACE.search(line):
        path = path_in(hit.document.window(hit.index + 1, 0, 0))  # a warning without the path: what the code says next
    if not path:
        around = hit.document.window(hit.index, 0, 20) if hit.trace else ""
        named = re.search(r"path: '([^']+)'", around)
        path = named.group(1) if named else ""
    verb = (
        "write to"
        if re.search(r"mkdir|write|create|EROFS|read-only|open\(.*w|unlink|rename|append|log", line, re.IGNORECASE)
        else "read or run"
    )
    read_only = "read-only" in low or "erofs" in low
    executing = re.search(r"(?:exec|spawn|cannot execute|/bin/sh: .*: Permission denied|entrypoint)", line)
    if executing and not read_only:
        return None
    why = "the file system is read-only" if read_only else "permission denied for the user it runs as"
    return Hypothesis(
        FailureType.FILESYSTEM_PERMISSION,
        f"The process may not {verb} {path or 'a path'}: {why}{hit.at}: {line}",
        0.94 if path else 0.75,
        fix_permission(path, verb, hit.scene),
        names=(hit.scene.in_release(path),) if path else (),
        facts={"path": path},
    )


@line_rule(
    "disk-full",
    "no space left on device|enospc|disk quota exceeded|edquot|not enough space|disk is full|disk full|no space left|insufficient space|os error 28|error 28 |is full|file too large|efbig|file size limit|not enough disk space",
    r"The table '[^']+' is full|error 28 from storage|File too large|EFBIG|[Ff]ile size limit exceeded|no space left on device|ENOSPC|disk quota exceeded|EDQUOT|not enough (?:disk )?space|disk (?:is )?full|No space left|insufficient space|os error 28\)",
    source="errno ENOSPC (28), EDQUOT (122)",
)
def disk_full(hit: Hit) -> Hypothesis | None:
    """ENOSPC. The inotify limit uses the same number and is no disk."""
    low = hit.line.lower()
    if "file watchers" in low or "inotify" in low:
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION,
            f"The limit of inotify watchers is reached (it is not the disk): {hit.line}",
            0.85,
            (
                high(
                    "Raise the limit of inotify watchers",
                    "Increase fs.inotify.max_user_watches on the node, or watch fewer files",
                    "sysctl -w fs.inotify.max_user_watches=524288",
                ),
            ),
        )
    path = path_in(hit.line)
    if not path.startswith("/"):  # another of the same errors may name the place
        near = (line for line in hit.document.lines[hit.index : hit.index + 40] if "no space" in line.lower())
        path = next((found for line in near if (found := path_in(line)).startswith("/")), path)
    quota = "disk quota exceeded (EDQUOT)" if "quota" in low or "edquot" in low else "no space left on device (ENOSPC)"
    return Hypothesis(
        FailureType.DISK_FULL,
        f"The disk or volume is full: {quota}{' while writing ' + path if path else ''}: {hit.line}",
        0.95,
        free_disk(path),
        facts={"path": path},
    )
