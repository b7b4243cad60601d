"""What pods ask for and what there is: Kubernetes quantities and their sums. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_UNITS = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")

Amounts = dict[str, float]


def quantity(text: object) -> float:
    """ "250m" -> 0.25, "1Gi" -> 1073741824.0; 0.0 for what is none."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None or match.group(2) not in _UNITS:
        return 0.0
    try:
        return float(match.group(1)) * _UNITS[match.group(2)]
    except ValueError:
        return 0.0


def asked(pod: Mapping[str, Any], kind: str = "requests") -> Amounts:
    """What one pod asks for ("requests") or may use ("limits"): its containers together, or its largest init container.

    Sidecars (init containers that go on) count with the containers.
    """
    running: Amounts = {}
    starting: Amounts = {}
    for container in pod.get("containers") or ():
        _add(running, _amounts(container, kind))
    for container in pod.get("initContainers") or ():
        amounts = _amounts(container, kind)
        if container.get("restartPolicy") == "Always":
            _add(running, amounts)
        else:
            starting = {key: max(starting.get(key, 0.0), amounts.get(key, 0.0)) for key in {*starting, *amounts}}
    found = {key: max(running.get(key, 0.0), starting.get(key, 0.0)) for key in {*running, *starting}}
    _add(found, {key: quantity(value) for key, value in (pod.get("overhead") or {}).items()})
    return found


def summed(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        _add(total, part)
    return total


def times(amounts: Amounts, count: int) -> Amounts:
    return {key: value * count for key, value in amounts.items()}


def shown(name: str, value: float) -> str:
    """ "250m" of CPU, "1.5Gi" of memory, a plain count of others."""
    if name.endswith("cpu"):
        return f"{value:g}" if value >= 1 else f"{value * 1000:.0f}m"
    if name.endswith(("memory", "storage")):
        for unit in ("Gi", "Mi", "Ki"):
            if value >= _UNITS[unit]:
                return f"{round(value / _UNITS[unit], 2):g}{unit}"
    return f"{value:g}"


def _amounts(container: Mapping[str, Any], kind: str) -> Amounts:
    resources = container.get("resources") or {}
    amounts = {key: quantity(value) for key, value in (resources.get(kind) or {}).items()}
    if kind == "requests":
        # A limit without a request is the request, as the API server fills it in.
        for key, value in (resources.get("limits") or {}).items():
            amounts.setdefault(key, quantity(value))
    return amounts


def _add(total: Amounts, part: Amounts) -> None:
    for key, value in part.items():
        total[key] = total.get(key, 0.0) + value
