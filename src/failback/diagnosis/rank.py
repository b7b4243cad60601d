"""Orders hypotheses: the infrastructure's statement before a log line, the first cause before its echoes, new before old."""

from __future__ import annotations

import re

from failback.diagnosis.rule import Hypothesis
from failback.diagnosis.scene import Scene
from failback.facts.document import Document

CONFIDENCE_MAX = 0.98
OLD_FACTOR = 0.4  # the stable revision printed the same line and was healthy
HANDLED_FACTOR = 0.45  # the line itself says that the program went on
QUIET_FACTOR = 0.35  # a line at level INFO or DEBUG
WARNED_FACTOR = 0.8
CAUGHT_FACTOR = 0.75  # a trace under a line at level WARN: its program caught it
DEPRECATION_FACTOR = 0.3
CHANGED_BONUS = 0.05  # the release changed what the hypothesis speaks of
FATAL_BONUS = 0.03  # stands in the last trace of a process that died
STATED_BONUS = 0.02
BLOCK_GAP_LINES = 4
RIVAL_MARGIN = 0.1
RIVAL_COST = 0.08  # another type is nearly as likely
ALONE_COST = 0.09  # nothing else speaks for it: no other rule, no change of this release, no word of the infrastructure
SUPPORTED_COST = 0.06
STATED_SURE_MIN = 0.95  # a statement of the infrastructure that names mechanism and object needs no support
SUPPORT_MIN = 0.5


def ranked(found: list[Hypothesis], scene: Scene) -> list[tuple[Hypothesis, float]]:
    """Hypotheses with their calibrated confidence, best first. Equal ones: earlier evidence first."""
    scored = [(hypothesis, _score(hypothesis, scene)) for hypothesis in found]
    order = {id(document): number for number, document in enumerate(scene.documents)}
    scored.sort(key=lambda pair: (-round(pair[1], 3), order.get(id(pair[0].document), -1), pair[0].index, pair[0].rule))
    if scored:
        scored[0] = (scored[0][0], _calibrated(scored, scene))
    return [(hypothesis, round(min(score, CONFIDENCE_MAX), 3)) for hypothesis, score in scored]


def _calibrated(scored: list[tuple[Hypothesis, float]], scene: Scene) -> float:
    """How sure to be of the best one: less when it stands alone, or when another type is nearly as likely."""
    best, top = scored[0]
    others = [(other, score) for other, score in scored[1:] if other.rule != best.rule]
    rival = max((score for other, score in others if other.type != best.type), default=0.0)
    if best.stated:
        return top if top >= STATED_SURE_MIN else top - SUPPORTED_COST
    elsewhere = [
        (other, score) for other, score in others if (other.document, other.index) != (best.document, best.index)
    ]
    supported = any(other.type == best.type and score >= SUPPORT_MIN for other, score in elsewhere)
    named = any(_changed(name, scene) for name in best.names)
    top -= SUPPORTED_COST if supported or named else ALONE_COST
    if scored[0][1] - rival < RIVAL_MARGIN:
        top -= RIVAL_COST
    return max(top, 0.05)


def _score(hypothesis: Hypothesis, scene: Scene) -> float:
    score = hypothesis.confidence
    document = hypothesis.document
    if document is not None:
        score *= _standing(document, hypothesis.index, scene, loud=hypothesis.loud)
        if _is_fatal(document, hypothesis.index, scene):
            score += FATAL_BONUS
    if hypothesis.stated:
        score += STATED_BONUS
    if any(_changed(name, scene) for name in hypothesis.names):
        score += CHANGED_BONUS
    return score


def _standing(document: Document, index: int, scene: Scene, *, loud: bool = False) -> float:
    """How much a line counts, from what it says of itself."""
    factor = 1.0
    if scene.is_old(document, index):
        factor *= OLD_FACTOR
    if document.role == "step":
        trace = document.trace_at(index)
        return factor * (CAUGHT_FACTOR if trace and _went_on(document, trace.start, trace.end) else 1.0)
    if scene.is_handled(document, index):
        factor *= HANDLED_FACTOR
    elif not loud and scene.is_deprecation(document, index) and not _raised_at_end(document, index):
        factor *= DEPRECATION_FACTOR
    level = "" if loud else document.level(index)
    trace = document.trace_at(index)
    if document.said_fatal and not loud and document.level(trace.start if trace else index) == "ERROR":
        factor *= WARNED_FACTOR  # the program says which of its errors was the fatal one
    if trace is not None:
        return factor * _logged(document, trace.start, scene)
    if level in ("INFO", "DEBUG"):
        factor *= QUIET_FACTOR
    elif level == "WARN":
        factor *= WARNED_FACTOR
    return factor


def _raised_at_end(document: Document, index: int) -> bool:
    """True for the line of the exception that ends a text: it may speak of a deprecation, but it is none."""
    trace = document.trace_at(index)
    return trace is not None and trace is document.traces[-1] and index == trace.root.line


_CHAINED = re.compile(
    r"^\s|^$|^Traceback |^(?:The above exception|During handling of)|^[\w.]+(?:Error|Exception|error)\b"
)
CHAIN_LINES_MAX = 200


def _went_on(document: Document, start: int, end: int) -> bool:
    """True for a trace that a step's tool printed under a warning before it went on to its report."""
    if end >= len(document.lines) - 4:
        return False
    above = range(start - 1, max(start - CHAIN_LINES_MAX, -1), -1)
    head = next((at for at in above if not _CHAINED.match(document.lines[at])), None)
    return head is not None and document.level(head) == "WARN"


def _logged(document: Document, start: int, scene: Scene) -> float:
    """How much a trace counts whose program logged it under a warning, or said that it goes on."""
    above = start - 1
    if document.lines[start].startswith("Exception in thread "):  # the JVM's own words: nobody caught it
        return 1.0
    if above < 0 or document.trace_at(above) is not None or document.level(start) in ("ERROR", "FATAL"):
        return 1.0
    if scene.is_handled(document, above):
        return HANDLED_FACTOR
    return (
        CAUGHT_FACTOR if document.level(above) in ("WARN", "INFO", "DEBUG") and document.lines[above].strip() else 1.0
    )


def _is_fatal(document: Document, index: int, scene: Scene) -> bool:
    if scene.evidence.exit_code in (None, 0) and not any(r.exit_code for r in scene.evidence.replicas):
        return False
    return bool(document.traces) and _last_block(document) <= index


def _last_block(document: Document) -> int:
    """Where the last trace begins, or the first of several that were printed one after the other (Node.js prints two)."""
    start = document.traces[-1].start
    for trace in reversed(document.traces[:-1]):
        if start - trace.end > BLOCK_GAP_LINES:
            break
        start = trace.start
    return start


def _changed(name: str, scene: Scene) -> bool:
    return (
        scene.change.dependency(name) is not None
        or scene.change.touches(name) is not None
        or scene.variable_in_change(name)
    )
