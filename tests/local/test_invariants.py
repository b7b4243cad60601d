"""Each invariant of the design, by the test that tries hardest to break it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.local.world import World


def test_two_deployments_at_once(live: World) -> None:
    """One runs, the other is refused with 5 and touches nothing."""
    live.release(2)
    for _ in range(3):
        both = [live.start("deploy", "--yes", "--json") for _ in range(2)]
        ends = [process.communicate(timeout=60) for process in both]
        codes = sorted(process.returncode for process in both)

        assert codes == [0, 5], ends
        refused = next(out for (out, _), process in zip(ends, both, strict=True) if process.returncode == 5)
        assert json.loads(refused)["error"]["code"] == "FB-502"
    assert live.problems() == []


def test_homes_of_one_machine_leave_each_other_alone(tmp_path: Path) -> None:
    """Executions that begin in the same second have the same id; one that fails must not end the other's steps."""
    worlds = [World(tmp_path / name, service=name) for name in ("one", "two")]
    for world, work in zip(worlds, ("sleep 4", "sleep 1; exit 1"), strict=True):
        world.extra = {"target": None, "release": None, "steps": [{"name": "Work", "type": "verify", "run": work}]}
        world.release(1)

    begun = int(time.time())
    while int(time.time()) == begun:
        time.sleep(0.005)
    running = [world.start("deploy", "--yes", "--json") for world in worlds]
    results = [json.loads(process.communicate(timeout=60)[0]) for process in running]

    assert [result["status"] for result in results] == ["completed", "failed"], results


def test_a_defect_ends_the_process_and_is_taken_up(live: World) -> None:
    """An error of our own that nobody expects: exit 1 at once, nothing recorded as done, and `resume` ends it well."""
    live.release(2)
    failed = live.run("deploy", "--yes", "--json", fault="fail:snapshot.store:before#1")

    assert failed.returncode == 1, failed.stderr
    assert json.loads(failed.stdout)["error"]["code"] == "FB-001"
    assert "failback resume" in failed.stderr
    resumed = live.run("resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert [result["status"] for result in json.loads(resumed.stdout)] == ["completed"]
    assert live.problems() == []


def test_interrupted_once_stops_in_order(live: World) -> None:
    """Ctrl-C while the new revision is judged: everything is put back, exit 3, and the reason is told."""
    live.extra = {"checks": {"soak": 20}}
    live.release(2)
    process = live.start("deploy", "--yes", "--json")
    _await(lambda: any(r["state"] == "dark" for r in live.status()["revisions"]))
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 3, err
    result = json.loads(out)
    assert "interrupted" in result["error"]["reason"]
    assert result["rollback"]["system_status"] == "STABLE"
    assert live.problems() == []


def test_interrupted_twice_stops_at_once_and_is_resumable(live: World) -> None:
    """The second Ctrl-C ends the process; the next command finishes what was begun."""
    live.extra = {"checks": {"soak": 3}}
    live.release(2)
    process = live.start("deploy", "--yes", "--json")
    _await(lambda: any(r["state"] == "dark" for r in live.status()["revisions"]))
    process.send_signal(signal.SIGSTOP)  # so that both signals are there before either is handled
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)

    assert process.returncode in (1, 3)
    live.run("resume")
    assert live.problems() == []


def test_interrupted_before_anything_was_touched(live: World) -> None:
    """A long build is ended with its whole process group; the service was never touched."""
    live.extra = {
        "steps": [{"name": "Build", "type": "build", "run": "sleep 100"}, {"name": "Deploy", "type": "deploy"}]
    }
    live.release(2)
    process = live.start("deploy", "--yes", "--json")
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 3, err
    result = json.loads(out)
    assert result["steps"][0]["status"] == "cancelled"
    assert result["rollback"]["phases"][0]["status"] == "skipped"
    assert not _marked(live.home / "executions" / result["execution_id"])


def test_a_stopped_holder_is_overtaken(live: World) -> None:
    """A frozen deployment (SIGSTOP) is ended by the next one, which first finishes its execution."""
    live.extra = {"checks": {"soak": 30}}
    live.release(2)
    frozen = live.start("deploy", "--yes", "--json")
    _await(lambda: any(r["state"] == "dark" for r in live.status()["revisions"]))
    frozen.send_signal(signal.SIGSTOP)
    live.extra = {}
    live.release(3)

    # The frozen one's plan soaks for 30 s; it is finished first, so this takes as long.
    result = live.deploy()

    assert frozen.wait(10) == -signal.SIGKILL
    assert result["exit_code"] == 0
    assert live.problems() == []


