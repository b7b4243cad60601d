"""A real HTTP server on the other side, which may do anything: the answer comes in time, or a reason does."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from failback.opinion.answer import Unusable
from failback.opinion.asking import ask
from tests.opinion.server import Behaviour, ModelServer, dripping, huge, model_server, raw, silent, words

MESSAGES = ({"role": "user", "content": "why?"},)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


async def answered(server: ModelServer, behave: Behaviour, timeout_s: float = 10.0) -> str:
    server.behave = behave
    return await ask(server.address, "a-model", "the-key-of-the-account", MESSAGES, timeout_s)


async def test_the_models_words_come_back(server: ModelServer) -> None:
    assert await answered(server, words("because")) == "because"
    (request,) = server.requests
    assert request["path"] == "/v1/chat/completions"
    assert (request["model"], request["stream"], request["messages"][0]["content"]) == ("a-model", False, "why?")
    assert server.keys == ["Bearer the-key-of-the-account"]


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (raw(b"no", 500), "answered 500"),
        (raw(b"", 401), "answered 401"),
        (raw(b"{", 200), "protocol"),
        (raw(b'{"choices": []}'), "protocol"),
        (raw(b'{"choices": [{"message": {"content": 7}}]}'), "no text"),
        (raw(b"[" * 100_000), "protocol"),
        (raw(b"\xff\xfe\x00", 200), "protocol"),
        (huge, "larger than"),
        (raw(b"", 302, Location="http://127.0.0.1:9/steal"), "answered 302"),
    ],
)
async def test_a_server_that_does_not_do_its_part(server: ModelServer, behave: Behaviour, reason: str) -> None:
    with pytest.raises(Unusable, match=reason) as raised:
        await answered(server, behave)

    assert "the-key-of-the-account" not in str(raised.value)
    assert server.address not in str(raised.value)


@pytest.mark.parametrize("behave", [silent, dripping])
async def test_a_slow_server_is_not_waited_for(server: ModelServer, behave: Behaviour) -> None:
    began = time.monotonic()
    with pytest.raises(Unusable, match=r"within 0\.5 s"):
        await answered(server, behave, timeout_s=0.5)

    assert time.monotonic() - began < 10


async def test_nobody_there_and_no_address() -> None:
    for address in ("http://127.0.0.1:1/v1", "nonsense", "http://[::bad/v1", "file:///etc/passwd"):
        with pytest.raises(Unusable, match="could not be asked"):
            await ask(address, "m", "k" * 20, MESSAGES, 5.0)
