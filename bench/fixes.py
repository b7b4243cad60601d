"""Tries the fixes of ten releases that really break: `python -m bench.fixes [--only NAME...] [--json]`.

Six of them a change of configuration ends, four none does. Each is a small real service: release 1 goes live, release 2
breaks, and failback tries its candidates in the dark. For each that it calls verified, its patch is applied with
`patch -p1` to the broken release, which then has to go live: a fix that does not hold was called so wrongly.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.fix_services import BREAKAGES, Breakage
from failback.drill.running_load import RunningLoad
from failback.executor.free_ports import free_port

RATE_PER_S = 20.0
COMMAND_S_MAX = 600


@dataclass(slots=True)
class Outcome:
    """`right`: verified where a fix exists and it is the one, not verified where none does."""

    name: str
    fixable: bool
    verified: str = ""
    right: bool = False
    held: bool | None = None  # the patched release went live; None where there was nothing to apply
    tried: int = 0
    seconds: float = 0.0
    failed: int = 0
    sent: int = 0
    note: str = ""


def main(arguments: list[str] | None = None) -> int:
    """0 when all that can be fixed was verified, nothing wrongly, and no request failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.fixes", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [one for one in BREAKAGES if not options.only or one.name in options.only]
    outcomes = []
    if not options.json:
        print(f"  {'BREAKAGE':<30}{'FIX':<6}{'VERIFIED WITH':<44}{'TRIED':<7}{'PATCHED':<9}FAILED", flush=True)
    for breakage in chosen:
        outcomes.append(run(breakage))
        if not options.json:
            print(_line(outcomes[-1]), flush=True)
    verified, wrongly = _counts(outcomes)
    if options.json:
        print(json.dumps({"verified": verified, "wrongly": wrongly, "cases": [asdict(o) for o in outcomes]}, indent=1))
    else:
        fixable = sum(outcome.fixable for outcome in outcomes)
        print(f"\n{verified} verified (of {fixable} that can be fixed), {wrongly} wrongly")
    lost = sum(outcome.failed for outcome in outcomes)
    return 0 if all(outcome.right for outcome in outcomes) and wrongly == 0 and lost == 0 else 1


def _counts(outcomes: list[Outcome]) -> tuple[int, int]:
    verified = [outcome for outcome in outcomes if outcome.verified]
    wrongly = [outcome for outcome in verified if not outcome.right or outcome.held is False]
    return len(verified) - len(wrongly), len(wrongly)


def run(breakage: Breakage) -> Outcome:
    """One breakage in a home of its own, under a light load."""
    outcome = Outcome(breakage.name, breakage.expected is not None)
    with tempfile.TemporaryDirectory(prefix="failback-fixes-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        port = free_port()
        try:
            _tell(breakage, place, port, outcome)
        except (AssertionError, ValueError, subprocess.SubprocessError) as error:
            outcome.note = f"{type(error).__name__}: {error}"
        finally:
            _failback(place, "down", "fixed")
    return outcome


def _tell(breakage: Breakage, place: Path, port: int, outcome: Outcome) -> None:
    _write(breakage, place, port, 1)
    first = _deploy(place)
    if first.get("status") != "completed":
        raise ValueError(f"release 1 did not go live: {first.get('error')}")
    with RunningLoad(f"http://127.0.0.1:{port}/", RATE_PER_S) as load:
        _write(breakage, place, port, 2)
        second = _deploy(place)
        time.sleep(0.2)
        report = load.stop()
    outcome.failed, outcome.sent = report["failed"], report["sent"]
    if second["status"] != "failed" or second["rollback"]["system_status"] != "STABLE":
        raise ValueError(f"release 2 was not refused: {second['status']}")
    fixes = second["fixes"] or {}
    outcome.tried, outcome.seconds = fixes.get("tried", 0), fixes.get("seconds", 0.0)
    advice = second["rollback"]["phases"][5].get("recommendations", [])
    said = next((item["verified"] for item in advice if item.get("verified")), "")
    outcome.verified = said.removeprefix("passed the gate with ")
    outcome.right = breakage.expected in outcome.verified if breakage.expected else not outcome.verified
    if not outcome.right:
        outcome.note = (
            f"{second['root_cause']['type']}: {second['root_cause']['cause'][:120]}; {fixes.get('reason', '')}"
        )
    if outcome.verified:
        outcome.held = _patched(place)


def _patched(place: Path) -> bool:
    """Whether the broken release goes live once its patch is applied, as a person would."""
    patch = _failback(place, "explain", "--patch")
    applied = subprocess.run(
        ["patch", "-p1"], cwd=place / "plan", input=patch.stdout, capture_output=True, text=True, check=False
    )
    return applied.returncode == 0 and _deploy(place).get("status") == "completed"


def _write(breakage: Breakage, place: Path, port: int, release: int) -> None:
    """The plan's folder as it is for this release."""
    folder = place / "plan"
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in breakage.files(release).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    plan = breakage.plan(release, port)
    (folder / "failback.yaml").write_text(json.dumps(plan, indent=1) + "\n")


def _deploy(place: Path) -> dict[str, Any]:
    done = _failback(place, "deploy", "--yes", "--json")
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise ValueError(done.stderr.strip()[-400:]) from None
    return result


def _failback(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = place / "plan"
    return subprocess.run(
        [sys.executable, "-m", "failback.cli.main", *arguments, "--home", str(place / "home")],
        cwd=folder if folder.exists() else place,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )


def _line(outcome: Outcome) -> str:
    mark = "✓" if outcome.right and outcome.held is not False and not outcome.failed else "✗"
    held = {True: "live", False: "not live", None: ""}[outcome.held]
    fix = "yes" if outcome.fixable else "none"
    count = f"{outcome.failed} of {outcome.sent}"
    line = f"{mark} {outcome.name:<30}{fix:<6}{outcome.verified or '-':<44}{outcome.tried:<7}{held:<9}{count}"
    return "".join(_with_note(line, outcome))


def _with_note(line: str, outcome: Outcome) -> Iterator[str]:
    yield line
    if outcome.note:
        yield f"\n      {outcome.note}"


if __name__ == "__main__":
    sys.exit(main())
