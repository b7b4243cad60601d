"""The plan of a rollback: the last plan with its Deploy steps alone, for former revisions."""

from __future__ import annotations

import asyncio
import dataclasses

from failback.executor.home import Home
from failback.executor.plan_file import LoadedPlan, plan_from_mapping
from failback.executor.store import Store
from failback.executor.targets import open_existing
from failback.model.dag import topological_order
from failback.model.errors import UsageError
from failback.model.release import RevisionState, ServiceState


def former_plan(home: Home, service: str, wanted: str | None) -> tuple[LoadedPlan, str, str]:
    """(plan, the revision to go back to, the stable one now). Raises UsageError, naming what there is to go back to."""
    state = asyncio.run(open_existing(home, service).state())
    revision = _choose(state, wanted)
    loaded = last_plan(home, service)
    plan = loaded.plan.alone(service)
    deploy = plan.deploy_steps()[0]
    plan = plan.model_copy(update={"steps": (deploy.model_copy(update={"needs": ()}),)})
    return dataclasses.replace(loaded, plan=plan), revision, state.stable or "nothing"


def former_plans(home: Home, name: str) -> tuple[LoadedPlan, dict[str, str], dict[str, str]]:
    """As `former_plan`, for all services of a plan at once, the last one first: {service: revision}, twice."""
    loaded = last_plan(home, name)
    order = topological_order(loaded.plan.step_needs())
    deploys = [step for step in map(loaded.plan.step, reversed(order)) if step.type == "deploy"]
    states = {name: asyncio.run(open_existing(home, name).state()) for name in map(loaded.plan.service_of, deploys)}
    revisions = {name: _choose(state, None) for name, state in states.items()}
    plan = loaded.plan.model_copy(update={"steps": tuple(step.model_copy(update={"needs": None}) for step in deploys)})
    return dataclasses.replace(loaded, plan=plan), revisions, {n: s.stable or "nothing" for n, s in states.items()}


def plan_services(home: Home, name: str) -> tuple[str, ...]:
    """The services of the plan of that name, in its order; none where it is no name of a plan for several."""
    if not home.exists:
        return ()
    store = Store(home.database, create=False)
    try:
        for row in store.executions(service=name):
            if row.service == name and row.kind == "deploy":
                return tuple(row.plan["plan"].get("services") or ())
    finally:
        store.close()
    return ()


def last_plan(home: Home, service: str) -> LoadedPlan:
    """The plan by which the service was deployed last. Raises UsageError when it never was."""
    store = Store(home.database, create=False)
    try:
        for row in store.executions(service=service):
            if row.kind == "deploy":
                return plan_from_mapping(row.plan["plan"], row.folder, check_files=False, orchestrated=True)
    finally:
        store.close()
    raise UsageError(f"{service} was never deployed with the home {home.root}.", service=service)


def _choose(state: ServiceState, wanted: str | None) -> str:
    former = [revision for revision in state.revisions if revision.state is RevisionState.RETIRED]
    names = ", ".join(revision.id for revision in former) or "none"
    if wanted is None:
        if not former:
            now = f"{state.stable} is its only one" if state.stable else "nothing is live"
            raise UsageError(f"{state.service} has no former revision to go back to: {now}.")
        return max(former, key=lambda revision: revision.created_at).id
    if wanted == state.stable:
        raise UsageError(f"{state.service} is at {wanted} already. Former revisions: {names}.")
    if wanted not in [revision.id for revision in former]:
        raise UsageError(f"{state.service} has no former revision {wanted}. Former revisions: {names}.")
    return wanted
