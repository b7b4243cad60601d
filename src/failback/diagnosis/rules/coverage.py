"""Coverage below its threshold."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hypothesis, scene_rule
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType


@scene_rule("coverage", "coverage.py, Jest, Istanbul, JaCoCo, go tool cover")
def coverage(scene: Scene) -> Iterable[Hypothesis]:
    """Coverage below its threshold."""
    document = scene.step
    if document is None or "cover" not in document.lower:
        return
    pattern = re.compile(
        r"(?:Required test coverage of (?P<a>[\d.]+)%? not reached\. Total coverage: (?P<ah>[\d.]+)|total of (?P<bh>[\d.]+)%? is less than fail-under=(?P<b>[\d.]+)|coverage threshold for (?P<what>\w+) \((?P<c>[\d.]+)%?\) not met: (?P<ch>[\d.]+)|Coverage for (?P<dw>\w+) \((?P<dh>[\d.]+)%\) does not meet (?:global )?(?:threshold )?\(?(?P<d>[\d.]+)|covered ratio is (?P<eh>[\d.]+), but expected minimum is (?P<e>[\d.]+)|coverage:? (?P<fh>[\d.]+)%? (?:is )?(?:below|less than|under)[^\d]*(?P<f>[\d.]+)|Line coverage \((?P<gh>[\d.]+)%\) is below the expected minimum coverage \((?P<g>[\d.]+))",
        re.IGNORECASE,
    )
    found = []
    for index in document.hits("cover"):
        match = pattern.search(document.lines[index])
        if match:
            groups = match.groupdict()
            want = next((groups[k] for k in "abcdefg" if groups.get(k)), "")
            have = next((groups[k] for k in ("ah", "bh", "ch", "dh", "eh", "fh", "gh") if groups.get(k)), "")
            found.append((index, groups.get("what") or groups.get("dw") or "total", have, want))
    if not found:
        return
    uncovered = _uncovered(document.lines)
    shown = "; ".join(f"{what} {have}% instead of {want}%" for _, what, have, want in found[:4])
    worst = f", least covered: {', '.join(uncovered[:3])}" if uncovered else ""
    yield Hypothesis(
        FailureType.QUALITY_VIOLATION,
        f"The coverage is below its threshold: {shown}{worst}",
        0.96,
        (high(f"Add tests for {uncovered[0] if uncovered else 'what is not covered'}", f"Write tests that cover {', '.join(uncovered[:3]) or 'the new code'} (lines, branches) until the threshold of {found[0][3]}% is reached", ""),
         medium("Or lower the threshold on purpose", f"Only if {found[0][2]}% is enough; the threshold stands in the test configuration", f"fail_under = {found[0][2]}")),
        citations=tuple(scene.cite(document, index) for index, *_ in found[:3]),
        component=scene.step_name,
        names=tuple(name.split(" ")[0] for name in uncovered[:2]),
    )  # fmt: skip


def _uncovered(lines: list[str]) -> list[str]:
    """Files with the lowest coverage of a text table, each with its uncovered lines."""
    rows: list[tuple[float, str]] = []
    for line in lines:
        python = re.match(r"^(\S+\.py)\s+\d+\s+\d+.*?\s(\d+)%\s*(.*)$", line)
        node = re.match(r"^\s*(\S+\.[cm]?[jt]sx?)\s*\|\s*([\d.]+)\s*\|.*\|\s*([\d,\s.-]*)$", line)
        match = python or node
        if match and float(match.group(2)) < 100:
            rows.append((float(match.group(2)), f"{match.group(1)} {match.group(3).strip()}".strip()))
    return [name for _, name in sorted(rows)]
