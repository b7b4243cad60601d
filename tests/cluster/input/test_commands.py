"""The commands on a service in a cluster, as a person types them: from a plan to a deployment, back, and gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from failback.targets.kubernetes.record import RECORD, ROLLOUT_OF, Moment, Record
from tests.cluster.support import Cluster, answers, app

pytestmark = pytest.mark.cluster

FAILBACK = [sys.executable, "-m", "failback.cli.main"]
QUICK = {"ready": {"path": "/healthz"}, "smoke": [{"path": "/"}], "soak": 1, "bake": 1, "drain": 0.5}


def failback(
    folder: Path, *arguments: str, stdin: str | None = None, home: str = "home"
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAILBACK_")}
    return subprocess.run(
        [*FAILBACK, *arguments],
        cwd=folder,
        env=kept | {"FAILBACK_HOME": str(folder / home)},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def write_plan(folder: Path, cluster: Cluster, **release: object) -> None:
    plan = {
        "service": "app",
        "target": {"kind": "kubernetes", "namespace": cluster.namespace},
        "release": release,
        "checks": QUICK,
    }
    (folder / "failback.yaml").write_text(yaml.safe_dump(plan))


def write_manifests(folder: Path, **env: object) -> None:
    (folder / "k8s").mkdir(exist_ok=True)
    (folder / "k8s" / "app.yaml").write_text(yaml.safe_dump_all(app(env=env)))


def test_from_a_plan_to_a_deployment_and_back(cluster, tmp_path):
    """The first deployment, the second, the way back, the backup, and the end."""
    write_manifests(tmp_path, COLOUR="blue")
    write_plan(tmp_path, cluster, manifests=["k8s"])

    planned = failback(tmp_path, "plan")
    first = failback(tmp_path, "deploy", "--yes")
    write_manifests(tmp_path, COLOUR="green")
    second = failback(tmp_path, "deploy", "--yes", "--json")
    state = json.loads(failback(tmp_path, "status", "--json").stdout)["services"][0]
    back = failback(tmp_path, "rollback", "app", "--yes")

    assert planned.returncode == 0 and "--- nothing" in planned.stdout, planned.stderr
    assert first.returncode == 0, first.stdout + first.stderr
    assert second.returncode == 0, second.stdout + second.stderr
    assert [str(one["state"]) for one in state["revisions"]] == ["live", "retired"]
    assert back.returncode == 0, back.stdout + back.stderr
    assert cluster.get("deployment", "app")["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "blue"
    assert answers(cluster.address())
    for arguments in (("backups", "verify"), ("history",), ("down", "app", "--yes")):
        done = failback(tmp_path, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.listed("deployments") == []


def test_a_deployment_that_must_fail_touches_nothing_and_says_why(cluster, tmp_path):
    cluster.apply(*app())
    cluster.rolled_out()
    before = {pod["metadata"]["name"] for pod in cluster.listed("pods")}
    write_manifests(tmp_path)
    manifest = (tmp_path / "k8s" / "app.yaml").read_text()
    (tmp_path / "k8s" / "app.yaml").write_text(
        manifest.replace("env: []", "envFrom: [{configMapRef: {name: settings}}]")
    )
    write_plan(tmp_path, cluster, manifests=["k8s"])

    done = failback(tmp_path, "deploy", "--yes", "--json")
    result = json.loads(done.stdout)

    assert done.returncode == 3
    assert result["root_cause"]["type"] == "missing_configuration"
    assert result["rollback"]["system_status"] == "STABLE"
    assert {pod["metadata"]["name"] for pod in cluster.listed("pods")} == before
    assert list((tmp_path / "home" / "logs" / "failures").glob("execution-*.json"))


def test_a_guarantee_that_cannot_be_kept_is_refused(cluster, tmp_path):
    objects = app()
    objects[0]["spec"]["strategy"] = {"type": "Recreate"}
    cluster.apply(*objects)
    cluster.rolled_out()
    (tmp_path / "app.yaml").write_text(yaml.safe_dump_all(objects))
    write_plan(tmp_path, cluster, manifests=["app.yaml"])

    done = failback(tmp_path, "deploy", "--yes")

    assert done.returncode == 5, done.stdout
    assert "its strategy is Recreate" in done.stdout


def test_manifests_through_a_pipe_and_a_kustomization(cluster, tmp_path):
    write_plan(tmp_path, cluster, manifests="-")
    piped = failback(tmp_path, "deploy", "--yes", stdin=yaml.safe_dump_all(app()))
    (tmp_path / "prod").mkdir()
    (tmp_path / "prod" / "app.yaml").write_text(yaml.safe_dump_all(app()))
    (tmp_path / "prod" / "kustomization.yaml").write_text("resources: [app.yaml]\nreplicas: [{name: app, count: 3}]\n")
    write_plan(tmp_path, cluster, kustomize="prod")
    planned = failback(tmp_path, "plan")

    assert piped.returncode == 0, piped.stdout + piped.stderr
    assert "+  replicas: 3" in planned.stdout, planned.stdout + planned.stderr


def test_only_the_image_of_what_runs(cluster, tmp_path):
    """No manifests at hand: what runs is the release."""
    cluster.apply(*app(env={"COLOUR": "blue"}))
    cluster.rolled_out()
    write_plan(tmp_path, cluster, objects=["deployment/app"], image="docker.io/failback/app:1")

    done = failback(tmp_path, "deploy", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    container = cluster.get("deployment", "app")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"].partition("@")[0], container["env"][0]["value"]) == ("docker.io/failback/app:1", "blue")


def test_another_machine_ends_what_was_left_behind(cluster, tmp_path):
    """A home that has never seen the service: what is needed travels with the workload."""
    cluster.apply(*app())
    cluster.rolled_out()
    write_manifests(tmp_path)
    write_plan(tmp_path, cluster, manifests=["k8s"])
    stable = cluster.listed("pods")[0]["metadata"]["labels"]["pod-template-hash"]
    before = cluster.get("deployment", "app")["spec"]
    fields = {key: before.get(key) for key in ("strategy", "minReadySeconds", "progressDeadlineSeconds")}
    record = Record("execution-1", "rev-1", Moment.DARK, stable, before=fields, after=fields, services=("app",))
    patch = {
        "metadata": {"labels": {ROLLOUT_OF: "app"}, "annotations": {RECORD: record.text()}},
        "spec": {"minReadySeconds": 2147483646, "progressDeadlineSeconds": 2147483647},
    }
    cluster.kubectl("patch", "deployment", "app", "--type=merge", "--patch", json.dumps(patch))

    found = failback(tmp_path, "doctor", "--file", "failback.yaml")
    done = failback(tmp_path, "resume", "--file", "failback.yaml")

    assert found.returncode == 6 and "was left behind" in found.stdout, found.stdout
    assert done.returncode == 0 and "undid the rollout of execution-1" in done.stdout, done.stdout + done.stderr
    now = cluster.get("deployment", "app")
    assert now["spec"] == before
    assert ROLLOUT_OF not in now["metadata"].get("labels", {})


def test_it_is_a_plugin_of_kubectl(cluster, tmp_path):
    """kubectl finds it by its name on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        ["kubectl", "failback", "--version"],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.startswith("failback "), done.stderr


def test_the_users_own_tool_works_on_after_a_deployment(cluster, tmp_path):
    """`helm upgrade` and `kubectl apply --server-side` are refused where a field that they change is another's: that
    holds for the objects beside the pods as well."""
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}

    def by_the_team(colour: str) -> None:
        text = yaml.safe_dump_all([*app(env={"COLOUR": colour}), {**settings, "data": {"COLOUR": colour}}])
        cluster.kubectl("apply", "--server-side", "--field-manager=team", "--filename=-", text=text)

    by_the_team("blue")
    cluster.rolled_out()
    text = yaml.safe_dump_all([*app(env={"COLOUR": "green"}), {**settings, "data": {"COLOUR": "green"}}])
    (tmp_path / "app.yaml").write_text(text)
    write_plan(tmp_path, cluster, manifests=["app.yaml"])

    done = failback(tmp_path, "deploy", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.get("configmap", "settings")["data"] == {"COLOUR": "green"}
    by_the_team("red")
    assert cluster.get("configmap", "settings")["data"] == {"COLOUR": "red"}
    cluster.rolled_out()
