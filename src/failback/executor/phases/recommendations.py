"""Phase 6: say what to do about it, in the order in which a person would do it.

Promise: each recommendation names the thing itself, with an example that can be pasted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from failback.executor import fixing
from failback.executor.context import Outcome
from failback.executor.phase import PhaseResult, Recovery, done, skipped
from failback.executor.remembering import remember_advice
from failback.executor.trying import prepare, proposed
from failback.targets.base import Action

_FIND_S_MAX = 3.0  # below the phase's own limit: advice without a patch is better than none


async def run(recovery: Recovery) -> PhaseResult:
    x = recovery.x
    diagnosis = x.kept("diagnosis.json")
    proposal = (x.outcomes.get("fixes") or {}).get("proposal")
    if not x.plan.diagnosis.try_fixes and fixing.no_reason_to_try(recovery) is None:
        proposal = await _find(recovery)
    advice = fixing.advised((diagnosis or {}).get("recommendations", []), fixing.kept(x), x.id)
    if fixing.kept(x) and x.row.kind != "drill":
        await remember_advice(x, advice)
    if not advice:
        return skipped("there is no diagnosis from which a fix could follow", recommendations=[])
    return done(
        [
            *(Action(f"[{item['priority']}] {item['action']}{_verified(item)}") for item in advice),
            *([_told(proposal)] if proposal else []),
        ],
        recommendations=advice,
        **({"proposal": proposal} if proposal else {}),
    )


async def _find(recovery: Recovery) -> Outcome | None:
    """Fixes that could be tried, for `explain --patch` and as a branch; without them the advice is what it was."""
    try:
        async with asyncio.timeout(_FIND_S_MAX):
            return await proposed(recovery, await prepare(recovery))
    except Exception as error:  # noqa: BLE001 - a help: a folder that cannot be read takes no advice away
        recovery.x.emit("fixes-not-found", reason=f"{type(error).__name__}: {error}")
        return None


def _told(proposal: Outcome) -> Action:
    if "branch" in proposal:
        return Action(f"branch {proposal['branch']} has the fix as one commit; nothing was pushed")
    return Action(str(proposal["reason"]), ok=None)


def _verified(item: Mapping[str, Any]) -> str:
    return f" (verified: {item['verified']})" if item.get("verified") else ""
