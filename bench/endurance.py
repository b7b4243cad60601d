"""What has to hold however often it is tried: SIGKILL at every boundary and at random, and two deployments at once.

Each is done with the command itself, on one home after another kill, under a load that must not lose a request. The
place and the list of boundaries are those of the tests.
"""

from __future__ import annotations

import json
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.local.boundaries import GOOD, after_a_failure, all_boundaries, release
from tests.local.world import World

from bench.rows import Row

RATE_PER_S = 50.0
RANDOM_KILLS = 100
PAIRS = 50
SEED = 20_261_125


def rows() -> Iterator[Row]:
    """The long figures: half an hour on two cores."""
    yield _killed("SIGKILL at every boundary of a deployment, then `resume`", all_boundaries())
    chance = random.Random(SEED)
    instants = [("good" if chance.random() < 0.5 else "bad", chance.uniform(0.2, 3.5)) for _ in range(RANDOM_KILLS)]
    yield _killed(f"SIGKILL at a random instant (seed {SEED}), then `resume`", instants)
    yield _pairs()


def _killed(what: str, kills: list[tuple[str, str]] | list[tuple[str, float]]) -> Row:
    """A kill is at a named point (text), or after so many seconds (number)."""
    well, first_trouble = 0, ""
    with _live() as here, here.load(RATE_PER_S) as load:
        number = 1
        for kind, at in kills:
            if kind == "mended":
                number += 1
                after_a_failure(here, number, release)
            number += 1
            release(here, number, good=GOOD[kind])
            trouble = _not_killed_at(here, at) if isinstance(at, str) else _killed_after(here, at)
            trouble = trouble or _trouble(here)
            well += not trouble
            first_trouble = first_trouble or (f"; {kind} at {at}: {trouble}" if trouble else "")
        seen = load.stop()
    met = well == len(kills) and seen["failed"] == 0
    told = f"{well} of {len(kills)} well, {seen['failed']} of {seen['sent']:,} requests failed{first_trouble}"
    return Row(what, "all, 0 failed", told, met)


def _not_killed_at(here: World, point: str) -> str:
    done = here.run("deploy", "--yes", "--json", fault=f"kill:{point}")
    return "" if done.returncode == -signal.SIGKILL else "this point was not passed"


def _killed_after(here: World, seconds: float) -> str:
    """Killed after so long; one that has ended by then is as good as any other instant."""
    process = here.start("deploy", "--yes", "--json")
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    return ""


def _trouble(here: World) -> str:
    """Takes it up; empty when it ended completed or STABLE and nothing is left over."""
    resumed = here.run("resume", "--json")
    if resumed.returncode != 0:
        return f"resume ended with {resumed.returncode}: {resumed.stderr[-200:]}"
    for result in json.loads(resumed.stdout):
        if result["status"] != "completed" and result["rollback"]["system_status"] != "STABLE":
            return str(result["rollback"]["system_status"])
    return "; ".join(here.problems())


def _pairs() -> Row:
    well = 0
    with _live() as here, here.load(RATE_PER_S) as load:
        for number in range(2, PAIRS + 2):
            release(here, number, good=True)
            both = [here.start("deploy", "--yes", "--json") for _ in range(2)]
            for process in both:
                process.communicate(timeout=120)
            well += sorted(process.returncode for process in both) == [0, 5]
        seen = load.stop()
    told = f"{well} of {PAIRS}, {seen['failed']} of {seen['sent']:,} requests failed"
    met = well == PAIRS and seen["failed"] == 0
    return Row("two `deploy` at once: one runs, one exits 5", f"{PAIRS} of {PAIRS}", told, met)


@contextmanager
def _live() -> Iterator[World]:
    """A place in which release 1 is live; gone afterwards, with everything that ran in it."""
    with tempfile.TemporaryDirectory(prefix="failback-bench-") as folder:
        here = World(Path(folder))
        try:
            release(here, 1, good=True)
            first = here.deploy()
            if first["exit_code"] != 0:
                raise RuntimeError(f"release 1 did not go live: {first['stderr'][-400:]}")
            yield here
        finally:
            here.end()
