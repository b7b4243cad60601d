"""A real gateway acts on the HTTPRoute: a tenth of the users first, copies of requests for the dark, and its counts.

The gateway is the testbed's (Contour and Envoy). Users come through its address; the load's own count is what the
gateway's has to agree with.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from failback.targets.kubernetes.gateway import counted
from testbed import gateway
from tests.cluster.footprint import leftovers
from tests.cluster.killing import ELSEWHERE, HERE
from tests.cluster.place import CHECKS, Place, ended, failed, load, place, told, wait_s
from tests.cluster.release import Release
from tests.cluster.spoiling import act_as
from tests.cluster.support import answers
from tests.cluster.test_role import grant

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("contour"), reason="needs contour on PATH: testbed/peers contour builds it"),
]
RATE = 300
UNASKED = {**CHECKS, "smoke": [{"path": "/version", "status": 200}]}  # it says nothing of what users ask for
# What a failing release logs is no news where the stable one has logged it: then its answers alone can tell.
USUAL = "2026/11/25 16:50:19.194700 error: POST / answered 500: as told"


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    """Ended afterwards, unless it was up before."""
    was_up = answers(gateway.METRICS)
    command = [sys.executable, os.environ["FAILBACK_TESTBED"] + "/gateway"]  # this Python has the Envoy
    started = subprocess.run([*command, "up"], capture_output=True, text=True, check=False, timeout=120)
    assert started.returncode == 0, started.stderr
    yield
    if not was_up:
        subprocess.run([*command, "down"], check=True, timeout=120)


class Shop:
    """A service behind the gateway, with version 1 live."""

    def __init__(self, here: Place) -> None:
        self.here = here
        self.cluster = here.cluster
        self.number = 1
        self.url = f"{gateway.ADDRESS}/{here.cluster.namespace}/"
        traffic = {"source": "gateway", "address": gateway.METRICS}
        target = {"kind": "kubernetes", "namespace": here.cluster.namespace, "traffic": traffic}
        here.extra = {"target": target, "strategy": "weighted"}

    def begin(self) -> None:
        first = Release(1)
        first.env(ERROR_LINES=USUAL, ON_TERM="exit")  # and a pod that is sent away too early loses what it has
        self.here.write(first.objects())
        result = self.here.deploy()
        assert result["exit_code"] == 0, failed(result)
        applied = ("apply", "--server-side", "--field-manager=shop-team", "--filename=-")
        self.cluster.kubectl(*applied, text=json.dumps(self._route()))
        self.cluster.wait_until(lambda: answers(self.url), "the gateway leads to the service")
        self.before = self.route()

    def _route(self) -> dict[str, Any]:
        """By a path, since the load goes to an address; with a filter of the team's own."""
        prefix = {"type": "PathPrefix", "value": f"/{self.cluster.namespace}"}
        rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        rule = {
            "matches": [{"path": prefix}],
            "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}],
            "backendRefs": [{"name": "app", "port": 80}],
        }
        parent = {"name": gateway.NAME, "namespace": gateway.NAMESPACE}
        return {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "users"},
            "spec": {"parentRefs": [parent], "rules": [rule]},
        }

    def route(self) -> dict[str, Any]:
        """What of the route is the team's: its content, and who owns which field."""
        text = self.cluster.kubectl("get", "httproute", "users", "--output=json", "--show-managed-fields")
        one = json.loads(text)
        owners = [
            {key: value for key, value in entry.items() if key != "time"}
            for entry in one["metadata"]["managedFields"]
            if entry.get("subresource") != "status"
        ]
        return {"annotations": one["metadata"].get("annotations"), "spec": one["spec"], "owners": owners}

    def answered_by_new_pods(self) -> int:
        """As the gateway counts what it sent to their Service."""
        with urllib.request.urlopen(gateway.METRICS, timeout=5) as page:
            lines = page.read().decode().splitlines()
        found = counted(lines, self.cluster.namespace, "app-failback")
        return 0 if found is None else found.requests - found.failed

    def shares(self) -> dict[str, int]:
        refs = self.cluster.get("httproute", "users")["spec"]["rules"][0]["backendRefs"]
        return {ref["name"]: int(ref["weight"]) for ref in refs}

    def release(self, **variables: object) -> None:
        self.number += 1
        made = Release(self.number)
        made.env(**variables)
        self.here.write(made.objects())

    def unrest(self) -> list[str]:
        """What is not the team's own again."""
        told = leftovers(self.cluster)
        if self.route() != self.before:
            told.append(f"the route was {self.before}, is {self.route()}")
        services = [one["metadata"]["name"] for one in self.cluster.listed("services")]
        return told if services == ["app"] else [*told, f"Services: {services}"]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with place() as here:
        made = Shop(here)
        made.begin()
        yield made


