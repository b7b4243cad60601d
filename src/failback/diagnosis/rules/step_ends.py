"""A step that failed and whose tool no other rule knows: what kind of step it is says the type, its own lines say the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.model.diagnosis import FailureType

SHOWN_MAX = 3
LISTED_MAX = 5
LAST_LINES = 8
_KINDS = {
    "build": FailureType.BUILD_FAILURE,
    "docker": FailureType.BUILD_FAILURE,
    "test": FailureType.TEST_FAILURE,
    "quality": FailureType.QUALITY_VIOLATION,
    "security": FailureType.VULNERABILITY_FOUND,
}
# A crash, a missing command or a network that is down is no finding of the step's tool.
_OTHER = re.compile(
    r"not found\b.*command|command not found|No such file or directory|timed? ?out|Killed|ECONN|[Cc]onnection|Permission denied|not installed|certificate|[Ss]egmentation|core dumped|no space left",
    re.IGNORECASE,
)
_MARK = re.compile(r"\b(?:errors?|fatal|failed|failure|fails|cannot|can't|invalid|unexpected|exclude|aborted|missing|unable to|could not|unsupported|refus\w+|conflicts?)\b|✖|✗|✘|×", re.IGNORECASE)  # fmt: skip
_WARNING = re.compile(r"\bwarn(?:ing)?s?\b|⚠", re.IGNORECASE)
_NOISE = re.compile(r"complete log of this run|debug log|^\s*(?:https?://\S+|at .*)$|\bfix this error\b", re.IGNORECASE)
_ITEM = re.compile(r"^\s*(?:[-*•·]|\d+[.)])\s+\S")
_SUMMARY = re.compile(r"\b\d+ (?:errors?|warnings?|problems?|failures?|issues?)\b|^(?:BUILD FAILED|FAIL(?:ED|URE)?\b|Aborted)|exit(?:ed)? (?:code|status)", re.IGNORECASE)  # fmt: skip
_FILES = re.compile(r"(?:^|[\s\"'(=])(/?(?:[\w@.-]+/)*[\w@-]+\.[A-Za-z]\w{0,4})\b(?![/(])", re.MULTILINE)


@scene_rule("step-ends", "the step's kind and the lines that its tool marks as wrong")
def step_ends(scene: Scene) -> Iterable[Hypothesis]:
    """A build, test, quality or security step that failed in words nobody here knows: weak, and better than no answer."""
    document, kind = scene.step, _KINDS.get(scene.step_type)
    evidence = scene.evidence
    if document is None or kind is None or evidence.exit_code in (None, 0, 124, 126, 127, 137, 143):
        return
    told = [line for index in _telling(document) for line in (index, *_listed_below(document, index))][:LISTED_MAX]
    told = list(dict.fromkeys(told))
    near = [*(document.lines[index] for index in told), *document.lines[-LAST_LINES:]]
    if not told or _OTHER.search(" ".join(near)):
        return
    shown = quoted("; ".join(document.lines[index].strip() for index in told), 300)
    files = [file for file in dict.fromkeys(_FILES.findall(document.text[:20_000])) if "debug" not in file][:3]
    named = f" ({', '.join(scene.in_release(file) for file in files)})" if files else ""
    yield Hypothesis(
        kind,
        f"The {scene.step_type} step fails{named}: {shown}",
        0.44,
        (high(f"Correct what the step's tool names{named}", f"Read its own lines and correct what they point at: {shown}", ""),),
        tuple(scene.cite(document, index) for index in told),
        scene.step_name,
        names=tuple(files),
    )  # fmt: skip


def _listed_below(document: Document, index: int) -> list[int]:
    """The first items of a list under a heading."""
    below = range(index + 1, min(index + 4, len(document.lines)))
    return [at for at in below if _ITEM.match(document.lines[at][:300])][:2]


def _telling(document: Document) -> list[int]:
    """The lines that tell most: marked as errors, else as warnings, else the last ones; a count of them comes last."""
    said = [
        index for index, line in enumerate(document.lines[:20_000]) if line.strip() and not _NOISE.search(line[:400])
    ]
    for mark in (_MARK, _WARNING):
        marked = [index for index in said if mark.search(document.lines[index][:400])]
        precise = [index for index in marked if not _SUMMARY.search(document.lines[index][:400])]
        if precise:
            return precise[:SHOWN_MAX]
        if marked and mark is _MARK and not any(_WARNING.search(document.lines[index][:400]) for index in said):
            return sorted({*marked[:1], *said[:SHOWN_MAX]})[:SHOWN_MAX]
    return said[-SHOWN_MAX:]


_PATH = re.compile(r"\"(?:path|file|filename|file_path|filePath|uri)\": ?\"(?P<file>[^\"\n]+)\"")
_LINE = re.compile(r"\"(?:line|line_number|lineNumber|row|startLine|start_line)\": ?(?P<line>\d+)")
_MESSAGE = re.compile(r"\"(?:message|description|issue_text|text|title|check_name)\": ?\"(?P<said>[^\"\n]+)\"")


@scene_rule("json-findings", "reports in JSON: a path, a line and a message for each finding")
def json_findings(scene: Scene) -> Iterable[Hypothesis]:
    """A quality or security step whose tool prints its findings as JSON."""
    document = scene.step
    if document is None or scene.step_type not in ("quality", "security") or scene.evidence.exit_code in (None, 0):
        return
    text = document.text[:100_000]
    path, message = _PATH.search(text), _MESSAGE.search(text)
    if path is None or message is None:
        return
    line = _LINE.search(text)
    place = scene.in_release(path.group("file")) + (f":{line.group('line')}" if line else "")
    kind = _KINDS[scene.step_type]
    yield Hypothesis(
        kind,
        f"The {scene.step_type} check finds a problem in {place}: {quoted(message.group('said'), 200)}",
        0.82,
        (high(f"Fix {place}", f"Correct, remove or change what the tool names: {quoted(message.group('said'), 200)}", ""),),
        (scene.cite(document, document.index_at(path.start())),),
        scene.step_name,
        names=(path.group("file"),),
    )  # fmt: skip
