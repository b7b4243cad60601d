"""Asks a server that speaks the OpenAI chat protocol: one request, within a time, at most so many bytes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

from failback.opinion.answer import Unusable, content_of

BYTES_MAX = 256 * 1024
TOKENS_MAX = 800
CONNECT_S_MAX = 5.0


async def ask(
    address: str, model: str, api_key: str, messages: Sequence[Mapping[str, str]], timeout_s_max: float
) -> str:
    """The model's words. Raises Unusable, whatever goes wrong; no message holds the address or the key."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()

    def settle(words: str | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(words or "")

    def run() -> None:
        words, error = None, None
        try:
            words = _asked(address, model, api_key, messages, timeout_s_max)
        except Unusable as cause:
            error = cause
        except Exception as cause:  # noqa: BLE001 - the client's own errors quote the address
            error = Unusable(f"it could not be asked ({type(cause).__name__})")
        try:
            loop.call_soon_threadsafe(settle, words, error)
        except RuntimeError:
            return  # the loop has ended: nobody waits any more

    # A thread that nobody has to wait for: a name that is not resolved would hold up the end of the process otherwise.
    threading.Thread(target=run, name="failback-opinion", daemon=True).start()
    try:
        async with asyncio.timeout(timeout_s_max):
            return await future
    except TimeoutError:
        raise Unusable(f"it gave no answer within {timeout_s_max:g} s") from None


def _asked(address: str, model: str, api_key: str, messages: Sequence[Mapping[str, str]], timeout_s_max: float) -> str:
    import httpx

    body = {
        "model": model,
        "messages": [dict(message) for message in messages],
        "temperature": 0,
        "max_tokens": TOKENS_MAX,
        "stream": False,
    }
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    limits = httpx.Timeout(timeout_s_max, connect=min(CONNECT_S_MAX, timeout_s_max))
    url = f"{address.rstrip('/')}/chat/completions"
    raw = bytearray()
    with (
        # A redirect is not followed: it would take evidence and key to somebody else.
        httpx.Client(timeout=limits, follow_redirects=False) as client,
        client.stream("POST", url, json=body, headers=headers) as answer,
    ):
        if answer.status_code != 200:
            raise Unusable(f"its server answered {answer.status_code}")
        for chunk in answer.iter_bytes():
            raw += chunk
            if len(raw) > BYTES_MAX:
                raise Unusable(f"its answer is larger than {BYTES_MAX // 1024} KiB")
    return content_of(bytes(raw))
