"""The executor's face: deploy, roll back, resume. What the command line, the drop-in and the drill call."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from failback.backup.store import SnapshotStore
from failback.executor import targets
from failback.executor.context import Execution, Member
from failback.executor.home import Home
from failback.executor.journal import ExecutionJournal
from failback.executor.lock import ServiceLock, ServiceLocks
from failback.executor.orchestrator import Orchestrator
from failback.executor.owners import owner_alive
from failback.executor.plan_file import LoadedPlan
from failback.executor.store import ExecutionRow, Store
from failback.executor.values import ExecutionValues, without_literal_secrets
from failback.model.dag import topological_order
from failback.model.errors import FailbackError, InternalError, NotApproved, ServiceHeld
from failback.model.evidence import INTERRUPTED
from failback.model.plan import Plan
from failback.model.redaction import Redactor
from failback.telemetry.events import EventLog, Subscriber


class Engine:
    """One home's executor in this process. Sync on the outside; the work runs in the runtime's own loop."""

    def __init__(self, home: Home, *, database_url: str | None = None) -> None:
        self.home = home
        self._database_url = database_url or os.environ.get("FAILBACK_DATABASE_URL")

    def deploy(
        self,
        loaded: LoadedPlan,
        *,
        approved: bool,
        orchestrator: Orchestrator | None = None,
        kind: str = "deploy",
        from_revision: str | Mapping[str, str] | None = None,
        values: ExecutionValues | None = None,
        subscribers: Sequence[Subscriber] = (),
    ) -> dict[str, Any]:
        """Runs the plan to its end and returns the contract's result.

        Raises NotApproved, ServiceHeld, NoSpace (nothing was touched), InternalError (recorded and resumable).
        """
        plan = loaded.plan
        if not approved:
            raise NotApproved(
                f"Nobody approved the deployment of {plan.service}: nothing was touched. "
                f"Answer on a terminal, or pass --yes (Python: user_approval=True).",
                service=plan.service,
            )
        if values is None:
            values = ExecutionValues.resolve(loaded, os.environ)
        self.home.prepare()
        store = Store(self.home.database)
        locks = ServiceLocks(self.home.locks, _names(plan.service, plan.services))
        locks.acquire(f"failback {kind}")
        try:
            self._resume(store, subscribers, held=locks.by_name, orchestrator=orchestrator)
            me = psutil.Process()
            execution_id = store.begin_execution(
                service=plan.service,
                environment=plan.environment,
                kind=kind,
                plan={
                    "plan": without_literal_secrets(plan),
                    "from_revision": from_revision,
                    "file": loaded.source_path.name if loaded.source_path else None,
                },
                folder=str(loaded.folder),
                orchestrator="builtin" if orchestrator is None else "custom",
                owner=self._runtime().executor_id,
                owner_pid=me.pid,
                owner_started=me.create_time(),
            )
            values.seal(self.home.execution(execution_id), self.home.key_file)
            row = store.execution(execution_id)
            if row is None:
                raise InternalError(f"execution {execution_id} was recorded and cannot be read back")
            x = self._execution(row, plan, store, locks, values, orchestrator, subscribers)
            return self._run(x, resumed=False)
        finally:
            locks.release()
            store.close()

    def resume(self, subscribers: Sequence[Subscriber] = ()) -> list[dict[str, Any]]:
        """Takes up every execution whose process died; returns their results."""
        if not self.home.exists:
            return []
        self.home.prepare()
        store = Store(self.home.database)
        try:
            return self._resume(store, subscribers, held={}, orchestrator=None)
        finally:
            store.close()

    def _resume(
        self,
        store: Store,
        subscribers: Sequence[Subscriber],
        *,
        held: Mapping[str, ServiceLock],
        orchestrator: Orchestrator | None,
    ) -> list[dict[str, Any]]:
        results = []
        for row in reversed(store.executions(state="running")):
            if owner_alive(row):
                continue
            names = _names(row.service, row.plan["plan"].get("services") or {})
            locks = ServiceLocks(self.home.locks, names, held)
            try:
                locks.acquire("failback resume")
            except ServiceHeld:
                if names & held.keys():
                    raise  # a service that is wanted now is in the middle of it, and others of it are held
                continue  # another process takes it up at this moment
            try:
                results.append(self._take_up(row, store, locks, orchestrator, subscribers))
            finally:
                locks.release()
        return results

    def _take_up(
        self,
        row: ExecutionRow,
        store: Store,
        locks: ServiceLocks,
        orchestrator: Orchestrator | None,
        subscribers: Sequence[Subscriber],
    ) -> dict[str, Any]:
        me = psutil.Process()
        store.take_over(row.id, owner=self._runtime().executor_id, owner_pid=me.pid, owner_started=me.create_time())
        plan = Plan.model_validate(row.plan["plan"])
        values = ExecutionValues.unseal(self.home.execution(row.id), self.home.key_file)
        x = self._execution(row, plan, store, locks, values, orchestrator, subscribers)
        if row.orchestrator == "custom" and orchestrator is None:
            x.stop.set("its orchestrator was an object of the process that died: its steps cannot be run from here")
        return self._run(x, resumed=True)

    def _execution(
        self,
        row: ExecutionRow,
        plan: Plan,
        store: Store,
        locks: ServiceLocks,
        values: ExecutionValues,
        orchestrator: Orchestrator | None,
        subscribers: Sequence[Subscriber],
    ) -> Execution:
        redactor = values.redactor()
        events = EventLog(self.home.execution(row.id) / "events.jsonl", redactor.redact_value)
        for subscriber in subscribers:
            events.subscribe(subscriber)
        backup = plan.backup
        return Execution(
            row=row,
            plan=plan,
            folder=Path(row.folder),
            home=self.home,
            store=store,
            journal=ExecutionJournal(store, row.id, locks.by_name[plan.service], events.emit),
            snapshots=SnapshotStore(
                Path(backup.backup_root).expanduser() if backup.backup_root else self.home.backups,
                self.home.key_file,
                encryption=backup.encryption,
                retention_days=backup.retention_days,
            ),
            values=values,
            redactor=redactor,
            events=events,
            members=self._members(row, plan, store, locks, redactor, events),
            orchestrator=orchestrator,
            on_end=lambda: None,
            database_url=self._database_url,
        )

    def _members(
        self, row: ExecutionRow, plan: Plan, store: Store, locks: ServiceLocks, redactor: Redactor, events: EventLog
    ) -> dict[str, Member]:
        """The services in the order of the graph, each with a record that is fenced by its own lock."""
        found: dict[str, Member] = {}
        for name in topological_order(plan.step_needs()):
            step = plan.step(name)
            if step.type != "deploy":
                continue
            service = plan.service_of(step)
            alone = plan.alone(service)
            target = targets.open_target(self.home, alone, redactor)
            if target is not None:
                journal = ExecutionJournal(store, row.id, locks.by_name[service], events.emit)
                found[service] = Member(service, step, target, journal, alone.checks)
        return found

    def _run(self, x: Execution, *, resumed: bool) -> dict[str, Any]:
        from failback.executor.workflow import run_execution

        ended = threading.Event()
        x.on_end = ended.set
        x.resumed = resumed
        runtime = self._runtime()

        async def body(_: str) -> None:
            await run_execution(x)

        with _interrupts(x):
            (runtime.take_up if resumed else runtime.start)(x.id, body)
            while not ended.wait(timeout=1.0):
                if runtime.failed(x.id):
                    break
        x.events.close()
        if x.result is not None:
            return x.result
        runtime.abandon()
        raise _crashed(x)

    def _runtime(self) -> Any:
        return _shared_runtime(self.home, self._database_url)


def _names(plan: str, services: Iterable[str]) -> set[str]:
    """What an execution locks: the plan's own name and all its services."""
    return {plan, *services}


