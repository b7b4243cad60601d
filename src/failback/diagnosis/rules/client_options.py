"""Clients that refuse the options they are made with: what the code passes comes, nearly always, from the environment."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hypothesis, quoted, trace_rule
from failback.diagnosis.rules.settings import variable_in
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_KINDS = "node|python|ruby|java|php"
# What such an option is about: a word for a credential, an address or a place.
_THING = r"[\w.]*(?:(?i:id|key|keys|secret|token|url|uri|host|endpoint|region|dsn|password|user ?name|account|buckets?|project|domain|sid|brokers?|servers?|nodes?|addresses|urls|hosts|dialect|adapter|driver|issuer|audience|tenant|credentials?|time ?zone|connection ?string|api ?version))"
_ABSENT = (
    re.compile(rf"\brequires? (?:a |an |the |that )?(?:valid )?[`'\"]?(?P<name>{_THING})[`'\"]?(?= or \w| option| argument| parameter| to be|[`'\"]|\.?$)"),
    re.compile(r"\b[Mm]issing (?:required )?(?:option|parameter|setting|config\w*|property)s?:? [`'\"]?(?P<name>[\w.]+)"),
    re.compile(r"\b[Mm]issing (?:the )?(?:required )?[`'\"]?(?P<name>[\w.()]+)[`'\"]? (?:option|parameter|setting|property)"),
    re.compile(rf"(?:^|[\s`'\".])(?P<name>{_THING})[`'\"]? (?:is )?required\b"),
    re.compile(rf"\b(?P<name>{_THING})[`'\"]? (?:must be (?:set|provided|specified|supplied|given)|(?:is|was|has) not (?:been )?(?:set|provided|specified|supplied|given|configured)|is (?:missing|undefined|empty|blank)|(?:should|must|can|may) ?not be (?:null|undefined|empty|blank|None|nil)|needs? to be (?:\w+ly )?(?:set|provided|specified|supplied|given|passed))"),
    re.compile(rf"[`'\"](?P<name>[\w.-]+)[`'\"] (?:{_THING}|database|environment|profile|section|connection|service) is not (?:configured|defined|set)\b"),
    re.compile(rf"\bneeds (?:an? |the )(?:valid )?(?:\w+ ){{0,2}}(?P<name>{_THING})\b"),
    re.compile(rf"\b[Yy]ou (?:must|need to) (?:provide|specify|supply|set|pass) (?:a |an |the |your )?(?:valid )?[`'\"]?(?P<name>{_THING})\b"),
    re.compile(rf"\b(?:[Ee]mpty|[Mm]issing|[Nn]o) (?:the |your |API )?(?P<name>{_THING})(?:[.!]?$| (?:was |is )?(?:given|provided|set|specified|supplied|found)\b)"),
)  # fmt: skip
# An option, or a key of the file that holds them, which the library does not know.
_UNKNOWN = re.compile(
    r"\b[Pp]roperty [`'\"]?(?P<name>[\w.-]+)[`'\"]? (?:does not exist|is not (?:known|supported|recognized|writable)|was not found) (?:on|in|for|by)\b|\b[Nn]o such property:? [`'\"]?(?P<name2>[\w.-]+)|\b(?:[Uu]nrecogni[sz]ed|[Uu]nknown|[Uu]nsupported) (?:config(?:uration)?s?|propert(?:y|ies)|settings?):? [{\[(]?[`'\"]?(?P<name3>[\w.-]+)"
)
_WRONG = (
    re.compile(rf"\b[Ii]nvalid (?:value for )?[`'\"]?(?P<name>{_THING}|(?:log )?level|port|cron \w+)\b[`'\"]? ?[:=]? ?[`'\"]?(?P<value>[^\s`'\"]*)"),
    re.compile(rf"\b(?P<name>{_THING}|level|port)[`'\"]? (?:must|should) (?!have a value|be (?:set|provided|specified|supplied|defined|given)\b)(?:start|begin|be|have|match|contain|include|end)\b"),
    re.compile(r"\b(?:[Uu]nrecogni[sz]ed|[Uu]nknown|[Uu]nsupported|[Bb]ad|[Ii]llegal|[Ii]nvalid) value for (?:the )?(?:option |setting |parameter )?[`'\"]?(?P<name>[\w.-]+)[`'\"]?(?:: ?| )?[`'\"]?(?P<value>[^\s`'\"]*)"),
    re.compile(r"\b(?:default |log )?(?P<name>level):? ?(?P<value>\w+) must be included"),
)  # fmt: skip


@trace_rule("client-options", "OAuth, messaging, storage and search clients: what their constructors check", _KINDS)
def client_options(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A library's constructor refuses an option: it is absent, or has a value of the wrong form."""
    if document.role == "step" and scene.step_type not in ("deploy", "verify"):
        return None
    package = _thrower(trace, root)
    place = scene.place_of(trace)
    if not package or not place:
        return None
    message = root.message[:400]
    unknown = _UNKNOWN.search(message)
    if unknown:
        return _refused_key(next(value for value in unknown.groups() if value), package, place, root)
    absent = next((found for pattern in _ABSENT if (found := pattern.search(message))), None)
    wrong = None if absent else next((found for pattern in _WRONG if (found := pattern.search(message))), None)
    if wrong and re.search(
        r"\b(?:not|got|[Rr]eceived|given:?) (?:an? )?[`'\"]?(?:NoneType|None|null|undefined|nil)\b", message
    ):
        absent, wrong = wrong, None
    found = absent or wrong
    if found is None:
        return None
    name = found.group("name").strip(".()")
    value = (found.groupdict().get("value") or "").strip(" .,;:")
    own = trace.own_frame()
    read = variable_in(own.code) if own else ""
    if absent:
        kind, cause = (
            FailureType.MISSING_CONFIGURATION,
            f"{package} is made without the option {name} that it needs: what the code passes at {place} is not set (missing, undefined)",
        )
        fix = high(f"Set {f'{read}, ' if read else ''}the value that is passed as {name} at {place}", f"Provide the variable or Secret that the code reads there for {name} ({package}: {quoted(message, 120)}), in the environment of the release", f"env: {read or name}=<value>")  # fmt: skip
    else:
        kind, cause = (
            FailureType.INVALID_CONFIGURATION,
            f"{package} refuses the value{f' {value}' if value else ''} of {name} that the code passes at {place}",
        )
        fix = high(f"Correct {f'{read}, ' if read else ''}the value that is passed as {name} at {place}", f"Set it to what the message asks for ({quoted(message, 160)}): correct the variable, Secret or configuration file that the code reads there", f"env: {name}=<valid value>")  # fmt: skip
    return Hypothesis(
        kind,
        f"{cause}: {root.name}: {quoted(message, 220)}",
        0.9,
        (fix, medium("Check the options at the start", "A schema for the environment names what is absent before anything runs", "")),
        names=(name, package),
    )  # fmt: skip


