"""What travels with a workload while a rollout is under way, so that any machine can finish or undo it.

The record stands in an annotation of the workload and is written in the same write as the fields that it remembers.
Pure. Values of Secrets never stand in it: the objects that hold them are named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from failback.targets.kubernetes.cluster import Patch, pointer, test_of
from failback.targets.kubernetes.kinds import Object, annotations_of

PREFIX = "failback.dev"
RECORD = f"{PREFIX}/rollout"
FENCE = f"{PREFIX}/fence"
SERVING = f"{PREFIX}/serving"  # the label of pods that users reach, where pods are exchanged one by one
ROLLOUT_OF = f"{PREFIX}/rollout-of"  # the label of a workload with a record: the service's name
EXECUTION = f"{PREFIX}/execution"  # the label of what an execution made and its rollback removes
REVISION_OF = f"{PREFIX}/revision-of"  # the label of versioned ConfigMaps and Secrets: the name they stand for
RECORD_VERSION = 1


class Moment(StrEnum):
    """How far a rollout has come; what is to be done about one that nobody is at work on follows from it."""

    ANNOUNCED = "announced"  # nothing of the workload is changed yet, but things beside it may be: undo
    DARK = "dark"  # the new pods run or are about to; users are pinned to the stable ones: undo
    SWITCHED = "switched"  # users are on the new pods, which have not baked yet: undo
    FINISHING = "finishing"  # baked: go on to the end
    ROLLING_BACK = "rolling-back"  # on the way back: go on


@dataclass(frozen=True, slots=True)
class Record:
    """One rollout of one workload. `before` and `after`: the user's values of the fields that a rollout sets for a
    time, as they were and as the new manifest has them; None where the manifest has none. `template`: the stable pod
    template (needed only where no ReplicaSet keeps it). `services`: their selectors and ports as they were."""

    execution: str
    revision: str
    moment: Moment
    stable: str | None  # the stable revision's hash; None: first deployment
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    managers: tuple[Any, ...] = ()  # metadata.managedFields as they were
    services: tuple[str, ...] = ()
    known: tuple[str, ...] = ()  # ControllerRevisions that were there before: another one is the release's own
    created: tuple[str, ...] = ()  # "ConfigMap/web-3f2a": made by this execution, removed by its rollback
    template: Mapping[str, Any] | None = None
    plan_service: str = ""
    launched_at: float = 0.0  # unix seconds
    switched_at: float | None = None
    way: str = "dark"  # how the pods are exchanged: rolling.DARK, ROLLING, OWN
    version: int = RECORD_VERSION

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)


def record_of(obj: Mapping[str, Any] | None) -> Record | None:
    """The record on an object; None without one. Raises ValueError for one that a newer failback wrote."""
    text = annotations_of(obj).get(RECORD) if obj is not None else None
    if not text:
        return None
    shape = json.loads(text)
    if shape.get("version") != RECORD_VERSION:
        raise ValueError(
            f"the rollout record was written by another version of failback (format {shape.get('version')})"
        )
    shape["moment"] = Moment(shape["moment"])
    for name in ("managers", "services", "created", "known"):
        shape[name] = tuple(shape.get(name) or ())
    return Record(**shape)


def annotate(obj: Object, annotations: Mapping[str, str | None]) -> Patch:
    """Operations that set (or, with None, remove) annotations; nothing where they are so already."""
    return _entries(obj, "annotations", annotations)


def label(obj: Object, labels: Mapping[str, str | None]) -> Patch:
    """The same for labels."""
    return _entries(obj, "labels", labels)


def _entries(obj: Object, where: str, entries: Mapping[str, str | None]) -> Patch:
    have = obj["metadata"].get(where) or {}
    wanted = {key: value for key, value in entries.items() if have.get(key) != value}
    if not wanted:
        return []
    if not have:
        kept = {key: value for key, value in wanted.items() if value is not None}
        return [{"op": "add", "path": f"/metadata/{where}", "value": kept}] if kept else []
    operations: Patch = []
    for key, value in wanted.items():
        path = pointer("metadata", where, key)
        operations.append(
            {"op": "remove", "path": path} if value is None else {"op": "add", "path": path, "value": value}
        )
    return operations


def set_field(obj: Object, path: tuple[str, ...], value: Any) -> Patch:
    """One operation that gives a field this value (None: takes it away); nothing where it has it."""
    parent: Any = obj
    for part in path[:-1]:
        parent = parent.get(part) if isinstance(parent, dict) else None
    have = parent.get(path[-1]) if isinstance(parent, dict) else None
    if have == value:
        return []
    where = pointer(*path)
    if value is None:
        return [{"op": "remove", "path": where}]
    return [{"op": "replace" if have is not None else "add", "path": where, "value": value}]


def fence_of(obj: Mapping[str, Any]) -> int | None:
    """The fencing token on an object; None without one."""
    text = annotations_of(obj).get(FENCE)
    return int(text) if text and text.isdigit() else None


def fence(obj: Object, token: int) -> tuple[Patch, Object]:
    """Operations that write our token under the condition that nobody wrote another one meanwhile, and the object as
    it is after them (what comes next in the same patch has to be made for that one)."""
    have = fence_of(obj)
    held = [] if have is None else [test_of(pointer("metadata", "annotations", FENCE), str(have))]
    after = {**obj, "metadata": {**obj["metadata"], "annotations": {**annotations_of(obj), FENCE: str(token)}}}
    return [*held, *annotate(obj, {FENCE: str(token)})], after


def execution_label(execution: str) -> str:
    """An execution's id as a label may have it: at most 63 characters."""
    return execution if len(execution) <= 63 else execution[-63:].lstrip("._-")
