"""Rules about images that can't be pulled: not found, denied, of another platform, or a registry that is away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from failback.detection.moments import PULLING, pulled_due_s
from failback.detection.rule import Find, Finding, failed
from failback.detection.sight import has_begun, said, short, subject, told_statement, told_waiting, waits
from failback.model.observation import Limits, ReplicaView, View

# Names of images, registries and files may hold any word ("timeout-service:401"), so they are taken out first.
_NAMES = re.compile(r'"[^"]*"|\S*[/@]\S*')
_IO = re.compile(r"\bi/o\b")
# First match wins: what is passing comes first, as "failed to authorize: … connection refused" is no denial.
KINDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("invalid", r"invalid reference format|failed to parse image reference|couldn't parse image"),
        ("platform", r"no match for platform|no matching manifest|does not match the specified platform"),
        ("untrusted", r"x509:|certificate (?:signed by|has expired|is valid for)|HTTP response to HTTPS client"),
        (
            "unavailable",
            r"connection (?:refused|reset)|timed? ?out|timeout|deadline exceeded|no such host|no route to host"
            r"|unreachable|server misbehaving|temporary failure|\bEOF\b|too ?many ?requests|rate limit"
            r"|\b(?:429|500|502|503|504)\b"
            r"|bad gateway|unavailable|no space left|context canceled",
        ),
        (
            "denied",
            r"\b40[13]\b|unauthorized|forbidden|denied|authorization failed|authentication required|insufficient_scope"
            r"|no basic auth credentials|unauthenticated",
        ),
        ("not-found", r"not ?found|manifest[ _]unknown|name[ _]unknown|does not exist|\b404\b"),
    )
)


def kind_of(message: str) -> str:
    """The kind of a pull error, a name of `KINDS`; "" where the text says none of these."""
    text = _NAMES.sub(" ", _IO.sub("io", message))
    return next((kind for kind, pattern in KINDS if pattern.search(text)), "")


def _errors(view: View) -> Iterator[tuple[ReplicaView, str, str]]:
    """(replica, kind, fact) of each pull that failed and is still waited for, by the container's state or an event."""
    for replica, waiting in waits(view, *PULLING):
        if _only_backs_off(waiting.message):
            continue
        yield replica, kind_of(waiting.message), told_waiting(replica, waiting)
    for statement in said(view, "Failed"):
        owner = subject(view, statement)
        pulls = owner is not None and any(waiting.reason in PULLING for waiting in owner.waiting)
        if owner is not None and pulls and statement.message.startswith("Failed to pull image"):
            yield owner, kind_of(statement.message), told_statement(statement)


def _only_backs_off(message: str) -> bool:
    """'Back-off pulling image "x"', without the error that newer kubelets append."""
    return message.startswith("Back-off") and "Err" not in message and "rpc error" not in message


def _at_once(kind: str, tell: str) -> Find:
    def find(view: View, limits: Limits) -> Finding | None:
        for replica, found, fact in _errors(view):
            if found == kind:
                return Finding(f"{replica.name}: {tell}", (fact,))
        return None

    return find


def registry_unavailable(view: View, limits: Limits) -> Finding | None:
    for replica, kind, fact in _errors(view):
        if kind in ("unavailable", "") and view.at_s >= pulled_due_s(view, replica):
            return Finding(f"{replica.name}: its image could not be pulled for a minute: {short(fact)}", (fact,))
    return None


def refused_by_kubelet(view: View, limits: Limits) -> Finding | None:
    for replica, waiting in waits(view, "InvalidImageName", "ErrImageNeverPull", "SignatureValidationFailed"):
        return Finding(f"{replica.name}: {short(waiting.message or waiting.reason)}", (told_waiting(replica, waiting),))
    for replica, kind, fact in _errors(view):
        if kind == "invalid":
            return Finding(f"{replica.name}: its image has no valid name: {short(fact)}", (fact,))
    return None


def pull_backs_off(view: View, limits: Limits) -> Finding | None:
    for replica, waiting in waits(view, *PULLING):
        if not has_begun(replica) or waiting.container:
            return Finding(f"{replica.name} waits for its image", (told_waiting(replica, waiting),))
    return None


RULES = (
    failed(
        "image-name-invalid",
        refused_by_kubelet,
        why="the kubelet refuses the image by its name, policy or signature, and asks no registry for it",
        source="containerStatuses state.waiting.reason InvalidImageName, ErrImageNeverPull, SignatureValidationFailed; "
        "containerd: 'invalid reference format'",
    ),
    failed(
        "image-wrong-platform",
        _at_once("platform", "its image is not there for this node's platform"),
        why="the registry has answered: the index holds no manifest for the node",
        source="containerStatuses state.waiting.message of containerd: 'no match for platform in manifest'",
    ),
    failed(
        "image-not-found",
        _at_once("not-found", "the registry has no such image or tag"),
        why="the registry has answered; the same name gets the same answer",
        source="containerStatuses state.waiting ErrImagePull, or event Failed: 'not found', 'manifest unknown'",
    ),
    failed(
        "image-denied",
        _at_once("denied", "the registry denies the image: missing or wrong credentials, or no such repository"),
        why="the registry has answered; the same credentials get the same answer",
        source="containerStatuses state.waiting ErrImagePull, or event Failed: 401, 403, 'pull access denied'",
    ),
    failed(
        "image-registry-untrusted",
        _at_once("untrusted", "the node does not trust the registry's certificate"),
        why="a certificate does not become trusted by asking again",
        source="containerStatuses state.waiting ErrImagePull, or event Failed: 'x509: …'",
    ),
    failed(
        "image-registry-unavailable",
        registry_unavailable,
        why="the kubelet has tried at 0, 10 and 30 s; a registry that is slow or restarts has answered by then",
        source="containerStatuses state.waiting ErrImagePull, or event Failed: time-outs, refusals, 429, 5xx",
    ),
)
