"""A step's command: bounded, masked, and gone with everything it started."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest

from failback.executor.commands import (
    EXECUTION_MARK,
    STEP_MARK,
    BoundedCapture,
    CommandResult,
    end_marked,
    marked,
    run_command,
)
from failback.model.redaction import Redactor, StreamRedactor


async def run(
    script: str, *, timeout_s_max: float | None = 120, secrets: tuple[str, ...] = (), mark: str = "x"
) -> CommandResult:
    lines: list[str] = []
    return await run_command(
        ["sh", "-c", script],
        cwd="/",
        env={"PATH": os.environ["PATH"], EXECUTION_MARK: mark, STEP_MARK: "s"},
        timeout_s_max=timeout_s_max,
        redactor=StreamRedactor(Redactor(secrets)),
        on_line=lines.append,
    )


async def test_output_and_exit_code() -> None:
    done = await run("echo out; echo err >&2; exit 3")

    assert (done.exit_code, done.output) == (3, "out\nerr\n")


async def test_secrets_are_masked_even_when_cut() -> None:
    """Two writes with a pause between them are one line, and the secret in it does not come out in halves."""
    done = await run("printf 'token hunter2-'; sleep 0.2; echo horse", secrets=("hunter2-horse",))

    assert "hunter2" not in done.output
    assert "***" in done.output


async def test_time_out_ends_the_whole_group(tmp_path: Path) -> None:
    """Also what the command put into a session of its own, and what ignores SIGTERM."""
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 300 & echo $! >> {pids}; setsid sleep 300 & echo $! >> {pids}; sleep 300"
    done = await run(script, timeout_s_max=0.7, mark=f"mark-{os.getpid()}")

    assert done.timed_out
    assert done.exit_code is None
    await asyncio.sleep(0.1)
    for pid in map(int, pids.read_text().split()):
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_daemon_does_not_hold_the_step() -> None:
    """A command that leaves a process with its output behind has ended when it ends."""
    began = time.monotonic()
    done = await run("sleep 60 & echo done", mark=f"daemon-{os.getpid()}")

    assert done.exit_code == 0
    assert "done" in done.output
    assert time.monotonic() - began < 20
    assert len(end_marked(f"daemon-{os.getpid()}")) == 1


async def test_a_flood_is_bounded() -> None:
    """Fifty megabytes of output cost at most a megabyte of memory and say what was left out."""
    done = await run("yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c 50000000")

    assert done.exit_code == 0
    assert len(done.output) < 1_200_000
    assert "bytes left out" in done.output


async def test_missing_command() -> None:
    done = await run_command(
        ["no-such-command-here"],
        cwd="/",
        env={},
        timeout_s_max=5,
        redactor=StreamRedactor(Redactor()),
        on_line=lambda line: None,
    )

    assert done.exit_code == 127
    assert "no-such-command-here" in done.output


async def test_cancelled_means_gone() -> None:
    """Ctrl-C: the work is cancelled, and its processes with it."""
    mark = f"cancel-{os.getpid()}"
    task = asyncio.ensure_future(run("sleep 300", mark=mark))
    while not marked(mark):
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert marked(mark) == []


def test_capture_keeps_head_and_tail() -> None:
    capture = BoundedCapture(head_bytes_max=4, tail_bytes_max=4)
    for chunk in (b"head", b"midd", b"midd", b"tail"):
        capture.add(chunk)

    assert capture.text() == "head\n[... 8 bytes left out ...]\ntail"
