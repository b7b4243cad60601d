"""One service from its first release to its end: real processes, supervisor and Envoy, and users all the while."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyrage
import pytest
from tests.targets.local.processes import end, eventually, lives

from failback.model.errors import LeaseLost
from failback.model.observation import View
from failback.model.redaction import Redactor
from failback.model.release import Revision
from failback.targets.base import Action, ReleaseSpec
from failback.targets.local import limits
from failback.targets.local.layout import Layout
from failback.targets.local.ports import free_ports, is_free
from failback.targets.local.target import LocalTarget

SECRET = "hunter2-Tr0ub4dor-and-3-correct-horses"
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
print('secret is', os.environ.get('TOKEN'), flush=True)
class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = b'VERSION'
        self.send_response(STATUS)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True
Server(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
"""
CRASHING = "import sys\nprint('secret is', __import__('os').environ.get('TOKEN'))\nimport no_such_module_here\n"


class Cut(BaseException):
    """Stands for SIGKILL: nothing but the test catches it."""


@dataclass
class Recorded:
    """A journal that can break off at one boundary of one write."""

    token: int = 1
    writes: list[str] = field(default_factory=list)
    cut: tuple[int, str] | None = None
    fired: bool = False

    @contextmanager
    def intent(self, write: str, /, **detail: Any) -> Iterator[None]:
        number = len(self.writes)
        self.writes.append(write)
        if self.cut == (number, "before"):
            self.fired = True
            raise Cut(write)
        yield
        if self.cut == (number, "effect made, record not"):
            self.fired = True
            raise Cut(write)


class Users(threading.Thread):
    """Requests on new connections, one after another; counts what a user would call a failure."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.good, self.bad, self.bodies = port, 0, list[str](), set[str]()
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.wait(0.004):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read().decode()
                connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.bad.append(repr(error))
                continue
            if answer.status == 200:
                self.good += 1
                self.bodies.add(body)
            else:
                self.bad.append(f"{answer.status} {body[:80]}")

    def stop(self) -> None:
        self._enough.set()
        self.join(10)


@dataclass
class Service:
    """A home with one service in it."""

    root: Path
    run_dir: Path
    home: Path
    listen: str
    key: Path
    journal: Recorded = field(default_factory=Recorded)
    program = "supervisor.supervisord"

    def open(self) -> LocalTarget:
        return LocalTarget(self.home, self.run_dir, "notes", self.listen, self.key, Redactor([SECRET]))

    def release(self, name: str, code: str, **shape: Any) -> ReleaseSpec:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        (folder / "app.py").write_text(code)
        wanted: dict[str, Any] = {
            "path": str(folder),
            "plan_folder": str(self.root),
            "start": [sys.executable, "-u", "app.py"],
            "env": {"TOKEN": SECRET, "LOG_LEVEL": "info"},
            "replicas": 2,
            "resources": {},
            "shared": (),
            "exclude": (),
            **shape,
        }
        checks = {
            "ready": {"path": "/", "timeout": 20},
            "smoke": [{"path": "/", "status": (200,), "max_ms": 2000}],
            "soak": 0.2,
            "bake": 0.2,
            "drain": 2.0,
        }
        return ReleaseSpec("notes", wanted, checks, frozenset({"TOKEN"}))

    def good(self, version: str) -> ReleaseSpec:
        return self.release(version, SERVER.replace("VERSION", version).replace("STATUS", "200"))

    def ours(self) -> list[psutil.Process]:
        """Every process that belongs to this home, by the paths it was started with or runs in."""
        found = []
        for process in psutil.process_iter(["pid"]):
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and (
                    any(str(self.home) in word for word in process.cmdline())
                    or process.cwd().startswith(str(self.home))
                ):
                    found.append(process)
        return found

    def close(self) -> None:
        for _ in range(3):  # the supervisor may have started one more before it went
            end([one for one in self.ours() if self.program in _words(one)])
            end(self.ours())
        for group in limits._ROOT.glob(f"*/failback/{Layout(self.home, self.run_dir, 'notes').tag}-*"):
            with contextlib.suppress(OSError):
                group.rmdir()


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _launcher_of(process: psutil.Process) -> psutil.Process:
    """Its parent, which must be a launcher: an orphan's parent is the machine's first process."""
    parent = process.parent()
    assert parent is not None
    assert "failback.targets.local.launcher" in _words(parent), parent
    return parent


@pytest.fixture
def service(tmp_path: Path, run_dir: Path) -> Iterator[Service]:
    key = tmp_path / "key.age"
    key.write_text(str(pyrage.x25519.Identity.generate()))
    key.chmod(0o600)
    made = Service(tmp_path, run_dir, tmp_path / "home", f"127.0.0.1:{free_ports(1)[0]}", key)
    made.home.mkdir(mode=0o700)
    yield made
    made.close()


async def _until(views: AsyncIterator[View], true: Callable[[View], bool], within_s: float = 20.0) -> View:
    deadline = time.monotonic() + within_s
    try:
        async for view in views:
            if true(view):
                return view
            assert time.monotonic() < deadline, view
    finally:
        await views.aclose()  # type: ignore[attr-defined]
    raise AssertionError("the watch ended by itself")


def _all_ready(view: View) -> bool:
    return all(one.ready and one.smoke and one.smoke[-1].passed for one in view.replicas)


async def _live(service: Service, target: LocalTarget, spec: ReleaseSpec, execution: str) -> Revision:
    """The whole way forward."""
    journal = service.journal
    revision = await target.stage(spec, execution, journal)
    await target.launch(revision, journal)
    await _until(target.watch(revision), _all_ready)
    await target.cut_over(revision, journal)
    await target.finish(revision, journal)
    return revision


def _wrong(actions: Any) -> list[Action]:
    return [action for action in actions if action.ok is False]


async def test_first_release_second_release_and_down(service: Service) -> None:
    """The way of every good deployment: no request fails at the change, and nothing is left after `down`."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    users = Users(int(service.listen.rpartition(":")[2]))
    users.start()
    await asyncio.sleep(0.3)

    second = await _live(service, target, service.good("two"), "e2")
    await asyncio.sleep(0.3)
    users.stop()

    state = await target.state()
    assert users.bad == []
    assert users.good > 20
    assert users.bodies == {"one", "two"}
    assert state.stable == second.id
    assert {replica.revision for replica in state.replicas} == {second.id}
    assert not _wrong(await target.remove(service.journal))
    assert service.ours() == []
    assert is_free(int(service.listen.rpartition(":")[2]))
    await target.close()


