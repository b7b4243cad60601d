"""The figures of one machine: each is measured here, beside what it has to be, and beside a restart in place."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from bench import hostile
from bench.place import APP, Place, place
from bench.rows import Row
from failback.drill.running_load import RunningLoad

RATE_PER_S = 200.0
_MIB = 1024 * 1024


def rows() -> Iterator[Row]:
    """All figures, one after another."""
    for measure in (_drill, _crash, _after_cut_over, _backup, _commands, _memory, hostile.rows):
        yield from measure()


def peer_rows() -> Iterator[tuple[str, str, str]]:
    """(case, restart in place, failback): failed requests of the same service under the same load."""
    for case, settings in (("good release", {}), ("bad release (exits at start)", {"exit_at_start": True})):
        yield case, _restart_in_place(settings), _by_failback(settings)


def _drill() -> Iterator[Row]:
    with place() as here:
        here.release(1)
        here.deploy()
        here.await_up()
        control = _loaded(here, lambda: time.sleep(3))
        here.release(2, exit_at_start=True)
        bad = _loaded(here, here.deploy)
        here.release(3)
        with RunningLoad(here.url, RATE_PER_S / 4, keep_alive=True) as kept:
            good = _loaded(here, here.deploy)
            kept_seen = kept.stop()
    yield Row("control run, 200 requests/s, new connections", "0 failed", _count(control), control["failed"] == 0)
    yield Row("bad release", "0 failed", _count(bad), bad["failed"] == 0)
    yield Row("good release", "0 failed", _count(good), good["failed"] == 0)
    yield Row("  and on connections kept alive", "0 failed", _count(kept_seen), kept_seen["failed"] == 0)


def _crash() -> Iterator[Row]:
    overheads, safe, phases = [], [], []
    with place() as here:
        here.release(1)
        here.deploy()
        for number in range(2, 9):
            here.release(number, exit_at_start=True)
            result = here.deploy(release={"path": "app", "start": [sys.executable, "-I", "gone.py"], "replicas": 2})
            rollback = result["rollback"]
            lived = _lived(here, result)
            overheads.append(rollback["detection"]["seconds"] - lived)
            safe.append(rollback["phases"][0]["duration"])
            phases.append(rollback["total_duration"])
    yield _seconds("crash at start: verdict, less the process's own life", overheads, 0.1)
    yield _seconds("decision to traffic safe (it never left)", safe, 0.05)
    yield _seconds("all eight phases", phases, 1.0)


def _lived(here: Place, result: dict[str, Any]) -> float:
    """How long the first process that ended had lived, as its launcher recorded."""
    from failback.telemetry.reading import read_json

    evidence = read_json(here.home.execution(result["execution_id"]) / "evidence.json")
    return min(float(replica["lived_s"]) for replica in evidence["replicas"] if replica["lived_s"] is not None)


def _after_cut_over() -> Iterator[Row]:
    tails, felt = [], []
    with place() as here:
        here.checks = {"soak": 0.3, "bake": 6, "drain": 5}
        here.release(1)
        here.deploy()
        here.await_up()
        for number in range(2, 5):
            here.release(number, bad_after=40)
            with RunningLoad(here.url, RATE_PER_S) as load:
                began = time.time()
                result = here.deploy()
                time.sleep(0.5)
                seen = load.stop()
            decided = _event_at(here, result, "failure-detected") - began
            tails.append(max(0.0, seen["failures"][-1][0] - decided) if seen["failures"] else 0.0)
            felt.append(seen["failed"])
    yield _seconds("failure after the cut-over: decision to the last failed request", tails, 0.05)
    yield Row("  requests that failed until then (all answers 500 from one moment on)", "-", ", ".join(map(str, felt)))


def _event_at(here: Place, result: dict[str, Any], name: str) -> float:
    from datetime import datetime

    from failback.telemetry.reading import read_events

    path = here.home.execution(result["execution_id"]) / "events.jsonl"
    return next(
        datetime.fromisoformat(event["at"]).timestamp() for event in read_events(path) if event["event"] == name
    )


def _backup() -> Iterator[Row]:
    took = []
    with place() as here:
        here.release(1)
        (here.folder / "app" / "library.bin").write_bytes(os.urandom(20 * _MIB))
        here.deploy()
        for number in range(2, 6):
            here.release(number)
            took.append(here.deploy()["backup"]["duration_s"])
        snapshot = json.loads(here.command("backups", "list", "--json").stdout)[0]["id"]
        restored = []
        for _ in range(3):
            began = time.monotonic()
            done = here.command("backups", "restore", snapshot, "--yes")
            if done.returncode != 0:
                raise RuntimeError(f"the snapshot was not restored: {done.stderr[-400:]}")
            restored.append(time.monotonic() - began)
    yield _seconds("backup of a 20 MiB release, verified and encrypted", took, 0.3)
    yield _seconds("that snapshot restored: the command, until its replicas answer", restored, 5.0)


def _commands() -> Iterator[Row]:
    with place() as here:
        here.release(1)
        here.deploy()
        for arguments, bar in ((["--help"], 0.2), (["status"], 0.4)):
            times = []
            for _ in range(7):
                began = time.monotonic()
                subprocess.run(
                    [sys.executable, "-m", "failback.cli.main", *arguments],
                    env={**os.environ, "FAILBACK_HOME": str(here.home.root)},
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
                times.append(time.monotonic() - began)
            yield _seconds(f"failback {' '.join(arguments)}", times, bar)


def _memory() -> Iterator[Row]:
    with place() as here:
        here.release(1)
        here.deploy()
        here.checks = {"soak": 4, "bake": 0.3, "drain": 3}
        here.release(2)
        waiting = here.start("deploy", "--yes", "--json")
        while waiting.poll() is None and not _launched(here):
            time.sleep(0.1)
        time.sleep(1)
        own = psutil.Process(waiting.pid).memory_full_info().uss / _MIB
        waiting.communicate()
        yield Row("memory: failback while it waits", "-", f"{own:.0f} MiB")
        parts: dict[str, list[float]] = {}
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                if str(here.folder) in command:
                    kind = next(
                        (
                            name
                            for name in ("envoy", "supervisord", "launcher", "holding")
                            if name in command.split(str(here.folder))[0]
                        ),
                        "other",
                    )
                    parts.setdefault(kind, []).append(process.memory_full_info().uss / _MIB)
            except psutil.Error:
                continue
    for kind, sizes in sorted(parts.items()):
        yield Row(f"memory: {kind} ({len(sizes)} processes, each)", "-", f"{statistics.median(sizes):.0f} MiB")


def _launched(here: Place) -> bool:
    """Whether the newest execution's revision runs in the dark by now."""
    logs = sorted((here.home.root / "executions").glob("*/events.jsonl"), key=lambda path: path.stat().st_mtime)
    return bool(logs) and len(logs) > 1 and '"revision-launched"' in logs[-1].read_text()


