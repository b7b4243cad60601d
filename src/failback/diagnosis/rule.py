"""What a rule is: knowledge of one mechanism, with its source, that turns evidence into hypotheses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import Citation, FailureType, Recommendation

SHAPES_MAX = 3  # of lines that differ only in digits, how many a rule looks at in a long text
MATCHES_MAX = 12  # hypotheses of one line rule in one document


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One possible cause. `confidence` is the rule's own, before it is ranked against the others.

    `names` are the things it speaks of (files, packages, variables): a release that changed one of them makes it likelier.
    `stated` is true for the infrastructure's own statement (API server, kubelet, kernel), which beats a log line.
    """

    type: FailureType
    cause: str
    confidence: float
    fixes: tuple[Recommendation, ...] = ()
    citations: tuple[Citation, ...] = ()
    component: str = ""
    affected: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    stated: bool = False
    loud: bool = False  # the line counts whatever level it says it has: some supervisors report a death at INFO
    rule: str = ""
    document: Document | None = None
    index: int = 0  # the line in the document
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A named finder. `source` says where its knowledge comes from, `says` in one sentence what it recognises."""

    name: str
    source: str
    find: Callable[[Scene], Iterable[Hypothesis]]
    says: str = ""
    words: tuple[str, ...] = ()  # of a line rule: what finds the lines, fast
    pattern: str = ""  # and what must match there


@dataclass(frozen=True, slots=True)
class Hit:
    """A line rule's match at a line of a document."""

    scene: Scene
    document: Document
    index: int
    match: re.Match[str]

    def get(self, name: str) -> str:
        """A named group, stripped; "" where it did not take part."""
        return (self.match.groupdict().get(name) or "").strip()

    @property
    def line(self) -> str:
        """The line itself, stripped and bounded."""
        return quoted(self.document.lines[self.index])

    @property
    def trace(self) -> Trace | None:
        """The stack trace the line belongs to."""
        return self.document.trace_at(self.index)

    @property
    def place(self) -> str:
        """The innermost line of own code on the way to the error: "app.py:12"; "" without a trace."""
        return self.scene.place_of(self.trace)

    @property
    def at(self) -> str:
        """ " (at app.py:12)", or ""."""
        return f" (at {self.place})" if self.place else ""

    def cited(self, *more: int) -> tuple[Citation, ...]:
        """This line, and others of the same document, as citations."""
        return tuple(self.scene.cite(self.document, index) for index in (self.index, *more))


Build = Callable[[Hit], Hypothesis | None]


def line_rule(
    name: str,
    words: str,
    pattern: str,
    source: str,
    *,
    lines: int = 1,
    before: int = 0,
    flags: int = re.IGNORECASE,
    most: int = MATCHES_MAX,
) -> Callable[[Build], Rule]:
    """Makes a rule of a function that explains one matching line.

    `most`: how many lines of one document are explained; 1 where only the first counts. `words`: lower-case texts separated by "|", one of which the line must hold (looked up fast); `pattern` is searched in
    the line, or in the `before` lines above it and the `lines - 1` below it as well.
    """
    anchors = tuple(words.split("|"))
    compiled = re.compile(pattern, flags)

    def decorate(build: Build) -> Rule:
        def find(scene: Scene) -> Iterator[Hypothesis]:
            for document in scene.documents:
                made = 0
                seen: dict[str, int] = {}
                for index in _lines_with(document, anchors):
                    if document.long:
                        shape = document.shape(index)
                        seen[shape] = seen.get(shape, 0) + 1
                        if seen[shape] > SHAPES_MAX:
                            continue
                    match = compiled.search(document.window(index, before, lines - 1))
                    if match is None or scene.is_foreign(document, index) or _is_raise(document, index):
                        continue
                    hypothesis = build(Hit(scene, document, index, match))
                    if hypothesis is not None:
                        yield placed(hypothesis, document, index, scene)
                        made += 1
                        if made >= most:
                            break

        return Rule(name, source, find, summary(build), anchors, pattern)

    return decorate


def trace_rule(
    name: str, source: str, kinds: str = ""
) -> Callable[[Callable[[Scene, Document, Trace, Raised], Hypothesis | None]], Rule]:
    """Makes a rule of a function that explains a trace by its root; `kinds`: languages separated by "|", all without."""
    wanted = frozenset(kinds.split("|")) if kinds else frozenset()

    def decorate(build: Callable[[Scene, Document, Trace, Raised], Hypothesis | None]) -> Rule:
        def find(scene: Scene) -> Iterator[Hypothesis]:
            for document in scene.documents:
                for trace in document.traces:
                    if wanted and trace.kind not in wanted:
                        continue
                    hypothesis = build(scene, document, trace, trace.root)
                    if hypothesis is not None:
                        yield placed(hypothesis, document, trace.root.line, scene)

        return Rule(name, source, find, summary(build))

    return decorate


def scene_rule(name: str, source: str) -> Callable[[Callable[[Scene], Iterable[Hypothesis]]], Rule]:
    """Makes a rule of a function that looks at the whole evidence."""

    def decorate(find: Callable[[Scene], Iterable[Hypothesis]]) -> Rule:
        return Rule(name, source, find, summary(find))

    return decorate


def summary(function: Callable[..., object]) -> str:
    """The first line of a function's docstring."""
    return (function.__doc__ or "").strip().split("\n")[0]


def placed(hypothesis: Hypothesis, document: Document, index: int, scene: Scene) -> Hypothesis:
    """The hypothesis with its place in the evidence, its citation and its component filled in where they were left out."""
    from dataclasses import replace

    return replace(
        hypothesis,
        document=document,
        index=index,
        citations=hypothesis.citations or (scene.cite(document, index),),
        component=hypothesis.component or scene.component_of(document),
    )


def quoted(line: str, chars_max: int = 300) -> str:
    """A line as a part of a sentence: one space between words, bounded; of a long one the beginning and the end."""
    line = " ".join(line.split())
    if len(line) <= chars_max:
        return line
    tail = chars_max * 2 // 5
    return f"{line[: chars_max - tail - 5]} ... {line[-tail:]}"


_FRAME = re.compile(r"\s+at (?:(?:async |new )?[\w$.<>\[\]: ]+ ?)?\((?:node:|file:|[\w$./-]+:\d)")


def _is_raise(document: Document, index: int) -> bool:
    """True for a line of a trace that is code or a call: the exception's own line says what happened, with its message."""
    line = document.lines[index]
    if line.lstrip().startswith("raise "):
        return document.trace_at(index) is not None
    if _is_python_call(document, index):
        return True
    return _FRAME.match(line[:300]) is not None and "node_modules/" not in line and document.trace_at(index) is not None


def _is_python_call(document: Document, index: int) -> bool:
    """True for a frame of a Python trace, and for the line of code below it."""
    line = document.lines[index]
    frame = line.lstrip()
    if not frame.startswith('File "') and index > 0 and line.startswith("    "):
        frame = document.lines[index - 1].lstrip()
    if not frame.startswith('File "') or ", in " not in frame[-120:]:
        return False
    trace = document.trace_at(index)
    return trace is not None and trace.kind == "python"


def _lines_with(document: Document, anchors: tuple[str, ...]) -> list[int]:
    found: set[int] = set()
    for anchor in anchors:
        if document.may_hold(anchor):
            found.update(document.hits(anchor))
    return sorted(found)
