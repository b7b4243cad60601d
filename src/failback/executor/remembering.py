"""What an execution gives to the memory of failures, and what it gets from it.

The memory is a help: when it cannot be read or written, that is a note, and nothing of a recovery waits for it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from failback.executor.context import Execution
from failback.executor.memory import memory
from failback.executor.repository import commit_of
from failback.learning.changes import between, followed
from failback.learning.records import Failure
from failback.learning.signature import signature
from failback.learning.weighing import Recurrence, recurrence, weighed
from failback.model.diagnosis import Diagnosis, FailureType
from failback.model.evidence import INTERRUPTED, Evidence

T = TypeVar("T")

_NOT_REMEMBERED = frozenset({FailureType.NONE})


@dataclasses.dataclass(frozen=True, slots=True)
class Remembered:
    """A diagnosis with what was known of its signature before. `problem`: why the memory could not be asked."""

    diagnosis: Diagnosis
    signature: str
    recurrence: Recurrence | None = None
    problem: str = ""


async def remember(x: Execution, found: Diagnosis, evidence: Evidence) -> Remembered:
    """Asks the memory about this failure, then adds it. A drill is asked about, and not added: it failed on purpose."""
    mark = signature(found, evidence)

    def work() -> Remembered:
        now = time.time()
        with memory(x.home, x.database_url) as store:
            recalled = store.recall(mark, service=x.row.service, without=x.id)
            known = Remembered(weighed(found, recalled, now), mark, recurrence(recalled, now))
            stopped = evidence.verdict_reason == INTERRUPTED
            if x.row.kind != "drill" and not stopped and found.type not in _NOT_REMEMBERED:
                with x.journal.intent("learning.remember", signature=mark):
                    store.remember(_failure(x, known, evidence, now))
        return known

    known, problem = await _helping(x, work)
    return known or Remembered(found, mark, problem=problem)


def _failure(x: Execution, known: Remembered, evidence: Evidence, now: float) -> Failure:
    found = known.diagnosis
    return Failure(
        execution_id=x.id,
        service=x.row.service,
        at=now,
        signature=known.signature,
        type=str(found.type),
        cause=x.redactor.redact(found.cause),
        step_type=evidence.failed_step.type if evidence.failed_step else "",
        advice=tuple(x.redactor.redact_value(item.as_dict()) for item in found.recommendations),
    )


async def remember_advice(x: Execution, advice: Sequence[Mapping[str, Any]]) -> None:
    """The advice as it was given, so that what led to a success can be told from what did not."""

    def work() -> None:
        with memory(x.home, x.database_url) as store:
            store.advised(x.id, [x.redactor.redact_value(dict(item)) for item in advice])

    await _helping(x, work)


async def note_change(x: Execution) -> None:
    """Keeps how this release differs from the stable one: from it follows later what a fix changed."""
    if x.row.kind == "drill" or x.row.plan.get("from_revision") is not None:
        return
    changes = []
    for member in x.members.values():
        try:
            changes.append(await member.target.difference(x.release(member)))
        except Exception as error:  # noqa: BLE001 - a help: see above
            x.emit("memory-not-asked", reason=f"{type(error).__name__}: {error}")
            return
    x.keep("change.json", {"change": "".join(changes)})


async def has_open_failures(x: Execution) -> bool:
    """Whether a failure of the service waits for its fix."""
    open_ones, _ = await _helping(x, lambda: _open(x))
    return bool(open_ones)


def _open(x: Execution) -> list[Failure]:
    with memory(x.home, x.database_url) as store:
        return store.open_failures(x.row.service, x.row.created_at)


async def settle(x: Execution, *, succeeded: bool) -> None:
    """A release of the service has ended: the failures before it were followed by a try, and perhaps fixed by it."""
    if x.row.kind != "deploy":
        return

    def work() -> bool:
        now = time.time()
        with memory(x.home, x.database_url) as store:
            failures = store.open_failures(x.row.service, x.row.created_at)
            if not failures:
                return True
            commit = commit_of(x.folder) if succeeded else ""
            with x.journal.intent("learning.settle", failures=len(failures), succeeded=succeeded):
                store.retried(x.row.service, now if succeeded else x.row.created_at)
                for failure in failures if succeeded else ():
                    difference = between(_change(x, failure.execution_id), _change(x, x.id))
                    store.fixed(
                        failure.execution_id,
                        by=x.id,
                        at=now,
                        change=x.redactor.redact(difference.text),
                        commit=commit,
                        followed=followed(failure.advice, difference),
                    )
        return True

    await _helping(x, work)


def _change(x: Execution, execution_id: str) -> str:
    from failback.telemetry.reading import read_json

    kept = read_json(x.home.execution(execution_id) / "change.json")
    return str(kept.get("change", "")) if isinstance(kept, dict) else ""


async def _helping(x: Execution, work: Callable[[], T]) -> tuple[T | None, str]:
    """Runs it beside the loop; (None, why) when the memory is not there."""
    try:
        return await asyncio.to_thread(work), ""
    except Exception as error:  # noqa: BLE001 - a broken memory (a full disk, a database that is away) stops no recovery
        problem = x.redactor.redact(f"{type(error).__name__}: {error}")
        x.emit("memory-not-asked", reason=problem)
        return None, problem
