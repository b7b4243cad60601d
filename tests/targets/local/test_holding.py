"""At most one process is the program, whatever the supervisor believes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.targets.local.processes import eventually, lives

PROGRAM = "import sys, os, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks"


@pytest.fixture
def hold(tmp_path: Path, marks: Path) -> Iterator[Start]:
    made: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        words = [sys.executable, "-I", "-m", "failback.targets.local.holding", str(tmp_path / "lock")]
        made.append(subprocess.Popen([*words, sys.executable, "-c", PROGRAM, str(marks)], start_new_session=True))
        return made[-1]

    yield start
    for process in made:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def _started(marks: Path) -> list[int]:
    return [int(line) for line in marks.read_text().split()] if marks.exists() else []


def test_it_becomes_the_program(hold: Start, marks: Path) -> None:
    """No process of ours stays beside it: the supervisor's child is the program itself."""
    process = hold()

    assert eventually(lambda: _started(marks)) == [process.pid]


def test_a_second_one_stands_by_and_takes_over_at_once(hold: Start, marks: Path) -> None:
    """The first one was orphaned by a killed supervisor; when it dies, users wait for no command."""
    first = hold()
    eventually(lambda: _started(marks))
    second = hold()
    time.sleep(0.5)
    assert _started(marks) == [first.pid]

    os.kill(first.pid, signal.SIGKILL)

    eventually(lambda: _started(marks) == [first.pid, second.pid], what="the change")


def test_stopping_the_one_that_stands_by_ends_the_program(hold: Start, marks: Path) -> None:
    """`down` tells the supervisor, which knows only the second one."""
    first = hold()
    eventually(lambda: _started(marks))
    second = hold()
    time.sleep(0.5)

    second.send_signal(signal.SIGTERM)

    assert second.wait(20) == 0
    assert first.wait(20) == -signal.SIGTERM
    assert _started(marks) == [first.pid]


def test_a_process_that_only_has_the_id_of_a_former_holder_is_left_alone(
    hold: Start, marks: Path, tmp_path: Path
) -> None:
    """Ids are used again: a lock file of before the reboot may name somebody else's process."""
    from failback.targets.local.holding import end_holder

    bystander = hold()
    eventually(lambda: _started(marks))
    (tmp_path / "old").write_text(f"{bystander.pid} 1")

    end_holder(tmp_path / "old")
    time.sleep(0.2)

    assert lives(bystander.pid)