def test_a_good_release_a_tenth_first_then_all(shop: Shop) -> None:
    shop.here.checks = {**CHECKS, "bake": 15}
    shop.release()
    with load(shop.url, RATE) as users:
        process = shop.here.start("deploy", "--yes", "--json")
        shop.cluster.wait_until(lambda: shop.shares().get("app-failback"), "a share of the users")
        wait_s(0.5)
        with load(shop.url, RATE) as some:
            wait_s(8)
        result = told(ended(process))

    assert result["exit_code"] == 0, failed(result)
    assert (users["failed"], some["failed"]) == (0, 0), json.dumps(users)[:2000]
    assert 0.07 < some["by_version"]["2"] / some["sent"] < 0.13, some["by_version"]
    traffic = result["traffic"]
    assert (traffic["source"], traffic["failed"]) == ("gateway", 0)
    assert 0.5 * (users["sent"] + some["sent"]) < traffic["requests"] <= users["sent"] + some["sent"]
    assert result["rollback"]["user_impact"] == "ZERO"
    assert shop.unrest() == []


def test_what_only_users_requests_show_is_found_among_the_tenth(shop: Shop) -> None:
    """Its smoke is well, so it gets its share; one in twenty of that share fails, and nobody else does."""
    shop.here.checks = {**UNASKED, "bake": 90}
    shop.release(ERROR_PERCENT=5)
    with load(shop.url, RATE) as users:
        result = shop.here.deploy()

    assert result["exit_code"] == 3, failed(result)
    assert result["rollback"]["detection"]["rule"] == "requests-fail", failed(result)
    assert "user requests failed" in result["rollback"]["detection"]["reason"]
    assert result["traffic"]["failed"] == users["failed"] > 0, (failed(result), users)
    assert result["rollback"]["user_impact"] == f"{users['failed']} requests failed"
    assert shop.unrest() == []


def test_all_users_at_once_are_counted_as_well(shop: Shop) -> None:
    """`strategy: dark`: before the switch and after it are compared."""
    shop.here.extra["strategy"] = "dark"
    shop.here.checks = {**UNASKED, "bake": 60}
    shop.release(ERROR_PERCENT=10)
    with load(shop.url, RATE) as users:
        result = shop.here.deploy()

    assert result["exit_code"] == 3, failed(result)
    assert result["rollback"]["detection"]["rule"] == "requests-fail", failed(result)
    assert result["traffic"]["failed"] == users["failed"] > 0, (failed(result), users)
    assert shop.unrest() == []


def test_copies_fail_in_the_dark_and_no_user_does(shop: Shop) -> None:
    """Users send POST: the plan has to name it, or it is not copied."""
    shop.here.checks = {**UNASKED, "soak": 15, "mirror": {"enabled": True, "methods": ["GET", "POST"]}}
    shop.release(STATUS=500)
    with load(shop.url, RATE) as users:
        result = shop.here.deploy()

    assert result["exit_code"] == 3, failed(result)
    assert result["rollback"]["detection"]["rule"] == "requests-fail", failed(result)
    assert "copied requests failed" in result["rollback"]["detection"]["reason"]
    assert users["failed"] == 0, json.dumps(users)[:2000]
    assert set(users["by_version"]) == {"1"}
    assert (result["traffic"]["failed"], result["rollback"]["user_impact"]) == (0, "ZERO")
    assert shop.unrest() == []


