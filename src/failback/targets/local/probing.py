"""Requests that failback itself sends to a replica: ready checks and smoke requests. Straight, not by the proxy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import h11

from failback.model.evidence import ProbeResult

_BODY_BYTES_MAX = 256 * 1024
_BODY_HEAD_CHARS = 400
_READY_S_MAX = 5.0
_SMOKE_S_MAX = 30.0


async def ready_check(name: str, port: int, ready: Mapping[str, Any]) -> ProbeResult:
    """One ready check: by default any answer from 200 to 399 is good."""
    wanted = ready.get("status")
    expected = f"status {_either(wanted)}" if wanted else "status 200 to 399"
    status, _, took_ms, error = await _request(
        port, "GET", str(ready.get("path") or "/"), {"Host": str(ready.get("host") or "127.0.0.1")}, _READY_S_MAX
    )
    good = status is not None and (status in _numbers(wanted) if wanted else 200 <= status < 400)
    return ProbeResult(
        replica=name,
        path=str(ready.get("path") or "/"),
        status=status,
        duration_ms=round(took_ms, 1),
        expected=expected,
        passed=good,
        error=error,
        kind="ready",
    )


async def smoke_request(name: str, port: int, check: Mapping[str, Any], host: str | None) -> ProbeResult:
    """One smoke request, judged by status, body and time."""
    wanted = _numbers(check.get("status") or (200,))
    max_ms = check.get("max_ms")
    expected = f"status {_either(wanted)}" + (f" within {max_ms:g} ms" if max_ms else "")
    headers = {str(k): str(v) for k, v in (check.get("headers") or {}).items()}
    if not any(name.lower() == "host" for name in headers):
        headers["Host"] = host or "127.0.0.1"
    status, body, took_ms, error = await _request(
        port, str(check.get("method") or "GET"), str(check["path"]), headers, _SMOKE_S_MAX
    )
    if error is None and status not in wanted:
        error = f"answered {status}"
    part = check.get("body")
    if error is None and part and part not in body:
        error = f"the body does not contain {part!r}"
    if error is None and max_ms and took_ms > max_ms:
        error = f"took {took_ms:.0f} ms"
    return ProbeResult(
        replica=name,
        path=str(check["path"]),
        status=status,
        duration_ms=round(took_ms, 1),
        expected=expected,
        passed=error is None,
        error=error,
        body_head=body[:_BODY_HEAD_CHARS],
        kind="smoke",
    )


async def _request(
    port: int, method: str, path: str, headers: Mapping[str, str], answer_s_max: float
) -> tuple[int | None, str, float, str | None]:
    """(status, body, ms, error) of one request on a connection of its own."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(answer_s_max):
            status, body = await _exchange(port, method, path, headers)
        return status, body.decode("utf-8", "replace"), (time.monotonic() - began) * 1000, None
    except TimeoutError:
        error = f"no answer within {answer_s_max:g} s"
    except ConnectionRefusedError:
        error = "connection refused"
    except (OSError, h11.ProtocolError, EOFError) as cause:
        error = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
    return None, "", (time.monotonic() - began) * 1000, error


async def _exchange(port: int, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        http = h11.Connection(h11.CLIENT)
        lines = [("User-Agent", "failback"), ("Connection", "close"), *headers.items()]
        writer.write(http.send(h11.Request(method=method, target=path, headers=lines)) or b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        status, body = 0, bytearray()
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                if not data and http.their_state is not h11.SEND_BODY:
                    raise EOFError("the connection was closed without an answer")
                http.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data[: _BODY_BYTES_MAX - len(body)]
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return status, bytes(body)
    finally:
        writer.close()


def _numbers(statuses: Any) -> tuple[int, ...]:
    return (statuses,) if isinstance(statuses, int) else tuple(int(one) for one in statuses or ())


def _either(statuses: Sequence[int] | int) -> str:
    return " or ".join(str(one) for one in _numbers(statuses))
