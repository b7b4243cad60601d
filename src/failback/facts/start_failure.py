"""Exits that would be the same at every further start, so that one is enough to condemn a release."""

from __future__ import annotations

import re
from dataclasses import dataclass

from failback.facts.document import Document, is_access_line, level_of
from failback.facts.packages import is_own_file

TAIL_CHARS_MAX = 65_536  # of the log; a failing start says why at its end
# What may be over at the next start: none of these condemns, even beside a deterministic reason.
_TRANSIENT = re.compile(
    # With its word border: a case-blind ENOTFOUND is also in the middle of Python's FileNotFoundError.
    r"\b(?:ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EPIPE|EADDRINUSE|ENOSPC|EMFILE|ENOMEM|EDQUOT)\b"
    r"|connection refused|connection reset|connection aborted|could not connect|can't connect|unable to connect|no route to host"
    r"|network is unreachable|timed? ?out\b|timeout|deadline exceeded|name or service not known|temporary failure in name resolution"
    r"|no such host|could not translate host name|name resolution|unknown host|UnknownHostException|getaddrinfo|nodename nor servname"
    r"|address already in use|address in use|only one usage of each socket|out of memory|cannot allocate memory|MemoryError|OutOfMemoryError"
    r"|oom-?kill|no space left|disk quota|too many open files|resource temporarily unavailable|text file busy|database is locked"
    r"|server is starting up|is starting up|too many (?:connections|clients)|service unavailable|\b50[234]\b|rate limit|broken pipe"
    r"|deadlock detected|lock wait|leader not available|no brokers? available|BrokerNotAvailable|LOADING redis",
    re.IGNORECASE,
)
_LIB = r"\.so(?:\.[\w.]+)?|\.dylib"
# Name of the reason -> what proves it. Case matters only where a class name is meant.
_REASONS: tuple[tuple[str, str], ...] = (
    ("missing module", r"\bModuleNotFoundError: No module named|^ImportError: No module named|Error: Cannot find (?:module|package) '"
                       r"|ERR_MODULE_NOT_FOUND|ERR_PACKAGE_PATH_NOT_EXPORTED|cannot load such file -- |\bNoClassDefFoundError: "
                       r"|Could not find or load main class|ClassNotFoundException: |no main manifest attribute|Could not load file or assembly"
                       r"|Failed opening required '|Class \"[^\"]+\" not found in |Could not find gem |Bundler::GemNotFound|No module named \S+$"),
    ("incompatible module", r"^ImportError: cannot import name|\bERR_REQUIRE_ESM\b|UnsupportedClassVersionError|NODE_MODULE_VERSION|NoSuchMethodError|AttributeError: module '[^']+' has no attribute"
                            r"|has been compiled by a more recent version|You must install or update \.NET|framework '[^']+', version '[^']+'"),
    ("missing shared library", rf"error while loading shared libraries: |cannot open shared object file|Library not loaded: |Error loading shared library \S+(?:{_LIB})"
                               r"|version `(?:GLIBC|GLIBCXX|CXXABI|OPENSSL)_[\d.]+' not found|symbol lookup error: |Error relocating "),
    ("syntax error", r"^(?:SyntaxError|IndentationError|TabError): |: (?:syntax error|SyntaxError)\b|PHP Parse error: |Parse error: syntax error|Unexpected token .* in JSON"
                     r"|JSONDecodeError: |(?:Scanner|Parser)Error: |TOMLDecodeError|YAMLException|Syntax error: |not valid JSON|unexpected end of file$"),
    ("missing file", r"\bFileNotFoundError: .*No such file|ENOENT: no such file or directory|can't open file '[^']+': \[Errno 2\]|Can't open perl script|Could not open input file: "
                     r"|Unable to access jarfile|open \S+: no such file or directory|NoSuchFileException: |FileNotFoundException: .*(?:No such file|not find)"
                     r"|Errno::ENOENT|os error 2\)|: cannot open .*: No such file|kind: NotFound, message: \"No such file"),
    ("missing environment variable", r"\bKeyError: '[A-Z][A-Z0-9_]{2,}'|(?:environment|env) (?:variable|var)s?\b.{0,60}(?:missing|not set|is not defined|required|unset|must be set|undefined)"
                                     r"|(?:missing|required|undefined|unset|no) (?:required )?(?:environment|env) (?:variable|var)|: NotPresent\b|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+ (?:is not set|must be set|is required|not set|is missing|environment variable)"
                                     r"|environment variable not found|parameter not set$|: unbound variable$|Field required \[type=missing|Could not resolve placeholder '"
                                     r"|key not found: \"[A-Z][A-Z0-9_]+\""),
    ("command not found", r": (?:command )?not found$|: No such file or directory$(?<!\.py: No such file or directory)|executable file not found in \$PATH|exec: \"[^\"]+\": stat .*: no such file"),
    ("cannot execute", r"Exec format error|exec format error|cannot execute: required file not found|bad interpreter|cannot execute binary file"),
    ("permission denied", r"\bPermissionError: \[Errno 13\]|EACCES: permission denied|: Permission denied$|java\.nio\.file\.AccessDeniedException|os error 13\)|[Rr]ead-only file system"),
    ("bad option", r"unrecognized (?:option|arguments)|unknown (?:option|flag|command|argument)|invalid option|[Ii]llegal option|[Nn]o such option|flag provided but not defined|Unrecognized option: |bad option: "
                   r"|unexpected argument '"),
    ("invalid configuration", r"\[emerg\] .*(?:unknown directive|unexpected|invalid|not terminated|is not allowed|directive)|Invalid command '[^']+', perhaps misspelled|ValidationError: \d+ validation error"
                              r"|Error loading ASGI app|Failed to find attribute '[^']+' in|\[ALERT\].*parsing \[|Fatal errors found in configuration|ImproperlyConfigured"),
    ("code error", r"^(?:NameError|IndentationError|UnboundLocalError|ReferenceError|TypeError|AttributeError|ZeroDivisionError): |(?:Type|Reference|Range)Error: .*(?:is not (?:a function|defined|a constructor)|undefined|null)"
                   r"|UnhandledPromiseRejection|panic: (?:runtime error|assignment to entry in nil map)|index out of range|index out of bounds"
                   r"|undefined (?:method|local variable) .*(?:NoMethodError|NameError|for )|Call to undefined (?:function|method)|java\.lang\.NullPointerException|System\.NullReferenceException"),
)  # fmt: skip
_NO_SUCH_NAME = re.compile(
    r"(?:Type|Reference)Error: .*(?:is not a function|is not a constructor|is not defined)$|\bNameError: name '"
    r"|AttributeError: (?:module|type object) '[^']+' has no attribute|TypeError: .*got an unexpected keyword argument"
    r"|Call to undefined (?:function|method)|undefined (?:method|local variable) .*NoMethodError|NoSuchMethodError"
)
_NO_COMMAND = re.compile(r"not found$|\$PATH|exec: ", re.MULTILINE)
_COMPILED: list[tuple[str, re.Pattern[str]]] = []
_HANDLED = re.compile(
    r"\b(?:falling back|fallback|ignor(?:ed|ing)|continuing|will retry|retrying|optional|skipp(?:ed|ing)|using default)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class StartFailure:
    """`reason`: "missing module" and the like. `line`: what says it; "" where the exit code alone does."""

    reason: str
    line: str = ""


def start_failure(exit_code: int | None, log_tail: str) -> StartFailure | None:
    """Why every further start would fail in the same way, or None when the next one may succeed.

    `exit_code` is the process's (negative or above 128: a signal); `log_tail` its last lines. None for success, for
    signals, and wherever the log speaks of the network, time-outs, memory, disk space or an address in use.
    """
    if exit_code is None or exit_code == 0 or exit_code < 0 or exit_code > 128:
        return None
    document = Document("tail", log_tail[-TAIL_CHARS_MAX:])
    said = [line for line in document.lines if line.strip() and not _by_others(line)]
    if any(_TRANSIENT.search(line[:2000]) for line in said[-200:] if not _is_frame(line)):
        return None
    if exit_code == 126:
        return StartFailure("cannot execute")
    if not _COMPILED:
        _COMPILED.extend((name, re.compile(pattern)) for name, pattern in _REASONS)
    shown = [line[:2000] for line in said[-200:] if not _HANDLED.search(line)]
    for name, pattern in _COMPILED:
        if name == "code error" and not _own_code_raised(document):
            continue
        proof = next((line for line in reversed(shown) if pattern.search(line.strip())), None)
        if proof is not None:
            # A shell says 127 where it found no command; with any other code a tool found no file.
            by_file = name == "command not found" and exit_code != 127 and not _NO_COMMAND.search("\n".join(shown))
            return StartFailure("missing file" if by_file else name, proof.strip())
    return StartFailure("command not found") if exit_code == 127 else None


def no_wait_removes(line: str) -> bool:
    """Whether one line of a process that goes on names what is in the release itself: what `start_failure` knows, or a
    name that its code does not have. A value that is not there (yet) is none of that."""
    return start_failure(1, line) is not None or (_NO_SUCH_NAME.search(line) is not None and not _HANDLED.search(line))


def _by_others(line: str) -> bool:
    return is_access_line(line) or level_of(line) in ("DEBUG", "INFO", "WARN")


def _is_frame(line: str) -> bool:
    return line.lstrip().startswith(("at ", "File ", "from ", "^", "raise ", "throw "))


def _own_code_raised(document: Document) -> bool:
    """A defect in code is deterministic when a trace shows it during the start."""
    return any(is_own_file(frame.file) for trace in document.traces for frame in (trace.own_frame(),) if frame)
