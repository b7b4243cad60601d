"""The record of executions: unique ids, write-ahead order, readable by other processes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from failback.executor.journal import ExecutionJournal
from failback.executor.lock import ServiceLock
from failback.executor.store import Store
from failback.model.errors import LeaseLost


def begin(store: Store, service: str = "shop", now: float = 1_737_354_000.5) -> str:
    return store.begin_execution(
        service=service,
        environment="production",
        kind="deploy",
        plan={"plan": {}},
        folder="/",
        orchestrator="builtin",
        owner="me",
        owner_pid=1,
        owner_started=1.0,
        now=now,
    )


def test_ids_are_the_contracts_and_unique(tmp_path: Path) -> None:
    """Two executions in one second never collide."""
    store = Store(tmp_path / "db")

    assert [begin(store) for _ in range(3)] == [
        "plan_deploy_production_1737354000",
        "plan_deploy_production_1737354000-2",
        "plan_deploy_production_1737354000-3",
    ]


def test_ids_are_unique_between_connections(tmp_path: Path) -> None:
    Store(tmp_path / "db").close()
    ids: list[str] = []

    def one() -> None:
        store = Store(tmp_path / "db")
        ids.extend(begin(store) for _ in range(10))
        store.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == len(set(ids)) == 40


def test_a_write_is_recorded_before_it_is_made(tmp_path: Path) -> None:
    store, lock = Store(tmp_path / "db"), ServiceLock(tmp_path, "shop")
    lock.acquire("test")
    execution = begin(store)
    journal = ExecutionJournal(store, execution, lock)

    with journal.intent("proxy.route", to="r2"):
        assert store.writes(execution)[0]["state"] == "intended"

    write = store.writes(execution)[0]
    assert (write["name"], write["state"], write["detail"], write["token"]) == ("proxy.route", "done", {"to": "r2"}, 1)
    lock.release()


def test_a_failed_write_is_recorded_as_failed(tmp_path: Path) -> None:
    store, lock = Store(tmp_path / "db"), ServiceLock(tmp_path, "shop")
    lock.acquire("test")
    execution = begin(store)
    with pytest.raises(OSError, match="disk"), ExecutionJournal(store, execution, lock).intent("release.stage"):
        raise OSError("disk")

    assert store.writes(execution)[0]["state"] == "failed"
    lock.release()


def test_a_fenced_off_executor_writes_nothing(tmp_path: Path) -> None:
    store, lock = Store(tmp_path / "db"), ServiceLock(tmp_path, "shop")
    lock.acquire("test")
    execution = begin(store)
    (tmp_path / "shop.fence").write_text("2")
    made = []

    with pytest.raises(LeaseLost), ExecutionJournal(store, execution, lock).intent("proxy.route"):
        made.append("effect")

    assert made == []
    assert store.writes(execution) == []
    lock.release()


def test_newest_first(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    first, second = begin(store, now=1.0), begin(store, now=2.0)
    store.end_execution(first, {"status": "completed"}, 0)

    assert [row.id for row in store.executions()] == [second, first]
    assert [row.id for row in store.executions(state="running")] == [second]
    ended = store.execution(first)
    assert ended is not None
    assert (ended.exit_code, ended.result) == (0, {"status": "completed"})
