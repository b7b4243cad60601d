"""Measures the diagnosis on recorded cases: `python -m bench.diagnosis FOLDER...` prints accuracy and calibration.

A folder whose name ends in "aside" holds cases that no rule was written from: it is reported on a line of its own, by
figures only.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failback.diagnosis import diagnose
from failback.model.diagnosis import Diagnosis
from failback.model.evidence_form import evidence_from_dict

SURE = 0.9
PARTS = ("type", "cause", "fix", "not")


@dataclass(frozen=True)
class Score:
    """One case's outcome; each part is right or not, `missed` says what was not found."""

    case: str
    family: str
    right: dict[str, bool]
    missed: str
    diagnosis: Diagnosis
    seconds: float
    aside: bool = False

    @property
    def all_right(self) -> bool:
        """Every part right."""
        return all(self.right.values())


def main(argv: list[str] | None = None) -> int:
    """Prints the figures; exit code 0 always, because they are a measurement, unless a folder holds no case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--summary", action="store_true", help="print figures only, no case by name")
    options = parser.parse_args(argv)
    scores: list[Score] = []
    for folder in options.folders:
        scores += [score_file(path) for path in sorted(folder.rglob("*.json")) if _is_case(path)]
    if not scores:
        print("no case found", file=sys.stderr)
        return 2
    aside = [score for score in scores if score.aside]
    _print_families(scores if len(aside) == len(scores) else [score for score in scores if not score.aside])
    if aside:
        print(_shares("SET ASIDE", aside))
    _print_calibration(scores)
    _print_times(scores)
    _print_megabyte()
    if not options.summary:
        _print_misses([score for score in scores if not score.aside])
    return 0


def score_file(path: Path) -> Score:
    """Diagnoses one case and compares it with what is expected."""
    case = json.loads(path.read_text(encoding="utf-8"))
    evidence = evidence_from_dict(case["given"])
    started = time.perf_counter()
    diagnosis = diagnose(evidence)
    seconds = time.perf_counter() - started
    right, missed = compare(diagnosis, case["expect"])
    wanted = case["expect"]["type"]
    family = wanted if isinstance(wanted, str) else wanted[0]
    return Score(
        case.get("id", path.stem), family, right, missed, diagnosis, seconds, path.parent.name.endswith("aside")
    )


def compare(diagnosis: Diagnosis, expect: dict[str, Any]) -> tuple[dict[str, bool], str]:
    """(part -> right, what was missed). The rules stand in the README of the cases."""
    types = expect["type"] if isinstance(expect["type"], list) else [expect["type"]]
    cause = diagnosis.cause.lower()
    fixes = " ".join(
        f"{fix.action} {fix.description} {fix.example}" for fix in diagnosis.recommendations if fix.priority == "HIGH"
    ).lower()
    cause_missed = [group for group in expect.get("cause", []) if not any(word.lower() in cause for word in group)]
    fix_missed = [group for group in expect.get("fix", []) if not any(word.lower() in fixes for word in group)]
    tempted = [word for word in expect.get("not", []) if word.lower() in cause]
    right = {
        "type": str(diagnosis.type) in types,
        "cause": not cause_missed,
        "fix": not fix_missed,
        "not": not tempted,
    }
    missed = f"type {diagnosis.type} wanted {types}; " if not right["type"] else ""
    missed += f"cause lacks {cause_missed}; " if cause_missed else ""
    missed += f"fix lacks {fix_missed}; " if fix_missed else ""
    missed += f"cause says {tempted}; " if tempted else ""
    return right, missed


def _is_case(path: Path) -> bool:
    return '"expect"' in path.read_text(encoding="utf-8")


def _print_families(scores: list[Score]) -> None:
    families: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        families[score.family].append(score)
    print(f"{'family':26} {'n':>4} " + " ".join(f"{part:>6}" for part in PARTS) + f" {'all':>6}")
    for family, members in [*sorted(families.items()), ("TOTAL", scores)]:
        print(_shares(family, members))


def _shares(name: str, members: list[Score]) -> str:
    shares = " ".join(f"{sum(s.right[part] for s in members) / len(members):6.0%}" for part in PARTS)
    return f"{name:26} {len(members):4} {shares} {sum(s.all_right for s in members) / len(members):6.0%}"


def _print_calibration(scores: list[Score]) -> None:
    print("\nconfidence      n  type and cause right")
    for low, high in ((0.95, 1.01), (0.9, 0.95), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (0.0, 0.5)):
        members = [s for s in scores if low <= s.diagnosis.confidence < high]
        right = [s for s in members if s.right["type"] and s.right["cause"] and s.right["not"]]
        share = f"{len(right) / len(members):.0%}" if members else "-"
        print(f"{low:.2f} - {min(high, 1.0):.2f} {len(members):4}  {share}")
    sure = [s for s in scores if s.diagnosis.confidence >= SURE]
    wrong = [s for s in sure if not (s.right["type"] and s.right["cause"] and s.right["not"])]
    print(f"said >= {SURE}: {len(sure)}, of them wrong: {len(wrong)}")


def _print_times(scores: list[Score]) -> None:
    times = sorted(s.seconds for s in scores)
    print(f"\ntime: median {times[len(times) // 2] * 1000:.1f} ms, worst {times[-1] * 1000:.1f} ms, {len(times)} cases")


def _print_megabyte() -> None:
    """The promise is 0.2 s for a megabyte of logs: requests with an error near the end, and lines that all differ."""
    served = "".join(f"2026-01-01T00:00:{i % 60:02} INFO GET /orders/{i} 200 in {i % 90} ms\n" for i in range(17_500))
    dice = random.Random(1)
    words = [
        "order",
        "user",
        "warning",
        "error",
        "failed",
        "connect",
        "timeout",
        "status",
        "cache",
        "retry",
        "path",
        "host",
        "ready",
    ]
    differ = "".join(" ".join(dice.choices(words, k=12)) + f" {i}\n" for i in range(11_000))
    for name, text in (("requests, one error", served), ("every line another", differ)):
        log = text + "panic: dial tcp 10.0.0.7:5432: connect: connection refused\n"
        evidence = evidence_from_dict({"target": "local", "exit_code": 2, "logs": {"web-1/app": {"current": log}}})
        started = time.perf_counter()
        diagnose(evidence)
        print(f"{len(log) / 1e6:.2f} MB of logs ({name}): {time.perf_counter() - started:.3f} s")


def _print_misses(scores: list[Score]) -> None:
    for score in scores:
        if not score.all_right:
            d = score.diagnosis
            print(f"\n{score.case}: {score.missed}\n   said {d.type} {d.confidence:.2f} [{d.rule}] {d.cause[:300]}")


if __name__ == "__main__":
    sys.exit(main())
