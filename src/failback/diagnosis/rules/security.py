"""Security scanners: the worst finding with its package or place, and the version that fixes it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.model.diagnosis import FailureType, Recommendation

VULNERABLE = FailureType.VULNERABILITY_FOUND
ADVISORY = r"CVE-\d{4}-\d+|GHSA-[\w-]+|PYSEC-\d{4}-\d+|RUSTSEC-\d{4}-\d+|GO-\d{4}-\d+"
# Scanner's rule -> what to do instead (bandit's and semgrep's documentation).
_INSTEAD = (
    (r"runs?-as-root|USER root|missing-user|privileged", "add a USER line with an unprivileged user to the Dockerfile (non-root), and drop privileges"),
    (r"B60[2-7]|shell=True|subprocess|os\.system", "pass an argument list without shell=True (shlex.quote for what must go through a shell)"),
    (r"B10[5-7]|hardcoded[_ -]password|hardcoded|secret", "move the password or key out of the code into a Secret or environment variable, and rotate it"),
    (r"B506|yaml[._]load", "use yaml.safe_load (SafeLoader) instead of yaml.load"),
    (r"B324|B303|md5|sha1", "use hashlib.sha256, or usedforsecurity=False when it protects nothing"),
    (r"B202|extractall", "validate the members, or pass filter='data' to extractall"),
    (r"B608|sql[- ]injection|raw query", "use bound parameters instead of building SQL from strings"),
    (r"B30[1-2]|pickle|deserial", "replace pickle by json for data from outside"),
    (r"B307|eval\b|exec\b", "replace eval/exec by ast.literal_eval or a real parser"),
    (r"B501|verify=False|certificate", "remove verify=False and trust the right CA"),
    (r"B104|0\.0\.0\.0", "bind to a given address"),
    (r"B108|/tmp", "use tempfile instead of a fixed path in /tmp"),
    (r"B311|random", "use secrets instead of random"),
    (r"B113|timeout", "add timeout= to the request"),
    (r"B201|debug=True", "remove debug=True (never run Flask's debugger in production)"),
    (r"B701|autoescape|xss", "set autoescape=True"),
)  # fmt: skip


def upgrade(package: str, have: str, fixed: str, ecosystem: str) -> tuple[Recommendation, ...]:
    first = fixed.split(",")[0].strip()
    command = {
        "python": f"{package}=={first}" if first else f"pip install --upgrade {package}",
        "node": f"npm install {package}@{first or 'latest'}   # npm audit fix",
        "rust": f"cargo update -p {package} --precise {first}" if first else f"cargo update -p {package}",
        "go": f"go get {package}@{first or 'latest'}",
        "image": f"RUN apt-get update && apt-get upgrade -y {package}   # or a newer base image",
    }.get(ecosystem, f"{package} {first}")
    to = f" to {first} or newer" if first else " to a version without the vulnerability (or replace it)"
    return (
        high(
            f"Upgrade {package}{to}",
            f"{package} {have} has known vulnerabilities: update it{to}, also in the lock file; when another package holds it back, update that one or override the version",
            command,
        ),
        medium(
            "If it does not apply, say so", "Add an ignore with reason and date, so that the finding is not lost", ""
        ),
        commit("the dependency files", f"Upgrade {package}"),
    )


def vulnerability(
    scene: Scene,
    document: Document,
    index: int,
    cause: str,
    certain: float,
    fixes: tuple[Recommendation, ...],
    names: tuple[str, ...],
) -> Hypothesis:
    return Hypothesis(VULNERABLE, cause, certain, fixes, (scene.cite(document, index),), scene.step_name, names=names)


@scene_rule("bandit", "bandit's text report")
def bandit(scene: Scene) -> Iterable[Hypothesis]:
    """Issues by severity: the worst first."""
    document = scene.step
    if document is None or ">> issue:" not in document.lower:
        return
    issues: list[tuple[int, int, str, str, str, str]] = []
    for index in document.hits(">> issue:"):
        block = document.window(index, 0, 8)
        head = re.search(r">> Issue: \[(B\d+):?([\w-]*)\] (.+)", block)
        severity = re.search(r"Severity: (\w+)", block)
        place = re.search(r"Location: (\S+?):(\d+)", block)
        if head and place:
            rank = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}.get(severity.group(1).upper() if severity else "LOW", 2)
            issues.append((rank, index, head.group(1), head.group(3), scene.in_release(place.group(1)), place.group(2)))
    if not issues:
        return
    issues.sort()
    shown = "; ".join(f"{file}:{line} {code} {quoted(what, 110)}" for _, _, code, what, file, line in issues[:4])
    advice = "; ".join(
        dict.fromkeys(text for _, _, code, what, *_ in issues[:4] if (text := instead(f"{code} {what}")))
    )
    worst = issues[0]
    fixes = (
        high(
            f"Fix {worst[4]} line {worst[5]} ({worst[2]})",
            f"{advice or 'Change the code that the scanner names'}: {shown}",
            f"bandit -r {worst[4]}",
        ),
        commit(worst[4], f"Fix {worst[2]}"),
    )
    yield Hypothesis(
        VULNERABLE,
        f"bandit finds {len(issues)} insecure code place{'s' if len(issues) > 1 else ''}: {shown}",
        0.96,
        fixes,
        tuple(scene.cite(document, i) for _, i, *_ in issues[:3]),
        scene.step_name,
        names=(worst[4],),
    )


def instead(text: str) -> str:
    return next((advice for pattern, advice in _INSTEAD if re.search(pattern, text, re.IGNORECASE)), "")


@scene_rule("pip-audit", "pip-audit's and safety's tables")
def pip_audit(scene: Scene) -> Iterable[Hypothesis]:
    """Name, version, id and fix versions in columns."""
    document = scene.step
    if document is None:
        return
    rows = [
        (i, m)
        for i, line in enumerate(document.lines[:20_000])
        if (
            m := re.match(
                rf"^(?P<name>[A-Za-z][\w.-]*)\s+(?P<have>\d[\w.+-]*)\s+(?P<id>{ADVISORY})\s*(?P<fix>[\d][\w.,+ -]*)?",
                line,
            )
        )
    ]
    safety = re.search(r"Vulnerability found in ([\w.-]+) version ([\w.]+)", document.text)
    if rows:
        index, main = rows[0]
        names = list(dict.fromkeys(m.group("name") for _, m in rows))
        fixed = _highest([m.group("fix") or "" for _, m in rows if m.group("name") == main.group("name")])
        shown = "; ".join(
            f"{m.group('name')} {m.group('have')} ({m.group('id')}{', fixed in ' + m.group('fix').strip() if m.group('fix') else ''})"
            for _, m in rows[:5]
        )
        fixes = [
            fix
            for name in names[:3]
            for fix in upgrade(
                name,
                next(m.group("have") for _, m in rows if m.group("name") == name),
                _highest([m.group("fix") or "" for _, m in rows if m.group("name") == name]),
                "python",
            )[:1]
        ]
        yield vulnerability(
            scene,
            document,
            index,
            f"Vulnerable Python package{'s' if len(names) > 1 else ''}: {shown}",
            0.96,
            (*fixes, *upgrade(main.group("name"), main.group("have"), fixed, "python")[1:]),
            tuple(names[:2]),
        )
    elif safety:
        name, have = safety.groups()
        ident = re.search(ADVISORY, document.text)
        yield vulnerability(
            scene,
            document,
            0,
            f"Vulnerable Python package: {name} {have}{' (' + ident.group(0) + ')' if ident else ''}",
            0.93,
            upgrade(name, have, "", "python"),
            (name,),
        )


def _highest(versions: list[str]) -> str:
    flat = [v.strip() for entry in versions for v in entry.split(",") if v.strip()]
    return max(flat, key=lambda v: [int(p) if p.isdigit() else 0 for p in re.split(r"[.+-]", v)], default="")


@scene_rule("npm-audit", "npm audit, yarn audit, pnpm audit")
def npm_audit(scene: Scene) -> Iterable[Hypothesis]:
    """A package with its range, severity and advisory."""
    document = scene.step
    if document is None or ("severity" not in document.lower and "vulnerabilit" not in document.lower):
        return
    npm = [
        (document.index_at(m.start()), m)
        for m in re.finditer(
            r"^(?P<name>(?:@[\w.-]+/)?[\w.-]+)  (?P<have>[<>=*\d][^\n]*)\nSeverity: (?P<sev>\w+)\n(?P<what>[^\n]+)",
            document.text,
            re.MULTILINE,
        )
    ]
    if npm:
        order = {"critical": 0, "high": 1, "moderate": 2, "low": 3}
        npm.sort(key=lambda pair: order.get(pair[1].group("sev"), 4))
        index, main = npm[0]
        shown = "; ".join(
            f"{m.group('name')} {m.group('have')} ({m.group('sev')}: {quoted(m.group('what'), 110)})"
            for _, m in npm[:4]
        )
        yield vulnerability(
            scene,
            document,
            index,
            f"Vulnerable npm package{'s' if len(npm) > 1 else ''}: {shown}",
            0.96,
            upgrade(main.group("name"), main.group("have"), "", "node"),
            (main.group("name"),),
        )
        return
    table = re.search(
        r"│ (?:critical|high|moderate|low)\s+│ ([^│]+)│[\s\S]{0,400}?│ Package\s+│ (\S+)(?:[\s\S]{0,300}?│ Patched (?:in|versions)\s+│ (\S+))?",
        document.text,
    )
    if table:
        name, fixed = table.group(2), (table.group(3) or "").lstrip(">=")
        yield vulnerability(
            scene,
            document,
            document.index_at(table.start()),
            f"Vulnerable npm package: {name} ({table.group(1).strip()}{', patched in ' + fixed if fixed else ''})",
            0.95,
            upgrade(name, "", fixed, "node"),
            (name,),
        )


@scene_rule("image-scan", "trivy's and grype's tables")
def image_scan(scene: Scene) -> Iterable[Hypothesis]:
    """Library, id, severity, installed and fixed version."""
    document = scene.step
    if document is None:
        return
    order = {"CRITICAL": 0, "HIGH": 1, "MEDIUM": 2, "LOW": 3, "UNKNOWN": 4}
    rows: list[tuple[int, int, str, str, str, str, str]] = []
    name = ""
    for index, line in enumerate(document.lines[:20_000]):
        trivy = re.match(
            rf"^[│|]\s*(?P<name>[^│|]*?)\s*[│|]\s*(?P<id>{ADVISORY}|AVD-[\w-]+)\s*[│|]\s*(?P<sev>[A-Z]*)\s*[│|]\s*(?P<state>\w*)\s*[│|]?\s*(?P<have>[^│|\s]*)\s*[│|]\s*(?P<fix>[^│|]*?)\s*[│|]",
            line,
        )
        grype = re.match(
            rf"^(?P<name>\S+)\s+(?P<have>\S+)\s+(?P<fix>[\d][\w.:+~, -]*?|\(won't fix\))?\s+(?P<type>python|npm|deb|apk|rpm|java-archive|go-module|gem|binary)\s+(?P<id>{ADVISORY})\s+(?P<sev>\w+)",
            line,
        )
        match = trivy or grype
        if match:
            name = re.sub(r" \(.*\)$", "", match.group("name").strip()) or name
            rows.append(
                (
                    order.get(match.group("sev").upper(), 4),
                    index,
                    name,
                    match.group("have"),
                    match.group("id"),
                    (match.group("fix") or "").strip(),
                    match.group("sev").upper(),
                )
            )
    if not rows:
        return
    rows.sort()
    shown = "; ".join(
        f"{n} {have} ({ident}, {sev}{', fixed in ' + fix if fix else ''})"
        for _, _, n, have, ident, fix, sev in rows[:4]
    )
    worst = rows[0]
    ecosystem = (
        "python"
        if re.search(r"python-pkg|requirements|poetry|Pipfile", document.text)
        else "node"
        if "package-lock" in document.text or "node-pkg" in document.text
        else "image"
    )
    yield vulnerability(
        scene,
        document,
        worst[1],
        f"Vulnerable package{'s' if len(rows) > 1 else ''} in the image or release: {shown}",
        0.96,
        upgrade(worst[2], worst[3], worst[5], ecosystem),
        (worst[2],),
    )


@scene_rule("secret-scan", "gitleaks, trufflehog, detect-secrets")
def secret_scan(scene: Scene) -> Iterable[Hypothesis]:
    """A secret in the code or history."""
    document = scene.step
    if document is None:
        return
    leak = re.search(
        r"RuleID:\s+(?P<rule>\S+)[\s\S]{0,300}?File:\s+(?P<file>\S+)(?:\s+Line:\s+(?P<line>\d+))?", document.text
    )
    hog = re.search(
        r"Detector Type: (?P<rule>\w+)[\s\S]{0,400}?File: (?P<file>\S+)(?:\s+Line: (?P<line>\d+))?", document.text
    )
    baseline = re.search(r"Secret Type:\s+(?P<rule>[^\n]+)\nLocation:\s+(?P<file>\S+?):(?P<line>\d+)", document.text)
    match = leak or hog or baseline
    count = re.search(r"leaks found: (\d+)", document.text)
    if match is None:
        if count:
            yield vulnerability(
                scene,
                document,
                document.index_at(count.start()),
                f"The secret scanner finds {count.group(1)} leaked secret(s) in the repository: {quoted(document.lines[document.index_at(count.start())])}",
                0.85,
                _leak_fixes("the file that the report names", ""),
                (),
            )
        return
    file, line = scene.in_release(match.group("file")), match.group("line") or ""
    yield vulnerability(
        scene,
        document,
        document.index_at(match.start()),
        f"A secret stands in the code: {match.group('rule').strip()} in {file}{f':{line}' if line else ''} (secret scanner)",
        0.96,
        _leak_fixes(f"{file}{f' line {line}' if line else ''}", match.group("rule").strip()),
        (file,),
    )


def _leak_fixes(place: str, rule: str) -> tuple[Recommendation, ...]:
    return (
        high(
            f"Revoke and rotate the secret in {place}",
            f"The secret ({rule or 'key or password'}) counts as leaked: revoke it, create a new one, and read it from the environment or a secret store",
            "export API_KEY=...   # from the secret store, never from the repository",
        ),
        high(
            f"Remove it from {place} and from the history",
            "Delete it from the file and rewrite the history, so that old commits do not hold it",
            f"git filter-repo --path {place.split(' ')[0]} --invert-paths",
        ),
    )
