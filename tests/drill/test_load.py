"""The load that every "0 failed" rests on: it must see each failure, and must not wait for anybody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from failback.drill.load import Load, run_load

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GOOD = b"HTTP/1.1 200 OK\r\nX-Release: r1\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def served(behaviour: Behaviour) -> AsyncIterator[str]:
    """A server that does just this with each request; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                await behaviour(reader, writer)
                if b"Connection: close" in head:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GOOD)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GOOD[:-1])
    await writer.drain()
    writer.close()


async def error(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GOOD.replace(b"200 OK", b"503 No"))


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"what?\r\n\r\n")


@pytest.mark.parametrize("keep_alive", [False, True])
async def test_good_answers_are_counted(keep_alive: bool) -> None:
    async with served(good) as url:
        report = await run_load(url, 100, 1.0, keep_alive=keep_alive)

    assert (report.sent, report.ok, report.failed, report.failures) == (100, 100, 0, [])
    assert report.by_status == {200: 100}
    assert report.answered_by["r1"].count == 100
    assert (report.connections == 100) is not keep_alive


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [(reset, "reset"), (half, "reset"), (error, "status 503"), (silent, "timeout"), (nonsense, "broken answer")],
    ids=["reset", "half", "error", "silent", "nonsense"],
)
@pytest.mark.parametrize("keep_alive", [False, True], ids=["new", "kept"])
async def test_each_kind_of_failure_is_seen_every_time(behaviour: Behaviour, kind: str, keep_alive: bool) -> None:
    async with served(behaviour) as url:
        report = await run_load(url, 40, 0.5, keep_alive=keep_alive, timeout_s_max=0.5)

    assert report.by_kind == {kind: 20}
    assert (report.sent, report.ok, len(report.failures)) == (20, 0, 20)


async def test_nobody_there_is_a_failure() -> None:
    async with served(good) as url:
        pass

    assert (await run_load(url, 50, 0.2)).by_kind == {"connect": 10}


async def test_requests_leave_in_time_though_none_is_answered() -> None:
    """A generator that waits for answers would send one request here, and report one slow one."""
    arrived = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(time.monotonic())
        await asyncio.sleep(1.0)
        writer.write(GOOD)

    async with served(slow) as url:
        report = await run_load(url, 50, 1.0)

    assert (report.sent, report.ok) == (50, 50)
    assert arrived[-1] - arrived[0] > 0.5
    assert report.latency_ms["p50"] >= 1000


async def test_a_stall_shows_in_all_that_was_due() -> None:
    """Latency counts from when a request should have left: one stall of 0.5 s is 50 slow requests, not one."""
    async with served(good) as url:
        load = Load(url, 100)
        running = asyncio.create_task(load.run(seconds=1.5))
        await asyncio.sleep(0.4)
        time.sleep(0.5)  # noqa: ASYNC251 - the whole loop, generator included, stands still
        report = await running

    assert report.sent == 150
    assert report.latency_ms["p90"] > 200
    assert report.late_ms_max > 400  # and it says that it was late itself


async def test_it_stops_when_told_and_waits_for_what_is_due() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(GOOD)

    stop = asyncio.Event()
    async with served(slow) as url:
        running = asyncio.create_task(run_load(url, 100, stop))
        await asyncio.sleep(0.5)
        stop.set()
        report = await running

    assert report.ok == report.sent > 10


async def test_who_answered_can_be_told_from_the_body() -> None:
    async with served(good) as url:
        report = await run_load(url, 50, 0.2, tag="body")

    assert report.answered_by["ok"].count == 10


async def test_failures_that_are_listed_are_bounded_and_counted_in_full() -> None:
    async with served(error) as url:
        report = await run_load(url, 1000, 0.5)

    assert len(report.failures) == 200
    assert report.failed == 500


@pytest.mark.parametrize("url", ["ftp://x/", "127.0.0.1:80", "http:///x"])
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        Load(url, 1)


def test_a_rate_of_nothing_is_said() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Load("http://x/", 0)


async def test_the_report_is_json() -> None:
    async with served(good) as url:
        report = await run_load(url, 50, 0.2)

    assert json.loads(json.dumps(report.as_dict()))["answered_by"]["r1"]["count"] == 10


async def test_two_hundred_new_connections_a_second_leave_room_for_what_is_tested() -> None:
    """It shares two cores with proxy and service: its own use must stay small (usually 0.1 of one core)."""
    async with served(good) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.load", url, "--rate", "200", "--seconds", "4", "--json"),
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()
    told = json.loads(out)

    print(f"{told['cpu_share']:.0%} of one core at 200 requests a second on new connections")
    assert process.returncode == 0
    assert (told["sent"], told["failed"]) == (800, 0)
    assert told["cpu_share"] < 0.8
    assert told["memory_mib"] < 200


async def test_the_command_says_by_its_exit_code_whether_one_failed() -> None:
    async with served(error) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.load", url, "--rate", "20", "--seconds", "0.5"), stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()

    assert process.returncode == 1
    assert b"10 of 10 requests failed" in out
    assert b"status 503: 10" in out
