"""Messages that wait to be sent, kept so that a kill loses none silently and sends none twice.

    pending -> sending -> sent | failed | unconfirmed          sending -> pending, when it surely did not arrive

`sending` is committed, with a token of the attempt, before the request. Who finds it after a kill cannot know whether
the message arrived. On a channel whose receiver takes the same key for the same incident it is sent again; on the
others it becomes `unconfirmed` and is told, since a second alarm for one failure teaches people to ignore alarms, and
the archive and the exit code carry the message anyway. Addresses and keys are never kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from failback.notify.channels import channel_of, settings_of, without_secrets
from failback.notify.messages import Message, clean
from failback.notify.sending import Lasting, Passing, Unclear

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    execution_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    message TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '',
    sender TEXT NOT NULL DEFAULT '',
    changed_at REAL NOT NULL,
    PRIMARY KEY (execution_id, channel)
)
"""
_SETTLED = frozenset({"sent", "failed", "unconfirmed"})
_BUSY_MS = 5_000
_PAUSE_S = 0.3
_LOOK_AGAIN_S = 0.1
_START_TOLERANCE_S = 2.0  # a process's start is computed from the wall clock, which may be corrected meanwhile
_DETAIL_CHARS_MAX = 500
_KILLED = "failback was killed while it was being sent: it may have arrived, and is not sent twice"
_STILL = "another process is still sending it"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of one channel: state "sent", "failed" or "unconfirmed". `seconds` of this call, by the clock."""

    channel: str
    state: str
    detail: str
    attempts: int
    seconds: float

    @property
    def action(self) -> str:
        """One line for phase 8."""
        if self.state == "sent":
            return self.detail
        return f"{channel_of(self.channel).title}: {self.state}, {self.detail}"


@dataclass(frozen=True, slots=True)
class _Row:
    message: str
    state: str
    attempts: int
    detail: str
    sender: str


class Outbox:
    """The outbox in an SQLite file, or in an open connection (in autocommit mode, which stays open)."""

    def __init__(self, place: Path | sqlite3.Connection, *, jitter: Callable[[], float] = random.random) -> None:
        self._own = isinstance(place, Path)
        self._db = place if isinstance(place, sqlite3.Connection) else _opened(place)
        if self._db.isolation_level is not None:
            raise ValueError("the outbox needs a connection in autocommit mode (isolation_level=None)")
        self._db.execute(_SCHEMA)
        self._jitter = jitter
        self._me = f"{os.getpid()} {psutil.Process().create_time():.2f}"

    def close(self) -> None:
        if self._own:
            self._db.close()

    def enqueue(self, told: Message, channels: Sequence[str]) -> None:
        """Keeps the message for each channel; a channel that has one of this execution keeps what it has."""
        text = json.dumps(asdict(told))
        with self._transaction() as db:
            for channel in channels:
                db.execute(
                    "INSERT OR IGNORE INTO outbox (execution_id, channel, message, state, changed_at)"
                    " VALUES (?, ?, ?, 'pending', ?)",
                    (told.execution_id, channel, text, time.time()),
                )

    async def deliver(
        self,
        execution_id: str,
        config: Mapping[str, Any],
        *,
        timeout_s_max: float = 12.0,
        attempt_s_max: float = 5.0,
        attempts_max: int = 3,
    ) -> list[Delivery]:
        """Sends what waits for this execution, all channels at once; what is not done in time is told as it stands.

        `config`: its `notification_config` with values resolved; of another execution it might name other people.
        Never raises for a channel's sake.
        """
        rows = self._db.execute("SELECT channel FROM outbox WHERE execution_id = ? ORDER BY channel", (execution_id,))
        until = time.monotonic() + timeout_s_max
        limits = _Limits(until, attempt_s_max, attempts_max)
        sending = [self._one(execution_id, channel, config, limits) for (channel,) in rows.fetchall()]
        return list(await asyncio.gather(*sending))

    def states(self, execution_id: str) -> dict[str, str]:
        """State by channel."""
        rows = self._db.execute("SELECT channel, state FROM outbox WHERE execution_id = ?", (execution_id,))
        return dict(rows.fetchall())

    async def _one(self, execution_id: str, channel: str, config: Mapping[str, Any], limits: _Limits) -> Delivery:
        began = time.monotonic()
        tried = 0

        def delivery(state: str, detail: str, attempts: int) -> Delivery:
            return Delivery(channel, state, detail, attempts, time.monotonic() - began)

        while True:
            token = secrets.token_hex(8)
            row = self._take(execution_id, channel, token)
            if row.state in _SETTLED:
                return delivery(row.state, row.detail, row.attempts)
            if row.state == "busy":
                if limits.left_s() <= _LOOK_AGAIN_S:
                    return delivery("unconfirmed", _STILL, row.attempts)
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            tried += 1
            state, detail, pause_s = await self._attempt(channel, _message(row.message), config, limits, token)
            if state == "pending":
                pause_s = pause_s if pause_s is not None else _PAUSE_S * 2 ** (tried - 1) * (0.5 + self._jitter() / 2)
                if tried >= limits.attempts_max or pause_s >= limits.left_s():
                    state = "failed"
            self._settle(execution_id, channel, token, state, detail)
            if state != "pending":
                return delivery(state, detail, row.attempts)
            await asyncio.sleep(pause_s or 0.0)

    async def _attempt(
        self, channel: str, told: Message, config: Mapping[str, Any], limits: _Limits, token: str
    ) -> tuple[str, str, float | None]:
        """One attempt: the state that follows, its reason, and the pause that the receiver asked for."""
        settings: Mapping[str, Any] = {}
        unsure = "pending" if channel_of(channel).idempotent else "unconfirmed"
        pause_s: float | None = None
        try:
            settings = settings_of(channel, config)
            limit_s = max(0.01, min(limits.attempt_s_max, limits.left_s()))
            detail = await channel_of(channel).send(told, settings, limit_s)
            state = "sent"
        except Passing as error:
            state, detail, pause_s = "pending", str(error), error.pause_s
        except Lasting as error:
            state, detail = "failed", str(error)
        except Unclear as error:
            state = unsure
            detail = str(error) if unsure == "pending" else f"it may have arrived, and is not sent twice ({error})"
        except asyncio.CancelledError:
            self._settle(told.execution_id, channel, token, unsure, "failback was stopped while it was being sent")
            raise
        except Exception as error:  # noqa: BLE001 - a channel's trouble of any kind is told, and stops no other channel
            state, detail = "failed", f"{type(error).__name__}: {error}"
        return state, clean(without_secrets(detail, channel, settings), _DETAIL_CHARS_MAX), pause_s

    def _take(self, execution_id: str, channel: str, token: str) -> _Row:
        """The row, taken for this attempt where it may be; `state` "busy" when a living process has it."""
        with self._transaction() as db:
            found = db.execute(
                "SELECT message, state, attempts, detail, sender FROM outbox WHERE execution_id = ? AND channel = ?",
                (execution_id, channel),
            ).fetchone()
            row = _Row(*found)
            if row.state in _SETTLED:
                return row
            if row.state == "sending":
                if _alive(row.sender):
                    return _Row(row.message, "busy", row.attempts, row.detail, row.sender)
                if not channel_of(channel).idempotent:
                    self._write(db, execution_id, channel, "unconfirmed", _KILLED, row.sender)
                    return _Row(row.message, "unconfirmed", row.attempts, _KILLED, row.sender)
            self._write(db, execution_id, channel, "sending", row.detail, f"{self._me} {token}", row.attempts + 1)
            return _Row(row.message, "sending", row.attempts + 1, row.detail, row.sender)

    def _settle(self, execution_id: str, channel: str, token: str, state: str, detail: str) -> None:
        """Only of our own attempt: what another made of it meanwhile stands."""
        with self._transaction() as db:
            db.execute(
                "UPDATE outbox SET state = ?, detail = ?, changed_at = ?"
                " WHERE execution_id = ? AND channel = ? AND sender = ? AND state = 'sending'",
                (state, detail, time.time(), execution_id, channel, f"{self._me} {token}"),
            )

    def _write(
        self,
        db: sqlite3.Connection,
        execution_id: str,
        channel: str,
        state: str,
        detail: str,
        sender: str,
        attempts: int | None = None,
    ) -> None:
        db.execute(
            "UPDATE outbox SET state = ?, detail = ?, sender = ?, attempts = coalesce(?, attempts), changed_at = ?"
            " WHERE execution_id = ? AND channel = ?",
            (state, detail, sender, attempts, time.time(), execution_id, channel),
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


@dataclass(frozen=True, slots=True)
class _Limits:
    until: float  # of the monotonic clock
    attempt_s_max: float
    attempts_max: int

    def left_s(self) -> float:
        return self.until - time.monotonic()


async def deliver_now(
    outbox: Outbox,
    told: Message,
    channels: Sequence[str],
    config: Mapping[str, Any],
    *,
    timeout_s_max: float = 12.0,
    attempts_max: int = 3,
) -> list[str]:
    """Phase 8 in one call: keeps the message, sends it, and says in one line a channel what came of it."""
    outbox.enqueue(told, channels)
    done = await outbox.deliver(told.execution_id, config, timeout_s_max=timeout_s_max, attempts_max=attempts_max)
    return [delivery.action for delivery in done]


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _alive(sender: str) -> bool:
    """Whether the very process that made the attempt still runs. Wrongly "no" costs nothing: nothing is sent twice."""
    try:
        pid, started, _ = sender.split(" ")
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - float(started)) < _START_TOLERANCE_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.Error):
        return False


def _message(text: str) -> Message:
    shape = json.loads(text)
    facts = tuple((name, value) for name, value in shape["facts"])
    return Message(**{**shape, "facts": facts, "advice": tuple(shape["advice"])})
