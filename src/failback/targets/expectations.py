"""What a good answer is: the plan's ready and smoke checks, applied to one answer. The same on every target. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from failback.model.evidence import ProbeResult

BODY_HEAD_CHARS = 400
READY_S_MAX = 5.0  # a ready check that takes longer is no answer
SMOKE_S_MAX = 30.0
REFUSED = "connection refused"
_LATER = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Question:
    """One request, as it will be sent."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = READY_S_MAX


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` None with the `error` where nothing did."""

    status: int | None
    body: str = ""
    took_ms: float = 0.0
    error: str | None = None


def ready_question(ready: Mapping[str, Any]) -> Question:
    return Question(str(ready.get("path") or "/"), headers={"Host": str(ready.get("host") or "127.0.0.1")})


def smoke_question(check: Mapping[str, Any], host: str | None) -> Question:
    headers = {str(key): str(value) for key, value in (check.get("headers") or {}).items()}
    if not any(name.lower() == "host" for name in headers):
        headers["Host"] = host or "127.0.0.1"
    return Question(str(check["path"]), str(check.get("method") or "GET"), headers, SMOKE_S_MAX)


def judge_ready(replica: str, ready: Mapping[str, Any], answer: Answer) -> ProbeResult:
    """By default any answer from 200 to 399 is good."""
    wanted = ready.get("status")
    status = answer.status
    good = status is not None and (status in numbers(wanted) if wanted else 200 <= status < 400)
    return ProbeResult(
        replica=replica,
        path=str(ready.get("path") or "/"),
        status=status,
        duration_ms=round(answer.took_ms, 1),
        expected=f"status {_either(wanted)}" if wanted else "status 200 to 399",
        passed=good,
        error=answer.error,
        kind="ready",
    )


def denies(answer: ProbeResult) -> bool:
    """A client error, from a server that is up: unlike "too early" or "too many", it will not be another one later."""
    return (
        not answer.passed and answer.status is not None and 400 <= answer.status < 500 and answer.status not in _LATER
    )


def raises(answer: ProbeResult) -> bool:
    """What servers answer when nobody caught an error. A service that is not ready yet says 503."""
    return not answer.passed and answer.status == 500


def since_when(
    kind: Callable[[ProbeResult], bool], answer: ProbeResult | None, since_s: float | None, now_s: float
) -> float | None:
    """Since when nothing but answers of this kind has come, after this one; None where it is none of them."""
    if answer is None or not kind(answer):
        return None
    return now_s if since_s is None else since_s


def judge_listening(replica: str, ready: Mapping[str, Any], answer: Answer) -> ProbeResult:
    """Whether anybody is there at all, whatever it says; one that speaks no HTTP is."""
    error = answer.error or ""
    away = answer.status is None and error.startswith((REFUSED, "no answer within", "OSError", "TimeoutError", "dial "))
    return ProbeResult(
        replica=replica,
        path=str(ready.get("path") or "/"),
        status=answer.status,
        duration_ms=round(answer.took_ms, 1),
        expected="any answer",
        passed=not away,
        error=answer.error if away else None,
        kind="ready",
    )


def judge_smoke(replica: str, check: Mapping[str, Any], answer: Answer, usual_ms: float | None = None) -> ProbeResult:
    """By status, body and time. `usual_ms`: what the way to the replica takes by itself, where that is known; the time
    that the check allows is then allowed above it."""
    wanted = numbers(check.get("status") or (200,))
    max_ms = check.get("max_ms")
    expected = f"status {_either(wanted)}" + (f" within {max_ms:g} ms" if max_ms else "")
    if max_ms and usual_ms is not None:
        expected += f" above the {usual_ms:.0f} ms that the stable revision takes on the same way"
    error = answer.error
    if error is None and answer.status not in wanted:
        error = f"answered {answer.status}"
    part = check.get("body")
    if error is None and part and part not in answer.body:
        error = f"the body does not contain {part!r}"
    if error is None and max_ms and answer.took_ms - (usual_ms or 0.0) > max_ms:
        error = f"took {answer.took_ms:.0f} ms"
    return ProbeResult(
        replica=replica,
        path=str(check["path"]),
        status=answer.status,
        duration_ms=round(answer.took_ms, 1),
        expected=expected,
        passed=error is None,
        error=error,
        body_head=answer.body[:BODY_HEAD_CHARS],
        kind="smoke",
    )


def numbers(statuses: Any) -> tuple[int, ...]:
    """One status or several, as a tuple."""
    return (statuses,) if isinstance(statuses, int) else tuple(int(one) for one in statuses or ())


def _either(statuses: Sequence[int] | int) -> str:
    found = numbers(statuses)
    if len(found) > 3 and found == tuple(range(found[0], found[-1] + 1)):
        return f"{found[0]} to {found[-1]}"
    return " or ".join(str(one) for one in found)
