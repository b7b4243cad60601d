"""One home's supervisor, for real: started apart from its caller, found again, repaired, and never twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from tests.targets.local.processes import end, eventually, lives

from failback.targets.local.supervision import Supervision

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def _of(folder: Path) -> list[psutil.Process]:
    """The supervisors that run on this folder's configuration."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        with contextlib.suppress(psutil.NoSuchProcess):
            if str(folder / "supervisord.conf") in words and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    # A child that it has just forked has its words until it becomes the program.
    known = {process.pid for process in found}
    return [process for process in found if process.ppid() not in known]


@pytest.fixture
def supervise(tmp_path: Path, run_dir: Path) -> Iterator[Callable[..., Supervision]]:
    """Opens a supervision; each supervisor that came up is ended, with its children, by its id."""
    made: list[Supervision] = []

    def make(folder: Path | None = None, sockets: Path | None = None) -> Supervision:
        made.append(Supervision(folder or tmp_path / "supervisor", sockets or run_dir))
        return made[-1]

    yield make
    for one in made:
        for process in _of(one.folder):
            with contextlib.suppress(psutil.NoSuchProcess):
                end([process, *process.children(recursive=True)])


def test_a_program_is_kept_alive(supervise: Callable[..., Supervision]) -> None:
    """The reason why there is a supervisor: a replica that dies in the night comes back."""
    one = supervise()
    assert one.ensure()
    one.add("web", SLEEP, grace_s=1)
    first = eventually(lambda: one.known()["web"]["pid"])

    os.kill(first, signal.SIGKILL)

    again = eventually(lambda: one.known()["web"]["pid"] not in (0, first) and one.known()["web"]["pid"])
    assert lives(again)


def test_it_is_started_once_and_found_again(supervise: Callable[..., Supervision]) -> None:
    """Any later command works with the same supervisor."""
    assert supervise().ensure()

    assert not supervise().ensure()
    assert supervise().running()


def test_many_commands_at_once_start_one(supervise: Callable[..., Supervision], tmp_path: Path) -> None:
    """Two `deploy` in one second on a fresh home: two supervisors would start every replica twice."""
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: supervise().ensure(), range(8)))

    assert started.count(True) == 1
    assert len(_of(tmp_path / "supervisor")) == 1


@pytest.mark.parametrize("length", [200])
def test_a_home_with_a_long_path(supervise: Callable[..., Supervision], tmp_path: Path, length: int) -> None:
    """A socket's path ends at 104 bytes; a home's does not."""
    folder = tmp_path
    while len(str(folder)) < length:
        folder = folder / ("d" * 40)
    one = supervise(folder)
    one.ensure()

    one.add("web", SLEEP, grace_s=1)

    assert eventually(lambda: one.known()["web"]["pid"])


@pytest.mark.parametrize("name", ["Application Support", "50% of it", "a;b $HOME", "a ;b #c"])
def test_a_home_with_signs_that_mean_something_to_supervisor(
    supervise: Callable[..., Supervision], tmp_path: Path, name: str
) -> None:
    """macOS keeps state in `Library/Application Support`, and supervisor splits its list of files at blanks."""
    one = supervise(tmp_path / name)
    one.ensure()

    one.add("web", SLEEP, grace_s=1)

    assert eventually(lambda: one.known()["web"]["pid"])


def test_two_homes_do_not_know_each_other(supervise: Callable[..., Supervision], tmp_path: Path, run_dir: Path) -> None:
    """The same service name in two homes is two services."""
    (run_dir / "b").mkdir()
    one, other = supervise(), supervise(tmp_path / "other", run_dir / "b")
    one.ensure()
    other.ensure()
    one.add("web", SLEEP, grace_s=1)

    assert set(one.known()) == {"web"}
    assert other.known() == {}


def test_after_sigkill_the_next_command_starts_it_with_all_it_kept(supervise: Callable[..., Supervision]) -> None:
    """A crash or a reboot: the programs' files are what is left, and enough."""
    one = supervise()
    one.ensure()
    one.add("web", SLEEP, grace_s=1)
    supervisor = _of(one.folder)[0]
    former = eventually(lambda: one.known()["web"]["pid"])
    supervisor.kill()
    supervisor.wait(10)
    assert not one.running()

    try:
        assert one.ensure()
        assert eventually(lambda: one.known()["web"]["pid"]) != former
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(former, signal.SIGKILL)


