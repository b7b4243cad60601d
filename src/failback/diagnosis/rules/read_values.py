"""What the code read and handed on: a key that the configuration lacks, nothing where a value is needed, text that a library refuses."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.recommend.settings import set_variable
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, trace_rule
from failback.diagnosis.rules.plain_words import meaning_of
from failback.diagnosis.rules.settings import variable_in
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_SETTINGS = r"(?:\w*(?:config|conf|cfg|settings?|options?|secrets?|prefs|preferences|params|profile)\w*|env|environ)"
_STARTS = ("deploy", "verify")


def _at_start(document: Document, scene: Scene) -> bool:
    return document.role != "step" or scene.step_type in _STARTS


@trace_rule("configuration-key-absent", "CPython's KeyError, and the line of code that it prints", "python")
def key_absent(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """The code asks the configuration for a key, and the file does not have it."""
    frame = root.frames[-1] if root.frames else None
    key = re.fullmatch(r"['\"]([\w.:/-]+)['\"]", root.message.strip())
    if root.name != "KeyError" or key is None or frame is None or not frame.own or not _at_start(document, scene):
        return None
    name = key.group(1)
    if not re.search(rf"\b{_SETTINGS}(?:\.\w+)*(?:\[[^\]]+\])*\[f?['\"]{re.escape(name)}['\"]\]", frame.code, re.IGNORECASE):  # fmt: skip
        return None
    place = scene.place_of(trace)
    path = re.findall(r"\[['\"]([\w.:/-]+)['\"]\]", frame.code)
    whole = ".".join(path[: path.index(name) + 1]) if name in path else name
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"The configuration lacks the key {name}{f' ({whole})' if whole != name else ''}, which {place} reads (missing, not defined): KeyError: '{name}'; the line is {quoted(frame.code, 160)}",
        0.84,
        (
            high(f"Add {whole} to the configuration", f"Define {whole} in the file or environment that the configuration is loaded from, for every environment that this release goes to, or give it a default at {place}", f"{whole}: <value>"),
            medium("Read it with a check", f"Name the key and the file in the error, at {place}", ""),
        ),
        names=(name,),
    )  # fmt: skip


# Errors with which a library or the language says that text has not the form it needs.
_FORM = re.compile(r"^(?:ValueError|Error|ArgumentError|InvalidOperation|AddressValueError|NetmaskValueError|UnicodeError|UnicodeDecodeError|ParserError|ParseException|InvalidURIError|JSONDecodeError|re\.error|error|\w*(?:Format|Parse|Syntax|Decode)\w*(?:Error|Exception))$")  # fmt: skip


@trace_rule("setting-refused", "the converters and parsers of CPython's library and of packages", "python")
def setting_refused(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A converter refuses text that the code has just read from a variable: base64, networks, dates, numbers, patterns."""
    last = root.frames[-1] if root.frames else None
    own = trace.own_frame()
    if last is None or own is None or not _FORM.match(root.name) or not _at_start(document, scene):
        return None
    name = variable_in(own.code)
    if last.own and not re.search(r"(?:int|float|Decimal|bool|UUID|fromisoformat|strptime|loads|literal_eval|compile|from_hex|fromhex|unhexlify|b64decode)\(", own.code):  # fmt: skip
        return None
    if not name or not re.search(r"environ|getenv|env\(|config|settings", own.code, re.IGNORECASE):
        return None
    place = scene.place_of(trace)
    if re.search(
        r"\bis not (?:an? )?(?:instance of )?str(?:ing)?\b|\bmust be (?:an? )?(?:instance of )?str(?:ing)?\b",
        root.message,
    ):
        return Hypothesis(  # a variable of the environment is always text: what is none was not there
            FailureType.MISSING_CONFIGURATION,
            f"The environment variable {name} is not set (missing), read at {place}: {root.name}: {quoted(root.message, 200)}",
            0.9,
            set_variable(name, scene),
            names=(name,),
            facts={"variable": name},
        )
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"The environment variable {name} has a value of the wrong form (invalid), read at {place}: {root.name}: {quoted(root.message, 200)}",
        0.87,
        (
            high(f"Correct the value of {name}", f"Set {name} to a valid value: {quoted(root.message, 160)} (base64 whole and unbroken, a network by its first address, a number without letters)", f"{name}=<valid value>"),
            medium("Check the value when it is read", f"Name the variable in the error, at {place}", ""),
        ),
        names=(name,),
    )  # fmt: skip


