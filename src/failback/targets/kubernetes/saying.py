"""What the cluster itself says of the revision: events of its pods and of their owners, and conditions that repeat a
refusal as long as it holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from failback.model.observation import Statement
from failback.model.redaction import Redactor
from failback.targets.kubernetes.kinds import Object, told
from failback.targets.kubernetes.pods import condition, seconds_of

STATEMENTS_MAX = 500
_MESSAGE_CHARS_MAX = 2_000
_CLOCKS_APART_S = 2.0  # an event's time is another machine's, and of whole seconds
_NOISE = ("Scheduled", "Pulled", "Pulling", "Created", "Started", "SuccessfulCreate", "ScalingReplicaSet")


class Sayings:
    """Statements in the order they were first made. `launched`: unix seconds; what is older is another rollout's."""

    def __init__(self, redactor: Redactor, clock: Callable[[], float], launched: float) -> None:
        self._redactor = redactor
        self._clock = clock
        self._launched = launched
        self._told: dict[str, Statement] = {}

    def all(self) -> tuple[Statement, ...]:
        return tuple(self._told.values())

    def event(self, event: Object) -> bool:
        """Takes one event; False for one that says nothing of use."""
        if event.get("reason") in _NOISE:
            return False
        at = last_seen(event)
        if at is not None and at < self._launched - _CLOCKS_APART_S:
            return False
        about = event.get("involvedObject") or {}
        return self._say(
            key=str(event["metadata"].get("uid") or event["metadata"]["name"]),
            reason=str(event.get("reason") or ""),
            message=str(event.get("message") or ""),
            about=f"{about.get('kind', '?')}/{about.get('name', '?')}",
            at_s=self._at_s(seconds_of(event.get("firstTimestamp")) or at),
            count=times(event),
        )

    def refusals(self, workload: Object) -> bool:
        """A ReplicaSet's or Deployment's own condition that its pods can't be made."""
        found = False
        for kind in ("ReplicaFailure", "Progressing"):
            state = condition(workload, kind)
            refused = state.get("status") == ("True" if kind == "ReplicaFailure" else "False")
            reason = str(state.get("reason") or "")
            if refused and reason in ("FailedCreate", "ReplicaSetCreateError"):
                changed_at = seconds_of(state.get("lastTransitionTime"))
                found |= self._say(
                    key=f"{told(workload)} {kind}",
                    reason=reason,
                    message=str(state.get("message") or ""),
                    about=told(workload),
                    at_s=self._at_s(changed_at),
                    count=1,
                )
        return found

    def _say(self, *, key: str, reason: str, message: str, about: str, at_s: float, count: int) -> bool:
        message = self._redactor.redact(message)[:_MESSAGE_CHARS_MAX]
        known = self._told.get(key)
        if known is not None:
            self._told[key] = dataclasses.replace(known, message=message, count=max(count, known.count))
            return True
        if len(self._told) >= STATEMENTS_MAX:
            return False
        self._told[key] = Statement(reason, message, about, at_s, count)
        return True

    def _at_s(self, at: float | None) -> float:
        now_s = self._clock()
        return now_s if at is None else min(max(0.0, at - self._launched), now_s)


def last_seen(event: Mapping[str, Any]) -> float | None:
    """When an event was said last, in unix seconds."""
    series = event.get("series") or {}
    stamps = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    found = next((one for one in map(seconds_of, stamps) if one is not None), None)
    return found if found is not None else seconds_of((event.get("metadata") or {}).get("creationTimestamp"))


def times(event: Mapping[str, Any]) -> int:
    """How often it was said."""
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)
