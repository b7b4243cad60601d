"""How an execution ends: the new revision is made the stable one, and the result is written down."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import Any

from failback.executor import ballast, measure, results
from failback.executor.archive import rewrite_archive
from failback.executor.context import Execution, Outcome
from failback.executor.remembering import settle
from failback.model.errors import FailbackError
from failback.model.execution import Traffic, exit_code_of


async def finish(x: Execution) -> Outcome:
    """All steps succeeded: the former revision leaves, in order. Trouble in leaving is told, and fails nothing:
    users are served by a revision that has passed."""
    outcome: Outcome = {"status": "succeeded", "actions": [], "notes": []}
    if x.target is None:
        return outcome
    for step in x.plan.steps:
        revision = x.revision(step.name)
        if revision is None:
            continue
        try:
            actions = await x.target.finish(revision, x.journal)
            outcome["actions"] += [results.action(action) for action in actions]
            checks = await x.target.verify_stable(None)
            outcome["stable"] = all(check.ok is not False for check in checks)
            outcome["checks"] = [results.action(check) for check in checks]
        except FailbackError as error:
            outcome["notes"].append(f"the former revision could not be removed: {error.message}")
    x.emit("finished", actions=outcome["actions"], notes=outcome["notes"])
    return outcome


async def conclude(x: Execution, opened: Outcome) -> Outcome:
    """Builds the result from what is recorded, keeps it, and forgets what only the execution needed."""
    result = results.build(x, opened, await traffic(x, opened))
    code = exit_code_of(result)
    rewrite_archive(x, result)
    x.store.end_execution(x.id, result, code)
    x.result = result
    if not result.get("refused"):
        results.credit_recovery(x.store, x.row, result)
        await settle(x, succeeded=result["status"] == "completed")
    await asyncio.to_thread(x.snapshots.prune, in_use(x), time.time())
    ballast.drop(x.home)
    if x.row.kind == "deploy":
        x.values.only("notification_config.").seal(x.home.service(x.row.service) / "told", x.home.key_file)
    x.values.forget()
    shutil.rmtree(x.files / "scratch", ignore_errors=True)
    x.emit("execution-finished", status=result["status"], exit_code=code, rollback=result["rollback_performed"])
    if x.target is not None:
        await x.target.close()
    x.on_end()
    return {"exit_code": code}


async def traffic(x: Execution, opened: Outcome) -> Traffic:
    """Users' requests from the opening until now."""
    if x.target is None:
        return Traffic(None, None, "none", measure.NO_TARGET)
    return measure.over(opened["traffic"], await x.target.traffic())


def in_use(x: Execution) -> set[str]:
    """Snapshots that a running execution may still need."""
    running: set[str] = set()
    for row in x.store.executions(state="running"):
        kept: Any = x.home.execution(row.id) / "snapshot"
        if kept.exists():
            running.add(kept.read_text())
    return running
