"""Memory and CPU limits with real processes: a kill for memory is told from every other, whoever did the killing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from tests.targets.local.processes import Launched, eventually, lives

from failback.targets.local import limits
from failback.targets.local.replica import Life

Make = Callable[..., Launched]
MIB = 1024 * 1024
EAT = (
    "import time\nhoard = []\nprint('up')\n"
    "while True:\n    hoard.append(bytearray(b'x' * 2**20))\n    time.sleep(0.002)"
)
EAT_IN_A_WORKER = (
    "import os, time\nwhile True:\n    pid = os.fork()\n    if pid:\n        print('worker', pid)\n"
    "        print('worker ended with', os.waitpid(pid, 0)[1])\n        time.sleep(600)\n"
    "    hoard = []\n    while True:\n        hoard.append(bytearray(b'x' * 2**20)); time.sleep(0.002)\n"
)


def test_a_kill_for_memory_is_recorded_as_one(replica: Make) -> None:
    """Exit by SIGKILL alone says nothing: an operator kills as well. The growth before it tells a leak from a limit."""
    one = replica(EAT, memory_bytes=64 * MIB)
    one.start()

    ended = one.ended()

    assert (ended.signal, ended.oom_killed) == ("SIGKILL", True)
    assert ended.samples
    assert all(used <= 80 * MIB for _, used in ended.samples)


def test_an_ordinary_sigkill_is_no_kill_for_memory(replica: Make) -> None:
    """The look-alike: same signal, same limit, but nobody ran out of memory."""
    one = replica("import time; print('up'); time.sleep(600)", memory_bytes=64 * MIB)
    one.start()
    one.says("up")

    os.kill(int(one.running()["pid"]), signal.SIGKILL)

    assert (one.ended().signal, one.ended().oom_killed) == ("SIGKILL", False)


def test_a_worker_killed_for_memory_counts_while_its_parent_lives(replica: Make) -> None:
    """Corrections 17: gunicorn and cluster modules restart a killed worker, so that no exit of the replica is seen."""
    one = replica(EAT_IN_A_WORKER, memory_bytes=64 * MIB)
    one.start()
    run = one.running()

    def killed() -> list[Life]:
        return [life for life in one.files.life() if life.event == "oom"]

    assert eventually(killed, what="the record of the kill")[0].oom_killed
    assert lives(int(run["pid"]))
    assert one.exits() == []


def test_address_space_is_not_memory(replica: Make) -> None:
    """Node, Go and the JVM reserve gigabytes that they never touch: no limit of ours may end them for it."""
    one = replica("import mmap; reserved = mmap.mmap(-1, 4 * 2**30); print('reserved')", memory_bytes=64 * MIB)
    one.start()

    assert one.ended().code == 0


@pytest.mark.skipif(limits.available() == "watcher", reason="this machine gives no cgroup to this user")
def test_a_busy_replica_gets_its_share_of_the_cpu(replica: Make) -> None:
    """A quarter of a core for three seconds is less than a second of CPU time, not all of them."""
    code = (
        "import time\nbegan = time.monotonic()\nwhile time.monotonic() - began < 3: pass\n"
        "print('used', time.process_time())"
    )
    one = replica(code, cpu_cores=0.25)
    one.start()
    one.ended()

    assert float(one.log().split()[1]) < 2.0


def test_the_groups_are_gone_with_the_replica(replica: Make) -> None:
    """Cleanup proves that no cgroup of a failed release is left."""
    one = replica("print('done')", memory_bytes=64 * MIB)
    one.start().wait(20)

    assert list(limits._ROOT.glob(f"**/{one.spec.cgroup}")) == []


@pytest.fixture
def hungry() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process in a group of its own; ended by its id."""
    made: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL))
        return made[-1]

    yield start
    for process in made:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_without_cgroups_the_watcher_kills_what_is_over_its_limit(
    hungry: Callable[[str], subprocess.Popen[bytes]],
) -> None:
    """macOS, and Linux users without a delegated cgroup: the resident memory of the whole group is added up."""
    process = hungry(EAT)
    watcher = limits.Watcher(64 * MIB)

    eventually(lambda: watcher.enforce(process.pid), what="the kill")

    assert process.wait(20) == -signal.SIGKILL
    assert watcher.oom_kills() == 1


def test_the_watcher_counts_workers_and_spares_what_is_within(hungry: Callable[[str], subprocess.Popen[bytes]]) -> None:
    """Two processes of 40 MiB are over a limit of 64 together, and within one of 400."""
    process = hungry("import os, time\nos.fork()\nhoard = bytearray(b'x' * (40 * 2**20))\ntime.sleep(600)")
    eventually(lambda: (limits.Watcher(None).used_bytes(process.pid) or 0) > 80 * MIB, what="the use of memory")

    assert not limits.Watcher(400 * MIB).enforce(process.pid)
    assert lives(process.pid)
    assert limits.Watcher(64 * MIB).enforce(process.pid)


def test_the_watcher_without_a_limit_only_measures(hungry: Callable[[str], subprocess.Popen[bytes]]) -> None:
    """A plan that names no limit gets its growth measured, and nothing killed."""
    process = hungry("import time; time.sleep(600)")
    watcher = limits.Watcher(None)

    assert eventually(lambda: watcher.used_bytes(process.pid))
    assert not watcher.enforce(process.pid)
    assert lives(process.pid)