@line_rule(
    "php-key-absent-then-null",
    "undefined array key|undefined index|undefined variable",
    r"Undefined (?:array key|index:?|variable:?) [\"']?\$?(?P<name>[\w.-]+)[\"']? in (?P<file>\S+\.php) on line (?P<no>\d+)\n(?:[^\n]*\n){0,2}?[^\n]*(?:must be of type [^\n]*, null given|on null\b|expects parameter \d+ to be \w+, null given|\(null\)|not set|is empty|cannot be (?:null|empty))",
    source="the Zend engine: a warning for the key, then an error for the null that came of it",
    lines=4,
)
def php_null(hit: Hit) -> Hypothesis | None:
    """PHP warns of a key that is absent, and dies of the null that stands in its place."""
    name, place = hit.get("name"), f"{hit.scene.in_release(hit.get('file'))}:{hit.get('no')}"
    if not _at_start(hit.document, hit.scene):
        return None
    if name != name.upper():
        return Hypothesis(
            FailureType.MISSING_CONFIGURATION if "config" in hit.get("file").lower() else FailureType.CODE_ERROR,
            f"{place} reads the key {name}, which is not set (missing), and the null in its place is refused: {hit.line}",
            0.9,
            (high(f"Set {name}, or handle its absence at {place}", f"Define {name} in the configuration or data that {place} reads, or give it a default (?? 'value')", f"$value = $data['{name}'] ?? '<default>';"),),
            names=(name,),
        )  # fmt: skip
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"The environment variable {name} is not set (missing; null where {place} reads it): {hit.line}",
        0.93,
        set_variable(name, hit.scene),
        names=(name,),
        facts={"variable": name},
    )


@trace_rule("template-of-settings-undefined", "Jinja's StrictUndefined, rendering a configuration", "python")
def undefined_setting(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A template asks for a variable of the environment that is not there."""
    found = re.search(
        r"'(?:os\._Environ|dict|environ)\w* object' has no attribute '(?P<a>[A-Z][A-Z0-9_]+)'|^'(?P<b>[A-Z][A-Z0-9_]{2,})' is undefined",
        root.message,
    )
    if root.name != "UndefinedError" or found is None or not _at_start(document, scene):
        return None
    name, place = found.group("a") or found.group("b"), scene.place_of(trace)
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"The variable {name} that a template asks for is not set (missing, undefined){f', rendered at {place}' if place else ''}: {root.name}: {quoted(root.message, 160)}",
        0.88,
        set_variable(name, scene),
        names=(name,),
        facts={"variable": name},
    )  # fmt: skip


_NOTHING = re.compile(r"\b(?:given|got|received|was|passed|instead of|but is|but was|value):? [`'\"(]?(?:nil|null|undefined|None|nothing)\b|\bgot nothing\b|\bparse (?:a )?null string\b|\bno implicit conversion (?:of|from) nil\b|\bcan't convert nil\b|\bnot NoneType\b|\btakes either [^\n]*, given: nil")  # fmt: skip


@trace_rule("handed-nothing", "clients and converters in Ruby, Java and Node.js that name what they were given", "ruby|java|node")  # fmt: skip
def handed_nothing(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A library is handed nothing at the start: what the code read before (a variable, a key) is absent."""
    last = root.frames[-1] if root.frames else None
    place = scene.place_of(trace)
    if last is None or last.own or not place or not _at_start(document, scene):
        return None
    if not _NOTHING.search(root.message[:300]):
        return None
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"The value that {place} hands to {last.package or last.function} is missing (null, nil, not set): what it reads there, an environment variable or a key of the configuration, is absent: {root.name}: {quoted(root.message, 200)}",
        0.84,
        (
            high(f"Set the variable or key that {place} reads", f"Define what the code passes at {place} in the service's environment or configuration file, for every environment that this release goes to: {quoted(root.message, 120)}", "release:\n  env:\n    NAME: <value>"),
            medium("Check required settings before the start", f"Name the variable in the error, at {place}", ""),
        ),
        names=(place.split(":")[0],),
    )  # fmt: skip


_PROGRAM = re.compile(r"^(?:Error: )?(?:Cannot|Can't|Could not|Couldn't|Unable to|Failed to) (?:find|locate) (?:the )?[`'\"]?(?P<name>[a-z][a-z0-9_.+-]+)[`'\"]?(?: (?:executable|binary|command|program|tool))?(?: (?:in|on) (?:your |the )?\$?PATH)?\.?$|^[`'\"]?(?P<name2>[a-z][a-z0-9_.+-]+)[`'\"]? (?:executable |binary |command )?(?:was )?not found(?: (?:in|on) (?:your |the )?\$?PATH)\b")  # fmt: skip


