"""Fields of an object that somebody else changed since failback wrote it last, as its managedFields tell. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from failback.targets.kubernetes.cluster import MANAGER
from failback.targets.kubernetes.kinds import Object

_SHOWN = ("f:spec", "f:data", "f:stringData", "f:binaryData", "f:metadata")
_UNTOLD = ("metadata.annotations", "metadata.ownerReferences", "metadata.finalizers")
_CONTROLLERS = ("kube-controller-manager", "kube-scheduler", "kubelet")


@dataclass(frozen=True, slots=True)
class Drift:
    """One field, its value now, who set it and when ("2026-01-20T11:00:00Z")."""

    path: str  # "spec.template.spec.containers[app].image"
    value: Any
    manager: str
    at: str


def drift_of(live: Object) -> list[Drift]:
    """What others set after failback's last write; nothing where failback never wrote."""
    entries = live["metadata"].get("managedFields") or []
    last = max((str(one.get("time") or "") for one in entries if one.get("manager") == MANAGER), default="")
    if not last:
        return []
    found: list[Drift] = []
    for entry in entries:
        manager, at = str(entry.get("manager")), str(entry.get("time") or "")
        if manager == MANAGER or at <= last or entry.get("subresource") == "status" or manager in _CONTROLLERS:
            continue
        for path, value in _leaves(entry.get("fieldsV1") or {}, live, ""):
            if not path.startswith(_UNTOLD):
                found.append(Drift(path, value, manager, at))
    return found


def _leaves(fields: Mapping[str, Any], value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each field without fields below it, with its value in the object."""
    for key, below in fields.items():
        if key == "." or (not path and key not in _SHOWN):
            continue
        name, inner = _step(key, value)
        here = name if not path else f"{path}{name}" if name.startswith("[") else f"{path}.{name}"
        if below and any(one != "." for one in below):
            yield from _leaves(below, inner, here)
        else:
            yield here, inner


def _step(key: str, value: Any) -> tuple[str, Any]:
    """One part of a FieldsV1 path: "f:image", 'k:{"name":"app"}', 'v:"x"', "i:0"."""
    kind, _, rest = key.partition(":")
    if kind == "f":
        return rest, value.get(rest) if isinstance(value, dict) else None
    if kind == "i":
        place = int(rest)
        return f"[{place}]", value[place] if isinstance(value, list) and place < len(value) else None
    wanted = json.loads(rest)
    if kind == "v":
        return f"[{wanted}]", wanted
    found = None
    if isinstance(value, list):
        found = next((one for one in value if isinstance(one, dict) and wanted.items() <= one.items()), None)
    return f"[{', '.join(str(part) for part in wanted.values())}]", found
