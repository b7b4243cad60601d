"""How what preflight finds is said: what blocks, and what blocks only where zero downtime is demanded. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failback.model.release import Finding
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.preflight_scene import Scene


def refused(
    scene: Scene, unit: Unit, message: str, remedy: str, way: str = "", more: Mapping[str, Any] | None = None
) -> Finding:
    """Blocks where zero downtime is demanded; else a warning. `way`: how its pods are exchanged then (rolling.py)."""
    if not scene.zero_downtime:
        soft = {"way": way} if way and unit.kind == "Deployment" else {}
        return Finding("warning", unit.told, f"{message}: requests may be lost", remedy, detail=soft)
    or_else = f"{remedy} Or accept the loss: rollback_config: {{zero_downtime_required: false}}."
    detail: dict[str, Any] = {"refused": True, **(more or {})}
    return Finding("error", unit.told, f"zero downtime cannot be kept: {message}", or_else, True, detail)


def blocking(unit: Unit, message: str, remedy: str, foreseen: str = "") -> Finding:
    """`foreseen`: the reason with which the cluster itself would say it once the rollout had begun."""
    detail = foresee(unit, foreseen, message) if foreseen else {}
    return Finding("error", unit.told, message, remedy, True, detail)


def foresee(unit: Unit, reason: str, message: str) -> dict[str, Any]:
    """What kubelet, scheduler or controller would say, for the diagnosis: it knows their words."""
    kind = "ReplicaSet" if reason == "FailedCreate" else "Pod"
    return {"foreseen": {"reason": reason, "message": message, "kind": kind, "name": unit.name}}