async def test_a_release_that_crashes_is_seen_and_removed_without_a_failed_request(service: Service) -> None:
    """The main promise: the bad release gets no user, its reason is known, and afterwards nothing of it is there."""
    target = service.open()
    first = await _live(service, target, service.good("one"), "e1")
    users = Users(int(service.listen.rpartition(":")[2]))
    users.start()
    failed = await target.stage(service.release("bad", CRASHING), "e2", service.journal)
    await target.launch(failed, service.journal)

    view = await _until(target.watch(failed), lambda view: all(one.exits for one in view.replicas))

    assert {one.exits[0].deterministic for one in view.replicas} == {"missing module"}
    assert not _wrong(await target.protect(failed, service.journal))
    evidence = await target.evidence(failed)
    assert "no_such_module_here" in json.dumps(evidence.as_dict())
    assert SECRET not in json.dumps(evidence.as_dict())
    assert "app.py" in evidence.release_files
    assert "no_such_module_here" in evidence.change
    assert not _wrong(await target.roll_back(failed, None, service.journal))
    assert not _wrong(await target.verify_stable(failed))
    assert not _wrong(await target.clean_up(failed, service.journal))
    await asyncio.sleep(0.2)
    users.stop()
    state = await target.state()
    assert users.bad == []
    assert users.bodies == {"one"}
    assert state.stable == first.id
    assert [revision.id for revision in state.revisions] == [first.id]
    left = [
        str(path)
        for path in service.home.rglob("*")
        if f"{failed.id}-" in path.name or path.name == failed.digest[7:23]
    ]
    assert left == []
    await target.close()


