"""One replica's parent process, with real processes: how it starts, what it writes down, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from tests.targets.local.processes import Launched, eventually, lives

from failback.targets.local.sealing import seal

Make = Callable[..., Launched]
SERVE_FOREVER = "import time\nprint('up')\ntime.sleep(600)"
SECRET = "hunter2-Tr0ub4dor-and-3-correct-horses"


def _key(path: Path) -> None:
    path.write_text(str(pyrage.x25519.Identity.generate()))
    path.chmod(0o600)


def test_a_crash_at_once_is_recorded_and_rung(replica: Make) -> None:
    """The watcher decides at the exit itself, so code and log must be there when the bell has rung."""
    one = replica("import sys; print('no config'); sys.exit(3)")

    launcher = one.start()
    ended = one.ended()

    assert (ended.code, ended.signal, ended.oom_killed) == (3, None, False)
    assert ended.lived_s > 0
    assert one.bell.recv(64) == b"r1-1"
    assert "no config" in one.log()
    assert launcher.wait() == 3


def test_the_log_is_whole_before_the_exit_is_rung(replica: Make) -> None:
    """Whoever is woken by the bell reads the last line at once: it must not come later."""
    one = replica("import sys; sys.stdout.write('x' * 50000 + '\\nthe last word'); sys.exit(1)")
    one.start()

    one.ended()

    assert one.log().endswith("the last word")


def test_death_by_signal_is_named(replica: Make) -> None:
    """A segfault and an exit code are different causes."""
    one = replica("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    one.start()

    ended = one.ended()

    assert (ended.code, ended.signal, ended.oom_killed) == (None, "SIGSEGV", False)


def test_a_missing_command_says_which(replica: Make) -> None:
    """Exit 127 with the command's name is what every shell says, and what the diagnosis reads."""
    one = replica(start=("no-such-command-here", "--port"))
    one.start()

    assert one.ended().code == 127
    assert "no-such-command-here" in one.log()


def test_a_missing_release_folder_is_not_told_as_a_missing_command(replica: Make, tmp_path: Path) -> None:
    """A release folder that someone deleted must not send a person looking for the interpreter."""
    one = replica(SERVE_FOREVER, cwd=str(tmp_path / "gone"))
    one.start()

    one.ended()

    assert str(tmp_path / "gone") in one.log()


