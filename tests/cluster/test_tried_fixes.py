"""A fix tried on a real cluster: dark beside the stable pods, verified, its patch in the manifest, nothing left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.support import Cluster, app

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(600)]


def deploy(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "failback.cli.main", "deploy", "--yes", "--json", "--home", str(folder / "home")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def write(folder: Path, namespace: str, path: str) -> None:
    objects = app()
    container = objects[0]["spec"]["template"]["spec"]["containers"][0]
    container["readinessProbe"]["httpGet"]["path"] = path
    (folder / "k8s.yaml").write_text(yaml.safe_dump_all(objects, sort_keys=False))
    (folder / "failback.yaml").write_text(
        f"service: app\ntarget: {{kind: kubernetes, namespace: {namespace}}}\nrelease: {{manifests: [k8s.yaml]}}\n"
        "checks: {ready: {path: /healthz, timeout: 15}, soak: 1, bake: 1, drain: 2}\n"
        "diagnosis: {try_fixes: true, try_timeout: 150}\n"
    )


def test_a_readiness_probe_that_asks_for_the_wrong_path(cluster: Cluster, tmp_path: Path) -> None:
    write(tmp_path, cluster.namespace, "/healthz")
    assert deploy(tmp_path)["status"] == "completed"
    before = cluster.get("deployment", "app")["spec"]
    write(tmp_path, cluster.namespace, "/nope")

    result = deploy(tmp_path)

    first = result["rollback"]["phases"][5]["recommendations"][0]
    assert result["rollback"]["system_status"] == "STABLE"
    assert first["verified"].startswith("passed the gate with ready path /healthz in ")
    assert cluster.get("deployment", "app")["spec"] == before
    assert len([pod for pod in cluster.listed("pods") if "deletionTimestamp" not in pod["metadata"]]) == 2

    explain = [sys.executable, "-m", "failback.cli.main", "explain", "--patch", "--home", str(tmp_path / "home")]
    patch = subprocess.run(explain, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    subprocess.run(["patch", "-p1"], cwd=tmp_path, input=patch, text=True, check=True)
    assert "path: /healthz" in (tmp_path / "k8s.yaml").read_text()
