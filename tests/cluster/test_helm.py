"""A release that Helm manages: failback deploys it in between, and Helm goes on as if it had done so itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster.place import Place, failed, load, place
from tests.cluster.release import Release

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("helm"), reason="needs helm on PATH: testbed/peers builds it"),
]


JOB = """
apiVersion: batch/v1
kind: Job
metadata:
  name: first-of-all
  annotations: {"helm.sh/hook": pre-install}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - {name: it, image: "failback/app:1", env: [{name: EXIT_AT_START, value: "0"}]}
"""


@pytest.fixture
def new() -> Iterator[Place]:
    """A chart, and a plan that names it; nothing is installed."""
    with place() as here:
        folder = here.folder / "chart"
        (folder / "templates").mkdir(parents=True)
        (folder / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "app", "version": "0.1.0"}))
        text = yaml.safe_dump_all(Release(1).objects())
        (folder / "templates" / "all.yaml").write_text(
            text.replace("value: '1'", "value: {{ .Values.version | quote }}")
        )
        here.extra = {"release": {"helm": {"chart": "chart", "values": ["values.yaml"], "name": "app"}}}
        here.write([])
        values(here, 1)
        yield here


@pytest.fixture
def chart(new: Place) -> Place:
    """Version 1 is live, installed by Helm."""
    helm(new, "install")
    return new


def values(here: Place, version: int) -> None:
    (here.folder / "values.yaml").write_text(f"version: {version}\n")


def helm(here: Place, verb: str, *flags: str) -> str:
    """What a person types: where the values are, and to wait."""
    what = [] if verb == "list" else ["app", "chart", "--values", "values.yaml", "--wait", *flags]
    command = ["helm", "--namespace", here.cluster.namespace, verb, *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=here.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_helm_goes_on_after_a_good_release_and_after_a_bad_one(chart: Place) -> None:
    """`helm list` shows it all the while, and the next `helm upgrade` needs no force; no request is lost before it."""
    here = chart
    with load(here.cluster.address()) as users:
        values(here, 2)
        good = here.deploy()
        template = here.folder / "chart" / "templates" / "all.yaml"
        sound = template.read_text()
        template.write_text(sound.replace("name: VERSION", "name: NEED_FILE"))
        values(here, 3)
        bad = here.deploy()
        template.write_text(sound)

    assert good["exit_code"] == 0, failed(good)
    assert bad["exit_code"] == 3, failed(bad)
    assert bad["rollback"]["system_status"] == "STABLE"
    assert users["failed"] == 0, json.dumps(users)[:2000]
    assert set(users["by_version"]) == {"1", "2"}
    assert "app-0.1.0" in helm(here, "list")

    values(here, 4)
    helm(here, "upgrade")

    here.cluster.rolled_out()
    container = here.cluster.get("deployment", "app")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "VERSION", "value": "4"} in container["env"]


def test_helm_takes_up_what_failback_installed(new: Place) -> None:
    """The hooks of an installation run before the first release, and only then. Helm needs force once, by which it
    takes over what failback had brought; then neither stands in the other's way."""
    here = new
    (here.folder / "chart" / "templates" / "job.yaml").write_text(JOB)
    first = here.deploy()
    values(here, 2)
    second = here.deploy()

    assert first["exit_code"] == 0, failed(first)
    assert second["exit_code"] == 0, failed(second)
    (job,) = here.cluster.listed("jobs")
    assert job["metadata"]["name"].startswith("first-of-all-")
    assert job["status"]["succeeded"] == 1

    helm(here, "install", "--force-conflicts")
    values(here, 3)
    third = here.deploy()
    values(here, 4)
    helm(here, "upgrade")

    assert third["exit_code"] == 0, failed(third)
    assert "app-0.1.0" in helm(here, "list")