def _thrower(trace: Trace, root: Raised) -> str:
    """The package whose code threw; "" where the application or the language's own library did."""
    for raised in (root, trace.outer):
        if not raised.frames:
            continue
        last = raised.frames[-1]
        if last.package is None and trace.kind == "java" and not last.own:
            return "" if last.function.startswith(("java", "jdk.", "sun.")) else ".".join(last.function.split(".")[:3])
        return last.package or ""
    return ""


def _refused_key(name: str, package: str, place: str, root: Raised) -> Hypothesis:
    """A key that a library does not know: misspelt, of another version, or of another library."""
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"{package} does not know the option {name} (it does not exist there, unknown), which it is given at {place}: {root.name}: {quoted(root.message, 220)}",
        0.9,
        (high(f"Correct or remove the option {name}", f"Rename {name} to the spelling that the installed {package} has, or remove it, in the configuration file or the call that is read at {place}", f"grep -rn '{name}' ."),),
        names=(name, package),
    )  # fmt: skip


_REFUSED = re.compile(r"\b(?P<code>invalid_auth|not_authed|token_(?:expired|revoked)|account_inactive|invalid_api_key|invalid_client|invalid_grant|authentication_error|[Ii]nvalid ?[Aa][Pp][Ii] ?[Kk]ey(?: provided)?|[Ii]ncorrect API key provided|Bad credentials|AuthenticationFailed|InvalidAccessKeyId|SignatureDoesNotMatch)\b")  # fmt: skip


@trace_rule("service-refuses-credentials", "error codes of Slack, OAuth, OpenAI, Stripe, GitHub, Azure, S3", _KINDS)
def service_refuses(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A service answers with its code for credentials that are wrong or have ended."""
    found = _REFUSED.search(root.message[:400])
    thrower = root.frames[-1] if root.frames else None
    if found is None or thrower is None or thrower.package is None:
        return None
    place = scene.place_of(trace)
    return Hypothesis(
        FailureType.DEPENDENCY_AUTH,
        f"The service behind {thrower.package} is reached and refuses the credentials ({found.group('code')}){f', used at {place}' if place else ''}: {root.name}: {quoted(root.message, 200)}",
        0.9,
        (high(f"Replace the token or key that {thrower.package} uses{f' at {place}' if place else ''}", "Issue a new token (or correct the credential), store it in the Secret that the release reads, and restart: the one in use is wrong, expired or revoked", "kubectl create secret generic <name> --from-literal=TOKEN=<new token> --dry-run=client -o yaml | kubectl apply -f -"),),
        names=(thrower.package,),
    )  # fmt: skip


_UNCONNECTED = re.compile(r"^The client is closed$|must be connected (?:before|first)|\bcall [`'\"]?[\w.]*connect\(\)|[Cc]lient (?:is not|was not) (?:yet )?connected|(?:not|never) been (?:opened|started|connected|initiali[sz]ed)")  # fmt: skip


@trace_rule("client-not-connected", "node-redis, MongoDB, MQTT and others: a client that is used before it is connected", _KINDS)  # fmt: skip
def not_connected(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """The code uses a client before it has connected it."""
    place = scene.place_of(trace)
    if not place or not _UNCONNECTED.search(root.message[:300]):
        return None
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"The code uses a client before it is connected, at {place}: {root.name}: {quoted(root.message, 200)}",
        0.85,
        (high(f"Connect the client before it is used at {place}", "Call and await connect() (open, start, initialize) once at the start, before the first command, and use the same client afterwards", "await client.connect();"),),
        names=(place.split(":")[0],),
    )  # fmt: skip
