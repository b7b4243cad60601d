"""Who owns which field of an object (metadata.managedFields): given back to the user's own tools at the end. Pure.

Server-side apply of another tool is refused where failback owns a field that the tool wants to change. So what a tool
had applied before stays that tool's, and failback owns only what nobody else had asked for.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from failback.targets.kubernetes.cluster import MANAGER

Fields = Mapping[str, Any]
# Tools that apply a team's manifests: what one of them applied and the new manifests no longer have is to go. What
# other hands set (kubectl edit, set, patch), and what controllers set, stays.
_APPLIERS = (
    ("kubectl", "Apply"),
    ("kubectl-client-side-apply", "Update"),
    ("kubectl-create", "Update"),
    ("kubectl-replace", "Update"),
    ("before-first-apply", "Update"),
    ("helm", "Apply"),
    ("helm", "Update"),
    ("Terraform", "Apply"),
)


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


def applier_of(live: Mapping[str, Any] | None) -> str:
    """As whom new manifests are merged: as the tool that applied the old ones, so that the API server itself takes out
    what they no longer have; as failback where no tool did that by server-side apply."""
    for entry in ((live or {}).get("metadata") or {}).get("managedFields") or ():
        if _brings_manifests(entry) and entry.get("operation") == "Apply" and entry.get("manager") != MANAGER:
            return str(entry["manager"])
    return MANAGER


def pruned(merged: Mapping[str, Any], by: str) -> dict[str, Any]:
    """An object as the apply of `by` has merged it, without what other tools (and failback itself) had brought with
    earlier manifests and this one no longer names: server-side apply leaves that, since it is another manager's."""
    entries = (merged.get("metadata") or {}).get("managedFields") or ()
    kept: dict[str, Any] = {}
    former = []
    for entry in entries:
        newest = entry.get("manager") == by and entry.get("operation") == "Apply" and not entry.get("subresource")
        if newest or not _brings_manifests(entry):
            kept = kept if entry.get("subresource") == "status" else _joined(kept, entry.get("fieldsV1") or {})
        else:
            former.append(entry)
    shape: dict[str, Any] = copy.deepcopy(dict(merged))
    for entry in former:
        _take_out(shape, entry.get("fieldsV1") or {}, kept)
    return shape


def _brings_manifests(entry: Mapping[str, Any]) -> bool:
    who = (entry.get("manager"), entry.get("operation"))
    return (who in _APPLIERS or who == (MANAGER, "Apply")) and not entry.get("subresource")


def _joined(one: Fields, other: Fields) -> dict[str, Any]:
    found = dict(one)
    for name, below in other.items():
        found[name] = _joined(found[name], below) if name in found else below
    return found


def _take_out(value: Any, fields: Fields, kept: Fields) -> None:
    """In place. A field that somebody else owns, or owns a part of, stays."""
    for name, below in fields.items():
        kind, _, rest = name.partition(":")
        if kind not in ("f", "k", "v"):
            continue
        key = _position(value, kind, rest)
        if key is None:
            continue
        if name not in kept and kind == "f" and below and "." not in below:
            # Only parts of it are that manager's: what nobody owns beside them (an object's name) stays.
            _take_out(value[key], below, {})
            if not value[key]:
                del value[key]
        elif name not in kept:
            del value[key]
        elif below:
            # What an item of a list is named by stays for as long as the item does.
            named_by = {f"f:{one}" for one in json.loads(rest)} if kind == "k" else set()
            _take_out(value[key], {one: at for one, at in below.items() if one not in named_by}, kept[name])


def _position(value: Any, kind: str, rest: str) -> Any:
    """Where a part of a FieldsV1 path is in its parent: a key, or an index; None where it is not there."""
    if kind == "f":
        return rest if isinstance(value, dict) and rest in value else None
    if not isinstance(value, list):
        return None
    wanted = json.loads(rest)
    for index, item in enumerate(value):
        if kind == "v" and item == wanted:
            return index
        if kind == "k" and isinstance(item, dict) and all(item.get(key) == one for key, one in wanted.items()):
            return index
    return None
