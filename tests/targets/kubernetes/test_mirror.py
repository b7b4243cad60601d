"""A mirror follows without a gap, and knows when it hears nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from failback.targets.kubernetes import mirror as module
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.failures import WatchExpired
from failback.targets.kubernetes.mirror import Mirror


def named(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


class Scripted:
    """An API server whose watches are told beforehand; after the last one it is silent, and alive."""

    def __init__(self, *watches: Any) -> None:
        self.watches = list(watches)
        self.since: list[str] = []
        self.items = [named("a", 1)]

    async def listing(self, kind: str, **selectors: str) -> tuple[list[dict[str, Any]], str]:
        return list(self.items), "10"

    async def watch(self, kind: str, since: str, **selectors: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.since.append(since)
        if not self.watches:
            await asyncio.Event().wait()
        script = self.watches.pop(0)
        if isinstance(script, Exception):
            raise script
        for change in script:
            yield change


def mirror(server: Scripted, **more: Any) -> Mirror:
    return Mirror(cast(Cluster, server), "Pod", **more)


async def test_what_is_added_changed_and_deleted_is_followed() -> None:
    server = Scripted([("ADDED", named("b", 11)), ("MODIFIED", named("a", 12)), ("DELETED", named("b", 13))])

    async with mirror(server) as pods:
        assert await pods.until(lambda found: found["a"]["metadata"]["resourceVersion"] == "12", 5)
        assert await pods.until(lambda found: set(found) == {"a"}, 5)


async def test_a_lost_connection_is_taken_up_from_the_last_version() -> None:
    """Nothing is listed anew, so nothing between is missed."""
    server = Scripted([("ADDED", named("b", 11))], [("BOOKMARK", named("", 40))], [("ADDED", named("c", 41))])

    async with mirror(server) as pods:
        assert await pods.until(lambda found: "c" in found, 5)

    assert server.since[:3] == ["10", "11", "40"]
    assert pods.gaps == 0


async def test_forgotten_history_is_a_gap_and_is_listed_anew() -> None:
    server = Scripted(WatchExpired("too old", status=410, api_error={}), [("ADDED", named("c", 41))])
    changes: list[tuple[str, str]] = []

    async with mirror(server, on_change=lambda change, one: changes.append((change, one["metadata"]["name"]))) as pods:
        server.items = [named("b", 20)]
        assert await pods.until(lambda found: "c" in found, 5)

    assert pods.gaps == 1
    assert changes[:3] == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "b")]


async def test_a_server_that_ends_every_watch_at_once_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the mirror shows is then old, and nobody must be judged by it. A watch that lasts is heard again."""
    monkeypatch.setattr(module, "_HEARD_AFTER_S", 0.5)
    server = Scripted([], [], [], [])

    async with mirror(server) as pods:
        assert not pods.blind
        for _ in range(200):
            if pods.blind:
                break
            await asyncio.sleep(0.01)
        assert pods.blind
        for _ in range(300):
            if not pods.blind:
                break
            await asyncio.sleep(0.01)
        assert not pods.blind
