"""Settings: variables that are absent, values and files that are wrong."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.recommend.settings import correct_file, set_variable
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, trace_rule
from failback.diagnosis.rules.files import path_in
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_NAME = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{3,}[A-Z0-9]*"
_VARIABLE = (
    rf"(?:[Ee]nvironment|ENVIRONMENT|env|\bEnv|config(?:uration)?|\bConfig(?:uration)?|required|\bRequired)[\w. ]{{0,40}}?(?:variables?|vars?|settings?|keys?)?\b[^\n]{{0,40}}?[:\s\"'`(\[{{$](?P<after>{_NAME})\b",
    rf"\b(?P<before>{_NAME})[\"'`)\]}}]*:? (?:environment variable|env var|is (?:not set|required|missing|undefined|unset|empty|not defined|not configured)|must be (?:set|provided|defined|specified)|not set|not found\b|was not|has not been|missing|cannot be empty|needs to be|should be set|parameter not set|unbound variable|: unbound)",
    rf"\b(?:missing|set|define|provide|specify|export|no|need|needs|requires?|without)\b[^\n]{{0,30}}?[\s\"'`$({{](?P<verb>{_NAME})\b",
    rf"KeyError: '(?P<key>{_NAME})'",
    rf"key not found: \"(?P<ruby>{_NAME})\"",
    rf"[$][{{](?P<dollar>{_NAME})[}}]|\b(?P<unbound>\w+): (?:unbound variable|parameter (?:null or )?not set)",
    rf"\b(?P<rust>{_NAME})\b[^\n]*: NotPresent|[Ee]nvironment variable not found: ?\"?(?P<dotenv>\w+)",
    rf"process\.env\.(?P<node>{_NAME})|os\.environ\[['\"](?P<py>{_NAME})|ENV\.fetch\(['\"](?P<rb>{_NAME})|getenv\(['\"](?P<c>{_NAME})",
)
_COMPILED = tuple(re.compile(pattern) for pattern in _VARIABLE)
COMMON_WORDS = frozenset(
    [
        "ERROR",
        "FATAL",
        "WARN",
        "WARNING",
        "INFO",
        "DEBUG",
        "HTTP",
        "HTTPS",
        "JSON",
        "YAML",
        "URL",
        "URI",
        "API",
        "SQL",
        "GET",
        "POST",
        "PUT",
        "TCP",
        "UDP",
        "TLS",
        "SSL",
        "CRITICAL",
        "PANIC",
        "NULL",
        "NONE",
        "TRUE",
        "FALSE",
        "ENOENT",
        "EACCES",
        "ECONNREFUSED",
        "ETIMEDOUT",
        "ENOTFOUND",
        "UTC",
        "EOF",
        "CSS",
        "HTML",
        "XML",
        "DNS",
        "CPU",
        "RAM",
        "SIGTERM",
        "SIGKILL",
        "NODE_MODULE_VERSION",
        "DNS",
        "AND",
        "NOT",
        "THE",
        "SEVERE",
        "EMERG",
        "ALERT",
        "NOTICE",
        "SELECT",
        "INSERT",
        "TABLE",
    ]
)


# "set X=debug environment variable to see more" helps to look closer: nobody misses X
_HINT = re.compile(
    r"\b(?:set|with|use|export|setting|try)\b[^\n]{0,30}?\b[A-Z][A-Z0-9_]+=\S+[^\n]{0,40}?\b(?:to (?:see|get|show|display|print|enable|debug|disable|suppress|silence|turn)|for (?:more|a |details|debug))",
    re.IGNORECASE,
)

_LACKS = re.compile(r"not set|missing|required|must|undefined|unset|not (?:found|defined|configured|provided)|empty|absent", re.IGNORECASE)  # fmt: skip


@line_rule(
    "variable-missing",
    "env|not set|must be set|is required|is missing|missing|undefined|unbound variable|keyerror: '|key not found|notpresent|not provided|not configured|not defined|must be provided|must be defined|cannot be empty|unset|improperlyconfigured",
    r"(?:[Dd]efine|[Ss]et|[Ee]xport|[Pp]rovide|[Ss]pecify)(?:ting|ing)?\b[^\n]{0,80}\benv(?:ironment)? (?:variable|var)s?\b|(?:[Ee]nvironment|ENVIRONMENT|env|Env)\b[^\n]{0,60}\b(?:missing|not set|not found|is not defined|required|unset|must|undefined|empty|absent|unavailable)|(?:missing|required|undefined|unset|no|not set|absent|expected|need)\b[^\n]{0,40}\b(?:environment|env)\b|KeyError: '[A-Z]|NotPresent\b|key not found: \"[A-Z]|unbound variable|parameter (?:null or )?not set|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+[\"'`)]? (?:is|must|not|was|has|missing|environment|setting|cannot|needs|should|are|and)\b|[Mm]issing (?:required )?(?:config\w*|settings?|variables?|secrets?|keys?|values?|parameters?)?:? ?[\"'`]?[A-Z][A-Z0-9]*_[A-Z0-9_]+",
    source="each language's way to read the environment; the words that services use when they check it",
    flags=0,
)
def variable(hit: Hit) -> Hypothesis | None:
    """An environment variable is needed and absent."""
    line = hit.line
    if (_HINT.search(line) and not _LACKS.search(line)) or re.search(
        r"invalid value|(?:must|should|has to|needs to) be (?:one of|an? (?!set|provided)|between|in )|is not (?:a valid|one of)|expected .{1,30}, (?:got|received)",
        line,
    ):
        return None
    name = variable_in(hit.document.window(hit.index, 0, 1)) if "env" in line.lower() else variable_in(line)
    if not name and hit.trace:
        frame = hit.trace.own_frame()
        name = variable_in(frame.code) if frame else ""
    if (
        not name
        or name in COMMON_WORDS
        or (hit.document.role == "step" and hit.scene.step_type in ("quality", "security"))
    ):
        return None
    if name.startswith(("NODE_MODULE", "ERR_", "HTTP_", "SSL_", "TLS_", "CERT_")) and "env" not in line.lower():
        return None
    others = [found for found in re.findall(r"[`'\"]([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)[`'\"]", line) if found != name]
    if others and re.search(r"[`'\"] or [`'\"]", line):
        name, others = others[0], [name]
    return _missing(name, hit, 0.93 if "_" in name else 0.86)


def variable_in(text: str) -> str:
    """The environment variable that a text speaks of; "" where it names none."""
    for pattern in _COMPILED:
        for match in pattern.finditer(text):
            found = next((value for value in match.groups() if value), "")
            if found and found not in COMMON_WORDS:
                return found
    return ""


def _missing(name: str, hit: Hit, confidence: float) -> Hypothesis:
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"The environment variable {name} is not set{hit.at}: {hit.line}",
        confidence,
        set_variable(name, hit.scene),
        names=(name,),
        facts={"variable": name},
    )


_SYNTAX = (
    r"(?:SyntaxError|JSONDecodeError|JsonParseException|JsonReaderException|JsonException|JsonSyntaxException|JSON::ParserError|ParseError|YAMLException|YAMLParseError|YAMLSyntaxError|YAMLSemanticError|ScannerError|ParserError|ComposerError|ConstructorError|MarkedYAMLException|Psych::SyntaxError|TOMLDecodeError|TomlDecodeError|TomlError|toml\.|ParsingError|MissingSectionHeaderError|DuplicateOptionError|DuplicateKeyError|InterpolationSyntaxError|SAXParseException|XMLSyntaxError)\b"
    r"|in JSON at position|not valid JSON|invalid JSON|yaml: (?:line \d+|unmarshal|did not)|error (?:converting YAML|parsing)|invalid character .{1,8} (?:looking|after|in)|unexpected end of JSON|expected `?[,}\]:].{0,30} at line \d+|cannot (?:parse|unmarshal|decode)|failed to (?:parse|decode|unmarshal)|could not (?:parse|decode)|mapping values are not allowed|did not find expected|while (?:parsing|scanning) a|found character .* that cannot start|Malformed"
)


@line_rule(
    "configuration-syntax",
    "syntaxerror|jsondecodeerror|jsonparse|jsonreader|jsonexception|jsonsyntax|parsererror|parseerror|yaml|scannererror|composererror|constructorerror|psych|toml|parsingerror|missingsection|duplicateoption|interpolation|saxparse|xmlsyntax|in json|valid json|invalid json|error parsing|invalid character|end of json|at line|cannot parse|can't parse|failed to parse|failed to decode|could not parse|unmarshal|mapping values|did not find expected|while parsing|while scanning|cannot start|malformed|expected property name|parse config|duplicatekeyerror|could not decode|cannot decode",
    _SYNTAX,
    source="the JSON, YAML, TOML, INI and XML parsers of the languages",
)
def syntax(hit: Hit) -> Hypothesis | None:
    """A configuration file that does not parse. Source code that does not parse is another matter."""
    line = hit.line
    around = hit.document.window(hit.index, 2, 6)
    file = _file_of(hit, around)
    data = re.search(
        r"json|yaml|toml|\bini\b|configparser|xml|\.conf\b|\.properties|\.env\b|config|mapping values|while (?:parsing|scanning)|Psych|unmarshal",
        around,
        re.IGNORECASE,
    )
    if (
        line.startswith('File "')
        or "failed to parse manifest" in line
        or not data
        or re.search(r"Unexpected token '?<'?|eslint|prettier|babel|webpack|is not a constructor", line)
    ):
        return None
    if (
        hit.document.role == "step"
        and hit.scene.step_type in ("quality", "security", "test")
        and "yaml" not in around.lower()
        and "json" not in around.lower()
    ):
        return None
    if (
        re.search(
            r"^SyntaxError: (?:invalid syntax|Unexpected (?:identifier|token|reserved)|Invalid or unexpected token|missing \))",
            line,
        )
        and "JSON" not in around
    ):
        return None
    spot = re.search(
        r"line (\d+)(?:,? ?(?:column|col) (\d+))?|at (\d+):(\d+)|:(\d+):(\d+)\b|\((\d+):(\d+)\)|position (\d+)",
        around[around.find(line[:20]) if line[:20] in around else 0 :],
    )
    number = next((g for g in spot.groups()[:-1] if g), "") if spot else ""
    kind = next(
        (
            name
            for name, mark in (
                ("JSON", r"json"),
                ("YAML", r"ya?ml|mapping values|while (?:parsing|scanning)|psych"),
                ("TOML", r"toml"),
                ("XML", r"xml|sax"),
                ("INI", r"ini\b|section|configparser"),
            )
            if re.search(mark, around, re.IGNORECASE)
        ),
        "configuration",
    )
    shown = hit.scene.in_release(file) if file else f"a {kind} configuration file"
    hint = {
        "JSON": "look for a missing or extra comma, a missing quote or brace",
        "YAML": "quote values that contain a colon, use spaces and not tabs, and align the indentation",
        "TOML": "quote strings and close brackets",
    }.get(kind, "look at the line named in the message")
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"{shown} is not valid {kind}{f' (line {number})' if number else ''}: it cannot be parsed, syntax error{hit.at}: {_with_next(hit)}",
        0.92 if file else 0.86,
        correct_file(
            shown if file else f"the {kind} file", number, f"{kind} syntax; {hint} ({quoted(line, 120)})", hit.scene
        ),
        citations=hit.cited(),
        names=(shown,) if file else (),
        facts={"path": file},
    )


def _with_next(hit: Hit) -> str:
    following = hit.document.lines[hit.index + 1].strip() if hit.index + 1 < len(hit.document.lines) else ""
    return (
        quoted(f"{hit.line} {following}")
        if following.startswith(("in ", "at line", "line ")) and "at " not in following[:3]
        else hit.line
    )


def _file_of(hit: Hit, around: str) -> str:
    match = re.search(
        r"[\"'`(\s:](?!(?:org|com|java|io|net)\.)((?:[\w.@/~-]*/)?[\w.@-]+\.(?:json5?|ya?ml|toml|ini|cfg|conf|properties|xml|env))\b",
        " " + around,
    )
    if match:
        return match.group(1)
    frame = hit.trace.own_frame() if hit.trace else None
    named = re.search(
        r"[\"'`]([\w./~-]+\.(?:json5?|ya?ml|toml|ini|cfg|conf|properties|xml))[\"'`]", frame.code if frame else ""
    )
    if named:
        return named.group(1)
    found = path_in(hit.line)
    return found if found.endswith((".json", ".yaml", ".yml", ".toml", ".ini", ".conf", ".xml", ".cfg")) else ""


@trace_rule(
    "value-invalid",
    "the languages' conversions of text: int(), parseInt, Integer.parseInt, strconv",
    "python|java|go|ruby|dotnet|rust",
)
def value(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A setting that is there and cannot be converted: the code that read it names a variable."""
    frame = trace.own_frame()
    wrong = re.search(
        r"invalid literal for int\(\) with base \d+: '(?P<py>[^']*)'|could not convert string to float: '(?P<fl>[^']*)'|For input string: \"(?P<java>[^\"]*)\"|parsing \"(?P<go>[^\"]*)\": invalid syntax|invalid value for Integer\(\): \"(?P<rb>[^\"]*)\"|Input string was not in a correct format|ParseIntError|invalid digit found|Invalid boolean value|The input string '(?P<net>[^']*)' was not in a correct format",
        root.message,
    )
    if wrong is None:
        return None
    shown = next((v for v in wrong.groups() if v), "")
    name = variable_in(frame.code) if frame else ""
    if not name and frame:
        named = re.search(
            r"(?:environ|getenv|env|config|settings|conf|options|os\.environ\.get)\W+['\"](\w+)", frame.code
        )
        name = named.group(1) if named else ""
    if not name and shown:
        printed = re.search(
            rf"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[a-z]\w*(?:[._]\w+)+)[\"']?\s*[=:]\s*[\"']?{re.escape(shown)}\b",
            document.text[:50_000],
        )
        name = printed.group(1) if printed else ""
    if (
        not name
        and not re.search(r"environ|getenv|config|setting", frame.code if frame else "", re.IGNORECASE)
        and not scene.variable_in_change(shown if len(shown) > 2 else "")
    ):
        return None
    what = (
        f"The setting {name or 'read there'} has an invalid value {shown!r}"
        if shown
        else f"The setting {name or 'read there'} has an invalid value"
    )
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"{what} ({root.name}: {quoted(root.message)}) in {scene.place_of(trace)}",
        0.88,
        (high(f"Correct the value of {name or 'the setting'}", f"{name or 'The setting'} must be a valid number (it is {shown!r}): set a valid value in the environment or configuration file", f"{name or 'NAME'}=<number>"),
         medium("Check the value when it is read", f"Name the variable in the error{', at ' + scene.place_of(trace)}")),
        names=(name, shown),
    )  # fmt: skip
