"""What the API server's refusals mean: each Status becomes one error of the tree, and is kept for the diagnosis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from failback.model.errors import FailbackError, NotPermitted, TargetUnavailable, WriteRejected


class Conflict(WriteRejected):
    """The object was changed by somebody else since it was read, or a condition of the write did not hold."""

    code = "FB-403"


class NotFound(WriteRejected):
    """The object, or the kind, is not there (any more)."""

    code = "FB-404"


class AlreadyExists(WriteRejected):
    """An object of that name is there already."""

    code = "FB-405"


class WatchExpired(TargetUnavailable):
    """The API server no longer has the history that a watch asked for: list anew."""

    code = "FB-406"


def failure(method: str, path: str, code: int, body: bytes) -> FailbackError:
    """The error of one answer that is not a success. `api_error` of it is the Status object as the server gave it."""
    status = _status(code, body)
    message = str(status.get("message") or "").strip() or f"status {code}"
    text = f"{method} {path}: {message}"
    reason = status.get("reason")
    fields: dict[str, Any] = {"status": code, "api_error": status}
    if code == 401:
        return NotPermitted(
            f"The API server does not accept these credentials ({message}). Check the kubeconfig's user, or its token.",
            **fields,
        )
    if code == 403 and reason == "Forbidden" and "is forbidden: User" in message:
        return NotPermitted(f"The API server refuses: {message}", **fields)
    if code == 404:
        return NotFound(text, **fields)
    if code == 409:
        return (AlreadyExists if reason == "AlreadyExists" else Conflict)(text, **fields)
    if code == 410:
        return WatchExpired(text, **fields)
    if code == 422 and "the server rejected our request due to an error in our request" in message:
        # What the API server answers to a JSON Patch whose `test` does not hold.
        return Conflict(text, **fields)
    if code == 429 or code >= 500:
        return TargetUnavailable(f"The API server does not answer well: {text}", **fields)
    return WriteRejected(text, **fields)


def _status(code: int, body: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict) and parsed.get("kind") == "Status":
        return parsed
    return {"kind": "Status", "status": "Failure", "code": code, "message": body[:500].decode("utf-8", "replace")}
