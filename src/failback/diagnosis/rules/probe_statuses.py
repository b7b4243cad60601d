"""Statuses that a probe or smoke request is answered with and that speak of the service behind: 400 to a host, 5xx."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.asked import Answer
from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hypothesis, quoted
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType


def refused_host(scene: Scene, answer: Answer) -> Iterable[Hypothesis]:
    """400 without a word in the log: frameworks answer so to a Host header that is not on their list."""
    names = (
        "ALLOWED_HOSTS",
        "allowed_hosts",
        "config.hosts",
        "TrustedHost",
        "server_name",
        "AllowedHosts",
        "trusted_hosts",
    )
    changed = next((name for name in names if scene.change.says(name)), "")
    django = re.search(r"Bad Request \(400\)|Invalid host header|Blocked host", answer.said)
    if not changed and not django:
        return
    setting = changed or "ALLOWED_HOSTS"
    host = answer.host or "the name that was asked"
    lines = [line for lines in scene.change.added.values() for line in lines if setting in line]
    yield Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"Every request is answered 400 (Bad Request): the Host header {host} is not in {setting}{f', which this release changed to: {quoted(lines[0], 120)}' if lines else ''}",
        0.93 if changed else 0.8,
        (
            high(f"Add {host} to {setting}", f"{setting} must hold every Host header that users and probes send ({host}, the service's public name), or let the probe send an allowed Host header", f'{setting} = ["{host}", "localhost"]'),
        ),
        names=(setting,),
    )  # fmt: skip


_CHECK = re.compile(
    r"[\"']?(?P<name>[A-Za-z][\w.-]{1,40})[\"']?\s*[:=]\s*\{?\s*(?:[\"'](?:status|state|ok|error)[\"']\s*:\s*)?[\"']?(?P<how>down|fail(?:ed|ing|ure)?|error|timeout|timed out|unhealthy|unreachable|unavailable|refused|disconnected|not ok|false|critical)\b",
    re.IGNORECASE,
)


def server_error(scene: Scene, answer: Answer) -> Iterable[Hypothesis]:
    """5xx: the body may name the check that fails; a gateway's own status speaks of what is behind it."""
    checks = [
        m
        for m in _CHECK.finditer(answer.said)
        if m.group("name").lower()
        not in ("status", "state", "ok", "success", "healthy", "error", "message", "result", "http", "health")
    ]
    place = answer.path or "the service"
    if checks:
        names = ", ".join(dict.fromkeys(f"{m.group('name')}: {m.group('how')}" for m in checks[:3]))
        first = checks[0].group("name")
        yield Hypothesis(
            FailureType.DEPENDENCY_UNREACHABLE,
            f"{place} answers {answer.status} because a dependency fails its check ({names}): {quoted(answer.said, 220)}",
            0.82,
            (high(f"Start or reach {first} (database or service)", f"The health check {place} says that {first} does not answer: make sure that it runs, and check its address, credentials and the network between the two", f"curl -s http://localhost:8080{answer.path or '/'}; nc -zv <host of {first}> <port>"),),
            affected=(first,),
            names=(first,),
        )  # fmt: skip
    elif answer.status in (502, 504):
        yield Hypothesis(
            FailureType.DEPENDENCY_UNREACHABLE,
            f"{place} answers {answer.status}: the proxy gets no {'timely ' if answer.status == 504 else ''}answer from the application behind it (upstream): {quoted(answer.said, 200)}",
            0.6,
            (high("Start the application behind the proxy, or correct its address", "It must listen where the proxy forwards to (upstream host and port)", "ss -ltnp"),),
        )  # fmt: skip
    elif not any(document.traces for document in scene.logs):
        yield Hypothesis(
            FailureType.CODE_ERROR,
            f"{place} answers {answer.status}, and the log of the service does not say why: {quoted(answer.said, 220)}",
            0.42,
            (high(f"Find why {place} answers {answer.status}", f"Log the exception behind {place}: this release changed {', '.join(scene.change.files[:4]) or 'it'}", f"curl -si http://localhost:8080{answer.path or '/'}  # with this release started there"),),
            names=scene.change.files[:2],
        )  # fmt: skip
