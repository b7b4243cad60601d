"""What a plan would do, found out without touching anything: its order, the change, the risks."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from failback.executor.home import Home
from failback.executor.plan_file import LoadedPlan
from failback.executor.targets import open_target
from failback.executor.values import ExecutionValues
from failback.model.dag import levels
from failback.model.release import Finding


@dataclass(frozen=True, slots=True)
class Forecast:
    """`levels`: names of steps that may run at once, level after level. `now`: what runs, in a phrase.

    `services`: of a plan for several, what runs and what would change, by name; `now` and `change` tell all of it.
    """

    levels: Sequence[Sequence[str]]
    needs: Mapping[str, Sequence[str]]
    now: str
    change: str
    findings: Sequence[Finding]
    services: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def forecast(loaded: LoadedPlan, home: Home) -> Forecast:
    """Looks at the plan and at what runs. Raises PlanError for values that are not there."""
    plan = loaded.plan
    several = bool(plan.services)
    values = ExecutionValues.resolve(loaded, os.environ)
    findings = [
        Finding(
            "warning", where, "is a secret of less than 6 characters, so it is not masked in logs", "Use a longer one."
        )
        for where in values.warnings
    ]
    findings += _from_plan(loaded)
    needs = plan.step_needs()
    now, change = "a plan of steps alone", ""
    services: dict[str, tuple[str, str]] = {}
    for name in plan.service_specs():
        alone = dataclasses.replace(loaded, plan=plan.alone(name))
        now, change, more = asyncio.run(_from_target(alone, home, values.alone(plan, name)))
        more += _from_checks(alone)
        services[name] = (now, change)
        findings += [dataclasses.replace(one, subject=f"{name}: {one.subject}") for one in more] if several else more
    if not several:
        return Forecast(levels=levels(needs), needs=needs, now=now, change=change, findings=findings)
    return Forecast(
        levels=levels(needs),
        needs=needs,
        now="; ".join(f"{name}: {now}" for name, (now, _) in services.items()),
        change="".join(f"# {name}\n{change}" for name, (_, change) in services.items() if change),
        findings=findings,
        services=services,
    )


async def _from_target(loaded: LoadedPlan, home: Home, values: ExecutionValues) -> tuple[str, str, list[Finding]]:
    target = open_target(home, loaded.plan, values.redactor())
    if target is None:
        raise RuntimeError(f"{loaded.plan.service} has no target")
    release = values.release(loaded.plan, loaded.folder, from_revision=None)
    await target.aim(release)
    state = await target.state()
    if state.stable is None:
        now = f"first deployment, users will reach it at {getattr(loaded.plan.target, 'listen', 'its Service')}"
    else:
        alive = sum(replica.running for replica in state.replicas if replica.revision == state.stable)
        now = f"{state.stable} is live at {state.address} with {alive} replicas"
    findings = list(await target.preflight(release))
    change = await target.difference(release)
    await target.close()
    return now, change, findings


def _from_checks(loaded: LoadedPlan) -> list[Finding]:
    if loaded.plan.checks.smoke:
        return []
    return [
        Finding(
            "warning",
            "checks.smoke",
            "no smoke request: a release that is ready and answers nonsense is seen only in the bake",
            "Add one: `smoke: [{path: /, status: 200, max_ms: 500}]`.",
        )
    ]


def _from_plan(loaded: LoadedPlan) -> list[Finding]:
    plan = loaded.plan
    found = []
    if not plan.rollback_config.auto_rollback_enabled:
        found.append(
            Finding(
                "warning", "rollback_config.auto_rollback_enabled", "is false: a failed release stays, dark, for a look"
            )
        )
    if not plan.backup.encryption:
        found.append(Finding("warning", "backup.encryption", "is false: secrets stand in the backup as they are"))
    return found
