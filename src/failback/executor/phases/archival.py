"""Phase 7: archive the failure.

Promise: three files that a person can read when failback is gone: the execution, the error, the system's state.
"""

from __future__ import annotations

import dataclasses

from failback.executor import results
from failback.executor.archive import write_archive
from failback.executor.conclusion import traffic
from failback.executor.phase import PhaseResult, Recovery, done
from failback.targets.base import Action


async def run(recovery: Recovery) -> PhaseResult:
    x = recovery.x
    states = {name: dataclasses.asdict(await member.target.state()) for name, member in x.members.items()}
    if states:
        x.keep("state.json", {"services": states} if x.several else states[x.row.service])
    result = results.build(x, recovery.opened, await traffic(x, recovery.opened))
    with x.journal.intent("archive.write"):
        files = write_archive(x, result)
    titles = {"execution": "execution log", "error": "error details", "state": "system state"}
    return done(
        [Action(f"{titles[kind]} → {path}") for kind, path in files.items()],
        archive={kind: str(path) for kind, path in files.items()},
    )
