"""Messages that wait to be sent, kept so that a kill loses none silently and sends none twice.

    pending -> sending -> sent | failed | unconfirmed

`sending` is written before the request. Who finds it after a kill cannot know whether the message arrived: on a
channel that takes the same key for the same incident it is sent again; on the others it becomes `unconfirmed` and is
told, since a second alarm for one failure teaches people to ignore alarms. Addresses and keys are never kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from failback.notify.channels import IDEMPOTENT, SENDERS, Lasting, Passing
from failback.notify.messages import Message

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
_PAUSE_S = 0.3
_UNCONFIRMED = "failback was killed while it was being sent: it may have arrived, and is not sent twice"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of one channel: state "sent", "failed" or "unconfirmed"."""

    channel: str
    state: str
    detail: str
    attempts: int
    seconds: float


class Outbox:
    """The outbox of one home, in an SQLite file of its own table."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(_SCHEMA)
        self._me = f"{os.getpid()}-{time.time_ns()}"

    def close(self) -> None:
        self._db.close()

    def enqueue(self, told: Message, channels: Sequence[str]) -> None:
        """Keeps the message for each channel; a channel that has it already keeps what it has."""
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
        attempts_max: int = 3,
    ) -> list[Delivery]:
        """Sends what waits, all channels at once; what is not done within the time is told as failed."""
        rows = self._db.execute(
            "SELECT channel, message, state, detail, attempts FROM outbox WHERE execution_id = ? ORDER BY channel",
            (execution_id,),
        ).fetchall()
        return list(
            await asyncio.gather(
                *(self._one(execution_id, row, config, timeout_s_max, attempts_max) for row in rows)
            )
        )

    def states(self, execution_id: str) -> dict[str, str]:
        """State by channel."""
        rows = self._db.execute("SELECT channel, state FROM outbox WHERE execution_id = ?", (execution_id,))
        return dict(rows.fetchall())

    async def _one(
        self,
        execution_id: str,
        row: tuple[str, str, str, str, int],
        config: Mapping[str, Any],
        timeout_s_max: float,
        attempts_max: int,
    ) -> Delivery:
        channel, text, state, detail, attempts = row
        began = time.monotonic()
        kind = channel.split("-")[0]
        if state in ("sent", "failed", "unconfirmed"):
            return Delivery(channel, state, detail, attempts, 0.0)
        if state == "sending" and kind not in IDEMPOTENT:
            self._set(execution_id, channel, "unconfirmed", _UNCONFIRMED)
            return Delivery(channel, "unconfirmed", _UNCONFIRMED, attempts, 0.0)
        told = _message(text)
        reason = ""
        for attempt in range(attempts_max):
            left_s = timeout_s_max - (time.monotonic() - began)
            if left_s <= 0 or not self._take(execution_id, channel, again=attempt > 0 or state == "sending"):
                break
            attempts += 1
            try:
                async with asyncio.timeout(left_s):
                    done = await SENDERS[kind](told, settings_of(channel, config))
                self._set(execution_id, channel, "sent", done)
                return Delivery(channel, "sent", done, attempts, time.monotonic() - began)
            except Lasting as error:
                reason = str(error)
                break
            except Passing as error:
                reason = str(error)
                pause_s = error.pause_s or _PAUSE_S * 2**attempt * random.uniform(0.5, 1.0)
                if time.monotonic() - began + pause_s >= timeout_s_max or attempt + 1 == attempts_max:
                    break
                await asyncio.sleep(pause_s)
            except TimeoutError:
                reason = f"no answer within {timeout_s_max:g} s"
                break
        reason = reason or "another process is sending it"
        self._set(execution_id, channel, "failed", reason)
        return Delivery(channel, "failed", reason, attempts, time.monotonic() - began)

    def _take(self, execution_id: str, channel: str, *, again: bool) -> bool:
        """Writes that this process sends it now; False when another one does."""
        with self._transaction() as db:
            wanted = "('pending', 'sending')" if again else "('pending')"
            changed = db.execute(
                f"UPDATE outbox SET state = 'sending', attempts = attempts + 1, sender = ?, changed_at = ?"
                f" WHERE execution_id = ? AND channel = ? AND state IN {wanted}",
                (self._me, time.time(), execution_id, channel),
            )
            return changed.rowcount == 1

    def _set(self, execution_id: str, channel: str, state: str, detail: str) -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE outbox SET state = ?, detail = ?, changed_at = ? WHERE execution_id = ? AND channel = ?",
                (state, detail, time.time(), execution_id, channel),
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


def settings_of(channel: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of `notification_config` (values resolved) that a channel needs."""
    kind, _, number = channel.partition("-")
    if kind == "url":
        return {"url": config["urls"][int(number) - 1]}
    settings: Mapping[str, Any] = config[kind]
    return settings


def _message(text: str) -> Message:
    shape = json.loads(text)
    return Message(
        **{**shape, "facts": tuple((name, value) for name, value in shape["facts"]), "advice": tuple(shape["advice"])}
    )
