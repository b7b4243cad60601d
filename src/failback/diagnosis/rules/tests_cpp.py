"""Test runners of C++: Catch2, doctest, Boost.Test, GoogleTest."""

from __future__ import annotations

import re

from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.rules.tests import test_failure

_RULED = re.compile(r"^[-=~.]{20,}$")


@line_rule(
    "cpp-test",
    'failed:|error: check|error: require|: error: in "|: failure',
    r"^(?P<file>[\w./-]+\.(?:cc|cpp|cxx|c|hpp|h))[:(](?P<line>\d+)\)?: (?:FAILED:|(?:ERROR|FATAL ERROR): (?:CHECK|REQUIRE)\w*\((?P<doctest>.+)\)|(?:fatal )?error: in \"(?P<boost>[^\"]+)\": (?P<said>.+)|Failure$)",
    source="Catch2, doctest, Boost.Test, GoogleTest",
    most=1,
)
def cpp_test(hit: Hit) -> Hypothesis | None:
    """A failed check: its place, the test's name above, the expression and its values below."""
    if hit.document.role != "step":
        return None
    spot = f"{hit.scene.in_release(hit.get('file'))}:{hit.get('line')}"
    name = hit.get("boost") or _name_above(hit)
    below = [line.strip() for line in hit.document.lines[hit.index + 1 : hit.index + 7]]
    shown = [line for line in below if line and not _RULED.match(line) and not line.startswith(("[", "test cases"))]
    said = hit.get("said") or quoted(" ".join(part for part in (hit.get("doctest"), *shown) if part), 240)
    return test_failure(
        hit.scene,
        f'Test "{name}" ({spot}) fails: {said}' if name else f"A test fails at {spot}: {said}",
        0.94,
        name or spot,
        spot,
        said,
    )


def _name_above(hit: Hit) -> str:
    """Catch2 puts the name between two rules, doctest after TEST CASE:, GoogleTest after [ RUN ]."""
    above = hit.document.lines[max(hit.index - 14, 0) : hit.index]
    for line in reversed(above):
        if named := re.match(r"^TEST CASE:\s+(.+)|^\[ RUN\s+\] (\S+)", line):
            return next(group for group in named.groups() if group)
    ruled = [at for at, line in enumerate(above) if line.startswith("-----")]
    between = above[ruled[-2] + 1 : ruled[-1]] if len(ruled) > 1 else []
    return quoted(" / ".join(line.strip() for line in between if line.strip()), 160)
