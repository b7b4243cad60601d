"""The main job, by the installed command, under load: good releases go live, bad ones never reach a user."""

from __future__ import annotations

import json
from pathlib import Path

from tests.local.world import World


def test_good_release_goes_live_and_nobody_notices(live: World) -> None:
    """Given release 1 under load, when release 2 is deployed, then users move to it and no request fails."""
    live.release(2)
    with live.load() as load:
        result = live.deploy()
        seen = load.stop()

    assert result["exit_code"] == 0
    assert seen["failed"] == 0, seen["failures"]
    assert set(seen["answered_by"]) == {"1", "2"}
    assert result["rollback"]["user_impact"] == "ZERO"
    assert result["traffic"]["requests"] > 0
    assert result["traffic"]["failed"] == 0
    assert result["rollback"]["phases"] == []
    assert result["root_cause"] is None
    assert live.problems() == []


def test_keep_alive_users_move_too(live: World) -> None:
    """Connections that users keep are the proxy's: they follow the switch without being closed."""
    live.release(2)
    with live.load(keep_alive=True) as load:
        result = live.deploy()
        seen = load.stop()

    assert result["exit_code"] == 0
    assert seen["failed"] == 0, seen["failures"]
    assert "2" in seen["answered_by"]


def test_release_that_exits_at_start_is_refused_in_the_dark(live: World) -> None:
    """Given a release that ends at once, then it is condemned, put back and explained, and no user was asked."""
    (live.folder / "app" / "settings.json").unlink()
    with live.load() as load:
        result = live.deploy()
        seen = load.stop()

    assert result["exit_code"] == 3
    assert seen["failed"] == 0, seen["failures"]
    assert set(seen["answered_by"]) == {"1"}
    assert result["rollback"]["system_status"] == "STABLE"
    assert result["rollback"]["phases_completed"] == 8
    assert [phase["number"] for phase in result["rollback"]["phases"]] == list(range(1, 9))
    assert result["rollback"]["duration"] == result["rollback"]["total_duration"]
    assert result["rollback"]["detection"]["rule"] == "deterministic-exit"
    assert result["root_cause"]["type"] == "missing_file"
    assert "settings.json" in result["root_cause"]["cause"]
    assert result["deployment"]["failed_at_step"] == 2
    assert live.problems() == []


def test_ready_but_answering_500_is_refused_in_the_dark(live: World) -> None:
    """Ready by its status rule, and nonsense for users: the smoke request says so before they do."""
    live.extra = {"checks": {"ready": {"path": "/", "timeout": 15, "status": [200, 500]}}}
    live.release(2, status=500)
    with live.load() as load:
        result = live.deploy()
        seen = load.stop()

    assert result["exit_code"] == 3
    assert result["rollback"]["detection"]["rule"] == "smoke-wrong"
    assert seen["failed"] == 0
    assert set(seen["answered_by"]) == {"1"}


def test_a_ready_check_that_asks_for_what_is_not_there_is_not_waited_for(live: World) -> None:
    """The plan would wait for two minutes; a server that says 404 all the while has said all that it will."""
    live.extra = {"checks": {"ready": {"path": "/healthz", "timeout": 120}}}
    live.release(2, status=404)

    result = live.deploy()

    assert result["exit_code"] == 3
    assert result["rollback"]["detection"]["rule"] == "ready-check-denied"
    assert "/healthz" in result["error"]["reason"]
    assert result["root_cause"]["type"] == "probe_misconfigured"
    assert live.problems() == []


def test_a_release_that_raises_at_its_ready_check_is_not_waited_for(live: World) -> None:
    """500 from every replica, and a log that names a module which no wait will bring."""
    live.extra = {"checks": {"ready": {"path": "/", "timeout": 120}}}
    live.release(2, status=500, say_on_request="ModuleNotFoundError: No module named 'shopcart'")

    result = live.deploy()

    assert result["exit_code"] == 3
    assert result["rollback"]["detection"]["rule"] == "ready-check-raises"
    assert "shopcart" in result["error"]["reason"]
    assert result["root_cause"]["type"] == "missing_dependency"
    assert live.problems() == []


def test_failure_after_the_cut_over_is_switched_back(live: World) -> None:
    """A release that goes bad under users' requests is judged by their counts; what they felt is told as a number."""
    live.extra = {"checks": {"bake": 5}}
    live.release(2, bad_after=30)
    with live.load() as load:
        result = live.deploy()
        seen = load.stop()

    assert result["exit_code"] == 3
    assert result["rollback"]["detection"]["rule"] == "requests-fail"
    assert result["rollback"]["detection"]["stage"] == "after the cut-over"
    assert result["rollback"]["system_status"] == "STABLE"
    assert 0 < seen["failed"] < 200  # usually 15 to 20
    assert result["rollback"]["user_impact"] == f"{result['traffic']['failed']} requests failed"
    assert result["traffic"]["failed"] == seen["failed"]
    assert live.problems() == []


