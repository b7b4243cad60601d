"""The figures of a deployment on a real cluster, each measured here: `testbed/run python -m bench.kubernetes`.

`--kills N`: SIGKILL at every recorded boundary, then at random instants, N in all. `--scenarios`: every way to fail and
every odd but healthy release, under load. `--controls N`: healthy releases alone, N of them. `--json`: one document.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from itertools import chain
from typing import Any

from tests.cluster import telling
from tests.cluster.killing import ELSEWHERE, HERE, KINDS, Kill, boundaries, in_a_row
from tests.cluster.place import Place, load, place
from tests.cluster.release import Release
from tests.cluster.scenarios import CONTROLS, SCENARIOS
from tests.cluster.telling import Story

from bench.rows import Row
from failback.telemetry.reading import read_events

_CRASHES = 5
_SEED = "kills"
_RANDOM_S = (0.5, 12.0)


def main() -> int:
    """0 when every bar was met."""
    asked = _arguments()
    wanted: list[Iterator[Row]] = [] if asked.only_many else [_crash(), _healthy(), _restore()]
    if asked.scenarios:
        wanted.append(_scenarios(asked.side_by_side))
    if asked.controls:
        wanted.append(_controls(asked.controls, asked.side_by_side))
    if asked.kills:
        wanted.append(_kills(asked.kills, asked.side_by_side))
    found = []
    if not asked.json:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it began\n")
        print(f"{'WHAT':<76}{'BAR':<14}MEASURED")
    for row in chain(*wanted):
        found.append(row)
        if not asked.json:
            mark = {True: "✓", False: "✗", None: " "}[row.met]
            print(f"{mark} {row.what:<74}{row.bar:<14}{row.measured}", flush=True)
    if asked.json:
        print(json.dumps({"rows": [asdict(row) for row in found]}, indent=1))
    return 1 if any(row.met is False for row in found) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0, metavar="N")
    parser.add_argument("--controls", type=int, default=0, metavar="N")
    parser.add_argument("--scenarios", action="store_true")
    parser.add_argument("--only-many", action="store_true", help="nothing but those that --kills and the like ask for")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


@contextlib.contextmanager
def _live() -> Iterator[tuple[Place, str]]:
    """A place in which release 1 is live, and its address."""
    with place() as here:
        here.write(Release(1).objects())
        first = here.deploy()
        if first["exit_code"] != 0:
            raise RuntimeError(f"release 1 did not go live: {first.get('error')} {first['stderr'][-2000:]}")
        yield here, here.cluster.address()


# -- a crash at start --------------------------------------------------------------------------------------------------


def _crash() -> Iterator[Row]:
    verdicts, lags, safe, phases, backups, failed, sent = [], [], [], [], [], 0, 0
    with _live() as (here, url):
        for number in range(2, 2 + _CRASHES):
            broken = Release(number)
            broken.container["image"] = "failback/node-app:2"
            here.write(broken.objects())
            with load(url) as users, _Shown(here.cluster.namespace) as shown:
                result = here.deploy()
            rollback = result["rollback"]
            verdicts.append(float(rollback["detection"]["seconds"]))
            lags.append(max(0.0, _detected_at(here, result) - shown.first()))
            safe.append(float(rollback["phases"][0]["duration"]))
            phases.append(float(rollback["total_duration"]))
            backups.append(float(result["backup"]["duration_s"]))
            failed, sent = failed + int(users["failed"]), sent + int(users["sent"])
    yield _seconds("crash at start, 2 replicas: launch to verdict", verdicts, 3.0)
    yield _seconds("  state shown by the API server to verdict", lags, 0.2)
    yield _seconds("  verdict to all traffic on stable, as the endpoints confirm (it never left)", safe, 0.3)
    yield _seconds("  phases 1-8", phases, 2.0)
    yield _seconds("  backup of all objects, verified by a dry run of its restore", backups, 0.5)
    yield Row(
        "  users' requests, 200/s with new connections", "0 failed", f"{failed:,} of {sent:,} failed", failed == 0
    )


class _Shown:
    """Watches pods beside failback, and notes when the API server first shows an end of a container."""

    def __init__(self, namespace: str) -> None:
        command = ["kubectl", f"--namespace={namespace}", "get", "pods", "--watch-only", "--output=json"]
        self._process = subprocess.Popen([*command, "--output-watch-events"], stdout=subprocess.PIPE, text=True)
        self._at: list[float] = []
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> _Shown:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join(timeout=10)

    def first(self) -> float:
        """Unix seconds."""
        return min(self._at)

    def _read(self) -> None:
        text = ""
        for line in self._process.stdout or ():
            text += line
            try:
                seen, at = json.loads(text), time.time()
            except ValueError:
                continue  # printed over several lines, as some versions do
            text = ""
            for status in seen["object"].get("status", {}).get("containerStatuses") or ():
                if "terminated" in {**status.get("state", {}), **status.get("lastState", {})}:
                    self._at.append(at)


def _detected_at(here: Place, result: dict[str, Any]) -> float:
    """When the verdict was there, unix seconds."""
    path = here.home / "executions" / result["execution_id"] / "events.jsonl"
    at = next(one["at"] for one in read_events(path) if one["event"] == "verdict" and one["state"] == "failed")
    return datetime.fromisoformat(at).timestamp()


# -- a healthy one, and a restore --------------------------------------------------------------------------------------


def _healthy() -> Iterator[Row]:
    with _live() as (here, url):
        here.write(Release(2).objects())
        counted = here.folder / "requests.json"
        with load(url) as users, load(url, 40, keepalive=8) as pooled:
            done = subprocess.run(
                [sys.executable, "-m", "bench.kubernetes_counted", str(here.folder), str(here.home), str(counted)],
                check=False,
                capture_output=True,
                text=True,
            )
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        told = json.loads(counted.read_text())
    verbs = ", ".join(f"{count} {name}" for name, count in sorted(told["requests"].items(), key=lambda one: -one[1]))
    yield Row("API requests of one healthy rollout, backup and checks included", "-", f"{told['total']}: {verbs}")
    yield Row("  seconds from launch to the end, soak 1 s, bake 1.5 s, drain 1 s", "-", f"{told['seconds']:.1f} s")
    count = f"{users['failed']:,} of {users['sent']:,} failed"
    yield Row("  users' requests, 200/s with new connections", "0 failed", count, users["failed"] == 0)
    apart = f"{pooled['failed']:,} of {pooled['sent']:,} failed"
    yield Row("  with connections kept open (an app that ends at SIGTERM closes them)", "-", apart)


def _restore() -> Iterator[Row]:
    took = []
    with _live() as (here, _):
        here.write(Release(2).objects())
        snapshot = here.deploy()["backup"]["id"]
        for _ in range(3):
            here.cluster.kubectl("delete", "deployment,service,configmap", "--all", "--wait=true")
            began = time.monotonic()
            done = here.run("backups", "restore", str(snapshot), "--yes")
            if done.returncode != 0:
                raise RuntimeError(done.stdout + done.stderr)
            here.cluster.rolled_out()
            took.append(time.monotonic() - began)
    yield _seconds("restore of a wiped namespace, until all pods are available again", took, 5.0)


# -- many --------------------------------------------------------------------------------------------------------------


def _scenarios(side_by_side: int) -> Iterator[Row]:
    work: list[tuple[str, Callable[[], Story]]] = []
    for one in SCENARIOS:
        if one.unforeseen:
            work.append((one.name, functools.partial(telling.bad, one, foreseen=False)))
        if one.foreseen:
            work.append((f"{one.name}, foreseen", functools.partial(telling.bad, one, foreseen=True)))
    work += [(one.name, functools.partial(telling.good, one)) for one in CONTROLS]
    with ThreadPoolExecutor(side_by_side) as pool:
        told = list(pool.map(lambda tell: tell(), [tell for _, tell in work]))
    stories = list(zip([name for name, _ in work], told, strict=True))
    failed = sum(int(story.users["failed"]) for _, story in stories)
    sent = sum(int(story.users["sent"]) for _, story in stories)
    where = ", ".join(f"{name} {story.users['by_kind']}" for name, story in stories if story.users["failed"])
    kept = Counter({"failed": 0, "sent": 0})
    for _, story in stories:
        kept.update({key: int(story.pooled[key]) for key in kept})
    unstable = [name for name, story in stories if story.result["rollback"]["system_status"] != "STABLE"]
    yield Row(f"failed requests over {len(stories)} scenarios", "0", f"{failed:,} of {sent:,} {where}", failed == 0)
    yield Row("  with connections kept open", "-", f"{kept['failed']:,} of {kept['sent']:,}")
    yield Row("  not stable in the end", "0", f"{len(unstable)} {', '.join(unstable)}", not unstable)


def _controls(count: int, side_by_side: int) -> Iterator[Row]:
    chosen = [CONTROLS[number % len(CONTROLS)] for number in range(count)]
    with ThreadPoolExecutor(side_by_side) as pool:
        stories = list(pool.map(telling.good, chosen))
    alarms = [one.name for one, story in zip(chosen, stories, strict=True) if story.result["status"] != "completed"]
    yield Row(f"false alarms in {count} healthy releases", "0", f"{len(alarms)} {', '.join(alarms)}", not alarms)


def _kills(count: int, side_by_side: int) -> Iterator[Row]:
    """Every boundary of every kind of deployment, half of them taken up from an empty home; the rest at random."""
    points = [(kind, point) for kind in KINDS for point in boundaries(kind)]
    chance = random.Random(_SEED)
    chance.shuffle(points)
    kills = [Kill(kind, point, (HERE, ELSEWHERE)[number % 2]) for number, (kind, point) in enumerate(points[:count])]
    while len(kills) < count:
        kills.append(Kill(chance.choice(("bad", "good")), round(chance.uniform(*_RANDOM_S), 2), HERE))
    late = [kill for kill in kills if kill.kind == "late"]
    others = [kill for kill in kills if kill.kind != "late"]
    parts = [part for part in (late, *(others[n::side_by_side] for n in range(side_by_side))) if part]
    with ThreadPoolExecutor(side_by_side) as pool:
        told = list(pool.map(in_a_row, parts))
    found = {kill: problems for part, _ in told for kill, problems in part.items()}
    bad = {str(kill): problems for kill, problems in found.items() if problems}
    if bad:
        sys.stderr.write(json.dumps(bad, indent=1) + "\n")
    yield Row(
        f"killed, then taken up ({len(points)} boundaries are known)",
        f"{count} of {count}",
        f"{len(found) - len(bad)} of {len(found)} {', '.join(bad)}",
        not bad,
    )
    seen = [users for _, users in told if users]
    failed, sent = sum(int(one["failed"]) for one in seen), sum(int(one["sent"]) for one in seen)
    yield Row("  users' requests meanwhile", "0 failed", f"{failed:,} of {sent:,} failed", failed == 0)


def _seconds(what: str, values: list[float], bar: float) -> Row:
    middle, worst = statistics.median(values), max(values)
    shown = f"{middle * 1000:,.0f} ms (at most {worst * 1000:,.0f} of {len(values)})"
    return Row(what, f"<= {bar:g} s", shown, middle <= bar)


if __name__ == "__main__":
    sys.exit(main())
