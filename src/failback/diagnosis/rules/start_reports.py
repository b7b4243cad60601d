"""Reports that a framework prints of its own failed start: Spring Boot's description and action, parsers' excerpts."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

REPORT_LINES = 60
# (what the description says, what it means): the first that fits.
_MEANINGS = (
    (r"does not exist|cannot be found|could not be found(?! or)|no such file", FailureType.MISSING_FILE),
    (
        r"attribute is not specified|must not be (?:blank|null|empty)|Value: \"(?:null|)\"|is not set|is required|required property|must be specified|must be set",
        FailureType.MISSING_CONFIGURATION,
    ),
    (
        r"method that does not exist|incompatible version|was compiled (?:with|against)|not compatible|Spring Boot \[",
        FailureType.VERSION_INCOMPATIBILITY,
    ),
    (
        r"failed to bind|binding to target|Reason: |invalid value|could not be parsed|unbound|not a valid|mutually exclusive|inactive",
        FailureType.INVALID_CONFIGURATION,
    ),
    (r"port .*in use", FailureType.PORT_CONFLICT),
)


@line_rule(
    "spring-report",
    "application failed to start",
    r"APPLICATION FAILED TO START",
    source="Spring Boot's failure analyzers: a description and an action",
    most=1,
)
def spring_report(hit: Hit) -> Hypothesis | None:
    """Any analysis of Spring Boot: what it describes gives the type, its action the fix."""
    below = hit.document.lines[hit.index + 1 : hit.index + REPORT_LINES]
    said, action = _section(below, "Description:"), _section(below, "Action:")
    if not said or re.search(r"required a (?:single )?bean|form a cycle|Failed to configure a DataSource", said):
        return None
    kind = next((kind for words, kind in _MEANINGS if re.search(words, said, re.IGNORECASE)), FailureType.CODE_ERROR)
    named = re.search(r"Property: ([\w.\[\]-]+)", said) or re.search(r"(/[\w./-]+\.\w+)|'([\w./-]+)'", said)
    name = next((part for part in named.groups() if part), "") if named else ""
    variable = re.sub(r"[^A-Za-z0-9]+", "_", name).upper()
    setting = bool(re.search(r"Property: ", said))
    shown = f"{name} (environment variable {variable})" if setting else name
    verb = {FailureType.MISSING_CONFIGURATION: "Set", FailureType.MISSING_FILE: "Create or mount"}.get(kind, "Correct")
    return Hypothesis(
        kind,
        f"The application failed to start: {quoted(said, 300)}{' (missing: it is not set)' if kind is FailureType.MISSING_CONFIGURATION else ''}",
        0.86,
        (
            high(
                f"{verb} {shown or 'what the description names'}",
                f"{quoted(action, 240) or 'Correct what the description names'} {quoted(said, 160)}",
                f"{variable}=<value>" if setting else "",
            ),
        ),
        names=(name, variable) if name else (),
    )


def _section(lines: list[str], heading: str) -> str:
    """The text under a heading of the report, up to the next one."""
    start = next((number for number, line in enumerate(lines) if line.strip() == heading), None)
    if start is None:
        return ""
    taken: list[str] = []
    for line in lines[start + 1 :]:
        if line.strip() in ("Action:", "Description:") or re.match(r"\d{4}-\d\d-\d\d|\tat ", line):
            break
        taken.append(line.strip())
    return " ".join(part for part in taken if part)


ROWS = (
    row(
        "value-not-convertible",
        "failed to convert value|failed to convert property|cannot convert value|no converter found|failed to bind properties",
        r"(?:through (?:field|method|constructor parameter) '?(?P<f>[\w.]+)'?[^\n]*)?Failed to convert (?:property )?value of type '(?P<from>[\w.]+)' to required type '(?P<to>[\w.]+)'[^\n]*?(?:[Ff]or input string: |[Vv]alue |value \[)\"?(?P<v>[^\"\]\n]+)",
        FailureType.INVALID_CONFIGURATION,
        "The value {v} cannot be converted to {to}, which the field {f} wants: the property that it is taken from is wrong (invalid)",
        "Set the property of {f} to a value that is a {to}, instead of {v}",
        "Correct the value {v} in application.properties, application.yml or the environment variable (the property that @Value or @ConfigurationProperties gives to {f})",
        "{f}=3   # a valid {to}",
        source="Spring's type conversion of properties",
        sure=0.96,
        steps="deploy|verify|",
    ),
    row(
        "parse-position-shown",
        "parse error at line|parsing error at line|error at line",
        r"(?:(?:pars|load|read|decod|deserializ)\w*[^\n]*?(?P<file>[\w./-]+\.\w{2,10})[^\n]*\n(?:[^\n]*\n){0,3}?)?[^\n]*?(?P<what>(?:TOML|YAML|JSON|INI|RON|HCL) (?:parse|parsing)? ?error at line (?P<n>\d+)(?:, column (?P<c>\d+))?)[^\n]*\n\s*\|\s*\n\s*\d+ \| (?P<code>[^\n]+)\n[^\n]*\^[^\n]*\n\s*(?P<why>[^\n]+)",
        FailureType.INVALID_CONFIGURATION,
        "The configuration {file} is invalid in line {n}: `{code}`: {why}",
        "Correct line {n} of {file}: {code}",
        "Change the value or syntax in {file} (line {n}, column {c}: {code}) to what is expected, or add (set, define) what is missing: {why}",
        "{code}",
        source="Rust's toml, figment and config: an excerpt with a caret and the reason below it",
        sure=0.95,
        steps="deploy|verify|",
        before=3,
        lines=7,
    ),
    row(
        "daemon-entry-unknown",
        "unknown entry|unknown keyword|unknown directive|unknown configuration|unrecognized directive|unknown parameter|unknown setting|unknown config|bad configuration option|unsupported option|[pool ",
        r"\[?(?P<file>[\w./-]+\.(?:conf|cfg|cnf|ini|d))[:\]](?:\s*line )?(?P<n>\d+)\]?:? (?:[Uu]nknown|[Uu]nrecognized|[Bb]ad|[Uu]nsupported) (?:entry|keyword|directive|parameter|setting|option|key|configuration (?:option|directive|key|parameter))s?:? ?[\"'`]?(?P<a>[\w.\[\]-]+)|\[pool (?P<p>[\w.-]+)\] (?P<why>(?!cannot get|failed to (?:open|chown)|unable to (?:bind|create|listen)|bind)[^\n]*(?:must|cannot|can't|invalid|unknown|should|is not|are not|greater|less)[^\n]*)|[Bb]ad configuration option: (?P<b>\S+)",
        FailureType.INVALID_CONFIGURATION,
        "The server does not accept its configuration {file} {n}: unknown or invalid: {a}{b}{p} {why}",
        "Correct {a}{b}{p} in the configuration {file} (line {n})",
        "Rename, remove or correct the entry {a}{b} {why} in {file}; look up how this version spells it",
        "grep -n '{a}{b}' {file}",
        source="PHP-FPM, sshd, dnsmasq and other daemons that name file, line and entry",
        sure=0.94,
        steps="deploy|verify|docker|",
    ),
)  # fmt: skip
