"""An end is told with what its own run's log says, at once, and at the latest after a second without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from failback.model.errors import TargetUnavailable
from failback.model.observation import Exit
from failback.model.redaction import Redactor
from failback.targets.kubernetes import ends as module
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.ends import Ends
from tests.targets.kubernetes.objects import LAUNCHED_UNIX_S, ended, pod, running, terminated

MISSING = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'greetings'\n"
FINE = "listening on 8080\n"


class Logs:
    """What the API has of a container: the current run's log, and that of the run before."""

    def __init__(self, current: str = "", previous: str = "") -> None:
        self.current = current
        self.previous = previous
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False

    async def logs(self, pod: str, container: str, *, previous: bool = False, tail_bytes: int = 0) -> str:
        await self.gate.wait()
        if self.away:
            raise TargetUnavailable("away")
        return self.previous if previous else self.current


def book(logs: Logs, now_s: float = 20.0) -> Ends:
    return Ends(cast(Cluster, logs), Redactor(["hunter2-secret"]), lambda: now_s, LAUNCHED_UNIX_S, lambda: None)


async def told(ends: Ends, seen: dict[str, Any], enough: Callable[[tuple[Exit, ...]], Any] = bool) -> tuple[Exit, ...]:
    for _ in range(500):
        if enough(ends.of(seen)):
            return ends.of(seen)
        await asyncio.sleep(0.01)
    raise AssertionError(ends.of(seen))


async def test_the_reason_is_in_the_log_of_the_run_that_ended() -> None:
    seen = pod(ended(code=1))
    ends = book(Logs(current=MISSING))

    ends.seen(seen, live=True)

    (end,) = await told(ends, seen)
    assert (end.deterministic, end.at_s, end.container) == ("missing module", 20.0, "")
    assert end.telling_line == "ModuleNotFoundError: No module named 'greetings'"


async def test_a_restart_in_between_makes_it_the_previous_log() -> None:
    """The API said "terminated"; by the time that the log is read the next run writes."""
    seen = pod(ended(code=1))
    ends = book(Logs(current=FINE, previous=MISSING))

    ends.seen(seen, live=True)

    (end,) = await told(ends, seen)
    assert end.deterministic == "missing module"


async def test_an_end_that_was_found_after_its_restart_is_read_from_the_previous_log() -> None:
    seen = pod(running(restarts=1, last=terminated(1)))
    ends = book(Logs(current=FINE, previous=MISSING))

    ends.seen(seen, live=False)

    (end,) = await told(ends, seen)
    assert end.deterministic == "missing module"
    assert end.at_s == 10.0, "when the API says that it ended, since the launch"


async def test_each_end_is_told_once_however_often_the_pod_is_seen() -> None:
    seen = pod(ended(code=1))
    ends = book(Logs(current=MISSING))
    for _ in range(3):
        ends.seen(seen, live=True)
    ends.seen(pod(running(restarts=1, last=terminated(1))), live=True)

    assert len(await told(ends, seen)) == 1


async def test_ends_that_nobody_saw_are_counted() -> None:
    """A watch that begins late finds a container that has restarted three times: of the first two nothing is known."""
    seen = pod(running(restarts=3, last=terminated(1)))
    ends = book(Logs(previous=FINE))

    ends.seen(seen, live=False)

    known = await told(ends, seen, lambda found: len(found) == 3)
    assert sorted(str(end.code) for end in known) == ["1", "None", "None"]


async def test_a_command_that_never_started_is_explained_by_the_runtimes_words() -> None:
    message = 'exec: "/not-there": stat /not-there: no such file or directory: unknown'
    seen = pod(ended(code=128, reason="StartError", message=message))
    ends = book(Logs())

    ends.seen(seen, live=True)

    (end,) = await told(ends, seen)
    assert end.deterministic == "command not found"


async def test_out_of_memory_is_told_as_such_and_not_by_the_log() -> None:
    seen = pod(ended(code=137, reason="OOMKilled"))
    ends = book(Logs(current=MISSING))

    ends.seen(seen, live=True)

    (end,) = await told(ends, seen)
    assert (end.oom_killed, end.signal, end.deterministic) == (True, "SIGKILL", None)


async def test_a_log_that_does_not_come_delays_the_end_by_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told without its reason then, and with it as soon as the log is there."""
    monkeypatch.setattr(module, "_READ_S_MAX", 0.05)
    seen = pod(ended(code=1))
    logs = Logs(current=MISSING)
    logs.gate.clear()
    ends = book(logs)

    ends.seen(seen, live=True)

    (end,) = await told(ends, seen)
    assert end.deterministic is None
    logs.gate.set()
    (end,) = await told(ends, seen, lambda found: found and found[0].deterministic)
    assert end.deterministic == "missing module"


async def test_an_api_that_is_away_leaves_what_the_status_says() -> None:
    seen = pod(ended(code=3, message="the container's own last words"))
    logs = Logs()
    logs.away = True
    ends = book(logs)

    ends.seen(seen, live=True)

    (end,) = await told(ends, seen)
    assert (end.code, end.telling_line) == (3, "the container's own last words")


async def test_secrets_in_the_telling_line_are_masked() -> None:
    seen = pod(ended(code=1))
    ends = book(Logs(current="cannot log in with hunter2-secret"))

    ends.seen(seen, live=True)

    (end,) = await told(ends, seen)
    assert "hunter2" not in end.telling_line
