"""What a tool itself advises near the line that was cited: "Try ...", "run `...`", "HINT: ...". It knows its own way out best.

Only a step's output is read: what a running service logs may repeat a caller's words, and a caller's advice is none.
"""

from __future__ import annotations

import re
from dataclasses import replace

from failback.diagnosis.recommend import HIGH
from failback.diagnosis.rule import Hypothesis, quoted
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.model.diagnosis import Recommendation

ABOVE_LINES = 3
BELOW_LINES = 26
LISTED_LINES = 6
LINES_MAX = 3
LINE_CHARS_MAX = 240

_ADVICE = re.compile(
    r"^\W{0,6}(?:hint|help|tip|suggestion|solution|fix|to fix)\b:|\b[Hh]int: "
    r"|\b(?:[Tt]ry|[Rr]e-?run|[Rr]un|[Uu]se|[Ii]nstall|[Rr]einstall|[Ee]xecute) (?:[`'\"<-]|(?:npx|npm|yarn|pnpm|bun|pip3?|python3?|go|cargo|bundle|composer|mvn|make|it|the|a|an|to|with|building|running|adding|installing|setting)\b)"
    r"|\b[Yy]ou (?:need|can|may|should|must|might|have|probably|want) |\b[Pp]lease,? (?!see|report|file|visit)\w+|\b[Mm]ake sure\b|\b[Ee]nsure (?:that )?"
    r"|\b[Dd]id you (?:mean|forget|run|build)|\b[Tt]o (?:fix|correct|resolve|solve|ignore|include|have) |\b[Aa]lternatively,|\b[Cc]onsider \w+ing\b"
    r"|\bverify that\b|\b(?:needs?|has|have) to be (?:installed|set|run|added|enabled)\b|\b(?:set|enable|add) (?:it|them) "
)
_NOISE = re.compile(r"npm (?:warn|notice)|complete log of this run|^\s*(?:https?://\S+|at .*|\d+ \| .*|\d+\| .*|> \d+ .*)$|\bwarning\b|deprecat", re.IGNORECASE)  # fmt: skip
_LISTED = re.compile(r"^\s*(?:[-*•]|\d+[.)]) +\S")
_OWN_WORDS = re.compile(r"^\s*(?:npm (?:error|ERR!) ?)?(?:E {2,}|[│|] )?")


def advised(best: Hypothesis, scene: Scene) -> tuple[Recommendation, ...]:
    """The recommendations, the first of them with the tool's own advice where it gives some."""
    document, index = _cited_at(best, scene)
    if document is None or not best.fixes or best.fixes[0].priority != HIGH:
        return best.fixes
    first, *others = best.fixes
    said = "; ".join(line for line in _said(document, index) if line[:60] not in first.description)
    if not said:
        return best.fixes
    added = (
        f"{first.description}. The tool itself says: {said}" if first.description else f"The tool itself says: {said}"
    )
    return (replace(first, description=added), *others)


WEAK = 0.6
MORE_LINES = 4


def goes_on(best: Hypothesis, scene: Scene, confidence: float) -> str:
    """What follows the cited line of a step's output, where the answer is weak or the line ends open: the specifics may stand there."""
    document, index = _cited_at(best, scene)
    if document is None:
        return ""
    line = document.lines[index].rstrip()
    if confidence >= WEAK and not line.endswith(("{", "[", "(", ":")):
        return ""
    near = [document.lines[at] for at in range(index + 1, min(index + 12, len(document.lines)))]
    below = [quoted(text, 120) for text in near if re.search(r"\w", text) and not _NOISE.search(text)]
    fresh = [text for text in below if text[:50] not in best.cause][:MORE_LINES]
    above = _named_above(document, index) if confidence < WEAK else ""
    more = f"; above it: {above}" if above and above[:50] not in best.cause else ""
    return more + (f"; below it: {' '.join(fresh)}" if fresh else "")


_FILE = re.compile(r"(?:^|[\s(\"'])\.?/?(?:[\w@.-]+/)*[\w@-]+\.[a-z]\w{1,7}\b")


def _named_above(document: Document, index: int) -> str:
    """The nearest of three lines above that names a file."""
    for at in range(index - 1, max(index - 4, -1), -1):
        if _FILE.search(document.lines[at][:300]) and not _NOISE.search(document.lines[at]):
            return quoted(document.lines[at], 120)
    return ""


def _cited_at(best: Hypothesis, scene: Scene) -> tuple[Document | None, int]:
    """(the step's output, the line in it that the hypothesis stands on); (None, 0) where it stands on something else."""
    if best.document is not None:
        return (best.document, best.index) if best.document is scene.step else (None, 0)
    source = best.citations[0].source if best.citations else ""
    number = source.removeprefix("step_output:")
    if scene.step is None or number == source or not number.isdigit():
        return None, 0
    return scene.step, next((i for i, at in enumerate(scene.step.numbers) if at == int(number)), 0)


def _said(document: Document, index: int) -> list[str]:
    found: list[str] = []
    last = min(index + BELOW_LINES, len(document.lines))
    at = max(index - ABOVE_LINES, 0)
    while at < last and len(found) < LINES_MAX:
        line = document.lines[at][:1000]
        at += 1
        if not _ADVICE.search(line) or _NOISE.search(line):
            continue
        text = _OWN_WORDS.sub("", line)
        if line.rstrip().endswith(":"):  # "You need to install one of:" and a list
            while at < len(document.lines) and at < last + LISTED_LINES and _LISTED.match(document.lines[at]):
                text += f" {document.lines[at].strip()}"
                at += 1
        found.append(quoted(text, LINE_CHARS_MAX))
    return found
