"""What the kubelet says of a probe that failed in a way of its own: gRPC, commands, redirects, names, TLS on both sides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Citation, FailureType

_PROBE = FailureType.PROBE_MISCONFIGURED
_FAILED = re.compile(
    r"(?P<kind>Readiness|Liveness|Startup) probe (?:failed|errored and resulted in unknown state|errored|warning): (?P<said>[\s\S]+)"
)


@dataclass(frozen=True, slots=True)
class _Words:
    """One way in which a probe fails: what is said, what it means, and what to change."""

    pattern: re.Pattern[str]
    type: FailureType
    means: str
    fix: str
    advice: str
    sure: float


def _words(pattern: str, kind: FailureType, means: str, fix: str, advice: str, sure: float) -> _Words:
    return _Words(re.compile(pattern, re.IGNORECASE), kind, means, fix, advice, sure)


# Sources: kubelet's prober, Go's net/http client, grpc-health-probe, runc.
_KNOWN = (
    _words(
        r"Unimplemented|unknown service grpc\.health|does not implement the grpc health",
        _PROBE,
        "it asks for gRPC health, which the service does not implement",
        "Serve grpc.health.v1.Health, or ask in another way",
        "Register the gRPC health service in the server, or use tcpSocket or httpGet in the probe",
        0.94,
    ),
    _words(
        r"NOT_SERVING",
        FailureType.DEPENDENCY_UNREACHABLE,
        "the service is reached and says itself that it does not serve (NOT_SERVING), usually because something it needs is not there",
        "Look at what the service waits for",
        "The gRPC health service answers NOT_SERVING until its dependencies are there: read the log for the one that is missing",
        0.84,
    ),
    _words(
        r"stopped after \d+ redirects",
        _PROBE,
        "its path redirects again and again",
        "Ask a path that answers 200 itself",
        "Name a health path that does not redirect (to https or to a login), or set the header X-Forwarded-Proto in httpHeaders",
        0.92,
    ),
    _words(
        r"lookup \S+?(?: on \S+)?: (?:no such host|server misbehaving)",
        _PROBE,
        "its host name does not resolve: httpGet.host should be left out, so that the pod itself is asked",
        "Remove host from the probe's httpGet",
        "Without host the kubelet asks the pod's own address; put a virtual host's name into httpHeaders (Host)",
        0.93,
    ),
    _words(
        r"remote error: tls|tls: (?:bad certificate|certificate required|handshake failure)|certificate required",
        _PROBE,
        "the port demands a client certificate (mutual TLS), which a probe cannot show",
        "Ask a port without mutual TLS",
        "Offer the health path on a port without a client certificate, or use an exec probe that shows one",
        0.88,
    ),
    _words(
        r"command (?:timed out|.{0,80}timed out)|DeadlineExceeded|exec.*timeout",
        FailureType.TIMEOUT,
        "its command does not end within timeoutSeconds",
        "Raise the probe's timeoutSeconds, or use a cheaper command",
        "The default is one second, and starting an interpreter costs more: raise timeoutSeconds, or ask with httpGet",
        0.62,
    ),
    _words(
        r"^(?:cat|test|ls|stat|sh|bash|/bin/sh|head|grep): [^\n]*(?:No such file or directory|can't open)",
        _PROBE,
        "its command looks for a file that the service never writes",
        "Correct the file in the probe's command",
        "Let the service write the file when it is ready, or name the path that it writes, or ask with httpGet",
        0.86,
    ),
    _words(
        r"statuscode: 400",
        _PROBE,
        "it is answered 400 (bad request): the service refuses the request as the probe makes it, usually for its Host header, or HTTP on an HTTPS port",
        "Let the probe ask as the service demands",
        "Set the Host header in httpHeaders (or add the pod's address to the allowed hosts), and check the scheme and the path",
        0.74,
    ),
    _words(
        r"\bEOF\b|connection reset by peer|server closed idle connection",
        _PROBE,
        "the port takes the connection and closes it without an answer: it speaks another protocol (TLS, gRPC), or the process ends",
        "Ask the port and scheme that serve HTTP",
        "Set scheme HTTPS where the port serves TLS, use grpc or tcpSocket where it is no HTTP, or name the port of the health endpoint",
        0.55,
    ),
)  # fmt: skip


@scene_rule("probe-words", "kubelet's prober: how a probe failed, where no answer of HTTP says it")
def probe_words(scene: Scene) -> Iterable[Hypothesis]:
    """A probe that fails for how it asks: gRPC, a command, redirects, a host name, mutual TLS."""
    seen: set[str] = set()
    for event in scene.evidence.events:
        failed = _FAILED.search(str(event.get("message", "")))
        if failed is None:
            continue
        for words in _KNOWN:
            if not words.pattern.search(failed.group("said").strip()) or words.means in seen:
                continue
            seen.add(words.means)
            pod = str((event.get("involvedObject") or {}).get("name", ""))
            yield Hypothesis(
                words.type,
                f"The {failed.group('kind').lower()} probe fails: {words.means}: {quoted(failed.group('said'), 200)}",
                words.sure,
                (high(words.fix, words.advice, ""),),
                citations=(Citation(f"events/{pod}", quoted(str(event.get("message", "")), 280)),),
                component=pod,
                names=("readinessProbe", "livenessProbe", "startupProbe"),
                stated=True,
            )
            break
