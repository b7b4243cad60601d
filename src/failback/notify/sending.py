"""What all channels share: the three ways to fail, a thread that nobody has to wait for, and one HTTP request."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import httpx

from failback.notify.messages import clean

T = TypeVar("T")

CONNECT_S_MAX = 3.0
_BODY_BYTES_MAX = 300
_GATEWAYS = frozenset({502, 504})  # the server behind it may have done its work
_AGAIN = frozenset({408, 425, 429})


class Passing(Exception):
    """It did not arrive, for sure, and may the next time. `pause_s`: what the receiver asked for."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Lasting(Exception):
    """It did not arrive, and never will as things are."""


class Unclear(Exception):
    """It was on its way when the answer failed to come: it may have arrived."""


class Gate:
    """Stands before the content: after `stop` nothing more is begun, and who stopped knows whether something was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self.begun = False

    def begin(self) -> None:
        """Raises Passing when it is too late."""
        with self._lock:
            if self._stopped:
                raise Passing("stopped before anything was sent")
            self.begun = True

    def stop(self) -> bool:
        with self._lock:
            self._stopped = True
            return self.begun


async def within(limit_s: float, gate: Gate, what: str, work: Callable[[], T]) -> T:
    """Runs blocking work in a thread of its own, which holds up neither the loop nor the end of the process.

    All of it is in there, names that no server resolves too. Raises Passing or Unclear when it takes too long.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await _in_thread(work)
    except TimeoutError:
        begun = gate.stop()
        raise (Unclear if begun else Passing)(f"{what}no answer within {limit_s:g} s") from None
    except BaseException:
        gate.stop()
        raise


async def post(address: str, body: Mapping[str, Any], limit_s: float) -> None:
    """Posts JSON; returns when the receiver took it. Raises Passing, Lasting or Unclear; none quotes the address."""
    gate = Gate()
    await within(limit_s, gate, "", lambda: _post(address, body, limit_s, gate))


def _post(address: str, body: Mapping[str, Any], limit_s: float, gate: Gate) -> None:
    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_body.started"):
            gate.begin()

    limits = httpx.Timeout(limit_s, connect=min(CONNECT_S_MAX, limit_s))
    try:
        with (
            _unlogged(),
            httpx.Client(timeout=limits) as client,
            client.stream("POST", address, json=body, extensions={"trace": trace}) as answer,
        ):
            status, pause_s = answer.status_code, _pause(answer.headers.get("Retry-After"))
            why = "" if status < 300 else _said(answer)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise Lasting("its address is no URL") from None
    except httpx.HTTPError as cause:
        # The address itself may be the secret, and httpx likes to quote it.
        raise (Unclear if gate.begun else Passing)(type(cause).__name__) from None
    if status < 300:
        return
    reason = f"answered {status}" + (f": {why}" if why else "")
    if status in _GATEWAYS:
        raise Unclear(reason)
    if status in _AGAIN or status >= 500:
        raise Passing(reason, pause_s)
    raise Lasting(reason)


async def _in_thread(work: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, error = None, None
        try:
            value = work()
        except BaseException as cause:  # noqa: BLE001 - handed over whole to whoever waits
            error = cause
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="failback-notify", daemon=True).start()
    return await future


def _said(answer: httpx.Response) -> str:
    """The beginning of what the receiver says of an error; it is from outside, so cleaned and short."""
    body = b""
    with contextlib.suppress(httpx.HTTPError):
        for chunk in answer.iter_raw():
            body += chunk[: _BODY_BYTES_MAX - len(body)]
            if len(body) >= _BODY_BYTES_MAX:
                break
    return clean(body.decode("utf-8", "replace"), 200)


def _pause(header: str | None) -> float | None:
    """Seconds, or a date; both are allowed."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Keeps addresses out of the log: httpx writes each at INFO, and a webhook's address is a password."""
    logger = logging.getLogger("httpx")

    def about_others(record: logging.LogRecord) -> bool:
        return threading.get_ident() != record.thread

    logger.addFilter(about_others)
    try:
        yield
    finally:
        logger.removeFilter(about_others)
