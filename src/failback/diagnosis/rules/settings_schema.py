"""Settings that a schema checks: pydantic, zod, lists of variables, Spring's placeholders."""

from __future__ import annotations

import itertools
import re

from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.settings import set_variable
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.rules.settings import COMMON_WORDS
from failback.model.diagnosis import FailureType


@line_rule(
    "validation-fields",
    "validation error",
    r"(?P<count>\d+) validation errors? for (?P<model>\w+)",
    source="pydantic's ValidationError",
)
def pydantic(hit: Hit) -> Hypothesis | None:
    """pydantic-settings: fields that are required and absent, or have a wrong value."""
    below = hit.document.lines[hit.index + 1 : hit.index + 40]
    fields: list[tuple[str, str]] = []
    for field, reason in itertools.pairwise(below):
        if re.fullmatch(r"[\w.\[\]-]+", field) and reason.startswith("  "):
            fields.append((field, reason.strip()))
    if not fields:
        return None
    settings = (
        (hit.trace is not None and any("settings" in p for p in hit.trace.packages()))
        or "Settings" in hit.get("model")
        or "Config" in hit.get("model")
    )
    absent = [
        name for name, why in fields if "Field required" in why or "type=missing" in why or "field required" in why
    ]
    if absent:
        names = ", ".join(absent)
        upper = absent[0].upper()
        where = "environment or settings file" if settings else "input"
        first, *rest = set_variable(upper, hit.scene)
        fix = high(
            f"Set {upper} ({absent[0]})",
            f"Define {names} in the {where}: {hit.get('model')} declares it as required, without a default. {first.description}",
            first.example,
        )
        return Hypothesis(
            FailureType.MISSING_CONFIGURATION,
            f"Required setting {names} of {hit.get('model')} is missing: no environment variable {', '.join(a.upper() for a in absent)} is set{hit.at}: {quoted(fields[0][1])}",
            0.93 if settings else 0.8,
            (fix, *rest),
            citations=hit.cited(hit.index + 1, hit.index + 2),
            names=(*tuple(absent), upper),
            facts={"variable": upper},
        )
    shown = "; ".join(f"{name}: {why}" for name, why in fields[:3])
    upper = fields[0][0].upper()
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION if settings else FailureType.CODE_ERROR,
        f"Invalid value of the setting {fields[0][0]} ({upper}) in {hit.get('model')}{hit.at}: {quoted(shown)}",
        0.9 if settings else 0.62,
        (
            high(
                f"Correct the value of {upper}",
                f"{fields[0][0]} ({upper}) must be a valid value: {quoted(fields[0][1], 160)}. Set it to a value of the right type and format in the environment",
                f"{upper}=<valid value>",
            ),
        ),
        citations=hit.cited(hit.index + 1, hit.index + 2),
        names=(fields[0][0], upper),
    )


@line_rule(
    "placeholder-unresolved",
    "could not resolve placeholder|unresolved placeholder",
    r"Could not resolve placeholder '(?P<name>[^']+)'(?: in value \"(?P<value>[^\"]*)\")?",
    source="Spring's PropertySourcesPlaceholderConfigurer",
)
def placeholder(hit: Hit) -> Hypothesis | None:
    """Spring: a property that no source defines."""
    name = hit.get("name")
    variable = re.sub(r"[^A-Za-z0-9]+", "_", name).upper()
    first, *rest = set_variable(variable, hit.scene)
    fix = high(
        f"Define the property {name} (environment variable {variable})",
        f"Set {variable}, or add {name} to application.properties or application.yml of the active profile",
        f"{first.example}\n# or in application.yml: {name}: <value>",
    )
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"The property {name} (environment variable {variable}) is not set: {hit.line}",
        0.95,
        (fix, *rest),
        names=(name, variable),
        facts={"variable": variable},
    )


_LISTED = re.compile(
    r"^[\s\-*•·>|x✖×❌\d.)]*[`'\"]?(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{3,})[`'\"]?\s*(?::|=|-|–|\(|$)\s*(?P<why>.*)$"
)