@trace_rule("program-not-found", "packages that drive a program: ffmpeg, Graphviz, Ghostscript, poppler", "node|python|ruby|php")  # fmt: skip
def program(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A package looks for the program that it drives, and does not find it."""
    last = root.frames[-1] if root.frames else None
    found = _PROGRAM.search(root.message.strip().split("\n")[0])
    package = next((frame.package for frame in reversed(root.frames) if frame.package), None)
    if found is None or last is None or last.own or package is None:
        return None
    name = found.group("name") or found.group("name2")
    if name in ("module", "package", "file", "name", "host") or name.endswith((".js", ".json", ".py", ".ts", ".rb")):
        return None
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY,
        f"The program {name} is not installed, or not in PATH: the package that drives it does not find it: {root.name}: {quoted(root.message, 160)}",
        0.86,
        (high(f"Install {name} in the image", f"Add the system package that has {name} to the Dockerfile (apt-get install, apk add), or set the path to it in the variable that the package reads", f"RUN apt-get update && apt-get install -y --no-install-recommends {name}"),),
        names=(name,),
    )  # fmt: skip


# Of what a library throws, only these are the world's and not the caller's: a wrong call says "invalid" as well.
_OF_THE_WORLD = frozenset({FailureType.MISSING_CONFIGURATION, FailureType.MISSING_FILE, FailureType.MISSING_DEPENDENCY, FailureType.DEPENDENCY_AUTH, FailureType.DISK_FULL, FailureType.PORT_CONFLICT})  # fmt: skip
_PLAIN = re.compile(r"^(?:Error|Exception|RuntimeError|RuntimeException|IllegalArgumentException|IllegalStateException|ArgumentError|StandardError|ValueError|\w*(?:SDK|Client|Api)\w*(?:Error|Exception))$", re.IGNORECASE)  # fmt: skip


_SETTING_NOUN = r"(?:option|setting|propert(?:y|ies)|configuration|config|level|token|key|secret|url|uri|dsn|scheme|host|port|region|time-?zone|locale|endpoint|address|credentials?|certificate|environment|driver|dialect|adapter|backend|strategy|store|log level|algorithm|interval|duration|timeout|mode|expression|schedule|protocol|dsn)"
_SETTING_WRONG = re.compile(
    rf"\b(?:invalid|unknown|unrecogni[sz]ed|unsupported|illegal|malformed|bad|no such) (?:\w+ )?{_SETTING_NOUN}\b|\b{_SETTING_NOUN}\b[^\n]{{0,60}}\b(?:is (?:invalid|not valid|malformed|unknown|not supported|unsupported|not allowed)|must (?:start|begin|end|be|have|match|contain)\b|is not (?:a valid|one of)|out of range)",
    re.IGNORECASE,
)


_NOT_VALID = re.compile(r"\bis not a valid [\w ]{0,20}(?:protocol|url|uri|dsn|scheme|address|port|region|time-?zone|locale|level|expression)\b|^[Ii]nvalid (?:protocol|url|uri|dsn|address|endpoint)\b", re.IGNORECASE)  # fmt: skip


@trace_rule("thrown-words", "packages that throw a plain error with a sentence", "node|python|ruby|java|php")
def thrown_words(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A package throws a plain error: its sentence says what is absent or refused, by noun and verb."""
    last = root.frames[-1] if root.frames else None
    place = scene.place_of(trace)
    said = root.message.strip().split("\n")[0][:300]
    if last is None or last.own or not place or not _at_start(document, scene):
        return None
    typed = root.name == "TypeError" and last.package is not None and _NOT_VALID.search(said) is not None
    if not typed and not _PLAIN.match(root.name):
        return None
    kind, action = (meaning_of(said) if len(said.split()) > 2 else None) or (FailureType.UNKNOWN, "")
    if kind not in _OF_THE_WORLD:
        if last.package is None or not _SETTING_WRONG.search(said):
            return None
        kind, action = FailureType.INVALID_CONFIGURATION, "Correct the value in the environment or configuration"
    return Hypothesis(
        kind,
        f"{last.package or 'A library'} stops, called at {place}: {root.name}: {quoted(said, 240)}",
        0.84 if typed else 0.68,
        (high(f"{action}: {quoted(said, 160)}", f"It is what the code passes or reads at {place}: {quoted(said, 200)}", ""),),
        names=(place.split(":")[0],),
    )  # fmt: skip


@trace_rule(
    "own-check-of-a-setting", "services that check their settings themselves and throw", "node|python|ruby|java|php"
)
def own_check(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """The application's own check throws a plain error: a setting, key, secret or token is not there."""
    last = root.frames[-1] if root.frames else None
    place = scene.place_of(trace)
    said = root.message.strip().split("\n")[0][:300]
    if last is None or not last.own or not place or not _PLAIN.match(root.name) or not _at_start(document, scene):
        return None
    found = re.search(
        r"^(?:[Mm]issing|[Nn]o|[Ee]mpty) (?:required |the |valid )?[`'\"]?(?P<a>(?:[\w.-]+ ){0,2}(?:secret|token|api ?key|key|password|credentials?|url|uri|dsn|setting|configuration|config|connection string|endpoint))\b[`'\"]?(?: (?:is |was )?(?:set|configured|given|provided|found))?[.!]?$",
        said,
        re.IGNORECASE,
    )
    if found is None:
        return None
    name = found.group("a")
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"The setting that {place} checks is missing (not set): {name}: {root.name}: {quoted(said, 200)}",
        0.78,
        (high(f"Set the {name} that {place} needs", f"Provide it in the service's environment (a Secret) or configuration file, for every environment that this release goes to: {quoted(said, 120)}", "release:\n  env:\n    NAME: <value>"),),
        names=(place.split(":")[0],),
    )  # fmt: skip
