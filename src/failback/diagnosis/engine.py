"""diagnose: evidence in, diagnosis out. Four steps: prepare the scene, ask every rule, rank, say it."""

from __future__ import annotations

import re
from dataclasses import replace

from failback.diagnosis.advice import advised, goes_on
from failback.diagnosis.asked import answers
from failback.diagnosis.health import is_healthy
from failback.diagnosis.rank import ranked
from failback.diagnosis.recommend import medium
from failback.diagnosis.rule import Hypothesis, quoted
from failback.diagnosis.rules import RULES
from failback.diagnosis.scene import Scene
from failback.diagnosis.unknown import unknown
from failback.model.diagnosis import Alternative, Citation, Diagnosis, FailureType
from failback.model.evidence import INTERRUPTED, Evidence
from failback.model.redaction import Redactor

_COMPILERS = frozenset({"gcc", "javac"})
CONFIDENCE_MIN = 0.3  # below this, "unknown" is the honest answer
ALTERNATIVES_MAX = 4
_SECRETIVE = re.compile(r"(?i)passw|secret|token|api_?key")  # a line of code with it is not quoted
_RULE_DEFECTS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    re.error,
)


def diagnose(evidence: Evidence) -> Diagnosis:
    """Why it failed and what to do. Pure, deterministic and offline; never raises; <= 0.2 s for 1 MB of logs.

    Healthy evidence gives type NONE; where no rule is sure enough the type is UNKNOWN, with the most unusual lines cited.
    Evidence is redacted where it is collected; recorded cases come from elsewhere, so what is said is redacted once more.
    """
    return _redacted(_diagnosed(evidence))


def _diagnosed(evidence: Evidence) -> Diagnosis:
    if evidence.verdict_reason == INTERRUPTED:
        return _interrupted(evidence)
    scene = Scene(evidence)
    if is_healthy(scene):
        return Diagnosis(
            FailureType.NONE, "Nothing failed in what was seen.", evidence.service, _health_seen(scene), rule="healthy"
        )
    found, defects = hypotheses(scene)
    order = ranked(found, scene)
    notes = {"rules_failed": ", ".join(defects)} if defects else {}
    if not order or order[0][1] < CONFIDENCE_MIN:
        return unknown(scene, order, notes)
    best, confidence = order[0]
    return Diagnosis(
        type=best.type,
        cause=_sentence(best.cause + _taken_away(best, scene) + _context(best) + goes_on(best, scene, confidence)),
        component=best.component or evidence.service or scene.step_name,
        confidence=confidence,
        affected_components=best.affected,
        evidence=best.citations,
        alternatives=_alternatives(order),
        recommendations=advised(best, scene),
        rule=best.rule,
        facts=best.facts | notes,
    )


def _interrupted(evidence: Evidence) -> Diagnosis:
    """Somebody stopped it. Whatever the log holds then is no failure that was seen."""
    return Diagnosis(
        FailureType.NONE,
        "Nothing failed: the execution was interrupted by the user (Ctrl-C, or SIGTERM) before it had ended.",
        evidence.service,
        0.99,
        recommendations=(medium("Deploy again", "The release was not judged to its end", "failback deploy"),),
        rule="interrupted",
    )


def _health_seen(scene: Scene) -> float:
    """How sure health is: seen in answers or pods, or only inferred from an exit code."""
    return 0.95 if scene.evidence.pods or any(answer.good for answer in answers(scene)) else 0.8


def _redacted(said: Diagnosis) -> Diagnosis:
    clean = Redactor().redact
    return replace(
        said,
        cause=clean(said.cause),
        component=clean(said.component),
        affected_components=tuple(map(clean, said.affected_components)),
        evidence=tuple(Citation(clean(cited.source), clean(cited.text)) for cited in said.evidence),
        alternatives=tuple(replace(other, cause=clean(other.cause)) for other in said.alternatives),
        recommendations=tuple(
            replace(fix, action=clean(fix.action), description=clean(fix.description), example=clean(fix.example))
            for fix in said.recommendations
        ),
        facts={name: clean(value) for name, value in said.facts.items()},
    )


def hypotheses(scene: Scene) -> tuple[list[Hypothesis], list[str]]:
    """(what the rules found, names of rules that broke on this evidence: a defect in one must not lose the others)."""
    found: list[Hypothesis] = []
    defects: list[str] = []
    for rule in RULES:
        try:
            for hypothesis in rule.find(scene):
                found.append(_of_step(hypothesis if hypothesis.rule else _named(hypothesis, rule.name), scene))
        except _RULE_DEFECTS:
            defects.append(rule.name)
    return found, defects


def _named(hypothesis: Hypothesis, rule: str) -> Hypothesis:
    return replace(hypothesis, rule=rule)


def _of_step(hypothesis: Hypothesis, scene: Scene) -> Hypothesis:
    """What is wrong in the code that a build runs (its scripts, its configuration in code) is a failure of the build."""
    building = scene.step_type in ("build", "docker") and hypothesis.document is scene.step
    if building and hypothesis.type is FailureType.CODE_ERROR:
        return replace(hypothesis, type=FailureType.BUILD_FAILURE)
    if scene.step_type == "quality" and hypothesis.document is scene.step and hypothesis.rule in _COMPILERS:
        return replace(hypothesis, type=FailureType.QUALITY_VIOLATION)  # analysers print as compilers do
    return hypothesis


def _taken_away(best: Hypothesis, scene: Scene) -> str:
    """What the change says of a file that is missing."""
    if best.type is not FailureType.MISSING_FILE:
        return ""
    gone = next((file for name in best.names if (file := scene.change.takes_away(name))), None)
    if gone is None:
        return ""
    moved = scene.change.moved(gone)
    return f" (this release moved it to {moved})" if moved else " (this release no longer has it)"


def _context(best: Hypothesis) -> str:
    """What the trace adds to the cause: the message of the error it was reported as, and the own line of code."""
    trace = best.document.trace_at(best.index) if best.document else None
    if trace is None:
        return ""
    added = ""
    outer, frame = trace.outer, trace.own_frame()
    if outer is not trace.root and outer.message and outer.message[:60] not in best.cause:
        added += f"; it surfaced as {outer.name}: {quoted(outer.message, 160)}"
    if frame and frame.code and frame.code[:40] not in best.cause and not _SECRETIVE.search(frame.code):
        added += f"; the line is `{quoted(frame.code, 110)}`"
    return added


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 700 else text[:697] + "..."


def _alternatives(order: list[tuple[Hypothesis, float]]) -> tuple[Alternative, ...]:
    best = order[0][0]
    seen = {(best.type, best.cause)}
    others: list[Alternative] = []
    for hypothesis, confidence in order[1:]:
        if (hypothesis.type, hypothesis.cause) in seen or any(a.type == hypothesis.type for a in others):
            continue
        seen.add((hypothesis.type, hypothesis.cause))
        others.append(Alternative(hypothesis.type, _sentence(hypothesis.cause), confidence))
        if len(others) >= ALTERNATIVES_MAX:
            break
    return tuple(others)