@line_rule(
    "variables-listed",
    "variables|env vars|settings|configuration|config|required keys|secrets",
    r"(?:[Mm]issing|[Uu]nset|[Uu]ndefined|[Rr]equired|[Ii]nvalid|not set|must be set|following)[^\n]{0,60}(?:variables?|vars?|settings?|config\w*|keys|secrets?)\b[^\n]{0,40}:?\s*$",
    source="checks of settings that print a heading and then one name a line (envalid, dotenv-safe, own checks)",
)
def listed(hit: Hit) -> Hypothesis | None:
    """A heading, then the names of the variables."""
    names: list[tuple[str, str]] = []
    if "new format" in hit.line or "rename" in hit.document.window(hit.index, 1, 0):
        return None
    for line in hit.document.lines[hit.index + 1 : hit.index + 9]:
        match = _LISTED.match(line)
        if match and match.group("name") not in COMMON_WORDS:
            names.append((match.group("name"), match.group("why")))
        elif names:
            break
    if not names:
        return None
    invalid = "nvalid" in hit.line and not all("undefined" in why or "required" in why.lower() for _, why in names)
    shown = "; ".join(f"{name} {why}".strip() for name, why in names[:5])
    first = names[0][0]
    if invalid:
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION,
            f"Settings in the environment have invalid values: {shown}: {hit.line}",
            0.92,
            (high(f"Correct the value of {first}", f"Set {', '.join(n for n, _ in names)} to valid values: {shown}", f"{first}=<valid value>"),),
            names=tuple(n for n, _ in names[:4]),
        )  # fmt: skip
    fix, *rest = set_variable(first, hit.scene)
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"Environment variables are not set (missing): {', '.join(n for n, _ in names)}: {hit.line}",
        0.94,
        (high(f"Set {', '.join(n for n, _ in names)}", fix.description, fix.example), *rest),
        names=tuple(n for n, _ in names[:4]),
        facts={"variable": first},
    )


@line_rule(
    "zod",
    'zoderror|invalid_type|"path": [|"code": "|code: \'invalid|code: \'too_|code: \'custom|code: \'unrecognized',
    r"ZodError: ?\[?|\"code\": \"(?:invalid_type|invalid_enum_value|too_small|too_big|invalid_string|invalid_format|invalid_value|custom|unrecognized_keys)\"|\bcode: '(?:invalid_type|invalid_enum_value|too_small|too_big|invalid_string|invalid_format|invalid_value|custom|unrecognized_keys)'",
    source="zod's list of issues",
    most=1,
)
def zod(hit: Hit) -> Hypothesis | None:
    """zod: each issue has a path and a message."""
    below = hit.document.window(hit.index, 4, 40)
    paths = re.findall(r"\"?path\"?: \[\s*[\"']?([^\"'\]]+?)[\"']?\s*\]", below)
    messages = re.findall(r"\"?message\"?: [\"']([^\"'\n]+)[\"']", below)
    if not paths:
        return None
    absent = "undefined" in below or any(m == "Required" for m in messages)
    setting = paths[0].isupper() or re.search(r"env|config|settings", hit.place + below[-800:], re.IGNORECASE)
    shown = "; ".join(f"{p}: {m}" for p, m in zip(paths[:4], messages, strict=False))
    kind = (
        FailureType.CODE_ERROR
        if not setting
        else FailureType.MISSING_CONFIGURATION
        if absent
        else FailureType.INVALID_CONFIGURATION
    )
    fixes = (
        set_variable(paths[0], hit.scene)
        if absent and setting
        else (
            high(
                f"Correct the value of {paths[0]}",
                f"Set {paths[0]} to a value that the schema accepts: {shown}",
                f"{paths[0]}=<valid value>",
            ),
        )
    )
    return Hypothesis(
        kind,
        f"The setting {paths[0]} is {'missing (not set)' if absent else 'invalid'}{hit.at}: {shown}",
        0.93 if setting else 0.7,
        tuple(fixes),
        names=tuple(paths[:3]),
    )
