"""Who owns which field of an object (metadata.managedFields): given back to the user's own tools at the end. Pure.

Server-side apply of another tool is refused where failback owns a field that the tool wants to change. So what a tool
had applied before stays that tool's, and failback owns only what nobody else had asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from failback.targets.kubernetes.cluster import MANAGER

Fields = Mapping[str, Any]


def without(fields: Fields, taken: Fields) -> dict[str, Any]:
    """The set of fields less those of the other one (both FieldsV1)."""
    left: dict[str, Any] = {}
    for name, below in fields.items():
        if name not in taken:
            left[name] = below
            continue
        rest = without(below, taken[name]) if below else {}
        if rest and any(key != "." for key in rest):
            left[name] = rest
    return left


def handed_back(before: Sequence[Any], now: Sequence[Any]) -> list[Any]:
    """managedFields as they should be in the end: others' entries as they were before (or as they are now, for those
    that came since), and of failback only what it applied and no other tool had applied."""
    kept = [entry for entry in before if entry.get("manager") != MANAGER and not entry.get("subresource")]
    known = {_key(entry) for entry in before}
    kept += [
        entry
        for entry in now
        if entry.get("manager") != MANAGER and (entry.get("subresource") or _key(entry) not in known)
    ]
    for entry in now:
        if entry.get("manager") != MANAGER or entry.get("operation") != "Apply":
            continue
        fields = entry.get("fieldsV1") or {}
        for other in kept:
            if other.get("operation") == "Apply":
                fields = without(fields, other.get("fieldsV1") or {})
        if fields:
            kept.append({**entry, "fieldsV1": fields})
    return kept


def _key(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(key) for key in ("manager", "operation", "apiVersion", "subresource"))
