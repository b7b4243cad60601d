"""Releases as fixes look at them, and a release with a fix: its rendered objects, changed, in a file of the trial.

Only a release of one workload: with several nobody can say whose container a setting means.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from failback.model.errors import ReleaseError
from failback.model.fix import REMOVED, Change, PutFile, ReleaseShape, SetSetting
from failback.targets.base import ReleaseSpec
from failback.targets.kubernetes.kinds import WORKLOADS, Object

CONFIG_MAPS = "configmap"  # "configmap/NAME/KEY": how a key of a ConfigMap is named among a release's files


def shape_of(workload: Object, config_maps: Sequence[Object]) -> ReleaseShape:
    """The workload's first container, and the keys of the release's ConfigMaps."""
    main = _main(workload)
    probe = (main.get("readinessProbe") or {}).get("httpGet") or {}
    files = {
        f"{CONFIG_MAPS}/{one['metadata']['name']}/{key}": str(text).encode()
        for one in config_maps
        for key, text in (one.get("data") or {}).items()
    }
    return ReleaseShape(
        settings={"memory": ((main.get("resources") or {}).get("limits") or {}).get("memory")},
        env={one["name"]: str(one["value"]) for one in main.get("env") or () if one.get("value") is not None},
        ready={key: probe[key] for key in ("path", "port") if key in probe},
        names=frozenset(files),
        files=files,
    )


def changed(release: ReleaseSpec, objects: Sequence[Object], changes: Sequence[Change], folder: Path) -> ReleaseSpec:
    """The release from one file of changed objects. Raises ReleaseError for a change that has no place in them."""
    made = copy.deepcopy(list(objects))
    workload = only_workload(made)
    if any(one.get("kind") == "Job" for one in made):
        raise ReleaseError("A release with Jobs (migrations) is not tried: they would run once more.")
    for change in changes:
        if isinstance(change, PutFile):
            _put_key(change, made)
        else:
            _set(change, workload)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(made, sort_keys=False, allow_unicode=True), encoding="utf-8")
    file.chmod(0o600)
    places = {"manifests": [str(file)], "kustomize": None, "helm": None, "standard_input": None}
    return replace(release, shape={**release.shape, **places})


def only_workload(objects: Sequence[Object]) -> Object:
    """Raises ReleaseError where there is not exactly one."""
    found = [one for one in objects if one.get("kind") in WORKLOADS]
    if len(found) != 1:
        raise ReleaseError(f"A fix is tried for a release of one workload; this one has {len(found)}.")
    return found[0]


def _main(workload: Object) -> dict[str, Any]:
    containers: list[dict[str, Any]] = workload["spec"]["template"]["spec"]["containers"]
    return containers[0]


def _set(change: SetSetting, workload: Object) -> None:
    main = _main(workload)
    match change.path:
        case ("release", "resources", key):
            main.setdefault("resources", {}).setdefault("limits", {})[key] = change.value
        case ("release", "env", name):
            env = [one for one in main.get("env") or () if one["name"] != name]
            main["env"] = env if change.value is REMOVED else [*env, {"name": name, "value": str(change.value)}]
        case ("checks", "ready", ("path" | "port") as key):
            probe = (main.get("readinessProbe") or {}).get("httpGet")
            if probe is None:
                raise ReleaseError("The workload has no readinessProbe by HTTP that could be changed.")
            probe[key] = change.value
        case _:
            raise ReleaseError(f"{'/'.join(change.path)} cannot be tried on a cluster.", path=change.path)


def _put_key(change: PutFile, objects: Sequence[Object]) -> None:
    kind, _, rest = change.name.partition("/")
    name, _, key = rest.partition("/")
    found: Mapping[str, Any] | None = next(
        (one for one in objects if one.get("kind") == "ConfigMap" and one["metadata"]["name"] == name), None
    )
    if kind != CONFIG_MAPS or found is None:
        raise ReleaseError(f"{change.name} has no place in the release's manifests.", path=change.name)
    found.setdefault("data", {})[key] = change.content.decode("utf-8")  # type: ignore[attr-defined]
