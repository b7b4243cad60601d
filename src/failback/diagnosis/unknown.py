"""The honest answer when no rule fits: what is known, and the lines that are most unusual."""

from __future__ import annotations

from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hypothesis, quoted
from failback.diagnosis.scene import Scene
from failback.facts.signatures import error_lines
from failback.model.diagnosis import Alternative, Citation, Diagnosis, FailureType, Recommendation

LINES_MAX = 6


def unknown(scene: Scene, order: list[tuple[Hypothesis, float]], notes: dict[str, str]) -> Diagnosis:
    """Type UNKNOWN, with the error lines that the stable revision does not print (the first ones), or the last lines."""
    evidence = scene.evidence
    lines = unusual_lines(scene)
    step = f"Step {scene.step_name}" if scene.step_name else "The release"
    code = f" with exit code {evidence.exit_code}" if evidence.exit_code not in (None, 0) else ""
    shown = f"; the most unusual line is: {quoted(lines[0].text)}" if lines else "; it printed nothing that explains it"
    reason = f" ({evidence.verdict_reason})" if evidence.verdict_reason else ""
    return Diagnosis(
        type=FailureType.UNKNOWN,
        cause=f"{step} failed{code}{reason}, and no known cause fits{shown}",
        component=evidence.service or scene.step_name,
        confidence=0.2,
        evidence=lines,
        alternatives=tuple(Alternative(h.type, h.cause, c) for h, c in order[:4]),
        recommendations=_next_steps(scene, lines),
        rule="unknown",
        facts=notes,
    )


def unusual_lines(scene: Scene) -> tuple[Citation, ...]:
    """Error lines in the order of the evidence, new ones only where a baseline is known; else the end of each text."""
    lines: list[Citation] = []
    for document in scene.documents:
        for index in sorted(error_lines(document).values()):
            if not scene.is_old(document, index) and not scene.is_deprecation(document, index):
                lines.append(scene.cite(document, index))
    if not lines:
        for document in scene.documents:
            said = [index for index, line in enumerate(document.lines) if line.strip()]
            lines.extend(scene.cite(document, index) for index in said[-2:])
    return tuple(lines[:LINES_MAX])


def _next_steps(scene: Scene, lines: tuple[Citation, ...]) -> tuple[Recommendation, ...]:
    changed = ", ".join(scene.change.files[:5])
    steps = []
    if changed:
        steps.append(
            high(
                "Look at what this release changed",
                f"Only these files differ from the last good release: {changed}",
                "git diff HEAD~1 --stat",
            )
        )
    if lines:
        said = quoted(lines[0].text)
        steps.append(
            high(
                f"Correct what this line names: {quoted(lines[0].text, 120)}",
                f"No rule knows it; {lines[0].source} says: {said}",
            )
        )
    return tuple(steps)
