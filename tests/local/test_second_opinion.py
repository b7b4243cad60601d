"""A deployment whose plan names a model: asked once users are safe, shown as its own, and never in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.world import World
from tests.opinion.server import Handler, ModelServer, model_server, silent, words

KEY = "the-key-of-the-account"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


def asking(world: World, server: ModelServer, **llm: Any) -> None:
    world.env = {"LLM_KEY": KEY}
    settings = {"enabled": True, "address": server.address, "model": "a-model", "api_key": "${LLM_KEY}", **llm}
    world.extra = {"diagnosis": {"llm": settings}}


def broken(world: World) -> dict[str, Any]:
    world.release(2)
    (world.folder / "app" / "settings.json").unlink()
    return world.deploy()


def test_its_answer_stands_beside_the_engines(live: World, server: ModelServer) -> None:
    asking(live, server)
    seen: list[str] = []

    def answer(handler: Handler) -> None:
        seen.append(live.status()["proxy"]["routed"])
        words({"type": "missing_file", "cause": "settings.json is gone", "lines": [1], "suggestion": "rm -rf /"})(
            handler
        )

    server.behave = answer
    result = broken(live)

    told = result["second_opinion"]
    assert result["root_cause"]["type"] == "missing_file"
    assert (told["status"], told["cause"]) == ("answered", "settings.json is gone")
    assert told["evidence"][0]["text"] in json.dumps(server.requests[0], ensure_ascii=False).replace('\\\\"', '"')
    assert seen == ["r1"]
    assert server.keys == [f"Bearer {KEY}"]
    assert KEY not in json.dumps(server.requests)
    page = live.run("explain").stdout
    assert "A language model's opinion (a-model" in page
    assert "It suggests: rm -rf /" in page
    assert all("rm -rf" not in json.dumps(phase) for phase in result["rollback"]["phases"])


def test_a_model_that_echoes_the_key_shows_it_to_nobody(live: World, server: ModelServer) -> None:
    asking(live, server)
    server.behave = words({"cause": f"\x1b[31mthe key is {KEY}", "lines": [1], "suggestion": KEY})

    result = broken(live)

    assert result["second_opinion"]["status"] == "answered"
    kept = [path for path in (live.home).rglob("*") if path.is_file() and path.suffix in (".json", ".jsonl", ".txt")]
    assert all(KEY.encode() not in path.read_bytes() for path in kept)
    assert KEY not in json.dumps(result)
    assert "\x1b" not in live.run("explain").stdout


def test_a_model_that_says_nothing_holds_up_nothing_for_long(live: World, server: ModelServer) -> None:
    asking(live, server, timeout=1)
    server.behave = silent

    result = broken(live)

    assert result["second_opinion"]["reason"] == "it gave no answer within 1 s"
    assert result["rollback"]["phases_completed"] == 8
    assert result["root_cause"]["type"] == "missing_file"


def test_invented_citations_are_no_answer(live: World, server: ModelServer) -> None:
    asking(live, server)
    server.behave = words({"cause": "aliens", "lines": [7777], "type": "missing_file"})

    result = broken(live)

    assert result["second_opinion"]["status"] == "no usable answer"
    assert "aliens" not in json.dumps(result)


def test_off_by_default(live: World, server: ModelServer) -> None:
    result = broken(live)

    assert result["second_opinion"] is None
    assert server.requests == []
