"""Exceptions of parsers, by the words in their class: a YAML, JSON, TOML, INI or XML text that the program reads is wrong."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hypothesis, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.diagnosis.table import row
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

MORE_LINES = 7
_CLASS = re.compile(
    r"(?:Parse|Parser|Parsing|Syntax|Scanner|Scan|DuplicateKey|Decode|Tokeniz|Lexer|Malformed)\w*(?:Exception|Error)?$"
)
_FORMAT = re.compile(r"ya?ml|json|toml|\bini\b|xml|dotenv|neon|hocon|hjson|properties", re.IGNORECASE)
_SOURCE = re.compile(r"\.(?:[cm]?[jt]sx?|py|rb|php|twig|html?|s?css|vue|go|rs|java|kt|sql|erb|haml)\b|graphql|sql|template", re.IGNORECASE)  # fmt: skip
_FILE = re.compile(
    r"(?<![\w:])((?:[\w.@~-]*/)*[\w@-]+(?:\.[\w-]+)*\.(?:ya?ml|json5?|toml|ini|xml|env|neon|conf|properties))\b"
)
_FRAME = re.compile(r"\s*(?:at |#\d|from |\.\.\. \d|Caused by|Stack trace|File \")")


@trace_rule(
    "parser-exception",
    "the names that parsers of data formats give to their exceptions",
    "java|php|ruby|dotnet|node|python",
)
def parser_exception(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A file of settings does not parse: what is wrong stands in the message, often in the lines below it."""
    if not _CLASS.search(root.name):
        return None
    said = quoted(f"{root.message} {_more(document, root.line)}", 300)
    around = " ".join([root.type, root.message, *(frame.file for frame in root.frames[:6])])
    form = _FORMAT.search(around)
    frame = trace.own_frame()
    code = frame.code if frame else ""
    file = _FILE.search(said) or _FILE.search(code)
    if form is None or (_SOURCE.search(root.message) and file is None):
        return None
    kind = form.group().upper()
    line = re.search(r"line:? (\d+)", said)
    name = scene.in_release(file.group(1)) if file else ""
    shown = name or f"a {kind} configuration file"
    number = f" line {line.group(1)}" if line else ""
    place = scene.place_of(trace)
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"{shown}{number} is not valid {kind} (syntax error, it cannot be parsed){f', read at {place}' if place else ''}: {root.name}: {said}",
        0.88 if frame or file else 0.84,
        (
            high(
                f"Correct{number} of {name or f'the {kind} file'}",
                f"Fix what the parser points at (quote the value, remove the duplicate key, close the bracket): {said}",
                f"$EDITOR {name}" if name else "",
            ),
        ),
        names=(name,) if name else (),
    )


def _more(document: Document, index: int) -> str:
    """The lines of a message that goes on below its first one, up to the first call."""
    taken: list[str] = []
    for line in document.lines[index + 1 : index + 1 + MORE_LINES]:
        if _FRAME.match(line):
            break
        if line.strip(" ^"):
            taken.append(line.strip())
    return " ".join(taken)


ROWS = (
    row(
        "configuration-key-invalid",
        "invalid pyproject|.toml config: |.cfg config: |.yaml config: |.yml config: |.json config: |non-parseable",
        r"[Ii]nvalid (?P<f>[\w./-]+\.\w{2,10}) config: [`'\"](?P<k>[^`'\"]+)[`'\"](?:[^\n]*\nconfiguration error: [`'\"][^`'\"]+[`'\"] (?P<why>[^\n]+))?|Non-parseable settings (?P<f2>\S+?): (?P<why2>[^\n]+?) +@ \S+ line (?P<n>\d+)",
        FailureType.INVALID_CONFIGURATION,
        "The configuration {f}{f2} is invalid: {k} {why}{why2} (line {n}; it cannot be parsed or has the wrong form)",
        "Correct {k} in {f}{f2} (line {n})",
        "Change {k} to the form that is demanded: {why}{why2} (tables such as authors are lists of objects; tags are closed in the order in which they were opened)",
        "{k} = ...",
        source="validate-pyproject in setuptools; Maven's settings",
        sure=0.95,
        lines=2,
        steps="-quality|security",
    ),
    row(
        "settings-renamed",
        "cannot mix|please rename|rename the|was renamed|has been renamed|old setting",
        r"Cannot mix (?P<a>new and old setting keys)[^\n]*(?:\n[^\n]*){0,6}?\n(?P<k>[A-Z_]{4,}) +-> (?P<v>\w+)|(?P<b>[Pp]lease rename)[^\n]*(?:\n[^\n]*){0,4}?\n(?P<k2>[A-Z_]{4,}) +-> (?P<v2>\w+)",
        FailureType.INVALID_CONFIGURATION,
        "The configuration mixes old and new names of settings: {k}{k2} must be written {v}{v2} ({a}{b})",
        "Rename the setting {k}{k2} to {v}{v2} (and the others that the message lists)",
        "Write all settings in the new form, or all in the old one: {k}{k2} -> {v}{v2}",
        "{v}{v2} = ...",
        source="Celery's settings",
        sure=0.95,
        lines=8,
    ),
    row(
        "cargo-manifest",
        "failed to parse manifest at",
        r"failed to parse manifest at [`'](?P<f>[^`']+)[`']\s+Caused by:\s+(?P<why>(?!TOML|could not parse|invalid TOML)no targets specified[^\n]*(?:\n\s+[^\n]+)?|can't find [`'][^\n]+)",
        FailureType.MISSING_FILE,
        "The source file that {f} needs is missing (src/main.rs or src/lib.rs not found): {why}",
        "Copy src/ before the build: add src/main.rs or src/lib.rs",
        "COPY src ./src in the Dockerfile before cargo build (or an empty src/main.rs for the layer that only caches dependencies), or name the file under [[bin]] or [lib] in {f}",
        "COPY src ./src",
        source="Cargo's targets",
        sure=0.96,
        lines=6,
    ),
    row(
        "configure-error",
        "configure: error:",
        r"configure: error: (?!in [`'])(?P<why>[^\n]*(?:compiler|not found|required|could not find|cannot find|missing|no acceptable|not installed|too old|need)[^\n]*)",
        FailureType.MISSING_DEPENDENCY,
        "configure does not find what it needs (not installed, missing): {why}",
        "Install what configure looks for: {why} (a compiler: gcc, build-essential)",
        "Add the compiler (build-essential, gcc) or the development package (-dev) that the message names to the build image, or correct CC, CFLAGS and PKG_CONFIG_PATH; config.log has the test that failed",
        "RUN apt-get update && apt-get install -y build-essential pkg-config",
        source="autoconf's scripts",
        sure=0.93,
        steps="build|docker|test",
    ),
    row(
        "flag-required",
        "required flag",
        r"[Rr]equired flags?(?:\(s\))?:? [\"'`]?(?P<a>[\w-]+)[\"'`]?(?P<more>(?:, [\"'`]?[\w-]+[\"'`]?)*) (?:is |are )?not (?:set|provided|given)",
        FailureType.MISSING_CONFIGURATION,
        "The required flag --{a} {more} is missing: it is not set in the start command",
        "Pass --{a} {more} in the start command (or set the variable it is read from)",
        "Add --{a}=<value> to the command or args, or provide the environment variable that the program reads for it",
        "args: [\"--{a}=<value>\"]",
        source="cobra, urfave/cli",
        sure=0.96,
        steps="deploy|verify|",
    ),
)  # fmt: skip
