"""The durable runtime of one process: starts DBOS under an id of its own, starts and takes up workflows.

Traps this page holds (each was measured, see docs/explanation/durability.md): an executor id that is used twice makes
two processes run one workflow, so each process has its own; a queue that other processes listen to would hand them
our executions, so each process has a queue of its own; the application version is the one of the workflow's shape,
not of the code, since otherwise an upgrade would strand every unfinished execution.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID
from dbos._dbos import _get_dbos_instance

from failback.executor import faults

# Raised only when the order of steps in `workflow.run_execution` changes.
WORKFLOW_SHAPE = "2"
_PICK_UP_S = 0.05
_LET_GO_S_MAX = 2.0

Body = Callable[[str], Coroutine[Any, Any, None]]
_bodies: dict[str, Body] = {}


@DBOS.workflow(name="failback.execution", max_recovery_attempts=1_000_000)
async def _execution(execution_id: str) -> None:
    await _bodies[execution_id](execution_id)


class Runtime:
    """One launched DBOS. `executor_id` marks what belongs to this process."""

    def __init__(self, workflows: Path, database_url: str | None = None) -> None:
        self.executor_id = f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._queue = f"failback-{self.executor_id}"
        # What it would log is told by our own events; its handlers hold a stream that may be closed by now.
        logging.getLogger("dbos").handlers.clear()
        DBOS(
            config={
                "name": "failback",
                "system_database_url": database_url or f"sqlite:///{workflows}",
                "executor_id": self.executor_id,
                "application_version": WORKFLOW_SHAPE,
                "log_level": "CRITICAL",
            }
        )
        DBOS.listen_queues([self._queue])
        DBOS.launch()
        self._registered = False
        self._abandoned = False

    def start(self, execution_id: str, body: Body) -> None:
        """Starts a new execution; it runs in the background of this process."""
        _bodies[execution_id] = body
        with SetWorkflowID(execution_id):
            DBOS.start_workflow(_execution, execution_id)

    def take_up(self, execution_id: str, body: Body) -> None:
        """Takes up an execution whose process died; the caller holds the service's lock.

        One that was recorded but whose workflow never began is started anew.
        """
        if DBOS.get_workflow_status(execution_id) is None:
            self.start(execution_id, body)
            return
        _bodies[execution_id] = body
        if not self._registered:
            DBOS.register_queue(self._queue, polling_interval_sec=_PICK_UP_S)
            self._registered = True
        DBOS.resume_workflow(execution_id, queue_name=self._queue)

    def failed(self, execution_id: str) -> bool:
        """Whether the workflow itself has ended with an error, which only a defect can bring about."""
        found = DBOS.get_workflow_status(execution_id)
        return found is not None and found.status in ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")

    def abandon(self) -> None:
        """Lets the process end although a workflow of it never will, and lets nothing of that workflow be recorded.

        Its thread would be waited for at the end of the interpreter, for ever; and ended by a cancellation it would
        be recorded as failed, so that nobody could take it up again.
        """
        register = getattr(threading, "_register_atexit", None)  # the hook that thread pools themselves use
        if register is not None and not self._abandoned:
            self._abandoned = True
            register(self._let_go)

    def _let_go(self) -> None:
        runtime = _get_dbos_instance()

        def record_nothing(*_: Any, **__: Any) -> None:
            raise SystemExit  # ends the workflow's thread, silently

        for write in ("update_workflow_outcome", "record_operation_result"):
            setattr(runtime._sys_db, write, record_nothing)
        runtime._background_event_loop.stop(timeout=_LET_GO_S_MAX)

    def close(self) -> None:
        if self._registered:
            DBOS.delete_queue(self._queue)
        DBOS.destroy()


async def durable_step(name: str, body: Callable[[], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
    """Runs `body` once: its result is recorded, and given again when the execution is taken up."""

    label = name.replace(" ", "-")

    async def passing_points() -> dict[str, Any]:
        faults.point(f"{label}:begun")
        outcome = await body()
        faults.point(f"{label}:done-not-recorded")
        return outcome

    outcome = await DBOS.run_step_async({"name": name}, passing_points)
    faults.point(f"{label}:recorded")
    return outcome
