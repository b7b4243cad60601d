"""Deployments that are killed, one after another in one place, and what stands there after somebody took them up."""

from __future__ import annotations

import copy
import json
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.footprint import leftovers
from tests.cluster.place import CHECKS, Place, load, place
from tests.cluster.release import Release

QUICK = {**CHECKS, "soak": 0.3, "bake": 0.5, "drain": 0.5}
SEEN_LATE = {**QUICK, "bake": 12}
KINDS = ("bad", "good", "late")  # fails in the dark; goes live; fails after the cut-over
HERE, ELSEWHERE = "here", "elsewhere"
_SETTLED_S_MAX = 40.0


@dataclass(frozen=True)
class Kill:
    """`point`: where SIGKILL comes, or after how many seconds. `by`: the same home takes it up, or an empty one."""

    kind: str
    point: str | float
    by: str = HERE

    def __str__(self) -> str:
        return f"{self.kind}-{self.point}-{self.by}"


@dataclass
class Series:
    """One place in which deployment after deployment is killed; `live`: the version that users are on."""

    here: Place
    live: int = 1
    number: int = 1
    found: dict[Kill, list[str]] = field(default_factory=dict)

    def release(self, kind: str) -> Release:
        """The next release, written down."""
        self.number += 1
        made = Release(self.number)
        made.config["data"]["GREETING"] = f"hello from {self.number}"
        if kind == "bad":
            made.env(NEED_FILE="/etc/settings.json")
        if kind == "late":
            made.env(EXIT_AFTER_S=7)
        self.here.checks = SEEN_LATE if kind == "late" else QUICK
        self.here.write(made.objects())
        return made

    def begin(self) -> None:
        self.here.checks = QUICK
        first = Release(1)
        first.config["data"]["GREETING"] = "hello from 1"
        self.here.write(first.objects())
        result = self.here.deploy()
        assert result["exit_code"] == 0, result
        self.here.cluster.address()

    def killed(self, kill: Kill) -> list[str]:
        """Kills one deployment, lets it be taken up, and tells what is not as it should be."""
        release = self.release(kill.kind)
        code = self._kill(kill)
        if isinstance(kill.point, str) and code != -signal.SIGKILL and kill.kind != "late":
            return [f"was not killed: it ended with {code}"]
        if code in (0, 3):
            return self.problems(release, {self.number} if code == 0 else {self.live})  # ended before the kill came
        told = self._take_up(kill)
        allowed = {self.live, self.number} if kill.kind == "good" else {self.live}
        if kill.by == HERE and kill.kind == "good":
            allowed = {self.number}
        return told + self.problems(release, allowed)

    def _kill(self, kill: Kill) -> int:
        if isinstance(kill.point, str):
            return self.here.run("deploy", "--yes", "--json", fault=f"kill:{kill.point}").returncode
        process = self.here.start("deploy", "--yes", "--json")
        time.sleep(kill.point)
        process.kill()
        process.communicate(timeout=30)
        return process.returncode

    def _take_up(self, kill: Kill) -> list[str]:
        """By `resume`; elsewhere that is another home, in which nobody ever heard of this service."""
        if kill.by == HERE:
            done = self.here.run("resume", "--json")
            told = [] if done.returncode == 0 else [f"resume ended with {done.returncode}: {_bad_lines(done.stderr)}"]
            for result in json.loads(done.stdout or "[]"):
                expected = "completed" if kill.kind == "good" else "failed"
                if result["status"] != expected or result["rollback"]["system_status"] != "STABLE":
                    told.append(f"{result['status']}, {result['rollback']['system_status']}: {result.get('error')}")
            return told
        self.here.folder.joinpath("homes").mkdir(exist_ok=True)
        home = Path(tempfile.mkdtemp(dir=self.here.folder / "homes"))
        done = self.here.run("resume", "--json", "--file", "failback.yaml", home=home)
        self.here.home_folder = home
        return [] if done.returncode == 0 else [f"resume -f ended with {done.returncode}: {done.stderr[-1500:]}"]

    def problems(self, release: Release, allowed: set[int]) -> list[str]:
        """What differs from a service at rest with the user's own fields; the version that is live is remembered."""
        told: list[str] = []

        def at_rest() -> bool:
            told[:] = self._unrest(release, allowed)
            return not told

        deadline = time.monotonic() + _SETTLED_S_MAX
        while not at_rest() and time.monotonic() < deadline:
            time.sleep(0.3)
        return list(told)

    def _unrest(self, release: Release, allowed: set[int]) -> list[str]:
        cluster = self.here.cluster
        told = leftovers(cluster)
        spec = cluster.get("deployment", "app")["spec"]
        wanted = release.workload["spec"]
        for key in ("replicas", "strategy", "minReadySeconds", "progressDeadlineSeconds"):
            if spec.get(key) != wanted[key]:
                told.append(f"{key} is {spec.get(key)}, not {wanted[key]}")
        selector = cluster.get("service", "app")["spec"]["selector"]
        if selector != release.service["spec"]["selector"]:
            told.append(f"the Service selects {selector}")
        version = _version(spec["template"]["spec"])
        if version not in allowed:
            told.append(f"the template is of version {version}, not {allowed}")
        pods = cluster.listed("pods", "app=app")
        if [_version(pod["spec"]) for pod in pods] != [version] * spec["replicas"]:
            told.append(f"pods of versions {[_version(pod['spec']) for pod in pods]}")
        running = [one["metadata"]["name"] for one in cluster.listed("replicasets") if one["spec"]["replicas"]]
        if len(running) != 1:
            told.append(f"ReplicaSets with pods: {running}")
        if not told:
            self.live = version
        return told


def _bad_lines(told: str) -> str:
    """What went wrong, out of the progress that a command tells; all of it where no line says so."""
    return "\n".join(line for line in told.splitlines() if "✗" in line or "failed" in line) or told[-3000:]


def _version(pod: dict[str, Any]) -> int:
    return int(next(one["value"] for one in pod["containers"][0]["env"] if one["name"] == "VERSION"))


def in_a_row(kills: Sequence[Kill]) -> tuple[dict[Kill, list[str]], dict[str, Any]]:
    """All of them in one place; and what users saw, unless a release that fails after the cut-over was among them.

    When such a release fails is the clock's doing: one that failed before its point came has not been killed, and has
    to have ended well all the same."""
    with place() as here, ExitStack() as stack:
        series = Series(here)
        series.begin()
        harmless = all(kill.kind != "late" for kill in kills)
        seen = stack.enter_context(load(here.cluster.address(), 100)) if harmless else {}
        for kill in kills:
            series.found[kill] = series.killed(kill)
        stack.close()
        return copy.copy(series.found), seen


def boundaries(kind: str) -> list[str]:
    """Every point that such a deployment passes, in order: recorded by one that is not killed."""
    with place() as here:
        series = Series(here)
        series.begin()
        series.release(kind)
        record = here.folder / "points.txt"
        here.deploy(fault=f"record:{record}")
        return record.read_text().splitlines()
