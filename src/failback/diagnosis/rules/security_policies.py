"""Scanners of infrastructure code and boxes of findings: the rule, the resource or file, and what it asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType

SHOWN_MAX = 3
_CHECKS = (
    # checkov
    re.compile(r"^Check: (?P<id>[\w.-]+): \"(?P<said>[^\"\n]+)\"\n\s*FAILED for resource: (?P<what>\S+)\n\s*File: (?P<file>\S+?):(?P<line>\d+)", re.MULTILINE),
    # kube-linter
    re.compile(r"^(?P<file>[\w./-]+\.ya?ml): \(object: (?P<what>[^)\n]+)\) (?P<said>[^\n]+?) \(check: (?P<id>[\w-]+)", re.MULTILINE),
    # conftest, OPA
    re.compile(r"^FAIL - (?P<file>[\w./-]+) - (?P<id>[\w.-]+) - (?P<said>[^\n]+)", re.MULTILINE),
    # tfsec and others: Result 1, a sentence, then the file
    re.compile(r"^Result #?\d+ (?P<id>CRITICAL|HIGH|MEDIUM|LOW) (?P<said>[^\n]+)\n(?:[^\n]*\n){0,3}?\s*(?P<file>[\w./-]+\.tf):(?P<line>\d+)", re.MULTILINE),
)  # fmt: skip
_BOXED = re.compile(
    r"[│|]\s*(?:RULE ID|Rule ID|Rule|Test ID)\s*[│|]\s*(?P<id>[\w.-]+)[\s\S]{0,2500}?[│|]\s*(?:DESCRIPTION|Description|Message)\s*[│|]\s*(?P<said>[^│|\n]+?)\s*[│|][\s\S]{0,2500}?[│|]\s*File\s*[│|]\s*(?P<file>\S+)(?:[\s\S]{0,800}?[│|]\s*Line[^│|\n]*[│|]\s*(?P<line>\d+))?"
)


@scene_rule("policy-findings", "checkov, kube-linter, conftest, tfsec; njsscan's boxes")
def policy_findings(scene: Scene) -> Iterable[Hypothesis]:
    """A rule that a manifest, a Terraform file or a source breaks."""
    document = scene.step
    if (
        document is None
        or scene.step_type not in ("security", "quality", "docker")
        or scene.evidence.exit_code in (None, 0)
    ):
        return  # fmt: skip
    text = document.text[:200_000]
    for pattern in (*_CHECKS, _BOXED):
        found = list(pattern.finditer(text))[:20]
        if not found:
            continue
        shown = "; ".join(_shown(match) for match in found[:SHOWN_MAX])
        more = f" (and {len(found) - SHOWN_MAX} more)" if len(found) > SHOWN_MAX else ""
        file = found[0].group("file").lstrip("/")
        quality = scene.step_type == "quality"
        yield Hypothesis(
            FailureType.QUALITY_VIOLATION if quality else FailureType.VULNERABILITY_FOUND,
            f"The {scene.step_type} check finds {len(found)} problem{'s' if len(found) > 1 else ''}: {quoted(shown, 460)}{more}",
            0.96,
            (
                high(f"Correct {file}: {quoted(found[0].group('said'), 120)}", f"Change what each rule names: {quoted(shown, 400)}; where it is meant to be so, add an exception with its reason", f"$EDITOR {file}"),
                commit(file, f"Fix {found[0].group('id')}"),
            ),
            (scene.cite(document, document.index_at(found[0].start())),),
            scene.step_name,
            names=(file,),
        )  # fmt: skip
        return


def _shown(match: re.Match[str]) -> str:
    """ "k8s.yaml:3 (Deployment.shop): Container should not be privileged [CKV_K8S_16]" """
    groups = match.groupdict()
    place = f"{groups['file'].lstrip('/')}{':' + groups['line'] if groups.get('line') else ''}"
    owner = f" ({groups['what']})" if groups.get("what") else ""
    return f"{place}{owner}: {quoted(groups['said'], 160)} [{groups['id']}]"