async def test_no_file_and_no_command_line_holds_a_secret(service: Service) -> None:
    """Every file of the home, of the sockets' folder, and what `ps` shows to other users; the app prints it as well."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    failed = await target.stage(service.release("bad", CRASHING), "e2", service.journal)
    await target.launch(failed, service.journal)
    await _until(target.watch(failed), lambda view: all(one.exits for one in view.replicas))
    await target.evidence(failed)

    searched = 0
    for folder in (service.home, service.run_dir):
        for path in folder.rglob("*"):
            if path.is_file():
                searched += 1
                assert SECRET.encode() not in path.read_bytes(), path
    assert searched > 10
    for process in service.ours():
        assert SECRET not in _words(process)
        if "supervisord" in _words(process) or "launcher" in _words(process):
            assert SECRET not in " ".join(process.environ().values())
    assert SECRET not in await target.difference(service.good("two"))
    await target.close()


async def test_a_failure_after_the_cut_over_is_switched_back(service: Service) -> None:
    """The old replicas never left, so the way back is one switch."""
    target = service.open()
    first = await _live(service, target, service.good("one"), "e1")
    second = await target.stage(service.good("two"), "e2", service.journal)
    await target.launch(second, service.journal)
    await _until(target.watch(second), _all_ready)
    await target.cut_over(second, service.journal)
    users = Users(int(service.listen.rpartition(":")[2]))

    assert not _wrong(await target.protect(second, service.journal))
    users.start()
    await asyncio.sleep(0.3)
    users.stop()

    assert (users.bad, users.bodies) == ([], {"one"})
    assert not _wrong(await target.roll_back(second, None, service.journal))
    assert not _wrong(await target.clean_up(second, service.journal))
    assert (await target.state()).stable == first.id
    await target.close()


async def test_a_first_release_that_fails_leaves_what_was_there_before(service: Service) -> None:
    """ "As before: nothing ran": no process, port or supervisor that was not there an hour ago."""
    target = service.open()
    failed = await target.stage(service.release("bad", CRASHING), "e1", service.journal)
    await target.launch(failed, service.journal)
    await _until(target.watch(failed), lambda view: all(one.exits for one in view.replicas))
    await target.protect(failed, service.journal)
    await target.roll_back(failed, None, service.journal)

    assert not _wrong(await target.clean_up(failed, service.journal))

    assert service.ours() == []
    assert (await target.state()).stable is None
    await target.close()


async def test_one_flaky_start_is_told_apart_from_a_crash_loop(service: Service) -> None:
    """The look-alike: one exit, then it serves. Its restart shows, and it has no deterministic reason."""
    mark = service.root / "mark"
    code = (
        (
            f"import os, sys\nif not os.path.exists({str(mark)!r}):\n    open({str(mark)!r}, 'w').close()\n"
            "    print('ECONNREFUSED: connection refused'); sys.exit(1)\n" + SERVER
        )
        .replace("VERSION", "one")
        .replace("STATUS", "200")
    )
    target = service.open()
    revision = await target.stage(service.release("flaky", code, replicas=1), "e1", service.journal)
    await target.launch(revision, service.journal)

    view = await _until(target.watch(revision), _all_ready)

    assert [one.deterministic for one in view.replicas[0].exits] == [None]
    await target.close()


async def test_a_crash_of_the_supervisor_costs_no_request_then_or_later(service: Service) -> None:
    """Replicas and proxy go on without it; the next command repairs and says so; the next release goes live as ever."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    users = Users(int(service.listen.rpartition(":")[2]))
    users.start()
    end([one for one in service.ours() if service.program in _words(one)])
    await asyncio.sleep(0.5)

    told = await target.repair(service.journal)
    await asyncio.sleep(1)
    again = await target.repair(service.journal)
    second = await _live(service, target, service.good("two"), "e2")
    await asyncio.sleep(0.3)
    users.stop()

    assert any("supervisor" in line for line in told)
    assert again == []
    assert users.bad == []
    assert users.bodies == {"one", "two"}
    assert {replica.revision for replica in (await target.state()).replicas} == {second.id}
    counted = await target.traffic()
    assert counted is not None
    assert counted.requests >= users.good
    assert not _wrong(await target.remove(service.journal))
    assert service.ours() == []
    assert is_free(int(service.listen.rpartition(":")[2]))
    await target.close()


async def test_a_killed_proxy_is_back_by_itself(service: Service) -> None:
    """Out of memory at night: the supervisor starts it again, with the routes that its files have."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    end([one for one in service.ours() if "bootstrap.json" in _words(one)])

    await asyncio.to_thread(eventually, target._site.proxy.is_live, what="the proxy's return")
    await target._site.proxy.ready()
    users = Users(int(service.listen.rpartition(":")[2]))
    users.start()
    await asyncio.sleep(0.3)
    users.stop()

    assert (users.bad, users.bodies) == ([], {"one"})
    await target.close()


async def test_after_a_reboot_everything_comes_back(service: Service) -> None:
    """Every process is gone and the sockets' folder with them, as after a power cut."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    await target.close()
    for _ in range(2):
        end([one for one in service.ours() if service.program in _words(one)])
        end(service.ours())
    for path in service.run_dir.iterdir():
        path.unlink()

    target = service.open()
    assert await target.repair(service.journal)

    users = Users(int(service.listen.rpartition(":")[2]))
    users.start()
    await asyncio.sleep(0.3)
    users.stop()
    assert (users.bad, users.bodies) == ([], {"one"})
    await target.close()


async def test_a_damaged_release_is_brought_back_by_the_roll_back(service: Service) -> None:
    """Someone deleted the running release's folder: a restart would find nothing. The snapshot has it."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    content = await target.snapshot()
    kept = service.root / "unpacked"
    shutil.copytree(content.files["release"], kept)
    shutil.rmtree(content.files["release"])
    content = dataclasses.replace(content, files={"release": str(kept)})

    actions = await target.roll_back(None, content, service.journal)

    assert not _wrong(actions), actions
    await target.close()


async def test_an_older_executor_is_refused(service: Service) -> None:
    """It was stopped for a minute, somebody took over, and now it goes on: its writes must not mix with theirs."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    service.journal.token = 5
    await target.stage(service.good("two"), "e2", service.journal)

    with pytest.raises(LeaseLost):
        await target.stage(service.good("three"), "e3", Recorded(token=4))
    await target.close()