def _by_failback(settings: dict[str, Any]) -> str:
    with place() as here:
        here.release(1)
        here.deploy()
        here.await_up()
        here.release(2, **settings)
        return _count(_loaded(here, here.deploy))


def _restart_in_place(settings: dict[str, Any]) -> str:
    """What many do on one machine: stop the old process, start the new one at the same address."""
    with place() as here:
        here.release(1)
        process = _serve(here)
        try:
            here.await_up()
            with RunningLoad(here.url, RATE_PER_S) as load:
                time.sleep(1)
                here.release(2, **settings)
                process.send_signal(signal.SIGTERM)
                process.wait()
                process = _serve(here)
                time.sleep(2)
                return _count(load.stop())
        finally:
            process.kill()
            process.wait()


def _serve(here: Place) -> subprocess.Popen[bytes]:
    (here.folder / "app" / "app.py").write_text(APP)
    return subprocess.Popen(
        [sys.executable, "-I", "app.py"],
        cwd=here.folder / "app",
        env={"PORT": here.listen.rsplit(":", 1)[1], "PATH": os.environ["PATH"]},
        stderr=subprocess.DEVNULL,
    )


def _loaded(here: Place, work: Callable[[], Any]) -> dict[str, Any]:
    with RunningLoad(here.url, RATE_PER_S) as load:
        work()
        time.sleep(0.5)
        return load.stop()


def _count(load: dict[str, Any]) -> str:
    return f"{load['failed']:,} of {load['sent']:,} failed"


def _seconds(what: str, values: list[float], bar: float) -> Row:
    middle, worst = statistics.median(values), max(values)
    shown = f"{middle * 1000:.0f} ms (at most {worst * 1000:.0f} of {len(values)})"
    return Row(what, f"<= {bar:g} s", shown, middle <= bar)
