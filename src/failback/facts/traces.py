"""Stack traces of nine languages as frames and exceptions in causal order, so that the innermost own cause is found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from failback.facts.packages import is_own_file, is_own_java, package_of

TRACES_MAX = 60  # of one log; the first ones and, beyond that, the last ones
TRACE_LINES_MAX = 500
FRAMES_MAX = 300
# A handler that catches one of these usually tries something else: what it raises then is the real error.
FALLBACK_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "AttributeError", "KeyError", "IndexError", "LookupError", "StopIteration"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """One call. `file` may be empty (Java's native methods); `own` is false for packages and the language's library."""

    file: str
    line: int
    function: str
    own: bool
    package: str | None = None
    code: str = ""

    @property
    def place(self) -> str:
        """The file and line as people write them: "app/main.py:12"."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception of a chain; `line` is the index of the line that names it, frames are outermost first."""

    type: str
    message: str
    line: int
    frames: tuple[Frame, ...] = ()
    implicit: bool = False  # Python: the next one was raised while this one was handled

    @property
    def name(self) -> str:
        """The type without its package: "OperationalError"."""
        return self.type.rsplit(".", 1)[-1]


@dataclass(frozen=True, slots=True)
class Trace:
    """One printed trace, lines `start`..`end`; `chain` begins with what was raised first."""

    kind: str  # python | node | java | dotnet | go | ruby | php | rust
    start: int
    end: int
    chain: tuple[Raised, ...] = field(default_factory=tuple)

    @property
    def outer(self) -> Raised:
        """The exception that ended it."""
        return self.chain[-1]

    @property
    def root(self) -> Raised:
        """The innermost cause. An exception that was only the occasion for a fallback is passed over."""
        at = len(self.chain) - 1
        while at > 0:
            before = self.chain[at - 1]
            if before.implicit and before.name in FALLBACK_ERRORS:
                break
            at -= 1
        return self.chain[at]

    def own_frame(self) -> Frame | None:
        """The innermost frame in the application's own code, of the root if it has one."""
        for raised in (self.root, self.outer, *self.chain):
            for frame in reversed(raised.frames):
                if frame.own:
                    return frame
        return None

    def packages(self) -> tuple[str, ...]:
        """Installed packages on the way to the root, innermost first, each once."""
        seen: dict[str, None] = {}
        for raised in (self.root, self.outer):
            for frame in reversed(raised.frames):
                if frame.package:
                    seen.setdefault(frame.package)
        return tuple(seen)


_PY_FRAME = re.compile(r'^[\s|+]*File "([^"]+)", line (\d+)(?:, in (.+))?')
_PY_RAISED = re.compile(r"^[|+\sE]*((?:[A-Za-z_]\w*\.)*[A-Z_]\w*)(?:: (.*))?$")
_PYTEST_FRAME = re.compile(r"^([\w./-]+\.py):(\d+): (?:in (\S+)|(\w+(?:Error|Exception))?)")
_AT = re.compile(
    r"^\s*at (?:async |new )?(.+?)(?: \{)?$"
)  # Node.js prints the properties of an error after its last frame
_AT_NODE = re.compile(r"^(?:(.*?) \()?((?:file://|node:|/|[A-Za-z]:\\|\./|\w)[^()]*?):(\d+):(\d+)\)?$")
_AT_JAVA = re.compile(r"^(?:[\w.@-]+//?)?([\w.$<>/-]+)\(([^():]*)(?::(\d+))?\)")
_AT_NET = re.compile(r"^(.+?\))(?: (?:\[0x[0-9a-f]+\] )?in (.+?):(?:line )?(\d+) ?)?$")
_RAISED = re.compile(
    r"((?:[A-Za-z_][\w$]*(?:\.|::|\\))*(?:[A-Z][\w$]*)?(?:Error|Exception|Throwable|Failure|Fault|Rejection|Interrupt)[\w$]*)"
    r"(?: \[(\w+)\])?(?:: ?(.*))?$"
)
_CAUSED = re.compile(r"^\s*(?:Caused by: |-+> |\[cause\]: (?!undefined\b|null\b|\[Circular)|Suppressed: )(.*)$")
_TAIL = re.compile(
    r"^\s*(?:\.\.\. \d+ (?:more|common|lines)|--- End of|at |Caused by: |Suppressed: |-+> |\[\w+\]: |\} ?\{?$|\},?$|\],?$|\w+: )"
)
_GO_FILE = re.compile(r"^\s+(\S+\.go):(\d+)")
_RUBY_HEAD = re.compile(r"^(\S+\.(?:rb|ru)|[^\s:]+):(\d+):in [`'](.+?)': (.*?)(?: \(([\w:]+)\))?$")
_RUBY_FROM = re.compile(r"^\s+(?:\d+: )?from (\S+?):(\d+)(?::in [`'](.+?)')?")
_PHP_HEAD = re.compile(
    r"(?:PHP )?(?:Fatal|Parse) error: +(?:Uncaught )?(?:([\w\\]+): )?(.*?) in (\S+?)(?: on line |:)(\d+)"
)
_PHP_FRAME = re.compile(r"^#\d+ (\S+?)\((\d+)\): (.*)")
_RUST = re.compile(r"^\s*thread '([^']*)'(?: \(\d+\))? panicked at (?:'(.*)', )?([^\s:']+):(\d+)(?::\d+)?(:?)$")


def find_traces(lines: Sequence[str], text: str) -> tuple[Trace, ...]:
    """All traces in the lines, in order; bounded by `TRACES_MAX`, never raises on strange text."""
    found: list[Trace] = []
    if "Traceback (most recent call last)" in text or '  File "' in text:
        found += _python(lines)
    if " at " in text or "\tat " in text or "\n at " in text:
        found += _at_traces(lines)
    if "goroutine " in text or "\npanic: " in text or text.startswith("panic: "):
        found += _go(lines)
    if ":in `" in text or ":in '" in text:
        found += _ruby(lines)
    if " error: " in text and ".php" in text:
        found += _php(lines)
    if "panicked at" in text:
        found += _rust(lines)
    found.sort(key=lambda trace: trace.start)
    if len(found) > TRACES_MAX:
        found = found[: TRACES_MAX // 2] + found[-TRACES_MAX // 2 :]
    return tuple(found)


def _file_frame(file: str, line: str | int | None, function: str, code: str = "") -> Frame:
    file = file.removeprefix("file://")
    return Frame(
        file, int(line or 0) if str(line or 0).isdigit() else 0, function, is_own_file(file), package_of(file), code
    )


def _python(lines: Sequence[str]) -> list[Trace]:
    traces: list[Trace] = []
    at, end = 0, len(lines)
    while at < end:
        line = lines[at]
        if "Traceback (most recent call last)" in line or (line.startswith('  File "') and _PY_FRAME.match(line)):
            trace = _python_chain(lines, at)
            if trace.chain:
                traces.append(trace)
            at = max(trace.end, at) + 1
        else:
            at += 1
    return traces


def _python_chain(lines: Sequence[str], start: int) -> Trace:
    chain: list[Raised] = []
    at, last = start, start
    while at < min(len(lines), start + TRACE_LINES_MAX * 4):
        raised, at = _python_one(lines, at)
        if raised is None:
            break
        last = at - 1
        bridge = at
        while bridge < min(len(lines), at + 12) and (
            not lines[bridge].strip() or lines[bridge].startswith((" ", "\t", "|"))
        ):
            bridge += 1
        joint = lines[bridge] if bridge < len(lines) else ""
        implicit = "During handling of the above exception" in joint
        chain.append(Raised(raised.type, raised.message, raised.line, raised.frames, implicit))
        if not implicit and "was the direct cause of the following" not in joint:
            break
        at = bridge + 1
        while at < len(lines) and "Traceback (most recent" not in lines[at] and at < bridge + 5:
            at += 1
    return Trace("python", start, last, tuple(chain))


def _python_one(lines: Sequence[str], at: int) -> tuple[Raised | None, int]:
    """One `Traceback ... X: message`; returns the index after it."""
    frames: list[Frame] = []
    stop = min(len(lines), at + TRACE_LINES_MAX)
    if at < stop and "Traceback (most recent" in lines[at]:
        at += 1
    while at < stop:
        line = lines[at]
        match = _PY_FRAME.match(line)
        if match:
            code = lines[at + 1].strip() if at + 1 < stop and not _PY_FRAME.match(lines[at + 1]) else ""
            frame = _file_frame(match.group(1), match.group(2), match.group(3) or "", code)
            if len(frames) < FRAMES_MAX:
                frames.append(frame)
        elif line[:1] not in (" ", "\t", "|", "+", "") or (line[:1] in "|+ " and _looks_raised(line)):
            match = _PY_RAISED.match(line)
            if match and frames:
                return Raised(match.group(1), match.group(2) or "", at, tuple(frames)), at + 1
            if frames or "Traceback" in line:
                return None, at
        at += 1
    return None, at


def _looks_raised(line: str) -> bool:
    return re.match(r"^[\s|+]{0,8}(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)(?:: |$)", line) is not None


def _at_traces(lines: Sequence[str]) -> list[Trace]:
    traces: list[Trace] = []
    at, end = 0, len(lines)
    while at < end:
        line = lines[at]
        stripped = line.lstrip()
        if stripped.startswith("at ") and line != stripped and _AT.match(line):
            head = _head_of(lines, at, traces[-1].end if traces else -1)
            trace = _at_block(lines, head, at)
            if trace.chain:
                traces.append(trace)
            at = trace.end + 1
        else:
            at += 1
    return traces


def _head_of(lines: Sequence[str], at: int, after: int) -> int:
    """The line that names the exception: the nearest above the first frame; a message may take several lines."""
    for back in range(at - 1, max(at - 16, after, -1), -1):
        if _RAISED.search(lines[back][:2000]) and not lines[back].lstrip().startswith(("at ", "throw ")):
            if lines[back].lstrip().startswith(("Caused by", "-->", "--->")) and back - 1 > after:
                continue
            return back
    return max(at - 1, after + 1, 0)


def _at_block(lines: Sequence[str], head: int, first: int) -> Trace:
    raised: list[tuple[str, str, int]] = []
    frames: list[list[Frame]] = []
    kinds: list[str] = []

    def begin(text: str, index: int) -> None:
        match = _RAISED.search(text[:2000])
        kind, message = (match.group(1), match.group(3) or "") if match else ("Error", text.strip())
        raised.append((kind, message, index))
        frames.append([])

    begin(lines[head], head)
    index = head + 1
    blanks = 0
    while index < min(len(lines), head + TRACE_LINES_MAX):
        line = lines[index]
        at = _AT.match(line)
        caused = _CAUSED.match(line)
        if at and line[:1].isspace():
            frame, kind = _at_frame(at.group(1))
            kinds.append(kind)
            if len(frames[-1]) < FRAMES_MAX:
                frames[-1].append(frame)
        elif caused:
            begin(caused.group(1), index)
        elif index > first and not _TAIL.match(line) and not line.startswith("    "):
            blanks += 1
            if line.strip() or blanks > 1:
                break
        index += 1
    chain = [
        Raised(kind, message, line, tuple(reversed(own)))
        for (kind, message, line), own in zip(raised, frames, strict=True)
    ]
    kind = max(set(kinds), key=kinds.count) if kinds else "node"
    return Trace(kind, head, index - 1, tuple(reversed(chain)))


def _at_frame(text: str) -> tuple[Frame, str]:
    node = _AT_NODE.match(text)
    if node and ("/" in node.group(2) or node.group(2).startswith(("node:", "file:")) or node.group(2).endswith((".js", ".ts", ".mjs", ".cjs", ".tsx", ".jsx"))):  # fmt: skip
        return _file_frame(node.group(2), node.group(3), node.group(1) or ""), "node"
    java = _AT_JAVA.match(text) if ":line " not in text else None
    if java:
        symbol = java.group(1).rsplit("/", 1)[-1]
        own = is_own_java(symbol) and java.group(2) not in ("Native Method", "Unknown Source")
        return Frame(java.group(2), int(java.group(3) or 0), symbol, own), "java"
    net = _AT_NET.match(text)
    if net:
        return Frame(net.group(2) or "", int(net.group(3) or 0), net.group(1), bool(net.group(2))), "dotnet"
    return Frame("", 0, text[:200], False), "node"


def _go(lines: Sequence[str]) -> list[Trace]:
    traces: list[Trace] = []
    for index, line in enumerate(lines):
        if not line.startswith(("panic: ", "fatal error: ", "http: panic serving")):
            continue
        frames: list[Frame] = []
        last = index
        for at in range(index + 1, min(len(lines), index + 120)):
            match = _GO_FILE.match(lines[at])
            if match:
                frames.append(_file_frame(match.group(1), match.group(2), lines[at - 1].split("(")[0]))
                last = at
            elif lines[at].startswith("exit status"):
                break
        kind, _, message = line.partition(": ")
        traces.append(Trace("go", index, last, (Raised(kind, message, index, tuple(reversed(frames))),)))
        if len(traces) >= TRACES_MAX:
            break
    return traces


def _ruby(lines: Sequence[str]) -> list[Trace]:
    traces: list[Trace] = []
    for index, line in enumerate(lines):
        if ":in " not in line or line.lstrip().startswith("from "):
            continue
        match = _RUBY_HEAD.match(line.strip())
        if not match or not (match.group(5) or (index + 1 < len(lines) and _RUBY_FROM.match(lines[index + 1]))):
            continue
        frames = [_file_frame(match.group(1), match.group(2), match.group(3))]
        last = index
        for at in range(index + 1, min(len(lines), index + 200)):
            part = _RUBY_FROM.match(lines[at])
            if part:
                frames.append(_file_frame(part.group(1), part.group(2), part.group(3) or ""))
                last = at
            elif lines[at].strip() and at > index + 6:
                break
        error = Raised(match.group(5) or "RuntimeError", match.group(4), index, tuple(reversed(frames)))
        traces.append(Trace("ruby", index, last, (error,)))
    return traces[:TRACES_MAX]


def _php(lines: Sequence[str]) -> list[Trace]:
    traces: list[Trace] = []
    for index, line in enumerate(lines):
        match = _PHP_HEAD.search(line[:2000]) if " error: " in line else None
        if not match:
            continue
        frames = [_file_frame(match.group(3), match.group(4), "")]
        last = index
        for at in range(index + 1, min(len(lines), index + 60)):
            part = _PHP_FRAME.match(lines[at])
            if part:
                frames.append(_file_frame(part.group(1), part.group(2), part.group(3)))
                last = at
        error = Raised(match.group(1) or "Error", match.group(2), index, tuple(reversed(frames)))
        traces.append(Trace("php", index, last, (error,)))
    return traces[:TRACES_MAX]


def _rust(lines: Sequence[str]) -> list[Trace]:
    traces: list[Trace] = []
    for index, line in enumerate(lines):
        match = _RUST.match(line) if "panicked at" in line else None
        if not match:
            continue
        last = index if match.group(2) is not None else min(index + 1, len(lines) - 1)
        message = match.group(2) if match.group(2) is not None else lines[last]
        frame = _file_frame(match.group(3), match.group(4), match.group(1))
        traces.append(Trace("rust", index, last, (Raised("panic", message, last, (frame,)),)))
    return traces[:TRACES_MAX]
