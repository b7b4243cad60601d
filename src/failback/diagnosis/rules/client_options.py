"""Clients that refuse the options they are made with: what the code passes comes, nearly always, from the environment."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hypothesis, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_KINDS = "node|python|ruby|java|php"
# What such an option is about: a word for a credential, an address or a place.
_THING = r"[\w.]*(?:(?i:id|key|keys|secret|token|url|uri|host|endpoint|region|dsn|password|user ?name|account|bucket|project|domain|sid|credentials?|time ?zone|connection ?string|api ?version))"
_ABSENT = (
    re.compile(rf"\brequires? (?:a |an |the |that )?(?:valid )?[`'\"]?(?P<name>{_THING})[`'\"]?(?= option| argument| parameter| to be|[`'\"]|\.?$)"),
    re.compile(r"\b[Mm]issing (?:required )?(?:option|parameter|setting|config\w*|property)s?:? [`'\"]?(?P<name>[\w.]+)"),
    re.compile(r"\b[Mm]issing (?:the )?(?:required )?[`'\"]?(?P<name>[\w.()]+)[`'\"]? (?:option|parameter|setting|property)"),
    re.compile(rf"(?:^|[\s`'\".])(?P<name>{_THING})[`'\"]? (?:is )?required\b"),
    re.compile(rf"\b(?P<name>{_THING})[`'\"]? (?:must be (?:set|provided|specified|supplied|given)|(?:is|was|has) not (?:been )?(?:set|provided|specified|supplied|given|configured)|is (?:missing|undefined|empty|blank))"),
    re.compile(rf"\b[Yy]ou (?:must|need to) (?:provide|specify|supply|set|pass) (?:a |an |the |your )?(?:valid )?[`'\"]?(?P<name>{_THING})\b"),
)  # fmt: skip
_WRONG = (
    re.compile(rf"\b[Ii]nvalid (?:value for )?[`'\"]?(?P<name>{_THING}|(?:log )?level|port|cron \w+)\b[`'\"]? ?[:=]? ?[`'\"]?(?P<value>[^\s`'\"]*)"),
    re.compile(rf"\b(?P<name>{_THING}|level|port)[`'\"]? (?:must|should) (?!have a value|be (?:set|provided|specified|supplied|defined|given)\b)(?:start|begin|be|have|match|contain|include|end)\b"),
    re.compile(r"\b(?:default |log )?(?P<name>level):? ?(?P<value>\w+) must be included"),
)  # fmt: skip


@trace_rule("client-options", "OAuth, messaging, storage and search clients: what their constructors check", _KINDS)
def client_options(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A library's constructor refuses an option: it is absent, or has a value of the wrong form."""
    if document.role == "step" and scene.step_type not in ("deploy", "verify"):
        return None
    thrower = root.frames[-1] if root.frames else None
    place = scene.place_of(trace)
    if thrower is None or thrower.package is None or not place:
        return None
    message = root.message[:400]
    absent = next((found for pattern in _ABSENT if (found := pattern.search(message))), None)
    wrong = None if absent else next((found for pattern in _WRONG if (found := pattern.search(message))), None)
    found = absent or wrong
    if found is None:
        return None
    name = found.group("name").strip(".()")
    value = (found.groupdict().get("value") or "").strip(" .,;:")
    if absent:
        kind, cause = (
            FailureType.MISSING_CONFIGURATION,
            f"{thrower.package} is made without the option {name} that it needs: what the code passes at {place} is not set (missing, undefined)",
        )
        fix = high(f"Set the value that is passed as {name} at {place}", f"Provide the variable or Secret that the code reads there for {name} ({thrower.package}), in the environment of the release", f"env: {name}=<value>")  # fmt: skip
    else:
        kind, cause = (
            FailureType.INVALID_CONFIGURATION,
            f"{thrower.package} refuses the value{f' {value}' if value else ''} of {name} that the code passes at {place}",
        )
        fix = high(f"Correct the value that is passed as {name} at {place}", f"Set it to what the message asks for ({quoted(message, 160)}): correct the variable, Secret or configuration file that the code reads there", f"env: {name}=<valid value>")  # fmt: skip
    return Hypothesis(
        kind,
        f"{cause}: {root.name}: {quoted(message, 220)}",
        0.9,
        (fix, medium("Check the options at the start", "A schema for the environment names what is absent before anything runs", "")),
        names=(name, thrower.package),
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
