"""Steady traffic as users make it: requests leave at their time, whether or not earlier ones were answered.

An open loop: a stall of the service shows in every request that was due meanwhile, since each latency is counted from
the moment at which the request *should* have been sent. Nothing is retried; what a client would see is what is counted.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from failback.drill.answers import Answer, BadAnswer
from failback.drill.latency import Latencies

_FAILURES_KEPT = 200
_TAGS_KEPT = 100
_TAG_BYTES_MAX = 80
_IN_FLIGHT_MAX = 5_000
_STATUS_BAD_FROM = 400


@dataclass(frozen=True, slots=True)
class Tag:
    """Who answered: how often, and when first and last (seconds since the load began, when the answer was complete)."""

    count: int
    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What the clients saw. Times in seconds since `began_mono` (the monotonic clock), latencies in milliseconds."""

    url: str
    rate_per_s: float
    keep_alive: bool
    seconds: float
    sent: int
    ok: int
    failed: int
    by_kind: dict[str, int]  # of the failed: "connect", "reset", "timeout", "status 503", "broken answer", "overload"
    by_status: dict[int, int]
    latency_ms: dict[str, float]  # p50, p90, p99, p99.9, max; from the intended time, answered requests only
    failures: list[tuple[float, str]]  # the first ones, with the intended time
    answered_by: dict[str, Tag]
    connections: int
    late_ms_max: float  # how far the generator itself was behind its own schedule
    began_mono: float = field(repr=False, default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        shape = {name: getattr(self, name) for name in self.__slots__ if name != "began_mono"}
        tags = {
            name: {"count": t.count, "first_s": t.first_s, "last_s": t.last_s} for name, t in self.answered_by.items()
        }
        return shape | {"answered_by": tags, "by_status": {str(k): v for k, v in self.by_status.items()}}


class Load:
    """One load on one address. `run` sends until told to stop; `report` may be asked at any time.

    `tag`: the name of the response header whose value says who answered, or "body" for the answer's first 80 bytes.
    Raises ValueError for an address that is no http:// or https:// one.
    """

    def __init__(
        self,
        url: str,
        rate_per_s: float,
        *,
        keep_alive: bool = False,
        method: str = "GET",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        tag: str = "x-release",
        timeout_s_max: float = 10.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address as http://127.0.0.1:8080/path")
        if rate_per_s <= 0:
            raise ValueError(f"the rate should be above 0 requests a second, got {rate_per_s:g}")
        self.url, self.rate_per_s, self.keep_alive, self.method = url, rate_per_s, keep_alive, method
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._request = _request(method, parts.netloc.rpartition("@")[2], _target(url), headers or {}, body, keep_alive)
        self._tag_name, self._timeout_s_max = tag.lower(), timeout_s_max
        self._idle: list[_Client] = []
        self._running: set[asyncio.Task[None]] = set()
        self._began = self._ended = 0.0
        self.sent = self.ok = self.connections = 0
        self._late_s_max = 0.0
        self._kinds: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._latencies = Latencies()
        self._failures: list[tuple[float, str]] = []
        self._tags: dict[str, Tag] = {}

    async def run(self, seconds: float | None = None, stop: asyncio.Event | None = None) -> LoadReport:
        """Sends for so long, or until `stop` is set; answers that are due are waited for. One of both must be given."""
        if seconds is None and stop is None:
            raise ValueError("either seconds or stop must be given")
        loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        number = 0
        while not (stop is not None and stop.is_set()):
            after_s = number / self.rate_per_s
            if seconds is not None and after_s >= seconds:
                break
            due = self._began + after_s
            wait_s = due - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                if stop is not None and stop.is_set():
                    break
            self._late_s_max = max(self._late_s_max, time.monotonic() - due)
            self._send(loop, due)
            number += 1
        self._ended = time.monotonic()
        while self._running:
            await asyncio.wait(self._running)
        for client in self._idle:
            client.close()
        self._idle.clear()
        return self.report()

    def _send(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.sent += 1
        if len(self._running) >= _IN_FLIGHT_MAX:
            self._failed(due, "overload")
            return
        task = loop.create_task(self._one(due))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _one(self, due: float) -> None:
        client: _Client | None = None
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._timeout_s_max):
                client = await self._client()
                answer = await client.exchange(self._request)
        except TimeoutError:
            self._failed(due, "timeout")
        except BadAnswer as cause:
            self._failed(due, str(cause))
        except OSError:
            self._failed(due, "connect" if client is None else "reset")
        else:
            self._answered(due, answer)
            if self.keep_alive and answer.keeps_open:
                self._idle.append(client)
                return
        if client is not None:
            client.close()

    async def _client(self) -> _Client:
        while self._idle:
            client = self._idle.pop()
            if not client.closed:
                return client
        self.connections += 1
        _, client = await asyncio.get_running_loop().create_connection(_Client, self._host, self._port, ssl=self._tls)
        return client

    def _answered(self, due: float, answer: Answer) -> None:
        now = time.monotonic()
        self._latencies.add((now - due) * 1000)
        self._statuses[answer.status] += 1
        self._see(answer, now - self._began)
        if answer.status >= _STATUS_BAD_FROM:
            self._failed(due, f"status {answer.status}")
        else:
            self.ok += 1

    def _see(self, answer: Answer, at_s: float) -> None:
        named = (
            bytes(answer.body[:_TAG_BYTES_MAX]) if self._tag_name == "body" else answer.headers.get(self._tag_name, b"")
        )
        name = named.decode("utf-8", "replace")
        known = self._tags.get(name)
        if known is not None:
            self._tags[name] = Tag(known.count + 1, known.first_s, at_s)
        elif name and len(self._tags) < _TAGS_KEPT:
            self._tags[name] = Tag(1, at_s, at_s)

    def _failed(self, due: float, kind: str) -> None:
        self._kinds[kind] += 1
        if len(self._failures) < _FAILURES_KEPT:
            self._failures.append((round(due - self._began, 4), kind))

    def report(self) -> LoadReport:
        """What was seen so far; requests that are not answered yet are in `sent` alone."""
        return LoadReport(
            url=self.url,
            rate_per_s=self.rate_per_s,
            keep_alive=self.keep_alive,
            seconds=round((self._ended or time.monotonic()) - self._began, 3),
            sent=self.sent,
            ok=self.ok,
            failed=sum(self._kinds.values()),
            by_kind=dict(self._kinds),
            by_status=dict(self._statuses),
            latency_ms=self._latencies.summary(),
            failures=list(self._failures),
            answered_by=dict(self._tags),
            connections=self.connections,
            late_ms_max=round(self._late_s_max * 1000, 2),
            began_mono=self._began,
        )


async def run_load(
    url: str,
    rate_per_s: float,
    until: float | asyncio.Event,
    *,
    keep_alive: bool = False,
    method: str = "GET",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    tag: str = "x-release",
    timeout_s_max: float = 10.0,
) -> LoadReport:
    """Sends for `until` seconds, or until that event is set, and says what the clients saw. See `Load`."""
    load = Load(
        url,
        rate_per_s,
        keep_alive=keep_alive,
        method=method,
        body=body,
        headers=headers,
        tag=tag,
        timeout_s_max=timeout_s_max,
    )
    if isinstance(until, asyncio.Event):
        return await load.run(stop=until)
    return await load.run(seconds=until)


class _Client(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream was expected, got {transport!r}")
        self._transport = transport

    async def exchange(self, request: bytes) -> Answer:
        """Sends and waits for the whole answer. Raises OSError when the connection ends before, BadAnswer."""
        if self._transport is None or self.closed:
            raise ConnectionResetError("the connection is closed")
        self._answer = Answer(head_only=request.startswith(b"HEAD "))
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._answer = self._waiting = None

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._waiting is None or self._waiting.done():
            return
        try:
            if self._answer.feed(data):
                self._waiting.set_result(self._answer)
        except BadAnswer as cause:
            self._waiting.set_exception(cause)

    def eof_received(self) -> bool:
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, exc: Exception | None) -> None:
        self.closed = True
        if self._answer is None or self._waiting is None or self._waiting.done():
            return
        if exc is None and self._answer.ends_with_connection():
            self._waiting.set_result(self._answer)
        else:
            self._waiting.set_exception(ConnectionResetError("the connection ended before the answer was complete"))

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort() if self._waiting is not None else self._transport.close()


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _request(method: str, host: str, target: str, headers: dict[str, str], body: bytes, keep_alive: bool) -> bytes:
    """The bytes of the request; made once, sent often."""
    lines = {"Host": host, "User-Agent": "failback-load", "Accept": "*/*"} | headers
    if body or method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
        lines["Content-Length"] = str(len(body))
    if not keep_alive:
        lines["Connection"] = "close"
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    return head.encode("latin-1") + body
