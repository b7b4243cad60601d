"""Pods and events as the API server gives them, of which a story names only what matters to it."""

from __future__ import annotations

from typing import Any

STARTED = "2026-01-20T11:00:00Z"
ENDED = "2026-01-20T11:00:05Z"
LAUNCHED_UNIX_S = 1768906795.0  # five seconds before STARTED


def running(
    name: str = "app", *, ready: bool = True, restarts: int = 0, last: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "ready": ready,
        "restartCount": restarts,
        "containerID": f"containerd://{name}-{restarts}",
        "state": {"running": {"startedAt": STARTED}},
        "lastState": {"terminated": last} if last else {},
    }


def terminated(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "message": message, "startedAt": STARTED, "finishedAt": ENDED}


def ended(name: str = "app", code: int = 1, *, restarts: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "ready": False,
        "restartCount": restarts,
        "containerID": f"containerd://{name}-{restarts}",
        "state": {"terminated": terminated(code, **more)},
        "lastState": {},
    }


def waits(name: str = "app", reason: str = "ContainerCreating", message: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
    }


def pod(
    *statuses: dict[str, Any],
    init: tuple[dict[str, Any], ...] = (),
    ready: bool | None = None,
    conditions: tuple[dict[str, Any], ...] = (),
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    said = list(conditions)
    if ready is not None:
        said.append({"type": "Ready", "status": str(ready), "lastTransitionTime": STARTED})
    return {
        "kind": "Pod",
        "metadata": {"name": "web-1", "uid": "uid-1", **metadata},
        "spec": {"nodeName": "n1", "containers": [{"name": one["name"]} for one in statuses], **(spec or {})},
        "status": {
            "phase": "Running",
            "containerStatuses": list(statuses),
            "initContainerStatuses": list(init),
            "conditions": said,
            **(status or {}),
        },
    }


def event(
    reason: str, message: str = "", *, about: str = "Pod/web-1", at: str = STARTED, **more: Any
) -> dict[str, Any]:
    kind, _, name = about.partition("/")
    return {
        "kind": "Event",
        "metadata": {"name": f"{name}.{reason}", "uid": f"{name}-{reason}"},
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason,
        "message": message,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        **more,
    }