def test_the_process_gets_its_port_folder_and_nothing_of_the_caller(
    replica: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the caller's shell holds (tokens, keys) is not the service's."""
    monkeypatch.setenv("CALLERS_TOKEN", "not-for-the-service")
    one = replica("import os, json; print(json.dumps({'env': dict(os.environ), 'cwd': os.getcwd()}))", env={"A": "1"})
    one.start()
    one.ended()

    seen = json.loads(one.log())

    assert seen["cwd"] == str(tmp_path / "release")
    assert seen["env"]["PORT"] == str(one.spec.port)
    assert seen["env"]["A"] == "1"
    assert "CALLERS_TOKEN" not in seen["env"]


def test_secrets_reach_the_process_and_no_file(replica: Make, tmp_path: Path) -> None:
    """Corrections 17: the launcher decrypts; whatever the process prints of it is masked, in every file here."""
    one = replica("import os; print('token is', os.environ['TOKEN'], len(os.environ['TOKEN']))")
    _key(tmp_path / "key.age")
    seal(one.files.secret, {"TOKEN": SECRET}, [SECRET], tmp_path / "key.age")
    one.start()
    one.ended()

    assert f"token is *** {len(SECRET)}" in one.log()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("content", [None, "", "AGE-SECRET-KEY-1NONSENSE"], ids=["missing", "empty", "damaged"])
def test_a_key_that_cannot_be_used_is_an_exit_with_its_reason(
    replica: Make, tmp_path: Path, content: str | None
) -> None:
    """Without a record nobody would ever see why the replica does not come up: the supervisor just tries again."""
    one = replica(SERVE_FOREVER)
    _key(tmp_path / "key.age")
    seal(one.files.secret, {"TOKEN": SECRET}, [SECRET], tmp_path / "key.age")
    if content is None:
        (tmp_path / "key.age").unlink()
    else:
        (tmp_path / "key.age").write_text(content)

    launcher = one.start()

    assert launcher.wait(20) != 0
    assert "key" in (one.ended().error + one.log())


def test_sigterm_reaches_the_process_and_its_own_exit_code_counts(replica: Make) -> None:
    """An app that ends in good order at SIGTERM must be given the chance to."""
    one = replica(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))\nprint('up')\ntime.sleep(600)"
    )
    launcher = one.start()
    one.says("up")

    launcher.send_signal(signal.SIGTERM)

    assert launcher.wait(20) == 0
    assert one.ended().code == 0
    assert "bye" in one.log()


def test_sigterm_ignored_ends_with_sigkill_after_the_grace(replica: Make) -> None:
    """Its children go with it: a worker that stayed would hold the port."""
    one = replica(
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pid = os.fork()\nif pid: print('worker', pid)\ntime.sleep(600)",
        grace_s=0.5,
    )
    launcher = one.start()
    run = one.running()
    one.says("worker")
    worker = int(one.log().split()[1])

    launcher.send_signal(signal.SIGTERM)

    launcher.wait(20)
    assert one.ended().signal == "SIGKILL"
    assert not lives(int(run["pid"]))
    eventually(lambda: not lives(worker), what="the worker's end")


def test_when_the_launcher_is_killed_the_process_goes_too(replica: Make) -> None:
    """SIGKILL can't be handled: the kernel has to end the process, or it would serve without a keeper."""
    one = replica(SERVE_FOREVER)
    launcher = one.start()
    run = one.running()
    one.says("up")

    launcher.kill()
    launcher.wait()

    eventually(lambda: not lives(int(run["pid"])), what="the end of the process")


@pytest.mark.parametrize("memory", [None, 256 * 1024 * 1024], ids=["no limit", "limit"])
def test_workers_of_a_killed_launcher_are_ended_by_the_next(replica: Make, memory: int | None) -> None:
    """The kernel ends the main process alone; a worker that kept its listening socket would block every restart."""
    one = replica(
        "import os, time\npid = os.fork()\nif pid: print('worker', pid)\ntime.sleep(600)", memory_bytes=memory
    )
    launcher = one.start()
    main = int(one.running()["pid"])
    one.says("worker")
    worker = int(one.log().split()[1])
    launcher.kill()
    launcher.wait()
    eventually(lambda: not lives(main), what="the end of the process")

    one.start()
    one.says("worker")

    eventually(lambda: not lives(worker), within_s=5, what="the end of the former run's worker")


def test_two_launchers_of_one_replica_never_run_two_processes(replica: Make) -> None:
    """A supervisor that was killed and began anew starts a second launcher while the first still serves."""
    one = replica(SERVE_FOREVER)
    first = one.start()
    run = one.running()
    second = one.start()
    time.sleep(0.5)

    assert one.running()["pid"] == run["pid"]
    second.send_signal(signal.SIGTERM)

    assert second.wait(20) == 0
    first.wait(20)
    assert not lives(int(run["pid"]))
    assert len([life for life in one.files.life() if life.event == "started"]) == 1


def test_a_flood_of_output_is_bounded_and_does_not_stop_the_process(replica: Make, tmp_path: Path) -> None:
    """100 MB as fast as it goes: neither disk nor memory may follow, and the process must come through."""
    one = replica("import sys\nfor _ in range(1600): sys.stdout.write('y' * 65535 + '\\n')\nprint('through')")
    launcher = one.start()
    one.ended()
    launcher.wait(20)

    kept = sum(path.stat().st_size for path in one.files.folder.iterdir())
    assert kept <= 40 * 1024 * 1024
    assert one.ended().code == 0
    assert "bytes of a log flood were dropped" in one.log()


def test_lines_without_end_and_bytes_that_are_no_text_are_bounded(replica: Make) -> None:
    """One line of 10 MB, then every byte there is: nothing of it may break the launcher."""
    one = replica(
        "import os\nfor _ in range(160): os.write(1, b'z' * 65536)\n"
        "os.write(1, b'\\n' + bytes(range(256)) * 16 + b'\\n')"
    )
    one.start()

    assert one.ended().code == 0


def test_a_secret_torn_by_a_flood_does_not_come_out_in_part(replica: Make, tmp_path: Path) -> None:
    """Bytes are dropped in the middle of a line: what stood before the gap must not be the beginning of a secret."""
    code = (
        "import os\nsecret = os.environ['TOKEN'].encode()\nblock = (b'-' * 997 + secret + b'\\n')\n"
        "data = block * 64\nfor _ in range(1200): os.write(1, data)"
    )
    one = replica(code)
    _key(tmp_path / "key.age")
    seal(one.files.secret, {"TOKEN": SECRET}, [SECRET], tmp_path / "key.age")
    one.start()
    one.ended()

    log = one.log()

    assert "dropped" in log
    assert SECRET[:12] not in log
    assert SECRET[-12:] not in log


def test_a_daemon_that_left_the_group_does_not_outlive_a_limited_replica(replica: Make) -> None:
    """A cgroup holds what setsid hides from the process group."""
    one = replica(
        "import os, time\npid = os.fork()\nif pid:\n    print('daemon', pid)\n    time.sleep(0.3)\n"
        "else:\n    os.setsid()\n    time.sleep(600)",
        memory_bytes=256 * 1024 * 1024,
    )
    one.start()
    kind = one.running()["limits"]
    one.says("daemon")
    daemon = int(one.log().split()[1])
    one.ended()
    try:
        if kind != "watcher":
            eventually(lambda: not lives(daemon), within_s=5, what="the end of the daemon")
    finally:
        if lives(daemon):
            os.kill(daemon, signal.SIGKILL)


def test_many_restarts_keep_count(replica: Make) -> None:
    """`restarts` of a crash loop must go on rising when the record of lives is cut to its bound."""
    one = replica("import sys; sys.exit(1)")
    for number in range(1, 4):
        one.start().wait(20)
        eventually(lambda number=number: len(one.exits()) == number, what="one more exit")

    assert [life.run for life in one.exits()] == [1, 2, 3]


def test_a_full_disk_does_not_take_the_service_along(replica: Make) -> None:
    """Its log can't be written any more: lines are lost, the process goes on. (A limit on file sizes stands for it.)"""
    one = replica("for _ in range(2000): print('x' * 1000)\nimport time; time.sleep(1); print('through')")
    one.start(before="ulimit -f 128")

    assert one.ended().code == 0
