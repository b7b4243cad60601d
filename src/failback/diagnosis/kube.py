"""Reads what matters from Kubernetes objects, however incomplete they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container's status: what it waits for, how it ended, how the run before ended."""

    pod: str
    name: str
    image: str
    init: bool
    ready: bool
    restarts: int
    waiting: str = ""
    message: str = ""
    reason: str = ""  # of the present termination
    exit_code: int | None = None
    last_reason: str = ""  # of the termination before
    last_exit_code: int | None = None
    last_message: str = ""

    @property
    def failed(self) -> bool:
        """True when the present run ended with an error."""
        return self.exit_code not in (None, 0)

    @property
    def end_code(self) -> int | None:
        """Exit code of the newest finished run."""
        return self.exit_code if self.exit_code is not None else self.last_exit_code

    @property
    def end_reason(self) -> str:
        """Reason of the newest finished run ("OOMKilled", "Error")."""
        return self.reason or self.last_reason


def get(obj: object, *path: str | int) -> Any:
    """The value at a path of nested mappings and lists, or None."""
    for key in path:
        if isinstance(obj, Mapping):
            obj = obj.get(key)
        elif (
            isinstance(obj, Sequence)
            and not isinstance(obj, str | bytes)
            and isinstance(key, int)
            and -len(obj) <= key < len(obj)
        ):
            obj = obj[key]
        else:
            return None
    return obj


def text(obj: object, *path: str | int) -> str:
    """As `get`, "" where there is no string."""
    value = get(obj, *path)
    return value if isinstance(value, str) else ""


def number(obj: object, *path: str | int) -> int | None:
    """As `get`, None where there is no whole number."""
    value = get(obj, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def items(obj: object, *path: str | int) -> list[Any]:
    """As `get`, [] where there is no list."""
    value = get(obj, *path)
    return list(value) if isinstance(value, list | tuple) else []


def name_of(obj: object) -> str:
    """metadata.name."""
    return text(obj, "metadata", "name")


def condition(pod: object, kind: str) -> str:
    """The status of a condition ("True", "False"), or the phase for "phase"."""
    if kind == "phase":
        return text(pod, "status", "phase")
    for entry in items(pod, "status", "conditions"):
        if text(entry, "type") == kind:
            return text(entry, "status")
    return ""


def container_states(pod: object) -> list[ContainerState]:
    """Every container's state, init containers first."""
    states: list[ContainerState] = []
    for key, init in (
        ("initContainerStatuses", True),
        ("containerStatuses", False),
        ("ephemeralContainerStatuses", False),
    ):
        for status in items(pod, "status", key):
            states.append(
                ContainerState(
                    pod=name_of(pod),
                    name=text(status, "name"),
                    image=text(status, "image"),
                    init=init,
                    ready=get(status, "ready") is True,
                    restarts=number(status, "restartCount") or 0,
                    waiting=_waiting(text(status, "state", "waiting", "reason")),
                    message=text(status, "state", "waiting", "message")
                    or text(status, "state", "terminated", "message"),
                    reason=text(status, "state", "terminated", "reason"),
                    exit_code=number(status, "state", "terminated", "exitCode"),
                    last_reason=text(status, "lastState", "terminated", "reason"),
                    last_exit_code=number(status, "lastState", "terminated", "exitCode"),
                    last_message=text(status, "lastState", "terminated", "message"),
                )
            )
    return states


def event_warnings(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Events of type Warning."""
    return [event for event in events if text(event, "type") == "Warning"]


def killed_by_probe(events: Iterable[Mapping[str, Any]]) -> bool:
    """True when the kubelet ended a container because its liveness or startup probe failed."""
    return any(text(event, "reason") == "Killing" and "probe" in text(event, "message") for event in events)


def container_spec(pod: object, name: str) -> Mapping[str, Any]:
    """The container's entry in the pod's (or template's) spec; {} where there is none."""
    for key in ("containers", "initContainers"):
        for entry in items(pod, "spec", key):
            if text(entry, "name") == name and isinstance(entry, Mapping):
                return entry
    return {}


def _waiting(reason: str) -> str:
    """Waiting that is only the normal beginning is no failure."""
    return "" if reason in ("ContainerCreating", "PodInitializing") else reason
