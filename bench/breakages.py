"""Deploys releases that really broke: `python -m bench.breakages FOLDER [--cases FOLDER] [--only NAME...]`.

Each folder in FOLDER holds `v1/` (works), `v2/` (broke in the world) and `run.sh` (how it is built and served). Under a
load, v1 has to go live and v2 has to be refused with no failed request; with `--cases` the cause that was named is
compared with what an expert wrote in `<name>.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.diagnosis import compare
from bench.recipes import plan_of
from failback.drill.running_load import RunningLoad
from failback.executor.free_ports import free_port
from failback.model.diagnosis import Diagnosis, FailureType, Recommendation

RATE_PER_S = 50.0
DEPLOY_S_MAX = 1200


@dataclass(slots=True)
class Outcome:
    """One breakage. `went_live`, `refused`: as it has to be; `named`: None where nobody wrote what is right."""

    name: str
    went_live: bool = False
    refused: bool = False
    caught: str = ""
    sent: int = 0
    failed: int = 0
    cause: str = ""
    named: bool | None = None
    note: str = ""
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return self.went_live and self.refused and self.failed == 0 and self.sent > 0


def main(arguments: list[str] | None = None) -> int:
    """0 when each v1 went live and each v2 was refused with no failed request; what was named is only told."""
    parser = argparse.ArgumentParser(prog="python -m bench.breakages", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=Path, help="folder with <name>.json: what the cause is")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--keep", type=Path, help="keep each v2's result here, as <name>.json")
    options = parser.parse_args(arguments)
    folders = [path.parent for path in sorted(options.folder.glob("*/run.sh"))]
    chosen = [path for path in folders if not options.only or path.name in options.only]
    if not chosen:
        print(f"no breakage in {options.folder}", file=sys.stderr)
        return 2
    print(f"  {'BREAKAGE':<34}{'V1':<6}{'V2':<9}{'CAUGHT BY':<28}{'FAILED':<14}CAUSE", flush=True)
    outcomes = []
    for folder in chosen:
        outcome = run(folder, options.cases)
        outcomes.append(outcome)
        print(_line(outcome), flush=True)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{folder.name}.json").write_text(json.dumps(outcome.results, indent=1))
    for line in _sums(outcomes):
        print(line)
    return 0 if all(outcome.held for outcome in outcomes) else 1


def run(folder: Path, cases: Path | None = None) -> Outcome:
    """Deploys v1, then v2 under load, in a temporary home."""
    outcome = Outcome(folder.name)
    with tempfile.TemporaryDirectory(prefix="failback-breakage-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        place.chmod(0o755)  # a service that gives up its rights still has to find its release
        try:
            _both(folder, place, outcome)
        finally:
            _failback(place, "down", folder.name)
    if cases is not None and outcome.refused:
        _judge(outcome, cases / f"{folder.name}.json")
    return outcome


def _both(folder: Path, place: Path, outcome: Outcome) -> None:
    listen = f"127.0.0.1:{free_port()}"
    first = _deploy(folder, "v1", place, listen)
    outcome.results["v1"] = first
    outcome.went_live = first.get("status") == "completed"
    if not outcome.went_live:
        outcome.note = f"v1: {_reason(first)}"
        return
    with RunningLoad(f"http://{listen}/", RATE_PER_S) as load:
        time.sleep(0.5)
        second = _deploy(folder, "v2", place, listen)
        time.sleep(0.5)
        report = load.stop()
    outcome.results["v2"] = second
    outcome.results["load"] = report
    outcome.sent, outcome.failed = report["sent"], report["failed"]
    outcome.refused = second.get("status") == "failed" and second["rollback"]["system_status"] == "STABLE"
    if not outcome.refused:
        outcome.note = f"v2: {second.get('status')} {_reason(second)}"
        return
    error = second["error"]
    rule = second["rollback"]["detection"].get("rule")
    outcome.caught = rule or error["step"]
    outcome.cause = second["root_cause"]["type"]


def _deploy(folder: Path, version: str, place: Path, listen: str) -> dict[str, Any]:
    app = place / "plan" / "app"
    shutil.rmtree(app, ignore_errors=True)
    shutil.copytree(folder / version, app)
    script = (folder / "run.sh").read_text(encoding="utf-8")
    plan = plan_of(script, service=folder.name, listen=listen, environment=place / "environments" / version)
    (place / "plan" / "failback.yaml").write_text(json.dumps(plan, indent=1))
    done = _failback(place, "deploy", "--yes", "--json")
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        result = {"status": "", "error": {"reason": done.stderr.strip()[-400:]}}
    return result


def _failback(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "failback.cli.main", *arguments],
        cwd=place / "plan" if (place / "plan").exists() else place,
        env={**os.environ, "FAILBACK_HOME": str(place / "home")},
        capture_output=True,
        text=True,
        timeout=DEPLOY_S_MAX,
        check=False,
    )


def _reason(result: dict[str, Any]) -> str:
    error = result.get("error") or {}
    cause = (result.get("root_cause") or {}).get("cause", "")
    told = error.get("reason") or error.get("message") or "?" if isinstance(error, dict) else str(error)
    return f"{told} {cause}".strip()


def _judge(outcome: Outcome, case: Path) -> None:
    if not case.exists():
        return
    expect = json.loads(case.read_text(encoding="utf-8"))["expect"]
    second = outcome.results["v2"]
    cause = second["root_cause"]
    advice = second["rollback"]["phases"][5].get("recommendations", [])
    said = Diagnosis(
        type=FailureType(cause["type"]),
        cause=cause["cause"],
        component=cause["component"],
        confidence=cause["confidence"],
        recommendations=tuple(
            Recommendation(item["priority"], item["action"], item.get("description", ""), item.get("example", ""))
            for item in advice
        ),
    )
    # The port or process number of the recorded run is another one here.
    expect["cause"] = [group for group in expect.get("cause", []) if not all(word.isdigit() for word in group)]
    right, missed = compare(said, expect)
    outcome.named = all(right.values())
    outcome.note = "" if outcome.named else f"{missed}said: {cause['cause'][:160]}"


def _line(outcome: Outcome) -> str:
    mark = "✓" if outcome.held else "✗"
    named = {True: "right", False: "not right", None: ""}[outcome.named]
    count = f"{outcome.failed} of {outcome.sent:,}"
    live, refused = "live" if outcome.went_live else "not", "refused" if outcome.refused else "not"
    line = f"{mark} {outcome.name:<34}{live:<6}{refused:<9}{outcome.caught:<28}{count:<14}{outcome.cause} {named}"
    return line.rstrip() + (f"\n      {outcome.note}" if outcome.note else "")


def _sums(outcomes: list[Outcome]) -> Iterator[str]:
    judged = [outcome for outcome in outcomes if outcome.named is not None]
    yield ""
    yield (
        f"{sum(o.went_live for o in outcomes)} of {len(outcomes)} first releases went live, "
        f"{sum(o.refused for o in outcomes)} of {len(outcomes)} second ones were refused, "
        f"{sum(o.failed for o in outcomes):,} of {sum(o.sent for o in outcomes):,} requests failed"
    )
    if judged:
        yield f"cause and fix named right: {sum(bool(o.named) for o in judged)} of {len(judged)}"


if __name__ == "__main__":
    sys.exit(main())
