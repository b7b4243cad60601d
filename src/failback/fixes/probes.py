"""A ready check that asks for the wrong thing, and a service that does not listen where it should."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from failback.fixes.case import CODE_ENDS, Case, text_of
from failback.model.fix import REMOVED, Candidate, SetSetting

_ROUTE = re.compile(
    r"[\"'`](/(?:[\w.-]+/){0,3}[\w.-]*(?:health|ready|live|status|ping|alive)[\w.-]*/?)[\"'`]", re.IGNORECASE
)
_PORT_VARIABLE = re.compile(r"\b((?:[A-Z][A-Z0-9]*_)+PORT)\b")
_WRONG_ANSWERS = frozenset({301, 302, 307, 308, 400, 401, 403, 404, 405, 410})
_SOURCES_MAX = 200
_PATHS_MAX = 3


def ready(case: Case) -> Iterator[Candidate]:
    """Only where replicas answered, and the answer says that nothing is at this path (or not for this host)."""
    answers = {probe.status for probe in case.evidence.probes if probe.kind == "ready" and not probe.passed}
    answers |= {int(match[1]) for event in case.evidence.events for match in _kubelet(event)}
    if not answers & _WRONG_ANSWERS:
        return
    former = case.former
    for key in ("path", "port", "host", "status"):
        wanted = former.ready.get(key) if former else None
        if former and wanted != case.new.ready.get(key):
            yield Candidate(
                f"Set the ready check's {key} back to {wanted}"
                if wanted is not None
                else f"Take the ready check's {key} out",
                f"Replicas answered {_said(answers)} to the ready check; the former revision was asked for {wanted}",
                f"ready {key} {wanted}",
                (SetSetting(("checks", "ready", key), REMOVED if wanted is None else wanted),),
            )
    asked = case.new.ready.get("path", "/")
    paths = [str(check.get("path", "")).split("?")[0] for check in case.new.smoke if check.get("method") == "GET"]
    for path in [path for path in dict.fromkeys((*_routes(case), *paths)) if path and path != asked][:_PATHS_MAX]:
        yield Candidate(
            f"Ask {path} in the ready check",
            f"Replicas answered {_said(answers)} to {asked}; the release itself has {path}",
            f"ready path {path}",
            (SetSetting(("checks", "ready", "path"), path),),
        )


def _kubelet(event: Mapping[str, Any]) -> Iterator[re.Match[str]]:
    """What the kubelet's readiness probe was answered."""
    return re.finditer(r"Readiness probe failed: HTTP probe failed with statuscode: (\d{3})", str(event.get("message")))


def _said(answers: set[int | None]) -> str:
    return ", ".join(str(status) for status in sorted(status for status in answers if status is not None))


def _routes(case: Case) -> list[str]:
    """Paths that look like a health check's in the release's own sources."""
    found: dict[str, None] = {}
    for name in sorted(name for name in case.new.names if name.endswith(CODE_ENDS))[:_SOURCES_MAX]:
        for match in _ROUTE.finditer(text_of(case.new, name) or ""):
            found.setdefault(match[1])
    return list(found)


def port(case: Case) -> Iterator[Candidate]:
    """Nobody answers at the port that was given: the start command does not hand `$PORT` on."""
    asked = [probe for probe in case.evidence.probes if probe.kind == "ready"]
    if not asked or any(probe.status is not None for probe in asked):
        return
    start = [str(word) for word in case.new.settings.get("start") or ()]
    former = [str(word) for word in case.former.settings.get("start") or ()] if case.former else []
    if former and former != start:
        yield _start(former, "The former revision was started so, and listened at $PORT", "the former start command")
    if not start or any("$PORT" in word or "${PORT}" in word for word in start):
        return
    command = " ".join(_quoted(word) for word in start)
    for literal in dict.fromkeys(re.findall(r"(?<![\w.])(\d{4,5})(?![\w.])", " ".join(start))):
        changed = re.sub(rf"(?<![\w.]){literal}(?![\w.])", '"$PORT"', command)
        yield _start(["sh", "-c", f"exec {changed}"], f"It listens at {literal}, and not at $PORT", "$PORT in `start`")
    for name in _port_variables(case):
        reason = f"The release reads {name}, and failback gives it PORT"
        yield _start(["sh", "-c", f'{name}="$PORT" exec {command}'], reason, f"{name}=$PORT")


def _start(words: list[str], why: str, tried: str) -> Candidate:
    shown = words[2] if words[:2] == ["sh", "-c"] else " ".join(words)
    return Candidate(f"Start it with: {shown}", why, tried, (SetSetting(("release", "start"), tuple(words)),))


def _port_variables(case: Case) -> list[str]:
    found: dict[str, None] = {}
    for name in sorted(name for name in case.new.names if name.endswith(CODE_ENDS))[:_SOURCES_MAX]:
        for match in _PORT_VARIABLE.finditer(text_of(case.new, name) or ""):
            if match[1] not in case.new.env and not re.search(r"DB|SQL|REDIS|MAIL|SMTP|AMQP|KAFKA|MONGO", match[1]):
                found.setdefault(match[1])
    return list(found)[:2]


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)
