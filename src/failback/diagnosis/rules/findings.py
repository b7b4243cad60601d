"""Findings of tools whose own format no other rule knows: nearly all print file, line and message."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.model.diagnosis import FailureType

FINDINGS_MAX = 40
_PLACE = re.compile(
    r"^\s*(?:\[?(?:error|warn(?:ing)?|E|W|F|C)\]?[:\s]+)?(?:> )?(?P<file>(?:\.?/?[\w@.-]+/)*[\w@.-]+\.[A-Za-z][\w]{0,9}|(?:[\w.-]+/)*(?:Dockerfile|Containerfile|Makefile|Jenkinsfile|Gemfile)[\w.-]*)(?::(?P<line>\d+)(?::\d+)?|\((?P<line2>\d+)(?:,\d+)?\)|,? line (?P<line3>\d+))[:,]?\s*(?:-\s*)?(?P<what>\S.{2,300})$",
    re.MULTILINE,
)
_ROW = re.compile(
    r"^\s+(?P<line>\d+)(?::\d+)?\s+(?:│\s*)?(?:(?:error|warning|ERROR|WARNING|✖|×)\s*[│|]?\s+)?(?P<what>[A-Z\"'`\w][^\n]{5,300})$"
)
_FILE = re.compile(
    r"^\s*(?:FILE: |In |File: |== |> )?(?P<file>(?:\.?/?[\w@.-]+/)*[\w@.-]+\.[A-Za-z]\w{0,9}|(?:[\w.-]+/)*(?:Dockerfile|Makefile)[\w.-]*)\s*(?:line \d+)?:?$"
)
_FORMAT = re.compile(
    r"would (?:be )?reformat|needs? formatting|not formatted|is not formatted|formatting (?:error|issue|violation)|files? (?:need|require)s? (?:to be )?format|diff -u|unformatted|would be (?:updated|changed|fixed|modified)|files? would",
    re.IGNORECASE,
)
_MARKED = re.compile(
    r"^\s*(?:✖|✗|✘|×|❌|FAIL(?:ED|URE)?\b|ERROR\b|error\b:?|[-+]{3} \S+\.\w+|CRITICAL|HIGH)[^\n]{3,}", re.MULTILINE
)
_SCORE = re.compile(
    r"(?P<what>[^\n]*(?:rated|score|rank|complexity|duplicat|coverage|threshold|average|maintainab)[^\n]*?(?:below|less than|lower than|under|exceed|fail|too (?:high|complex|low)|not met|not reached|minimum|maximum|greater)[^\n]*|[^\n]*(?:FAILED|failed)[^\n]*minimum[^\n]*)",
    re.IGNORECASE,
)


_CLOSING = re.compile(
    r"\b(?:issues?|problems?|errors?|violations?|vulnerabilit\w+|warnings?)\b[^\n]{0,20}\b(?:detected|found|reported)|\b(?:check|lint|validation|audit|scan)\w* failed",
    re.IGNORECASE,
)


@scene_rule("finding", "file:line: message, as linters, style checkers and scanners print it")
def finding(scene: Scene) -> Iterable[Hypothesis]:
    """A quality or security step that failed: its first finding, whatever the tool is."""
    document = scene.step
    if document is None or scene.step_type not in ("quality", "security") or scene.evidence.exit_code == 0:
        return
    quality = scene.step_type == "quality"
    kind = FailureType.QUALITY_VIOLATION if quality else FailureType.VULNERABILITY_FOUND
    found = _findings(document)
    if found:
        _index, file, line, what = found[0]
        file = scene.in_release(file)
        shown = "; ".join(f"{scene.in_release(f)}:{n} {quoted(w, 140)}" for _, f, n, w in found[:4])
        more = f" (and {len(found) - 4} more)" if len(found) > 4 else ""
        yield Hypothesis(
            kind,
            f"{'The quality check' if quality else 'The security check'} finds {len(found)} problem{'s' if len(found) > 1 else ''}: {quoted(shown, 420)}{more}",
            0.8,
            (
                high(f"Fix {file} line {line}", f"Correct, remove or change what the tool names: {quoted(shown, 360)}", f"$EDITOR {file} +{line}"),
                medium("Run the same check before each commit", "A pre-commit hook finds it earlier", "pre-commit install"),
                commit(file, f"Fix {quoted(what, 40)}"),
            ),
            tuple(scene.cite(document, entry[0]) for entry in found[:3]),
            scene.step_name,
            names=(file,),
        )  # fmt: skip
        return
    yield from _summary(scene, document, kind)


def _findings(document: Document) -> list[tuple[int, str, str, str]]:
    found: list[tuple[int, str, str, str]] = []
    file = ""
    for index, line in enumerate(document.lines[:20_000]):
        line = line[:600]
        match = _PLACE.match(line)
        if (
            match
            and "Traceback" not in line
            and not match.group("what").startswith(("in <module>", "DeprecationWarning", "PytestDeprecation"))
            and "Warning:" not in match.group("what")[:40]
        ):
            what = match.group("what").strip()
            following = document.lines[index + 1].strip() if index + 1 < len(document.lines) else ""
            if what.endswith(":") and following:
                what = f"{what} {following[:200]}"
            if re.fullmatch(r":\d+:?", what) and following:  # the place alone, its message below
                what = following[:200]
            found.append(
                (index, match.group("file"), match.group("line") or match.group("line2") or match.group("line3"), what)
            )
        else:
            head = _FILE.match(line)
            row = _ROW.match(line) if file and line[:1].isspace() else None
            if head:
                file = head.group("file")
            elif row:
                found.append((index, file, row.group("line"), row.group("what").strip()))
        if len(found) >= FINDINGS_MAX:
            break
    return found or _anywhere(document)


_ANYWHERE = re.compile(r"[\"'(\[\s](?P<file>(?:[\w@.-]+/)*[\w@-]+\.[A-Za-z]\w{0,5}):(?P<line>\d+)\b")


_ARROW = re.compile(r"^\s*(?:-->|╭─\[|,-\[|┌─|at )\s*\S+:\d+")


def _anywhere(document: Document) -> list[tuple[int, str, str, str]]:
    """Second look: a place within a sentence."""
    found = []
    for index, line in enumerate(document.lines[:5_000]):
        match = _ANYWHERE.search(" " + line[:600])
        if match and _ARROW.match(line):  # the place stands below its message
            line = next((above for above in reversed(document.lines[max(index - 2, 0) : index]) if above.strip()), line)
        if match and "Warning" not in line and not line.lstrip().startswith(("File ", "at ")):
            found.append((index, match.group("file"), match.group("line"), line.strip()))
    return found[:FINDINGS_MAX]


def _summary(scene: Scene, document: Document, kind: FailureType) -> Iterable[Hypothesis]:
    """Without a place: a score below a threshold, files that a formatter would change, or lines that are marked as wrong."""
    for pattern in (_SCORE, _FORMAT, _MARKED):
        match = pattern.search(document.text[:200_000])
        if match is None:
            continue
        index = document.index_at(match.start() + len(match.group(0)) - len(match.group(0).lstrip()))
        said = quoted(document.lines[index])
        if pattern is _MARKED and _CLOSING.search(said):  # what is wrong stands above the closing line
            first = [
                line.strip() for line in document.lines[:index] if line.strip() and not line.startswith(("$", ">"))
            ][:4]
            said = quoted("; ".join([*first, said]))
        files = list(
            dict.fromkeys(
                re.findall(
                    r"(?:^|[\s\"'])((?:[\w@.-]+/)*[\w@-]+\.[a-z]\w{0,4})\b", document.text[:20_000], re.MULTILINE
                )
            )
        )[:4]
        named = f" ({', '.join(files)})" if files else ""
        yield Hypothesis(
            kind,
            f"The {scene.step_type} check fails: {said}{named}",
            0.66,
            (
                high(f"Correct what the check names{named}", f"Fix, format or cover it until the check passes: {said}", ""),
            ),
            (scene.cite(document, index),),
            scene.step_name,
            names=tuple(files[:2]),
        )  # fmt: skip
        return
