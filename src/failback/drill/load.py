"""A steady load on one address, and an honest count of what failed: open loop, by the standard library alone.

Requests are sent at fixed times whether or not earlier ones were answered, and latencies count from the time at which
a request was *due*: a service that stalls cannot slow the load down and so hide its stall ("coordinated omission").
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

_ANSWER_S_MAX = 10.0
_FAILURES_KEPT = 50


@dataclass(slots=True)
class LoadReport:
    """What came of the load. `failures`: (seconds since the start, kind); `answered`: requests by answering release."""

    sent: int = 0
    ok: int = 0
    failed: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[float, str]] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    latency_ms: dict[str, float] = field(default_factory=dict)


class Load:
    """`rate_per_s` requests to `url` until `stop`; with `keep_alive` connections are kept and used again."""

    def __init__(self, url: str, rate_per_s: float, *, keep_alive: bool = False, tag: str = "") -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        path = parts.path or "/"
        connection = "keep-alive" if keep_alive else "close"
        self._request = (
            f"GET {path}{'?' + parts.query if parts.query else ''} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"User-Agent: failback-load\r\nConnection: {connection}\r\n\r\n"
        ).encode()
        self._rate = rate_per_s
        self._keep_alive = keep_alive
        self._tag = tag
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._kinds: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._latencies: list[float] = []
        self.report = LoadReport()

    async def run(self, seconds: float | None = None, stop: asyncio.Event | None = None) -> LoadReport:
        """Until the time is over or `stop` is set; then until the last answer."""
        began = time.monotonic()
        pending: set[asyncio.Task[None]] = set()
        number = 0
        while (seconds is None or number < seconds * self._rate) and not (stop is not None and stop.is_set()):
            due = began + number / self._rate
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            task = asyncio.create_task(self._one(due, began))
            pending.add(task)
            task.add_done_callback(pending.discard)
            number += 1
        if pending:
            await asyncio.wait(pending)
        for _, writer in self._idle:
            writer.close()
        report = self.report
        report.seconds = round(time.monotonic() - began, 2)
        report.by_kind = dict(self._kinds)
        report.answered = dict(sorted(self._answered.items()))
        report.latency_ms = _percentiles(self._latencies)
        return report

    async def _one(self, due: float, began: float) -> None:
        self.report.sent += 1
        try:
            async with asyncio.timeout(_ANSWER_S_MAX):
                status, body = await self._exchange()
            kind = "" if 200 <= status < 400 else f"status {status}"
        except TimeoutError:
            kind, body = f"no answer within {_ANSWER_S_MAX:g} s", b""
        except (OSError, EOFError, ValueError) as error:
            kind, body = type(error).__name__, b""
        self._latencies.append((time.monotonic() - due) * 1000)
        if kind:
            self.report.failed += 1
            self._kinds[kind] += 1
            if len(self.report.failures) < _FAILURES_KEPT:
                self.report.failures.append((round(time.monotonic() - began, 3), kind))
            return
        self.report.ok += 1
        if self._tag:
            self._answered[_tagged(body, self._tag)] += 1

    async def _exchange(self) -> tuple[int, bytes]:
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        kept = False
        try:
            writer.write(self._request)
            status, body, reusable = await _answer(reader)
            if self._keep_alive and reusable:
                self._idle.append((reader, writer))
                kept = True
            return status, body
        finally:
            if not kept:
                writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """(status, body, whether the connection can be used again). Raises EOFError for a cut answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status = int(lines[0].split(b" ", 2)[1])
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:] if line)
    }
    reusable = headers.get(b"connection", b"").lower() != b"close"
    if b"content-length" in headers:
        return status, await reader.readexactly(int(headers[b"content-length"])), reusable
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = bytearray()
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
        return status, bytes(body), reusable
    if status in (204, 304):
        return status, b"", reusable
    return status, await reader.read(), False


def _tagged(body: bytes, tag: str) -> str:
    try:
        return f"{tag} {json.loads(body)[tag]}"
    except (ValueError, KeyError, TypeError):
        return "untagged"


def _percentiles(latencies: list[float]) -> dict[str, float]:
    if not latencies:
        return {}
    ordered = sorted(latencies)
    last = len(ordered) - 1
    return {f"p{share:g}": round(ordered[round(last * share / 100)], 2) for share in (50, 90, 99, 99.9, 100)}


async def _main(arguments: Any) -> LoadReport:
    """The command: ends after the time, or when standard input ends (a parent that has gone stops its load)."""
    load = Load(arguments.url, arguments.rate, keep_alive=arguments.keep_alive, tag=arguments.tag)
    stop = asyncio.Event()
    if arguments.until_stdin_ends:
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), lambda: stop.set() if not os.read(sys.stdin.fileno(), 1) else None)
    return await load.run(arguments.seconds, stop)


def main() -> None:
    """`python -m failback.drill.load URL --rate 200 --seconds 10`: prints the report as JSON."""
    parser = ArgumentParser(prog="failback.drill.load")
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=None)
    parser.add_argument("--keep-alive", action="store_true")
    parser.add_argument("--tag", default="")
    parser.add_argument("--until-stdin-ends", action="store_true")
    sys.stdout.write(json.dumps(asdict(asyncio.run(_main(parser.parse_args())))) + "\n")


if __name__ == "__main__":
    main()