def test_a_caller_killed_between_start_and_record_leaves_no_second_one(
    supervise: Callable[..., Supervision], run_dir: Path
) -> None:
    """SIGKILL at any instant: the supervisor runs, but nobody wrote down that it does."""
    one = supervise()
    code = (
        "import os, sys, signal\nfrom pathlib import Path\nfrom failback.targets.local import supervision\n"
        "start = supervision.subprocess.Popen\n"
        "def killed(*a, **k): start(*a, **k); os.kill(os.getpid(), signal.SIGKILL)\n"
        "supervision.subprocess.Popen = killed\n"
        "supervision.Supervision(Path(sys.argv[1]), Path(sys.argv[2])).ensure()\n"
    )
    caller = subprocess.run([sys.executable, "-c", code, str(one.folder), str(run_dir)], stderr=subprocess.PIPE)
    assert caller.returncode == -signal.SIGKILL, caller.stderr.decode()
    # Until it is up it could still stumble over the second one, and hide the fault.
    eventually(lambda: (one.folder / "supervisord.pid").exists(), what="the first supervisor")

    one.ensure()
    one.add("web", SLEEP, grace_s=1)

    assert len(_of(one.folder)) == 1


def test_a_truncated_program_file_does_not_take_the_others_along(supervise: Callable[..., Supervision]) -> None:
    """A command killed while it wrote one program's file must not keep every other service from being managed."""
    one = supervise()
    one.ensure()
    one.add("web", SLEEP, grace_s=1)

    seen: list[str] = []
    write = os.replace
    real = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append(str(target))
        return real(self, target)

    Path.replace = watched  # type: ignore[method-assign]
    os.replace = lambda a, b, **k: (seen.append(str(b)), write(a, b, **k))[1]  # type: ignore[assignment]
    try:
        one.add("other", SLEEP, grace_s=1)
    finally:
        Path.replace = real  # type: ignore[method-assign]
        os.replace = write

    assert str(one.programs / "other.conf") in seen, "the program's file is not replaced atomically"


def test_removing_ends_the_process_and_forgets_the_program(supervise: Callable[..., Supervision]) -> None:
    """Repeatable: a removal that was killed half-way is made again."""
    one = supervise()
    one.ensure()
    one.add("web", SLEEP, grace_s=1)
    pid = eventually(lambda: one.known()["web"]["pid"])

    one.remove("web")
    one.remove("web")

    assert not lives(pid)
    assert one.known() == {}
    assert list(one.programs.iterdir()) == []


def test_adding_twice_starts_one(supervise: Callable[..., Supervision]) -> None:
    """The same write again after a kill changes nothing."""
    one = supervise()
    one.ensure()
    one.add("web", SLEEP, grace_s=1)
    pid = eventually(lambda: one.known()["web"]["pid"])

    one.add("web", SLEEP, grace_s=1)

    assert one.known()["web"]["pid"] == pid


def test_one_that_always_fails_is_tried_again_and_again(supervise: Callable[..., Supervision]) -> None:
    """supervisor 4.3 gives up after three tries by default: a database that is away for a minute would be the end."""
    one = supervise()
    one.ensure()
    one.add("web", [sys.executable, "-c", "raise SystemExit(1)"], grace_s=1)

    eventually(lambda: "(exit status 1" in one.known()["web"]["spawnerr"] or one.known()["web"]["stop"], what="an exit")
    states = {one.known()["web"]["statename"] for _ in range(50)}

    assert "FATAL" not in states


def test_words_of_a_command_arrive_as_they_are(supervise: Callable[..., Supervision], tmp_path: Path) -> None:
    """Paths with blanks, per cent and quotes: supervisor's parser has its own rules for each."""
    out = tmp_path / "out file"
    words = ['50% "off"', "a ;b", "a #b", "a b", "c\\d", "it's", "; no comment"]
    one = supervise()
    one.ensure()
    code = "import sys, json, time; open(sys.argv[1], 'w').write(json.dumps(sys.argv[2:])); time.sleep(600)"

    one.add("web", [sys.executable, "-c", code, str(out), *words], grace_s=1)

    assert json.loads(eventually(lambda: out.exists() and out.read_text())) == words


def test_nothing_of_the_callers_environment_is_kept(
    supervise: Callable[..., Supervision], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It lives for months; a token of the shell that happened to start it must not live with it."""
    monkeypatch.setenv("CALLERS_TOKEN", "hunter2-in-the-callers-shell")
    one = supervise()
    one.ensure()

    assert "CALLERS_TOKEN" not in _of(one.folder)[0].environ()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()