async def test_the_stable_replica_that_died_is_missing_in_the_verification(service: Service) -> None:
    """STABLE is measured: with one replica stopped for good it must not be said."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    replica = (await target.state()).replicas[0]
    process = psutil.Process(replica.pid)
    launcher = _launcher_of(process)
    launcher.suspend()
    process.kill()
    try:
        actions = await target.verify_stable(None)
        assert _wrong(actions)
    finally:
        launcher.resume()
    await target.close()


async def _bad_way(service: Service, target: LocalTarget, journal: Recorded) -> None:
    failed = await target.stage(service.release("bad", CRASHING), "e2", journal)
    await target.launch(failed, journal)
    await target.protect(failed, journal)
    await target.roll_back(failed, None, journal)
    await target.clean_up(failed, journal)


async def _good_way(service: Service, target: LocalTarget, journal: Recorded) -> None:
    revision = await target.stage(service.good("two"), "e2", journal)
    await target.launch(revision, journal)
    await _until(target.watch(revision), _all_ready)
    await target.cut_over(revision, journal)
    await target.finish(revision, journal)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", [_bad_way, _good_way], ids=["bad release", "good release"])
async def test_broken_off_at_every_boundary_and_repeated_it_ends_the_same(service: Service, way: Any) -> None:
    """SIGKILL may come before a write or between its effect and its record: the same calls again must end the same.

    The list of boundaries is what an uninterrupted run recorded, so that a new write is covered on its first day.
    """
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    users = Users(int(service.listen.rpartition(":")[2]))
    users.start()
    whole = Recorded()
    await way(service, target, whole)
    await _live(service, target, service.good("one"), "back")
    try:
        for number in range(len(whole.writes)):
            for boundary in ("before", "effect made, record not"):
                name = f"{whole.writes[number]} ({number}) {boundary}"
                before = (await target.state()).stable
                cut = Recorded(cut=(number, boundary))
                with contextlib.suppress(Cut):
                    await way(service, target, cut)
                assert cut.fired, f"{name} was never reached: {cut.writes} instead of {whole.writes}"
                await target.close()
                target = service.open()
                await target.repair(service.journal)
                await way(service, target, Recorded())
                state = await target.state()
                assert users.bad == [], name
                running = {replica.revision for replica in state.replicas}
                assert running == {state.stable}, name
                if way is _bad_way:
                    assert state.stable == before, name
                else:
                    assert state.stable != before, name
                    await _live(service, target, service.good("one"), f"back {name}")
    finally:
        users.stop()
    assert users.bad == []
    assert not any(lives(process.pid) and "bad" in _words(process) for process in service.ours())
    await target.close()


async def test_terminal_escapes_of_the_app_do_not_reach_the_evidence(service: Service) -> None:
    """A log line that sets the terminal's title or clears the screen is shown to a person by `explain`."""
    code = (
        "import sys\nsys.stdout.write('\\x1b]0;owned\\x07\\x1b[31mred\\x1b[0m \\x1b[2Jplain \\x9b5n\\r\\n')\n"
        "raise SystemExit(1)\n"
    )
    target = service.open()
    failed = await target.stage(service.release("bad", code, replicas=1), "e1", service.journal)
    await target.launch(failed, service.journal)
    await _until(target.watch(failed), lambda view: all(one.exits for one in view.replicas))

    evidence = await target.evidence(failed)

    said = "".join(pair.current + pair.previous for pair in evidence.logs.values())
    assert "red plain" in said
    assert not any((ord(sign) < 32 and sign not in "\n\r\t") or 127 <= ord(sign) < 160 for sign in said)
    await target.close()


async def test_workers_of_a_killed_launcher_are_gone_after_the_cleanup(service: Service) -> None:
    """The launcher was killed (out of memory, say) and the supervisor with it: cleanup is what is left to end them."""
    target = service.open()
    await _live(service, target, service.good("one"), "e1")
    code = "import os, time\nif not os.fork(): time.sleep(600)\n" + SERVER
    code = code.replace("VERSION", "two").replace("STATUS", "200")
    failed = await target.stage(service.release("bad", code, replicas=1), "e2", service.journal)
    await target.launch(failed, service.journal)
    await _until(target.watch(failed), _all_ready)
    replica = next(one for one in (await target.state()).replicas if one.revision == failed.id)
    main = psutil.Process(replica.pid)
    workers = main.children()
    assert workers
    end([_launcher_of(main)])

    assert not _wrong(await target.clean_up(failed, service.journal))

    eventually(lambda: not any(one.is_running() and lives(one.pid) for one in workers), within_s=5, what="their end")
    assert limits.groups_of(f"{Layout(service.home, service.run_dir, 'notes').tag}-{failed.id}-1") == []
    await target.close()
