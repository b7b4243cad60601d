"""Scanners of code and images' recipes: semgrep, gosec, Brakeman, cargo audit, govulncheck, and those that only count."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.rules.security import ADVISORY, VULNERABLE, instead, upgrade, vulnerability
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Citation, Recommendation


@scene_rule("code-scan", "semgrep, cargo audit, govulncheck, gosec, brakeman, OWASP dependency-check")
def code_scan(scene: Scene) -> Iterable[Hypothesis]:
    """Other scanners by their own format."""
    document = scene.step
    if document is None:
        return
    text = document.text
    cargo = re.search(
        r"Crate:\s+(\S+)\s+Version:\s+(\S+)\s+(?:Warning:\s+\S+\s+)?Title:\s+([^\n]+)[\s\S]{0,300}?ID:\s+(\S+)(?:[\s\S]{0,300}?Solution:\s+([^\n]+))?",
        text,
    )
    go = re.search(
        r"Vulnerability #\d+: (\S+)\s+([^\n]+)[\s\S]{0,500}?Found in: (\S+)@(\S+)\s+Fixed in: (?:\S+@)?(\S+)", text
    )
    gosec = re.search(r"\[(\S+\.go):(\d+)\] - (G\d+) (?:\(CWE-\d+\))?:? ?([^\n(]+)", text)
    semgrep = (
        re.search(r"^\s*(?:❯❯❱|❯❱|❱|❯)?\s*((?:[\w-]+\.){2,}[\w-]+|(?<=❱ )[\w-]+)\s*$", text, re.MULTILINE)
        if "semgrep" in document.lower or "findings" in document.lower or "Code Finding" in text
        else None
    )
    brakeman = re.search(r"Category: ([^\n]+)[\s\S]{0,200}?File: (\S+)\nLine: (\d+)", text)
    owasp = re.search(r"(\S+\.jar)[^\n]*?((?:CVE-\d+-\d+(?:\([\d.]+\))?,? ?)+)", text)
    if cargo:
        name, have, title, ident, solution = cargo.groups()
        fixed = re.search(r">=\s*([\d.]+)", solution or "")
        yield vulnerability(
            scene,
            document,
            document.index_at(cargo.start()),
            f"Vulnerable crate: {name} {have} ({ident}: {title.strip()}{'; ' + solution.strip() if solution else ''})",
            0.96,
            upgrade(name, have, fixed.group(1) if fixed else "", "rust"),
            (name,),
        )
    elif go:
        ident, what, module, have, repaired = go.groups()
        yield vulnerability(
            scene,
            document,
            document.index_at(go.start()),
            f"Vulnerable Go module: {module} {have} ({ident}: {quoted(what, 140)}; fixed in {repaired})",
            0.96,
            upgrade(module, have, repaired, "go"),
            (module,),
        )
    elif gosec:
        file, line, rule, what = gosec.groups()
        yield vulnerability(
            scene,
            document,
            document.index_at(gosec.start()),
            f"gosec finds insecure code in {scene.in_release(file)}:{line}: {rule} {what.strip()}",
            0.95,
            _code_fix(scene.in_release(file), line, rule, what),
            (scene.in_release(file),),
        )
    elif brakeman:
        what, file, line = brakeman.groups()
        yield vulnerability(
            scene,
            document,
            document.index_at(brakeman.start()),
            f"Brakeman finds {what} in {file}:{line}",
            0.94,
            _code_fix(file, line, what, what),
            (file,),
        )
    elif semgrep:
        index = document.index_at(semgrep.start(1))
        file = next(
            (
                m.group(1)
                for back in range(index, -1, -1)
                if (
                    m := re.match(
                        r"^\s{0,6}([\w./-]+\.\w{1,5}|(?:[\w./-]*/)?(?:Dockerfile|Containerfile|Makefile)[\w.-]*)\s*$",
                        document.lines[back],
                    )
                )
            ),
            "the sources",
        )
        below = document.window(index + 1, 0, 8)
        line_no = re.search(r"^\s*(\d+)┆", document.window(index + 1, 0, 14), re.MULTILINE)
        yield vulnerability(
            scene,
            document,
            index,
            f"semgrep finds insecure code in {file}{f':{line_no.group(1)}' if line_no else ''}: {semgrep.group(1)}: {quoted(below, 200)}",
            0.93,
            _code_fix(file, line_no.group(1) if line_no else "", semgrep.group(1), below),
            (file,),
        )
    elif owasp and "dependency-check" in document.lower:
        yield vulnerability(
            scene,
            document,
            document.index_at(owasp.start()),
            f"Vulnerable library: {owasp.group(1)} ({owasp.group(2).strip()})",
            0.93,
            upgrade(owasp.group(1), "", "", "java"),
            (owasp.group(1),),
        )


def _code_fix(file: str, line: str, rule: str, what: str) -> tuple[Recommendation, ...]:
    advice = instead(f"{rule} {what}") or f"change the code so that {rule} no longer applies: {quoted(what, 160)}"
    return (
        high(
            f"Fix {file}{f' line {line}' if line else ''} ({rule})",
            advice,
            f"$EDITOR {file}{f' +{line}' if line else ''}",
        ),
        commit(file, f"Fix {rule}"[:60]),
    )


@scene_rule("scanner-summary", "a security step that only says how much it found")
def summary(scene: Scene) -> Iterable[Hypothesis]:
    """An id or a count of vulnerabilities without a format that is known."""
    document = scene.step
    if document is None or scene.step_type != "security" or scene.evidence.exit_code in (0, None):
        return
    ident = re.search(ADVISORY, document.text)
    count = re.search(
        r"(?:found|detected)[^\n]{0,30}?(\d+)[^\n]{0,40}(?:vulnerabilit|issue|finding|leak|secret)|(\d+) (?:known )?vulnerabilit",
        document.text,
        re.IGNORECASE,
    )
    main = ident or count
    if main is None:
        return
    index = document.index_at(main.start())
    yield Hypothesis(
        VULNERABLE,
        f"The security step finds a vulnerability: {quoted(document.lines[index])}",
        0.66,
        (
            high(
                "Fix what the scanner names",
                f"{quoted(document.lines[index])}: upgrade the package or change the code",
                "",
            ),
        ),
        (Citation(f"step_output:{document.number(index)}", document.lines[index].strip()),),
        scene.step_name,
    )
