"""The drill of the user's own service: a version that exits at its start, in the dark; its users get nothing of it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from failback.drill.bundled import DrillReport
from failback.drill.checks import Check, bad_release_checks
from failback.drill.derived import bad_version
from failback.executor.engine import Engine
from failback.executor.home import Home
from failback.executor.plan_file import LoadedPlan
from failback.executor.targets import open_target
from failback.executor.values import ExecutionValues
from failback.model.errors import UsageError
from failback.model.redaction import Redactor
from failback.targets.base import ReleaseSpec
from failback.telemetry.events import Subscriber


def run_own(
    loaded: LoadedPlan, home: Home, say: Callable[[str], None], subscribers: Sequence[Subscriber]
) -> DrillReport:
    """Deploys the derived bad version with the plan's own checks; of several services, of one after the other.

    Raises UsageError where one is not live yet.
    """
    began = time.monotonic()
    report = DrillReport()
    services = loaded.plan.service_specs()
    if not services:
        raise UsageError("A drill needs a plan with a target; `failback drill --bundled` needs none.")
    for name in services:
        alone = dataclasses.replace(loaded, plan=loaded.plan.alone(name))
        one = _run_one(alone, home, say, subscribers)
        before = f"{name}: " if loaded.plan.services else ""
        report.results |= {f"{before}{key}": result for key, result in one.results.items()}
        report.checks += [dataclasses.replace(check, name=f"{before}{check.name}") for check in one.checks]
    report.seconds = round(time.monotonic() - began, 2)
    return report


def _run_one(
    loaded: LoadedPlan, home: Home, say: Callable[[str], None], subscribers: Sequence[Subscriber]
) -> DrillReport:
    plan = loaded.plan
    release = ExecutionValues.resolve(loaded, os.environ).release(plan, loaded.folder, from_revision=None)
    stable = asyncio.run(_stable_now(home, loaded, release))
    if stable is None:
        raise UsageError(
            f"{plan.service} is not live yet, so there is nothing that a drill could endanger: deploy it first."
        )
    with tempfile.TemporaryDirectory(prefix="failback-drill-") as folder:
        bad = bad_version(plan, release.shape, getattr(plan.target, "namespace", None) or "", Path(folder))
        say(f"A version of {plan.service} that exits at its start, beside {stable}, without traffic.")
        result = Engine(home).deploy(
            dataclasses.replace(loaded, plan=bad.plan), approved=True, kind="drill", subscribers=subscribers
        )
    report = DrillReport(results={"bad": result})
    report.checks = bad_release_checks(result, bad.cause_type, bad.words)
    after = asyncio.run(_stable_now(home, loaded, release))
    report.checks.append(Check("the same revision is live", after == stable, f"{stable} before, {after} after"))
    return report


async def _stable_now(home: Home, loaded: LoadedPlan, release: ReleaseSpec) -> str | None:
    """The revision that users reach at this moment."""
    target = open_target(home, loaded.plan, Redactor())
    if target is None:
        return None
    await target.aim(release)
    stable = (await target.state()).stable
    await target.close()
    return stable