def test_slow_but_healthy_start_is_no_failure(live: World) -> None:
    """Three seconds until the first answer are within what the plan allows."""
    live.release(2, start_s=3)

    assert live.deploy()["exit_code"] == 0


def test_one_flaky_restart_is_no_failure(live: World, tmp_path: Path) -> None:
    """One replica that ends once and then works: a healthy release does that too."""
    live.extra = {"checks": {"ready": {"path": "/", "timeout": 30}}}
    live.release(2, once=str(tmp_path / "marker"))

    result = live.deploy()

    assert result["exit_code"] == 0, result.get("error")
    assert live.problems() == []


def test_failing_step_touches_nothing(live: World) -> None:
    """A test that fails: phases 1-4 are skipped with the reason, 5-8 tell why."""
    live.extra = {
        "steps": [
            {
                "name": "Test",
                "type": "test",
                "run": "echo 'E   assert 1 == 2'; echo 'FAILED tests/test_x.py::test_y'; exit 1",
            },
            {"name": "Deploy", "type": "deploy"},
        ]
    }
    live.release(2)
    before = live.status()

    result = live.deploy()

    assert result["exit_code"] == 3
    phases = {phase["number"]: phase["status"] for phase in result["rollback"]["phases"]}
    assert [phases[number] for number in (1, 2, 3, 4)] == ["skipped"] * 4
    assert phases[5] == phases[6] == phases[7] == "succeeded"
    assert result["rollback_performed"] is True
    assert result["root_cause"]["type"] == "test_failure"
    assert live.status()["replicas"][0]["pid"] == before["replicas"][0]["pid"]


def test_first_deployment_that_fails_leaves_nothing(world: World) -> None:
    """As before: nothing ran, and nothing runs; no proxy, no process, no folder of the release."""
    world.release(1, exit_at_start=3)

    result = world.deploy()

    assert result["exit_code"] == 3
    assert result["rollback"]["system_status"] == "STABLE"
    assert world.processes() == []
    service = world.home / "services" / world.service
    assert not (service / "proxy").exists()
    assert list((service / "releases").glob("[0-9a-f]*")) == []


def test_replica_survives_the_command(live: World) -> None:
    """The command has ended; its service goes on, kept alive by the supervisor."""
    victim = live.processes()[0]
    with live.load() as load:
        victim.kill()
        victim.wait(10)
        deadline = 100
        while len(live.processes()) < 2 and deadline:
            deadline -= 1
            import time

            time.sleep(0.1)
        seen = load.stop()

    assert len(live.processes()) == 2
    assert seen["failed"] == 0, seen["failures"]


def test_auto_rollback_disabled_keeps_the_dark_revision(live: World) -> None:
    """Traffic stays on stable, and the dark revision stays for a look; the next deployment removes it."""
    live.extra = {"rollback_config": {"auto_rollback_enabled": False}}
    live.release(2, exit_at_start=7)

    result = live.deploy()

    assert result["exit_code"] == 3
    assert [r["state"] for r in live.status()["revisions"]] == ["live", "dark"]
    live.extra = {}
    live.release(3)
    assert live.deploy()["exit_code"] == 0
    assert live.problems() == []


def test_rollback_to_the_former_revision(live: World) -> None:
    """`rollback` brings release 1 again with the same protection, though the source has changed and gone."""
    live.release(2)
    assert live.deploy()["exit_code"] == 0
    for path in (live.folder / "app").iterdir():
        path.unlink()
    (live.folder / "app").rmdir()
    with live.load() as load:
        done = live.run("rollback", live.service, "--yes", "--json")
        seen = load.stop()

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"
    assert seen["failed"] == 0
    assert set(seen["answered_by"]) == {"1", "2"}


def test_snapshot_is_restored(live: World) -> None:
    """`backups restore` of the snapshot that release 2's deployment took brings release 1 back."""
    live.release(2)
    result = live.deploy()

    done = live.run("backups", "restore", result["backup"]["id"], "--yes", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["duration"] < 50
    with live.load() as load:
        seen = load.stop()
    assert set(seen["answered_by"]) <= {"1"}
    assert live.problems() == []
