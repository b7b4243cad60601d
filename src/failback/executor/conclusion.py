"""How an execution ends: the new revision is made the stable one, and the result is written down."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import time
from collections.abc import Sequence
from typing import Any

from failback.executor import ballast, measure, results
from failback.executor.archive import rewrite_archive
from failback.executor.context import Execution, Member, Outcome
from failback.executor.remembering import settle
from failback.model.errors import FailbackError
from failback.model.execution import Traffic, exit_code_of, together
from failback.targets.base import Action


async def finish(x: Execution) -> Outcome:
    """All steps succeeded: the former revision leaves, in order. Trouble in leaving is told, and fails nothing:
    users are served by a revision that has passed."""
    outcome: Outcome = {"status": "succeeded", "actions": [], "notes": []}
    if not x.members:
        return outcome
    made = [(member, x.revision(member)) for member in x.members.values()]
    revisions = [(member, revision) for member, revision in made if revision is not None]
    for member, revision in revisions:
        try:
            await member.target.decide(revision, member.journal)
        except FailbackError as error:
            outcome["notes"].append(x.told(member, f"that it is to be finished could not be written: {error.message}"))
    for member, revision in revisions:
        try:
            actions = await member.target.finish(revision, member.journal)
            outcome["actions"] += _recorded(x, member, actions)
            checks = await member.target.verify_stable(None)
            outcome["stable"] = outcome.get("stable", True) and all(check.ok is not False for check in checks)
            outcome["checks"] = [*outcome.get("checks", []), *_recorded(x, member, checks)]
        except FailbackError as error:
            told = x.told(member, f"the former revision could not be removed: {error.message}")
            outcome["notes"].append(told)
    x.emit("finished", actions=outcome["actions"], notes=outcome["notes"])
    return outcome


def _recorded(x: Execution, member: Member, actions: Sequence[Action]) -> list[dict[str, Any]]:
    return [results.action(dataclasses.replace(action, text=x.told(member, action.text))) for action in actions]


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
        for service in x.members or (x.row.service,):
            x.values.only("notification_config.").seal(x.home.service(service) / "told", x.home.key_file)
    x.values.forget()
    shutil.rmtree(x.files / "scratch", ignore_errors=True)
    x.emit("execution-finished", status=result["status"], exit_code=code, rollback=result["rollback_performed"])
    for member in x.members.values():
        await member.target.close()
    x.on_end()
    return {"exit_code": code}


async def traffic(x: Execution, opened: Outcome) -> Traffic:
    """Users' requests from the opening until now."""
    if not x.members:
        return Traffic(None, None, "none", measure.NO_TARGET)
    each = {
        name: measure.over(opened["traffic"][name], await member.target.traffic()) for name, member in x.members.items()
    }
    if opened["status"] == "failed" and not opened.get("repairs"):
        each = {name: measure.untouched(one) for name, one in each.items()}
    return together(each) if x.several else each[x.row.service]


def in_use(x: Execution) -> set[str]:
    """Snapshots that a running execution may still need."""
    running: set[str] = set()
    for row in x.store.executions(state="running"):
        kept: Any = x.home.execution(row.id) / "snapshot"
        if kept.exists():
            running.update(kept.read_text().split())
    return running
