"""What has to hold however often it is tried: SIGKILL at every boundary and at random, and two deployments at once.

Each is done with the command itself, on one home after another kill, under a load that must not lose a request.
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
from typing import Any

from bench.place import Place, place
from bench.rows import Row
from failback.drill.running_load import RunningLoad

RATE_PER_S = 50.0
RANDOM_KILLS = 100
PAIRS = 50
SEED = 20_261_125


def rows() -> Iterator[Row]:
    """The long figures: half an hour on two cores."""
    yield _killed("SIGKILL at every boundary of a deployment, then `resume`", _boundaries())
    chance = random.Random(SEED)
    instants = [("good" if chance.random() < 0.5 else "bad", chance.uniform(0.2, 3.5)) for _ in range(RANDOM_KILLS)]
    yield _killed(f"SIGKILL at a random instant (seed {SEED}), then `resume`", instants)
    yield _pairs()


def _boundaries() -> list[tuple[str, str]]:
    """(kind, point): what one bad and one good deployment pass, as they themselves record it."""
    found = []
    with _live() as here, tempfile.TemporaryDirectory() as folder:
        for kind in ("bad", "good"):
            record = Path(folder) / kind
            _release(here, 2, kind)
            here.command("deploy", "--yes", "--json", fault=f"record:{record}")
            found += [(kind, point) for point in record.read_text().splitlines()]
    return found


def _killed(what: str, kills: list[tuple[str, Any]]) -> Row:
    """A kill is at a named point (text), or after so many seconds (number)."""
    well, first_trouble = 0, ""
    with _live() as here, RunningLoad(here.url, RATE_PER_S) as load:
        for number, (kind, at) in enumerate(kills, start=2):
            _release(here, number, kind)
            if isinstance(at, str):
                here.command("deploy", "--yes", "--json", fault=f"kill:{at}")
            else:
                _kill_after(here, at)
            trouble = _trouble(here)
            well += not trouble
            first_trouble = first_trouble or (f"; {kind} at {at}: {trouble}" if trouble else "")
        seen = load.stop()
    met = well == len(kills) and seen["failed"] == 0
    told = f"{well} of {len(kills)} well, {seen['failed']} of {seen['sent']:,} requests failed{first_trouble}"
    return Row(what, "all, 0 failed", told, met)


def _kill_after(here: Place, seconds: float) -> None:
    process = here.start("deploy", "--yes", "--json")
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


def _trouble(here: Place) -> str:
    """Takes it up; empty when it ended completed or STABLE and nothing is left over."""
    resumed = here.command("resume", "--json")
    if resumed.returncode != 0:
        return f"resume ended with {resumed.returncode}: {resumed.stderr[-200:]}"
    for result in json.loads(resumed.stdout):
        if result["status"] != "completed" and result["rollback"]["system_status"] != "STABLE":
            return str(result["rollback"]["system_status"])
    state = json.loads(here.command("status", "--json").stdout)["services"][0]
    strangers = [one["name"] for one in state["replicas"] if one["revision"] != state["stable"]]
    alive = sum(one["running"] for one in state["replicas"])
    if strangers or alive != 2 or state["proxy"].get("routed") != state["stable"]:
        return f"left over {strangers}, {alive} replicas, routed to {state['proxy'].get('routed')}"
    return ""


def _pairs() -> Row:
    well = 0
    with _live() as here, RunningLoad(here.url, RATE_PER_S) as load:
        for number in range(2, PAIRS + 2):
            _release(here, number, "good")
            both = [here.start("deploy", "--yes", "--json") for _ in range(2)]
            for process in both:
                process.communicate(timeout=120)
            well += sorted(process.returncode for process in both) == [0, 5]
        seen = load.stop()
    told = f"{well} of {PAIRS}, {seen['failed']} of {seen['sent']:,} requests failed"
    return Row("two `deploy` at once: one runs, one exits 5", f"{PAIRS} of {PAIRS}", told, well == PAIRS)


def _release(here: Place, number: int, kind: str) -> None:
    here.release(number, **({"exit_at_start": True} if kind == "bad" else {}))


@contextmanager
def _live() -> Iterator[Place]:
    """A place in which release 1 is live."""
    with place() as here:
        here.checks = {"soak": 0.2, "bake": 0.3, "drain": 3}
        here.release(1)
        first = here.command("deploy", "--yes", "--json")
        if first.returncode != 0:
            raise RuntimeError(f"release 1 did not go live: {first.stderr[-400:]}")
        here.await_up()
        yield here
