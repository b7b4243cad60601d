"""A release for a cluster with a fix: the one workload's first container changes, and nothing else of the objects."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from failback.model.errors import ReleaseError
from failback.model.fix import REMOVED, Change, PutFile, SetSetting
from failback.targets.base import ReleaseSpec
from failback.targets.kubernetes.changing import changed, shape_of

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "shop",
                        "image": "shop:1",
                        "env": [
                            {"name": "LOG", "value": "plain"},
                            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                        ],
                        "readinessProbe": {"httpGet": {"path": "/nope", "port": 8080}},
                        "resources": {"limits": {"memory": "64Mi"}},
                    },
                    {"name": "side", "image": "side:1"},
                ]
            }
        }
    },
}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"theme": "dark"}}
RELEASE = ReleaseSpec("shop", {"manifests": ["k8s"], "helm": None, "image": "shop:2"}, {"ready": {}})


def made(folder: Path, *changes: Change) -> list[Any]:
    objects = [DEPLOYMENT, CONFIG]
    before = copy.deepcopy(objects)
    release = changed(RELEASE, objects, changes, folder / "fix")
    assert objects == before, "the release's own objects were changed"
    assert release.shape["image"] == "shop:2"
    (file,) = release.shape["manifests"]
    return list(yaml.safe_load_all(Path(file).read_text()))


def container(objects: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = objects[0]["spec"]["template"]["spec"]["containers"][0]
    return found


def test_what_fixes_see_of_it() -> None:
    seen = shape_of(DEPLOYMENT, [CONFIG])

    assert seen.settings["memory"] == "64Mi"
    assert seen.env == {"LOG": "plain"}
    assert seen.ready == {"path": "/nope", "port": 8080}
    assert seen.files == {"configmap/settings/theme": b"dark"}


def test_settings_go_to_their_places(tmp_path: Path) -> None:
    objects = made(
        tmp_path,
        SetSetting(("release", "resources", "memory"), "128Mi"),
        SetSetting(("release", "env", "REGION"), "eu"),
        SetSetting(("release", "env", "LOG"), REMOVED),
        SetSetting(("checks", "ready", "path"), "/healthz"),
        PutFile("configmap/settings/region", b"eu"),
    )

    main = container(objects)
    assert main["resources"]["limits"]["memory"] == "128Mi"
    assert [one["name"] for one in main["env"]] == ["KEY", "REGION"]
    assert main["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": 8080}
    assert objects[1]["data"] == {"theme": "dark", "region": "eu"}


def test_what_has_no_place_is_refused(tmp_path: Path) -> None:
    for change in (
        SetSetting(("release", "start"), ("sh",)),
        PutFile("config/app.json", b"{}"),
        PutFile("configmap/other/key", b"x"),
    ):
        with pytest.raises(ReleaseError):
            made(tmp_path, change)
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}}
    with pytest.raises(ReleaseError, match="would run once more"):
        changed(RELEASE, [DEPLOYMENT, job], (), tmp_path)
    with pytest.raises(ReleaseError, match="one workload"):
        changed(RELEASE, [DEPLOYMENT, DEPLOYMENT], (), tmp_path)