def _crashed(x: Execution) -> FailbackError:
    if isinstance(x.crash, FailbackError):
        return x.crash
    return InternalError(
        f"failback itself failed in {x.id}: {type(x.crash).__name__}: {x.crash}. The execution is recorded: "
        f"`failback resume` goes on with it.",
        execution=x.id,
    )


@contextlib.contextmanager
def _interrupts(x: Execution) -> Iterator[None]:
    """Ctrl-C once: an orderly stop, with rollback where something was touched. Twice: at once, resumable."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def interrupt(number: int, _: Any) -> None:
        nonlocal count
        count += 1
        if count > 1:
            os.write(2, b"\nStopped at once. The execution is recorded: `failback resume` goes on with it.\n")
            os._exit(1)
        name = signal.Signals(number).name
        os.write(2, f"\n{name}: stopping in order (once more: at once, resumable)\n".encode())
        x.stop.set(INTERRUPTED)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_runtimes: dict[str, Any] = {}


def _shared_runtime(home: Home, database_url: str | None) -> Any:
    """The runtime of this process: the durable library has one instance a process, so a new home replaces it."""
    from failback.executor.runtime import Runtime

    key = f"{home.root}|{database_url}"
    if key not in _runtimes:
        for name in list(_runtimes):
            _runtimes.pop(name).close()
        _runtimes[key] = Runtime(home.workflows, database_url)
        atexit.register(_close, key)
    return _runtimes[key]


def _close(key: str) -> None:
    runtime = _runtimes.pop(key, None)
    if runtime is not None:
        runtime.close()
