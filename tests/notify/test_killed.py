"""SIGKILL at each state of the outbox, and several processes at once: never a second message."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from failback.notify.outbox import Outbox
from tests.notify.conftest import EXECUTION, a_config
from tests.notify.receivers import full_backlog

CHILD = """
import asyncio, sys
from pathlib import Path
from failback.notify.channels import channels_of
from failback.notify.messages import message
from failback.notify.outbox import Outbox
from tests.notify.conftest import a_config, a_result

async def run(path, address, port, execution):
    outbox = Outbox(Path(path))
    config = a_config(address, int(port))
    outbox.enqueue(message(a_result() | {"execution_id": execution}), channels_of(config))
    print("enqueued", flush=True)
    if sys.stdin.readline():
        await outbox.deliver(execution, config)

asyncio.run(run(*sys.argv[1:]))
"""


def child(path: Path, address: str, port: int = 0, execution: str = EXECUTION) -> subprocess.Popen[bytes]:
    """A process that has enqueued its messages, and sends them at a word."""
    started = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), address, str(port), execution],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"enqueued\n", started.stderr and started.stderr.read()
    return started


def go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def wait_until(true, what: str) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.01)


def pause(seconds: float) -> None:
    """Long enough for the other process to do what it must not do."""
    time.sleep(seconds)


def states(path: Path) -> set[str]:
    with sqlite3.connect(path) as db:
        found = {row[0] for row in db.execute("SELECT state FROM outbox")}
    db.close()
    return found


async def after(path: Path, address: str, port: int) -> dict[str, str]:
    """The next start: it delivers what is left."""
    outbox = Outbox(path)
    done = await outbox.deliver(EXECUTION, a_config(address, port))
    outbox.close()
    return {one.channel: one.state for one in done}


ALL_SENT = {"slack": "sent", "email": "sent", "pagerduty": "sent"}
UNSURE = {"slack": "unconfirmed", "email": "unconfirmed", "pagerduty": "sent"}


async def test_killed_before_anything_was_begun(tmp_path, http, smtp):
    """`pending`: surely not sent, so it is sent now."""
    mails, port = smtp
    kill(child(tmp_path / "o.db", http.address, port))

    assert states(tmp_path / "o.db") == {"pending"}
    assert await after(tmp_path / "o.db", http.address, port) == ALL_SENT
    assert Counter(path for path, _, _ in http.got) == {"/services/webhook-secret": 1, "/v2/enqueue": 1}
    assert len(mails.got) == 1


async def test_killed_while_it_waited_to_write_its_intent(tmp_path, http, smtp):
    """Nothing is requested before the intent is committed."""
    mails, port = smtp
    process = child(tmp_path / "o.db", http.address, port)
    with sqlite3.connect(tmp_path / "o.db", isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        go(process)
        pause(0.5)
        assert http.got == []
        kill(process)
        db.execute("ROLLBACK")
    db.close()

    assert await after(tmp_path / "o.db", http.address, port) == ALL_SENT
    assert len(http.got) == 2
    assert len(mails.got) == 1


async def test_killed_after_its_intent_and_before_the_request(tmp_path, http, smtp):
    """`sending`, though nothing was sent: nobody can know that afterwards."""
    _, port = smtp
    with full_backlog() as unreachable:
        process = child(tmp_path / "o.db", unreachable, 0)
        go(process)
        wait_until(lambda: states(tmp_path / "o.db") == {"sending"}, "sending")
        kill(process)

    done = await after(tmp_path / "o.db", http.address, port)

    assert done == {"slack": "unconfirmed", "pagerduty": "sent"}
    assert [path for path, _, _ in http.got] == ["/v2/enqueue"]


async def test_killed_while_the_receivers_had_it(tmp_path, http, smtp):
    """Received and not yet answered: Slack and mail are not repeated; the pager is, with the same key."""
    mails, port = smtp
    http.answers, mails.answers = ["hang", "hang"], ["hang"]
    process = child(tmp_path / "o.db", http.address, port)
    go(process)
    wait_until(lambda: len(http.got) == 2 and len(mails.got) == 1, "received")
    assert states(tmp_path / "o.db") == {"sending"}
    kill(process)
    http.release.set()
    mails.release.set()

    assert await after(tmp_path / "o.db", http.address, port) == UNSURE
    assert len(http.bodies("/services/webhook-secret")) == 1
    assert len(mails.got) == 1
    assert {body["dedup_key"] for body in http.bodies("/v2/enqueue")} == {EXECUTION}


async def test_killed_between_the_answer_and_its_record(tmp_path, http, smtp):
    """Answered "ok", and the commit of that never came."""
    mails, port = smtp
    http.answers, mails.answers = ["hang", "hang"], ["hang"]
    process = child(tmp_path / "o.db", http.address, port)
    go(process)
    wait_until(lambda: len(http.got) == 2 and len(mails.got) == 1, "received")
    with sqlite3.connect(tmp_path / "o.db", isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        http.release.set()
        mails.release.set()
        pause(0.5)
        kill(process)
        db.execute("ROLLBACK")
    db.close()

    assert await after(tmp_path / "o.db", http.address, port) == UNSURE
    assert len(http.bodies("/services/webhook-secret")) == 1
    assert len(mails.got) == 1


async def test_killed_after_all_was_recorded(tmp_path, http, smtp):
    mails, port = smtp
    process = child(tmp_path / "o.db", http.address, port)
    go(process)
    wait_until(lambda: states(tmp_path / "o.db") == {"sent"}, "sent")
    kill(process)

    assert await after(tmp_path / "o.db", http.address, port) == ALL_SENT
    assert len(http.got) == 2
    assert len(mails.got) == 1


async def test_killed_between_two_attempts(tmp_path, http):
    """The receiver refused, with a word: that it did not arrive is recorded, so it is tried again."""
    http.answers = [(429, {"Retry-After": "9"}), (429, {"Retry-After": "9"})]
    process = child(tmp_path / "o.db", http.address)
    go(process)
    wait_until(lambda: len(http.got) == 2 and states(tmp_path / "o.db") == {"pending"}, "refused")
    kill(process)

    assert await after(tmp_path / "o.db", http.address, 0) == {"slack": "sent", "pagerduty": "sent"}
    assert len(http.bodies("/services/webhook-secret")) == 2, "one refused, one taken"


async def test_killed_at_random_instants(tmp_path, http, smtp):
    """Twelve executions, each killed somewhere and delivered again by the next start."""
    mails, port = smtp
    for number in range(12):
        execution = f"plan_deploy_production_{number}"
        process = child(tmp_path / "o.db", http.address, port, execution)
        go(process)
        pause(0.004 * number)
        kill(process)
        outbox = Outbox(tmp_path / "o.db")
        done = await outbox.deliver(execution, a_config(http.address, port))
        assert {one.state for one in done} <= {"sent", "unconfirmed"}
        outbox.close()

    told = Counter(body["blocks"][1]["fields"][-1]["text"] for body in http.bodies("/services/webhook-secret"))
    assert max(told.values()) == 1
    mailed = Counter(line for mail in mails.got for line in mail.content.splitlines() if line.startswith(b"Message-ID"))
    assert max(mailed.values(), default=1) == 1
    assert len({body["dedup_key"] for body in http.bodies("/v2/enqueue")}) == 12, "every incident reaches the pager"


@pytest.mark.parametrize("living", [True, False])
async def test_processes_at_once_send_once(tmp_path, http, smtp, living):
    """One wins; the others wait for what it makes of it, and say the same."""
    mails, port = smtp
    if living:
        http.answers = ["hang", "hang"]
    processes = [child(tmp_path / "o.db", http.address, port) for _ in range(3)]
    for process in processes:
        go(process)
    if living:
        wait_until(lambda: len(http.got) == 2, "received")
        pause(0.5)
        http.release.set()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()

    assert Counter(path for path, _, _ in http.got) == {"/services/webhook-secret": 1, "/v2/enqueue": 1}
    assert len(mails.got) == 1
    assert await after(tmp_path / "o.db", http.address, port) == ALL_SENT


async def test_one_that_another_still_sends_is_neither_sent_nor_called_failed(tmp_path, http):
    http.answers = ["hang", "hang"]
    process = child(tmp_path / "o.db", http.address)
    go(process)
    wait_until(lambda: len(http.got) == 2, "received")
    outbox = Outbox(tmp_path / "o.db")

    done = await outbox.deliver(EXECUTION, a_config(http.address), timeout_s_max=0.5)

    assert {(one.state, one.detail) for one in done} == {("unconfirmed", "another process is still sending it")}
    assert states(tmp_path / "o.db") == {"sending"}
    http.release.set()
    process.communicate(timeout=30)
    assert states(tmp_path / "o.db") == {"sent"}
    assert len(http.got) == 2
    outbox.close()
