"""Linters, formatters and type checkers: the first finding, its rule and place."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.model.diagnosis import FailureType

_Q = FailureType.QUALITY_VIOLATION
# Tool -> (pattern of a finding, command that repairs or shows it). Groups: file, line, code, what.
_FINDINGS = (
    ("mypy", r"^(?P<file>[\w./-]+\.pyi?):(?P<line>\d+)(?::\d+)?: error: (?P<what>.+?)(?:  \[(?P<code>[\w-]+)\])?$", "mypy {file}"),
    ("pyright", r"^\s*(?P<file>[\w./-]+\.py):(?P<line>\d+):\d+ - error: (?P<what>.+?)(?: \((?P<code>report\w+)\))?$", "pyright {file}"),
    ("ruff", r"^(?P<code>[A-Z]{1,4}\d{2,4}|invalid-syntax):? (?:\[\*\] )?(?P<what>.+)\n\s*--> (?P<file>[^:\s]+):(?P<line>\d+)", "ruff check --fix {file}"),
    ("pylint", r"^(?P<file>[\w./-]+\.py):(?P<line>\d+):\d+: (?P<code>[CRWEF]\d{4}): (?P<what>.+)$", "pylint {file}"),
    ("flake8", r"^(?P<file>[\w./-]+\.py):(?P<line>\d+):\d+: (?P<code>[A-Z]{1,4}\d{2,4}):? (?:\[\*\] )?(?P<what>.+)$", "flake8 {file}   # ruff check --fix {file}"),
    ("shellcheck", r"^In (?P<file>\S+) line (?P<line>\d+):\n[^\n]*\n[^\n]*(?P<code>SC\d+)(?: \(\w+\))?: (?P<what>.+)", "shellcheck {file}"),
    ("hadolint", r"^(?P<file>\S*[Dd]ockerfile\S*):(?P<line>\d+) (?P<code>(?:DL|SC)\d+) (?:\w+: )?(?P<what>.+)$", "hadolint {file}"),
    ("golangci-lint", r"^(?P<file>[\w./-]+\.go):(?P<line>\d+)(?::\d+)?: (?P<what>.+?) \((?P<code>[\w-]+)\)$", "golangci-lint run {file}"),
    ("clippy", r"^(?:error|warning): (?P<what>.+)\n\s*--> (?P<file>[^:\s]+\.rs):(?P<line>\d+)(?=[\s\S]{0,900}?clippy::(?P<code>\w+))", "cargo clippy --fix"),
    ("checkstyle", r"\[(?:ERROR|WARN)\] (?P<file>\S+\.java):(?P<line>\d+)(?::\d+)?: (?P<what>.+?) \[(?P<code>\w+)\]", "mvn checkstyle:check"),
    ("checkstyle", r"\[ERROR\] (?P<file>\S+\.java):\[(?P<line>\d+)(?:,\d+)?\] \((?P<cat>\w+)\) (?P<code>\w+): (?P<what>.+)", "mvn checkstyle:check"),
    ("rubocop", r"^(?P<file>[\w./-]+\.rb):(?P<line>\d+):\d+: (?P<cat>[CWEF]): (?:\[\w+\] )?(?P<code>[\w/]+): (?P<what>.+)$", "rubocop -a {file}"),
    ("phpstan", r"^\s*(?P<line>\d+)\s{2,}(?P<what>[A-Z\\].+)$(?=[\s\S]{0,4000}\[ERROR\] Found)", "vendor/bin/phpstan analyse"),
    ("stylelint", r"^\s+(?P<line>\d+):\d+\s+[✖×]\s+(?P<what>.+?)\s{2,}(?P<code>[\w/-]+)$", "npx stylelint --fix"),
    ("yamllint", r"^\s+(?P<line>\d+):\d+\s+error\s+(?P<what>.+?)\s+\((?P<code>[\w-]+)\)$", "yamllint ."),
    ("tsc", r"^(?P<file>[\w./-]+\.tsx?)[(:](?P<line>\d+)[,:]\d+\)?(?:: | - )error (?P<code>TS\d+): (?P<what>.+)$", "npx tsc --noEmit"),
    ("sqlfluff", r"^L:\s*(?P<line>\d+) \| P:\s*\d+ \| (?P<code>\w+) \| (?P<what>.+)$", "sqlfluff fix {file}"),
    ("ktlint", r"^(?P<file>\S+\.kts?):(?P<line>\d+):\d+:? (?P<what>.+?) \((?P<code>[\w:-]+)\)$", "ktlint -F"),
)  # fmt: skip
_ESLINT = re.compile(
    r"^\s+(?P<line>\d+):\d+\s+(?P<level>error|warning|[✖×])\s+(?P<what>.+?)\s{2,}(?P<code>[@\w/-]+)\s*$|^\s+(?P<line2>\d+):\d+\s+error\s+(?P<what2>Parsing error: .+)$"
)
_TOOL_STEPS = ("quality", "test", "build", "security", "verify", "docker")


@scene_rule("linter", "the linters' and type checkers' own formats")
def linter(scene: Scene) -> Iterable[Hypothesis]:
    """Every tool prints file, line, rule and message; the form tells which tool."""
    document = scene.step
    if document is None or scene.evidence.exit_code == 0 or scene.step_type not in _TOOL_STEPS:
        return
    text = document.text[:400_000]
    certain = 0.95 if scene.step_type == "quality" else 0.72
    for tool, pattern, command in _FINDINGS:
        found = list(_first(re.finditer(pattern, text, re.MULTILINE), 40))
        if not found or (tool == "phpstan" and "phpstan" not in document.lower and "[ERROR] Found" not in text):
            continue
        if tool == "mypy" and any("note:" in m.group(0) for m in found):
            found = [m for m in found if "note:" not in m.group(0)] or found
        yield _finding(scene, document, tool, found, command, certain)
        return


def _first(matches: Iterable[re.Match[str]], count: int) -> Iterable[re.Match[str]]:
    for number, match in enumerate(matches):
        if number >= count:
            return
        yield match


def _finding(
    scene: Scene, document: Document, tool: str, found: list[re.Match[str]], command: str, certain: float
) -> Hypothesis:
    main = found[0]
    groups = [m.groupdict() for m in found]
    file = scene.in_release(groups[0].get("file") or "") or _above_file(document, document.index_at(main.start()))
    shown = [
        f"{scene.in_release(g.get('file') or '') or file}:{g.get('line')} {g.get('what', '').strip()}{f' [{code}]' if (code := g.get('code') or '') else ''}"
        for g in groups[:4]
    ]
    more = f" (and {len(found) - 4} more)" if len(found) > 4 else ""
    codes = ", ".join(dict.fromkeys(g.get("code") or "" for g in groups[:4] if g.get("code")))
    repair = command.format(file=file)
    line = groups[0].get("line")
    return Hypothesis(
        _Q,
        f"{tool} finds {len(found)} problem{'s' if len(found) > 1 else ''}: {quoted('; '.join(shown), 420)}{more}",
        certain,
        (
            high(
                f"Fix {file}:{line} ({codes or tool})",
                f"{quoted('; '.join(shown), 360)}. Correct the code (type, name, import or style) at these lines; what the tool can repair itself it does with --fix",
                repair,
            ),
            medium("Run the linter before each commit", "A pre-commit hook finds it earlier", "pre-commit install"),
            commit(file, f"Fix {codes or tool}"),
        ),
        citations=tuple(
            scene.cite(document, document.index_at(m.start() + (len(m.group(0)) - len(m.group(0).lstrip()))))
            for m in found[:3]
        ),
        component=scene.step_name,
        names=(file,),
    )


def _above_file(document: Document, index: int) -> str:
    for back in range(index, max(index - 60, -1), -1):
        match = re.match(r"^\s*(?:Line\s+|== \[)?(/?[\w./@-]+\.\w+)(?:\] \w+)?\s*$", document.lines[back])
        if match:
            return match.group(1)
    return "the sources"


@scene_rule("eslint", "ESLint's stylish format")
def eslint(scene: Scene) -> Iterable[Hypothesis]:
    """ESLint: a file, then its findings; errors before warnings."""
    document = scene.step
    if document is None or ("problem" not in document.lower and "eslint" not in document.lower):
        return
    rows: list[tuple[int, str, str, str, str]] = []
    file = ""
    for index, line in enumerate(document.lines[:20_000]):
        if line and not line[0].isspace() and re.match(r"^(?:[A-Z]:)?[\w./\\@-]+\.[\w]+$", line.strip()):
            file = scene.in_release(line.strip())
        match = _ESLINT.match(line) if line.startswith(" ") else None
        if match and match.group("level") != "warning":
            rows.append(
                (
                    index,
                    file,
                    match.group("line") or match.group("line2"),
                    match.group("what") or match.group("what2"),
                    match.group("code") or "parsing",
                )
            )
    if not rows:
        return
    shown = "; ".join(f"{f}:{n} {what} ({code})" for _, f, n, what, code in rows[:5])
    rules = ", ".join(dict.fromkeys(code for *_, code in rows[:5]))
    yield Hypothesis(
        _Q,
        f"ESLint finds {len(rows)} error{'s' if len(rows) > 1 else ''}: {quoted(shown, 480)}",
        0.95 if scene.step_type == "quality" else 0.85,
        (
            high(
                f"Fix {rows[0][1]} ({rules})",
                f"{quoted(shown, 400)}: define or import what is not defined, remove what is not used; eslint --fix repairs what it can",
                f"npx eslint --fix {rows[0][1]}",
            ),
            commit(rows[0][1], "Fix lint errors"),
        ),
        citations=tuple(scene.cite(document, index) for index, *_ in rows[:3]),
        component=scene.step_name,
        names=(rows[0][1],),
    )


@scene_rule("formatter", "black, prettier, gofmt, rustfmt, isort, ruff format, clang-format, terraform fmt")
def formatter(scene: Scene) -> Iterable[Hypothesis]:
    """Files that the formatter would change."""
    document = scene.step
    if document is None:
        return
    patterns = (
        ("black", r"^would reformat (\S+)", "black {files}"),
        ("ruff format", r"^Would reformat: (\S+)", "ruff format {files}"),
        ("prettier", r"^\[warn\] (\S+\.\w+)$", "npx prettier --write {files}"),
        ("isort", r"^ERROR: (\S+) Imports are incorrectly sorted", "isort {files}"),
        ("rustfmt", r"^Diff in (\S+?)(?:\:\d+| at line \d+):?", "cargo fmt"),
        ("clang-format", r"^(\S+?):\d+:\d+: (?:error|warning): code should be clang-formatted", "clang-format -i {files}"),
        ("spotless", r"The following files had format violations:\n\s+(\S+)", "./gradlew spotlessApply"),
        ("dotnet format", r"^(\S+?)\(\d+,\d+\): error WHITESPACE", "dotnet format"),
    )  # fmt: skip
    for tool, pattern, command in patterns:
        files = list(dict.fromkeys(m.group(1) for m in _first(re.finditer(pattern, document.text, re.MULTILINE), 50)))
        if not files:
            continue
        files = [scene.in_release(file) for file in files]
        shown = ", ".join(files[:4])
        index = next((i for i in document.hits(files[0].lower())), 0)
        yield Hypothesis(_Q, f"{tool} would reformat {len(files)} file{'s' if len(files) > 1 else ''}: {shown} (code style, formatting): {quoted(document.lines[index], 120)}", 0.95 if scene.step_type == "quality" else 0.8,
                         (high(f"Format {shown}", f"Run {tool} on {shown} and commit the result", command.format(files=" ".join(files[:6]))), commit(" ".join(files[:4]), "Format")), citations=(scene.cite(document, index),), component=scene.step_name, names=tuple(files[:1]))  # fmt: skip
        return
    if (scene.step_type == "quality" and "gofmt" in document.lower) or (
        scene.step_type == "quality" and re.fullmatch(r"(?:[\w./-]+\.go\n?)+", document.text.strip() or "x")
    ):
        files = re.findall(r"^([\w./-]+\.go)$", document.text, re.MULTILINE)
        if files:
            yield Hypothesis(
                _Q,
                f"gofmt would reformat {', '.join(files[:4])} (formatting)",
                0.85,
                (
                    high(
                        f"Format {', '.join(files[:4])}",
                        "Run gofmt and commit the result",
                        f"gofmt -w {' '.join(files[:6])}",
                    ),
                ),
                component=scene.step_name,
            )
