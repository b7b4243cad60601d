"""The drill of the user's own service: a version that exits at its start, in the dark; its users get nothing of it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence

from failback.drill.bundled import DrillReport
from failback.drill.checks import Check, bad_release_checks
from failback.executor.engine import Engine
from failback.executor.home import Home
from failback.executor.plan_file import LoadedPlan
from failback.executor.targets import open_target
from failback.model.errors import UsageError
from failback.model.plan import LocalReleaseSpec
from failback.model.redaction import Redactor
from failback.telemetry.events import Subscriber

MISSING = "failback-drill/missing-on-purpose.json"


def run_own(
    loaded: LoadedPlan, home: Home, say: Callable[[str], None], subscribers: Sequence[Subscriber]
) -> DrillReport:
    """Deploys the derived bad version with the plan's own checks. Raises UsageError where nothing is live yet."""
    began = time.monotonic()
    plan = loaded.plan
    target = open_target(home, plan, Redactor())
    if target is None or not isinstance(plan.release, LocalReleaseSpec):
        raise UsageError("A drill needs a plan with a local target; `failback drill --bundled` needs none.")
    stable = asyncio.run(target.state()).stable
    if stable is None:
        raise UsageError(
            f"{plan.service} is not live yet, so there is nothing that a drill could endanger: deploy it first."
        )
    bad = plan.release.model_copy(update={"start": ("cat", MISSING)})
    deploy = next(step for step in plan.steps if step.type == "deploy").model_copy(update={"needs": ()})
    derived = plan.model_copy(update={"release": bad, "steps": (deploy,)})
    say(f"A version of {plan.service} that exits at its start, beside {stable}, without traffic.")
    result = Engine(home).deploy(
        dataclasses.replace(loaded, plan=derived), approved=True, kind="drill", subscribers=subscribers
    )
    report = DrillReport(results={"bad": result})
    report.checks = bad_release_checks(result, "missing_file", [MISSING])
    after = asyncio.run(open_and_ask(home, loaded))
    report.checks.append(Check("the same revision is live", after == stable, f"{stable} before, {after} after"))
    report.seconds = round(time.monotonic() - began, 2)
    return report


async def open_and_ask(home: Home, loaded: LoadedPlan) -> str | None:
    """The stable revision now."""
    target = open_target(home, loaded.plan, Redactor())
    return None if target is None else (await target.state()).stable
