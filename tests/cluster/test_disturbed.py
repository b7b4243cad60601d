"""The world around a deployment breaks: nobody resumes, the API server or the kubelet restarts, a holder is frozen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.footprint import differences, footprint
from tests.cluster.killing import QUICK, Series
from tests.cluster.place import ended as ended_command
from tests.cluster.place import failed, load, place, told
from tests.cluster.support import Cluster, is_testbed, run_testbed

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture
def series() -> Iterator[Series]:
    """A place in which release 1 is live, deployed by failback."""
    with place() as here:
        made = Series(here)
        made.begin()
        yield made


def test_killed_and_never_resumed_it_goes_on_serving(series: Series) -> None:
    """Even when a stable pod is deleted: Kubernetes makes it anew, of the stable revision, and users come to it."""
    here, cluster = series.here, series.here.cluster
    release = series.release("bad")
    with load(cluster.address()) as users:
        here.run("deploy", "--yes", fault="kill:Deploy/launch:recorded#1")
        pods = [pod["metadata"]["name"] for pod in cluster.listed("pods") if _version(pod) == "1"]
        cluster.wait_until(lambda: _ready_of(series, "1") == 2, "both stable pods")
        # Out of the endpoints first, as an orderly eviction does it; the application drains.
        cluster.kubectl("delete", "pod", pods[0], "--wait=true")
        cluster.wait_until(lambda: _ready_of(series, "1") == 2, "the stable pod made anew")

    if is_testbed():
        assert users["failed"] <= _in_flight(users), json.dumps(users)[:2000]
        assert set(users["by_version"]) == {"1"}
    assert here.run("resume", "--json").returncode == 0
    assert series.problems(release, {1}) == []


def _in_flight(users: dict[str, float]) -> float:
    """A pod that a person deletes drops what came in the instant before its endpoint went; at most a second of that."""
    return float(users["rate_per_s"]) / 2


@pytest.mark.parametrize("kind", ["bad", "good"])
def test_the_api_server_restarts_in_the_middle(series: Series, kind: str) -> None:
    """It is ridden out: users are on the data plane, which needs no API server."""
    if not is_testbed():
        pytest.skip("only the testbed's API server may be restarted")
    release = series.release(kind)
    with load(series.here.cluster.address()) as users:
        with series.here.stopped_at("Deploy/launch:recorded#1") as process:
            stopped = run_testbed("part", "kill", "kube-apiserver")
            assert stopped.returncode == 0, stopped.stderr
        assert run_testbed("part", "start", "kube-apiserver").returncode == 0
        result = told(ended_command(process))

    assert result["exit_code"] == (0 if kind == "good" else 3), failed(result)
    assert users["failed"] == 0, json.dumps(users)[:2000]
    assert series.problems(release, {series.number if kind == "good" else 1}) == []
    _await_controllers()


def _await_controllers() -> None:
    """They pause for up to half a minute after an API server was away: not to be the next test's problem."""
    Cluster.with_new_namespace(limit_s=120).delete_namespace()


def test_the_kubelet_restarts_in_the_middle(series: Series) -> None:
    if not is_testbed():
        pytest.skip("only the testbed's kubelet may be restarted")
    release = series.release("good")
    with load(series.here.cluster.address()) as users:
        process = series.here.start("deploy", "--yes", "--json")
        assert run_testbed("part", "restart", "kubelet").returncode == 0
        result = told(ended_command(process))

    assert result["exit_code"] == 0, failed(result)
    assert users["failed"] == 0, json.dumps(users)[:2000]
    assert series.problems(release, {series.number}) == []


def test_a_holder_that_was_frozen_writes_nothing_more(series: Series) -> None:
    """SIGSTOP past its lease; another machine takes over and goes live; SIGCONT: its late write is refused."""
    here, cluster = series.here, series.here.cluster
    series.release("good")
    elsewhere = Path(here.folder / "elsewhere")
    with load(cluster.address()) as users:
        with here.stopped_at("traffic.switch:before#1") as frozen:
            first = cluster.get("deployment", "app")
            _make_old(series)
            second = series.release("good")
            result = here.deploy(home=elsewhere)
            assert result["exit_code"] == 0, failed(result)
            assert any("undid the rollout" in note for note in result["notes"]), result["notes"]
        late = ended_command(frozen)

    assert late.returncode != 0, late.stdout
    assert "taken over" in late.stderr + late.stdout or "fencing token" in late.stderr + late.stdout, late.stderr
    assert first["metadata"]["uid"] == cluster.get("deployment", "app")["metadata"]["uid"]
    assert users["failed"] == 0 or not is_testbed(), json.dumps(users)[:2000]
    assert series.problems(second, {series.number}) == []


def test_the_first_machine_comes_back(series: Series) -> None:
    """Killed here, ended on another machine that has gone live since: the `resume` here changes nothing."""
    here = series.here
    series.release("good")
    here.run("deploy", "--yes", fault="kill:Deploy/judge:recorded#1")
    newest = series.release("good")
    result = here.deploy(home=Path(here.folder / "elsewhere"))
    assert result["exit_code"] == 0, failed(result)
    before = footprint(here.cluster)

    back = here.run("resume", "--json")

    assert back.returncode == 0, back.stderr
    assert [one["status"] for one in json.loads(back.stdout)] == ["failed"]
    assert differences(before, footprint(here.cluster)) == []
    assert series.problems(newest, {series.number}) == []


def _make_old(series: Series) -> None:
    """The lease ends as it does when its holder has not renewed it for so long; then nobody waits in this test."""
    old = {"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}}
    series.here.cluster.kubectl("patch", "lease", "failback-app", "--type=merge", f"--patch={json.dumps(old)}")


def test_two_deployments_at_once(series: Series) -> None:
    """From two homes: one runs, the other is told so and has touched nothing."""
    here = series.here
    release = series.release("good")
    with here.stopped_at("Deploy/launch:recorded#1") as first:
        second = here.run("deploy", "--yes", "--json", home=Path(here.folder / "elsewhere"))
        assert second.returncode == 5, second.stderr
        assert "is held by" in second.stderr + second.stdout
    assert ended_command(first).returncode == 0
    assert series.problems(release, {series.number}) == []


def test_other_tools_go_on_working(series: Series) -> None:
    """`kubectl apply --server-side` without force, after a release that went live and one that was taken back. Force is
    needed once, by which the tool takes over objects that failback itself had brought."""
    cluster, manifests = series.here.cluster, series.here.folder / "k8s" / "release.yaml"
    by_kubectl = ("apply", "--server-side", f"--filename={manifests}")
    cluster.kubectl(*by_kubectl, "--force-conflicts")
    cluster.rolled_out()
    for kind in ("good", "bad"):
        good = series.release("good")
        if kind == "bad":
            series.release("bad")
        assert series.here.deploy()["exit_code"] == (0 if kind == "good" else 3)
        changed = good.objects()
        series.here.checks = QUICK
        changed[1]["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "MORE", "value": kind})
        series.here.write(changed)

        cluster.kubectl(*by_kubectl)

        cluster.rolled_out()


def _ready_of(series: Series, version: str) -> int:
    return sum(
        any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions") or ())
        for pod in series.here.cluster.listed("pods")
        if _version(pod) == version and "deletionTimestamp" not in pod["metadata"]
    )


def _version(pod: dict[str, Any]) -> str:
    return next(str(one["value"]) for one in pod["spec"]["containers"][0]["env"] if one["name"] == "VERSION")
