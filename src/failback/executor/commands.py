"""Runs a step's command: its own process group, streamed and masked output with a bounded capture, a time-out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from failback.model.redaction import StreamRedactor

# An execution's id is unique in its home alone; its folder is unique on the machine.
EXECUTION_MARK = "FAILBACK_EXECUTION_FOLDER"
STEP_MARK = "FAILBACK_STEP"
_HEAD_BYTES_MAX = 256 * 1024
_TAIL_BYTES_MAX = 768 * 1024
_CHUNK_BYTES = 64 * 1024
_GRACE_S_MAX = 5.0
_LINES_A_SECOND_MAX = 200


@dataclass(frozen=True, slots=True)
class CommandResult:
    """`output` is masked; from the middle of a longer one a note says how much was left out."""

    exit_code: int | None
    output: str
    duration_s: float
    timed_out: bool = False


class BoundedCapture:
    """Keeps the head and the tail of a stream, and the number of bytes between them."""

    def __init__(self, head_bytes_max: int = _HEAD_BYTES_MAX, tail_bytes_max: int = _TAIL_BYTES_MAX) -> None:
        self._head = bytearray()
        self._head_bytes_max = head_bytes_max
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._tail_bytes_max = tail_bytes_max
        self._left_out = 0

    def add(self, chunk: bytes) -> None:
        room = self._head_bytes_max - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        while self._tail_bytes - len(self._tail[0]) >= self._tail_bytes_max:
            gone = self._tail.popleft()
            self._tail_bytes -= len(gone)
            self._left_out += len(gone)

    def text(self) -> str:
        note = f"\n[... {self._left_out:,} bytes left out ...]\n".encode() if self._left_out else b""
        return (bytes(self._head) + note + b"".join(self._tail)).decode("utf-8", "replace")


async def run_command(
    command: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    timeout_s_max: float | None,
    redactor: StreamRedactor,
    on_line: Callable[[str], None],
) -> CommandResult:
    """Runs `command` to its end. A cancelled call ends the whole process group too.

    `exit_code` is None when the time-out ended it, and 127 with the reason as output when it could not be started.
    """
    began = time.monotonic()
    capture = BoundedCapture()
    live = _LiveLines(on_line)

    def take(masked: bytes) -> None:
        capture.add(masked)
        live.add(masked)

    # A pipe of our own: the one of asyncio would hold `wait` until every grandchild has closed it, too.
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            start_new_session=True,
        )
    except OSError as cause:
        os.close(read_end)
        code = 126 if isinstance(cause, PermissionError) else 127
        return CommandResult(code, f"{command[0]}: {cause.strerror}\n", time.monotonic() - began)
    finally:
        os.close(write_end)
    output = asyncio.StreamReader()
    pipe: asyncio.BaseTransport | None = None
    timed_out = False
    # From here on the process is ours: a cancellation at any await below ends it.
    try:
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(read_end, "rb", buffering=0)
        )
        async with asyncio.timeout(timeout_s_max):
            await _pump(process, output, lambda chunk: take(redactor.feed(chunk)))
    except TimeoutError:
        timed_out = True
    finally:
        if pipe is not None:
            pipe.close()
        if process.returncode is None:
            await asyncio.shield(end_group(process.pid, env.get(EXECUTION_MARK, ""), env.get(STEP_MARK, "")))
            await asyncio.shield(process.wait())
    take(redactor.close())
    live.end()
    return CommandResult(
        None if timed_out else process.returncode, capture.text(), time.monotonic() - began, timed_out=timed_out
    )


async def _pump(
    process: asyncio.subprocess.Process, output: asyncio.StreamReader, take: Callable[[bytes], None]
) -> None:
    """Reads until the command has ended. A grandchild that keeps the pipe open does not keep the step open."""
    ended = asyncio.ensure_future(process.wait())
    try:
        while True:
            reading = asyncio.ensure_future(output.read(_CHUNK_BYTES))
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                # The command has ended; what is still in the pipe comes at once, or is a daemon's own business.
                with contextlib.suppress(TimeoutError):
                    take(await asyncio.wait_for(reading, 0.2))
                    continue
                break
            chunk = reading.result()
            if not chunk:
                break
            take(chunk)
        await ended
    finally:
        ended.cancel()


async def end_group(pid: int, mark: str, step: str) -> None:
    """Ends the process group of `pid`, and whatever carries the step's mark: SIGTERM, a grace time, SIGKILL."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S_MAX
    while time.monotonic() < deadline and _group_alive(pid):
        await asyncio.sleep(0.02)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    end_marked(mark, step)


def end_marked(mark: str, step: str | None = None) -> list[int]:
    """Kills every process that carries the mark of this execution (and step); returns their ids.

    So nothing survives that a step has put into a session of its own, or that a killed failback left behind.
    """
    if not mark:
        return []
    ended = []
    for process in marked(mark, step):
        with contextlib.suppress(psutil.Error):
            process.kill()
            ended.append(process.pid)
    return ended


def marked(mark: str, step: str | None = None) -> list[psutil.Process]:
    """The processes that carry the mark, this one excepted."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            env = process.environ()
            if env.get(EXECUTION_MARK) == mark and step in (None, env.get(STEP_MARK)):
                found.append(process)
    return found


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class _LiveLines:
    """Whole lines for the live display, at most so many a second; the capture has them all."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._second = 0
        self._count = 0

    def add(self, masked: bytes) -> None:
        *lines, self._rest = (self._rest + masked).split(b"\n")
        self._rest = self._rest[-4096:]
        for line in lines:
            self._emit(line)

    def end(self) -> None:
        if self._rest:
            self._emit(self._rest)

    def _emit(self, line: bytes) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= _LINES_A_SECOND_MAX:
            self._on_line(line[:2000].decode("utf-8", "replace"))
