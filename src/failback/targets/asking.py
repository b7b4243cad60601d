"""One HTTP/1.1 request on a connection of its own, so that no earlier answer colours this one."""

from __future__ import annotations

import asyncio
import ssl
import time

import h11

from failback.targets.expectations import Answer, Question

_BODY_BYTES_MAX = 256 * 1024


async def ask(host: str, port: int, question: Question, tls: ssl.SSLContext | None = None) -> Answer:
    """The answer; what went wrong stands in its `error`, nothing is raised."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(question.timeout_s):
            status, body = await _exchange(host, port, question, tls)
        return Answer(status, body.decode("utf-8", "replace"), (time.monotonic() - began) * 1000)
    except TimeoutError:
        error = f"no answer within {question.timeout_s:g} s"
    except ConnectionRefusedError:
        error = "connection refused"
    except (OSError, h11.ProtocolError, EOFError) as cause:
        error = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
    return Answer(None, "", (time.monotonic() - began) * 1000, error)


async def _exchange(host: str, port: int, question: Question, tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        http = h11.Connection(h11.CLIENT)
        lines = [("User-Agent", "failback"), ("Connection", "close"), *question.headers.items()]
        writer.write(http.send(h11.Request(method=question.method, target=question.path, headers=lines)) or b"")
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