def test_a_good_release_gets_copies_before_users(shop: Shop) -> None:
    """They are no users' requests: the gateway's count of those is no larger than what users sent."""
    shop.here.checks = {**CHECKS, "soak": 6, "mirror": {"enabled": True, "methods": ["GET", "POST"]}}
    shop.release()
    with load(shop.url, RATE) as users:
        with shop.here.stopped_at("Deploy/judge:recorded#1") as process:
            copied = shop.answered_by_new_pods()
        result = told(ended(process))

    assert result["exit_code"] == 0, failed(result)
    assert copied > RATE
    assert users["failed"] == 0, json.dumps(users)[:2000]
    assert 0 < result["traffic"]["requests"] <= users["sent"]
    assert result["rollback"]["user_impact"] == "ZERO"
    assert shop.unrest() == []


KILLS = (
    ("while it bakes", HERE),
    ("while it bakes", ELSEWHERE),
    ("route.change:effect-made-record-not#1", HERE),  # the new pods are a backend, with no share yet
    ("route.change:before#2", ELSEWHERE),
    ("route.change:effect-made-record-not#3", HERE),  # users are on the new pods by the Service, by the share no more
    ("route.restore:effect-made-record-not#1", ELSEWHERE),
)


@pytest.mark.parametrize(("point", "by"), KILLS)
def test_killed_then_taken_up(shop: Shop, point: str, by: str) -> None:
    """Here it goes on from where it was; from an empty home, where nobody knows how it went, it is undone."""
    shop.here.checks = {**CHECKS, "bake": 6}
    shop.release()
    with load(shop.url, RATE) as users:
        process = shop.here.start("deploy", "--yes", "--json", fault="" if " " in point else f"kill:{point}")
        if " " in point:
            shop.cluster.wait_until(lambda: shop.shares().get("app-failback"), "a share of the users")
            process.kill()
        assert ended(process).returncode == -signal.SIGKILL
        if by == HERE:
            done = shop.here.run("resume", "--json")
        else:
            done = shop.here.run("resume", "--json", "--file", "failback.yaml", home=shop.here.folder / "elsewhere")

    assert done.returncode == 0, done.stderr
    assert users["failed"] == 0, json.dumps(users)[:2000]
    assert shop.unrest() == []
    if by == HERE:
        (result,) = json.loads(done.stdout)
        assert result["status"] == "completed", done.stdout
        assert (result["traffic"]["failed"], result["rollback"]["user_impact"]) == (0, "ZERO"), result["traffic"]


def test_the_role_that_is_asked_for_is_enough_for_a_share(shop: Shop) -> None:
    act_as(shop.here, "little")
    shop.release()
    refused = shop.here.deploy()
    assert "httproutes" in json.dumps(refused["error"]), failed(refused)
    grant(shop.here, refused)
    with load(shop.url, RATE) as users:
        result = shop.here.deploy()

    assert result["exit_code"] == 0, failed(result)
    assert users["failed"] == 0, json.dumps(users)[:2000]
    assert shop.unrest() == []


def test_a_restored_backup_brings_all_users_back_at_once(shop: Shop) -> None:
    """Nobody bakes it, so there is no share; the old pods go when no user is on them any more."""
    shop.release()
    assert shop.here.deploy()["exit_code"] == 0
    newest = max(one["id"] for one in json.loads(shop.here.run("backups", "list", "--json").stdout))
    with load(shop.url, RATE) as users:
        done = shop.here.run("backups", "restore", newest, "--yes")

    assert done.returncode == 0, done.stderr
    assert users["failed"] == 0, json.dumps(users)[:2000]
    assert set(users["by_version"]) == {"1", "2"}
    assert shop.unrest() == []