def test_disk_full_is_refused_before_anything_is_touched(live: World, tmp_path: Path) -> None:
    """The backup cannot be written: exit 5, and the service is as it was."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        live.extra = {"backup": {"backup_root": str(small / "backups")}}
        live.release(2)
        before = live.status()
        result = live.deploy()
        after = live.status()
    finally:
        subprocess.run(["umount", str(small)], check=True)

    assert result["exit_code"] == 5
    assert result["refused"] is True
    assert "Nothing was touched" in result["error"]["reason"]
    assert [r["pid"] for r in before["replicas"]] == [r["pid"] for r in after["replicas"]]
    assert [r["id"] for r in before["revisions"]] == [r["id"] for r in after["revisions"]]


def test_supervisor_killed_is_repaired_and_users_notice_nothing(live: World) -> None:
    """Replicas and proxy go on without it; the next command starts it again and says so."""
    pid = _process_of(live, "supervisor.supervisord")
    with live.load() as load:
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        live.release(2)
        result = live.deploy()
        seen = load.stop()

    assert result["exit_code"] == 0, result.get("error")
    assert any("supervisor" in note for note in result["notes"])
    assert seen["failed"] == 0, seen["failures"]
    assert live.problems() == []


def test_proxy_killed_makes_the_impact_unknown_not_zero(live: World) -> None:
    """Envoy dies in the middle: it is back within a moment, and nobody claims a count that was lost."""
    live.extra = {"checks": {"soak": 4}}
    live.release(2)
    process = live.start("deploy", "--yes", "--json")
    _await(lambda: any(r["state"] == "dark" for r in live.status()["revisions"]))
    os.kill(_process_of(live, "envoy"), signal.SIGKILL)
    out, err = process.communicate(timeout=60)

    result = json.loads(out)
    assert result["rollback"]["user_impact"] == "UNKNOWN", err
    assert "restarted" in result["traffic"]["reason"]
    assert result["traffic"]["requests"] is None


def test_secrets_stand_nowhere(world: World) -> None:
    """Values from the environment and from a file, printed by the service and by a step, planted in every place: then
    the whole home, both outputs and every page are searched, plain, quoted and in base64."""
    secret, other = "s3cr3t-VALUE-of-the-environment", "from-a-file-0123456789"
    (world.folder / "token.txt").write_text(other + "\n")
    world.env = {"STORY_SECRET": secret}
    world.extra = {
        "release": {
            "env": {
                "TOKEN": "${STORY_SECRET}",
                "KEY": {"from_file": "token.txt"},
                "URL": "postgres://app:${STORY_SECRET}@db/x",
            },
            "start": [
                "sh",
                "-c",
                'echo "token $TOKEN"; echo "$KEY" >&2; echo "$URL"; exec ' + sys.executable + " -I app.py",
            ],
        },
        "steps": [
            {
                "name": "Build",
                "type": "build",
                "run": "echo building with $TOKEN; printf '%s' $TOKEN | base64",
                "env": {"TOKEN": "${STORY_SECRET}"},
            },
            {"name": "Deploy", "type": "deploy"},
        ],
        "notification_config": {"slack": {"enabled": True, "webhook_url": "http://127.0.0.1:9/${STORY_SECRET}"}},
    }
    world.release(1)
    good = world.run("deploy", "--yes", "--verbose")
    world.release(2, exit_at_start=3)
    bad = world.run("deploy", "--yes", "--json")
    shown = [
        world.run(*command)
        for command in (
            ("explain",),
            ("explain", "--json"),
            ("history",),
            ("status", "--json"),
            ("plan",),
            ("backups", "list"),
        )
    ]

    assert good.returncode == 0, good.stdout + good.stderr
    assert bad.returncode == 3
    texts = [text for done in (good, bad, *shown) for text in (done.stdout, done.stderr)]
    found = [text[:300] for text in texts if secret in text or other in text]
    assert found == []
    assert _files_with(world.home, secret, other) == []
    log = next((world.home / "services" / world.service / "replicas").glob("*/log")).read_text()
    assert "token ***" in log


def test_hostile_output_injects_nothing(live: World) -> None:
    """Terminal escapes, fake JSON, markup and mentions in the application's output stay text everywhere."""
    hostile = '\x1b]0;owned\x07\x1b[2J\x9b31m[bold red]<!channel> \u202egnp.exe {"status": "completed"} FATAL: all good'
    live.release(2, say=hostile, exit_at_start=3)
    done = live.run("deploy", "--yes")
    told = live.run("explain")

    for text in (done.stdout, done.stderr, told.stdout):
        assert "\x1b]0" not in text
        assert "\x1b[2J" not in text
        assert "\x9b" not in text
        assert "\u202e" not in text
    assert json.loads(live.run("explain", "--json").stdout)["status"] == "failed"


