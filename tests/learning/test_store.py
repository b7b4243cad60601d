"""The memory keeps what it is told, in the home's SQLite file and in Postgres, and every write may come twice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from failback.learning.records import Failure
from failback.learning.store import LearningStore, correction

Open = Callable[..., LearningStore]


def _postgres_programs() -> Path | None:
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if found is None else [Path(found)]
    return places[-1].parent if places else None


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, on a socket alone."""
    programs = _postgres_programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs a PostgreSQL server (initdb, pg_ctl)")
        pytest.skip("no PostgreSQL server is installed on this machine")
    place = tmp_path_factory.mktemp("pg")
    # The server refuses to run as root; everything of it lies in a folder of that user then.
    as_user: list[str] = []
    if os.geteuid() == 0:
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        place = Path("/tmp") / f"failback-pg-{os.getpid()}"
        place.mkdir(mode=0o777)
        place.chmod(0o777)
    data = place / "data"
    quiet = {"cwd": place, "check": True, "stdout": subprocess.DEVNULL}
    try:
        subprocess.run([*as_user, str(programs / "initdb"), "-D", str(data), "-U", "failback", "-A", "trust"], **quiet)  # type: ignore[call-overload]
        start = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(place / "log")]
        options = f"-k {place} -c listen_addresses='' -c fsync=off"
        subprocess.run([*as_user, *start, "-o", options, "start"], **quiet)  # type: ignore[call-overload]
        yield f"postgresql://failback@/postgres?host={place}"
        subprocess.run([*as_user, *start, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the memory; each test begins with an empty one."""
    url = request.getfixturevalue("postgres") if request.param == "postgres" else None
    stores: list[LearningStore] = []

    def make(*, create: bool = True) -> LearningStore:
        stores.append(LearningStore(tmp_path / "failback.db", url, create=create))
        return stores[-1]

    if url is not None:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS learned_failures, learned_corrections")
    yield make
    for store in stores:
        store.close()


def failure(name: str, at: float, signature: str = "s", service: str = "shop") -> Failure:
    return Failure(name, service, at, signature, "missing_file", f"cause of {name}", "deploy", ({"action": "Add it"},))


def test_a_failure_is_recalled_with_what_ended_it(opened: Open) -> None:
    store = opened()
    store.remember(failure("e1", 10.0))
    store.retried("shop", 20.0)
    store.fixed("e1", by="e2", at=20.0, change="x.json added", commit="1a2b Add it (Ann)", followed=("Add it",))

    (kept,) = opened().recall("s", service="shop", without="e3").failures

    assert (kept.fixed_by, kept.fix_s, kept.change, kept.followed) == ("e2", 10.0, "x.json added", ("Add it",))
    assert kept.advice == ({"action": "Add it"},)


def test_the_execution_that_asks_is_not_among_them(opened: Open) -> None:
    store = opened()
    store.remember(failure("e1", 10.0))

    assert store.recall("s", service="shop", without="e1").failures == ()


def test_another_services_failures_are_not_ones_own_but_corrections_are_shared(opened: Open) -> None:
    store = opened()
    store.remember(failure("e1", 10.0, service="search"))
    store.correct(correction("e1", "s", "timeout", "slow disk", "ann"))

    recalled = store.recall("s", service="shop", without="e2")

    assert recalled.failures == ()
    assert [one.note for one in recalled.corrections] == ["slow disk"]


def test_every_write_twice_changes_nothing(opened: Open) -> None:
    """After a kill each of them is made again; what ended a failure stays what ended it first."""
    store = opened()
    for _ in range(2):
        store.remember(failure("e1", 10.0))
        store.fixed("e1", by="e2", at=20.0, change="first", commit="", followed=())
    store.fixed("e1", by="e3", at=30.0, change="second", commit="", followed=())
    store.remember(failure("e1", 10.0))

    (kept,) = store.failures()

    assert (kept.fixed_by, kept.change) == ("e2", "first")


def test_open_failures_are_those_before_and_not_fixed(opened: Open) -> None:
    store = opened()
    for name, at in (("e1", 10.0), ("e2", 20.0), ("e3", 30.0)):
        store.remember(failure(name, at))
    store.fixed("e1", by="e9", at=15.0, change="", commit="", followed=())

    assert [one.execution_id for one in store.open_failures("shop", 30.0)] == ["e2"]


def test_one_person_changes_their_mind(opened: Open) -> None:
    store = opened()
    store.correct(correction("e1", "s", "timeout", "", "ann"))
    store.correct(correction("e1", "s", "disk_full", "", "ann"))
    store.correct(correction("e1", "s", "timeout", "", "bob"))

    assert sorted((one.by, one.type) for one in store.corrections()) == [("ann", "disk_full"), ("bob", "timeout")]


def test_a_reader_of_an_old_home_finds_nothing_and_makes_nothing(opened: Open) -> None:
    """`history --stats` in a home that has no memory yet."""
    opened(create=False)
    reader = opened(create=False)

    assert reader.failures() == []
    assert reader.corrections() == []
    assert reader.recall("s", service="shop", without="").failures == ()


def test_a_database_that_is_away_is_an_error_at_once(tmp_path: Path) -> None:
    import psycopg

    with pytest.raises(psycopg.OperationalError):
        LearningStore(tmp_path / "failback.db", "postgresql://nobody@127.0.0.1:1/none")
