"""Exceptions by what their class means: clients of all languages call a refused connection, a time-out or a missing setting alike."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hit, Hypothesis, quoted, trace_rule
from failback.diagnosis.rules.network import target_of
from failback.diagnosis.rules.settings import variable_in
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_REACH = re.compile(
    r"(?:^|\b)\w*(?:Connection(?:Refused|Reset|Aborted|Closed|Failed|Lost)?(?:Error|Exception|Failure)|Connect(?:Error|Exception|Failed)|Unreachable\w*|NoBrokersAvailable|ServerSelection\w*|HostNotFound\w*|NoNodeAvailable\w*|NoHostAvailable\w*|AllNodesFailed\w*|BrokerUnreachable\w*|NetworkError|CommunicationsException|TransportError|NoAvailableConnection\w*|EndpointConnectionError)$"
)
_LATE = re.compile(r"^\w*(?:Timeout|TimedOut|DeadlineExceeded)\w*$")
_AUTH = re.compile(
    r"^\w*(?:Authentication|Unauthorized|Unauthenticated|InvalidCredential|BadCredentials|LoginFailed|AuthError|AuthFailed|InvalidPassword)\w*$"
)
_DENIED = re.compile(
    r"^\w*(?:Forbidden|AccessDenied|PermissionDenied|InsufficientPriv|NoPermission|NotAuthorized|AuthorizationError|AuthorizationException)\w*$"
)
_CONFIG = re.compile(
    r"^\w*(?:Config(?:uration)?|Settings?|Environment|ImproperlyConfigured|Options?)\w*(?:Error|Exception|Invalid|Missing|Failure)\w*$|^(?:Missing|Invalid)(?:Config|Setting|Env|Option|Property|Key)\w*$|^ImproperlyConfigured$"
)
_MIGRATION = re.compile(
    r"^\w*(?:Migration|Revision|SchemaMismatch|Flyway|Liquibase|PendingMigration)\w*(?:Error|Exception|Conflict)?$"
)
_CERTIFICATE = re.compile(r"^\w*(?:Certificate|SSL|TLS|CertPath)\w*(?:Error|Exception|Failure)$")
_ABSENT = re.compile(
    r"missing|not set|not found|no configuration|is required|undefined|must be (?:set|provided|defined)|cannot be (?:empty|None|null)|not configured|unset|absent|empty|no value|not (?:provided|present|supplied|given|specified)",
    re.IGNORECASE,
)
# A framework's "improperly configured" may speak of the code that was registered, not of a setting.
_OF_CODE = re.compile(r"\bhandler function|type annotat|\bdecorat(?:or|ed)|\bsubclass|must (?:define|implement|inherit)|\breturn value of", re.IGNORECASE)  # fmt: skip
_BUILTIN = frozenset({"PermissionError", "TimeoutError"})


@trace_rule("exception-class", "the names that client libraries give to their exceptions")
def by_class(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """What the class of an error says when its message does not match a more precise rule."""
    own = root.frames[-1].own if root.frames else False
    names = [root.name] if root is trace.outer else [root.name, trace.outer.name]
    said = quoted(f"{root.name}: {root.message}".rstrip(": "), 200)
    place = scene.place_of(trace)
    at = f" (at {place})" if place else ""
    match = re.search("", root.message)
    assert match is not None
    hit = Hit(scene, document, root.line, match)
    for name in names:
        if _CERTIFICATE.match(name):
            return None
        if _REACH.search(name) or (_LATE.match(name) and (name not in _BUILTIN or not own)):
            late = bool(_LATE.match(name))
            kind, host, port = target_of(hit)
            where = f"{host}:{port}" if host and port else host or kind or "a service it needs"
            return Hypothesis(
                FailureType.DEPENDENCY_UNREACHABLE,
                f"{kind + ' at ' if kind and host else ''}{where} {'does not answer in time (timed out)' if late else 'is not reachable (cannot connect; refused or no answer)'}{at}: {said}",
                (0.86 if host else 0.74) - (0.1 if own else 0),
                (
                    high(f"Start {where} or correct its address", f"Make sure that it runs and answers at {where}, and that the host, port and network between the two are right", f"nc -zv {host or '<host>'} {port or '<port>'}"),
                    medium("Set a time limit and retries", "A short outage of it then does not fail a release", ""),
                ),
                affected=(kind or host,) if kind or host else (),
                names=tuple(part for part in (host, port) if len(part) > 3),
            )  # fmt: skip
        if _AUTH.match(name) or (_DENIED.match(name) and name not in _BUILTIN):
            denied = not _AUTH.match(name)
            kind, host, _port = target_of(hit)
            where = kind or host or "The service it calls"
            return Hypothesis(
                FailureType.DEPENDENCY_AUTH,
                f"{where} refuses access ({'the permission is missing' if denied else 'the credentials are wrong or missing'}){at}: {said}",
                0.78,
                (high(f"{'Grant the permission on' if denied else 'Correct the credentials for'} {where}", "Set the right user, password, token or key in the Secret or environment, and give that user the permission that the message names", ""),),
            )  # fmt: skip
        if _MIGRATION.match(name):
            return Hypothesis(
                FailureType.MIGRATION_FAILED,
                f"The schema migration fails{at}: {said}",
                0.78,
                (high("Correct the migration", f"{said}: correct the migration named there, bring the schema back to the version before, and run it again", ""),),
            )  # fmt: skip
        if _CONFIG.match(name) and not _OF_CODE.search(root.message):
            absent = bool(_ABSENT.search(root.message))
            variable = variable_in(root.message)
            setting = re.search(r"[`'\"]([\w.-]{2,60})[`'\"]", root.message)
            if absent and not variable:  # the names stand below, one a line
                below = re.search(
                    r"^\s*(?:[-*•]\s*)?[\"'`]?([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b",
                    document.window(root.line + 1, 0, 3),
                    re.MULTILINE,
                )
                variable = below.group(1) if below else ""
            shown = variable or (setting.group(1) if setting else "the setting that the message names")
            return Hypothesis(
                FailureType.MISSING_CONFIGURATION if absent else FailureType.INVALID_CONFIGURATION,
                f"The configuration is {'missing' if absent else 'invalid'}: {shown}{at}: {said}",
                0.8,
                (high(f"{'Set' if absent else 'Correct'} {shown}", f"{'Define' if absent else 'Change'} {shown} in the environment or configuration file that {place or 'the program'} reads: {said}", f"{shown}=<value>"),),
                names=(shown,),
            )  # fmt: skip
    return None