def test_log_flood_is_bounded(live: World) -> None:
    """A release that prints as fast as it can: its log stays small, its memory is not ours, and it goes live."""
    live.extra = {
        "release": {
            "start": [
                "sh",
                "-c",
                f"yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa & exec {sys.executable} -I app.py",
            ]
        }
    }
    live.release(2)
    result = live.deploy()
    size = sum(path.stat().st_size for path in (live.home / "services" / live.service / "replicas").rglob("log*"))

    assert result["exit_code"] == 0, result.get("error")
    assert size < 2 * 3 * 9 * 1024 * 1024


def test_memory_limit_is_enforced_and_seen(live: World) -> None:
    """Killed for memory is seen as that, at the first kill, with the limit in the cause."""
    live.extra = {
        "release": {
            "resources": {"memory": "64Mi"},
            "start": [
                sys.executable,
                "-I",
                "-c",
                "import time\nx = []\nwhile True:\n    x.append(bytearray(4_000_000)); time.sleep(0.02)",
            ],
        }
    }
    live.release(2)
    result = live.deploy()

    assert result["exit_code"] == 3
    assert result["rollback"]["detection"]["rule"] in ("killed-for-memory", "memory-runs-out")
    assert result["root_cause"]["type"] in ("memory_limit", "memory_leak")


def test_app_that_ignores_sigterm_is_ended(live: World) -> None:
    """It gets its grace time, then SIGKILL; users were gone before."""
    live.release(2, ignore_term=True)
    assert live.deploy()["exit_code"] == 0
    live.release(3)
    with live.load() as load:
        result = live.deploy()
        seen = load.stop()

    assert result["exit_code"] == 0
    assert seen["failed"] == 0, seen["failures"]
    assert live.problems() == []


@pytest.mark.parametrize("days", [40, -40])
def test_the_clock_may_jump(live: World, days: int) -> None:
    """Durations come from a clock that does not jump, and a backup is not thrown away for a wrong date."""
    faketime = _library("libfaketime")
    live.release(2)
    live.env = {"LD_PRELOAD": faketime, "FAKETIME": f"{days:+d}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    first = live.deploy()
    live.env = {}
    live.release(3)
    second = live.deploy()

    assert first["exit_code"] == second["exit_code"] == 0, (first.get("error"), second.get("error"))
    assert all(step["duration"] < 60 for step in first["steps"])
    assert json.loads(live.run("backups", "verify", "--json").stdout)


def test_paths_of_any_length(tmp_path: Path) -> None:
    """A home deeper than a socket's path may be long."""
    deep = tmp_path / ("d" * 80) / ("e" * 80) / "with a blank"
    deep.mkdir(parents=True)
    world = World(deep)
    try:
        world.release(1)
        assert world.deploy()["exit_code"] == 0
        assert world.problems() == []
    finally:
        world.end()


def test_two_homes_do_not_meet(tmp_path: Path) -> None:
    """Two homes with the same service name: other ports, other sockets, other processes."""
    worlds = [World(tmp_path / name) for name in ("one", "two")]
    try:
        for world in worlds:
            world.folder.mkdir()
            world.release(1)
            assert world.deploy()["exit_code"] == 0
        assert worlds[0].run("down", worlds[0].service).returncode == 0
        assert worlds[0].processes() == []
        assert worlds[1].problems() == []
    finally:
        for world in worlds:
            world.end()


def test_a_release_that_points_out_of_itself_is_refused(live: World) -> None:
    """A link into the plan's folder would load the next release's files after a restart."""
    (live.folder / "app" / "lib").symlink_to(live.folder / "shared-lib")
    (live.folder / "shared-lib").mkdir()
    (live.folder / "app" / "settings.json").write_text(json.dumps({"release": 2}))

    result = live.deploy()

    assert result["exit_code"] == 3
    assert "lib" in result["error"]["reason"]
    assert live.problems() == []


def _await(true: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def _marked(folder: Path) -> list[int]:
    from failback.executor.commands import marked

    return [process.pid for process in marked(str(folder))]


def _process_of(world: World, program: str) -> int:
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if str(world.home) in " ".join(command) and any(word.endswith(program) for word in command[:4]):
            return process.pid
    raise AssertionError(f"no {program}")


def _library(name: str) -> str:
    found = sorted(Path("/usr/lib").rglob(f"{name}.so.1"))
    assert found, f"{name} is installed by tools/prepare_tests.py"
    return str(found[0])


def _files_with(folder: Path, *secrets: str) -> list[str]:
    import base64
    import urllib.parse

    forms = [form.encode() for secret in secrets for form in (secret, urllib.parse.quote(secret, safe=""))]
    forms += [base64.b64encode(secret.encode()) for secret in secrets]
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and any(form in path.read_bytes() for form in forms)
    ]
