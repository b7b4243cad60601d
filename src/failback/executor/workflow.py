"""The durable order of an execution: begin, back up, the plan's nodes, then finish, or the eight phases; conclude.

All nodes are called at once in one fixed order, and each first waits, inside its recorded body, for what it needs.
So independent steps run side by side, and still every replay sees the same calls in the same order, whatever the
timing was: that is what the durable runtime asks for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from failback.executor import ballast, conclusion, opening, recovery, rollout
from failback.executor.context import Execution, Outcome
from failback.executor.nodes import CANCELLABLE, ROLLOUT, Node, Part, nodes_of
from failback.executor.runtime import durable_step
from failback.executor.steps import StepRunner
from failback.executor.stop import Stopped
from failback.model.dag import topological_order
from failback.model.errors import FailbackError, LeaseLost, Refused


async def run_execution(x: Execution) -> None:
    """Runs (or, after a kill, goes on with) one execution to its recorded end."""
    opened = await _recorded(x, "open", lambda: opening.open_execution(x))
    if opened["status"] == "succeeded":
        nodes = _nodes(x)
        done = {node.name: asyncio.Event() for node in nodes}
        await asyncio.gather(*(_node(x, node, done) for node in nodes))
    if x.failed_outcome() is None and opened["status"] == "succeeded":
        await _recorded(x, "finish", lambda: conclusion.finish(x))
    elif not opened.get("refused"):
        ballast.drop(x.home)
        for name, body in recovery.stages(x, opened):
            await _recorded(x, name, body)
    await _recorded(x, "conclude", lambda: conclusion.conclude(x, opened))


def _nodes(x: Execution) -> list[Node]:
    steps = x.plan.steps
    needs = x.plan.step_needs()
    return nodes_of(steps, topological_order(needs), needs, rollout=bool(x.members))


async def _recorded(x: Execution, name: str, body: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """One durable step outside the plan. A defect here must not be recorded as the outcome: the process ends instead,
    and the next start takes the execution up at this very step."""

    async def crash_only() -> Outcome:
        try:
            outcome: Outcome = x.redactor.redact_value(await body())
            return outcome
        except Exception as error:  # noqa: BLE001 - see above: nothing that ends here may look finished
            return await _end_process(x, error)

    outcome = await durable_step(name, crash_only)
    x.outcomes[name] = outcome
    return outcome


async def _end_process(x: Execution, error: BaseException) -> Outcome:
    """Tells the engine, which ends the process; waits for that, so that nothing is recorded."""
    x.crash = error
    x.on_end()
    await asyncio.Event().wait()
    raise error


async def _node(x: Execution, node: Node, done: dict[str, asyncio.Event]) -> None:
    async def body() -> Outcome:
        await asyncio.gather(*(done[need].wait() for need in node.needs))
        if x.failed_outcome() is not None or x.stop.reason is not None:
            return _outcome(node, "skipped", _Clock(), reason="an earlier step failed")
        outcome: Outcome = x.redactor.redact_value(await _perform(x, node))
        return outcome

    outcome = await durable_step(node.name, body)
    # In a replay recorded results come back in any order; a node counts only after all that it needs.
    await asyncio.gather(*(done[need].wait() for need in node.needs))
    x.outcomes[node.name] = outcome
    if outcome["status"] == "failed":
        x.stop.set(f"step {node.step.name} failed")
    done[node.name].set()


async def _perform(x: Execution, node: Node) -> Outcome:
    """The node's work; whatever goes wrong with it is its outcome."""
    began = _Clock()
    if node.part in (Part.COMMAND, Part.STAGE):
        x.emit("step-started", number=node.number, step=node.step.name, type=node.step.type)
    try:
        work = _work(x, node)
        found = await (x.stop.guard(work) if node.part in CANCELLABLE else work)
        outcome = _outcome(node, **{"status": "succeeded", "began": began, **found})
    except Stopped as stopped:
        outcome = _outcome(node, "cancelled", began, reason=stopped.reason)
    except LeaseLost as error:
        # Another executor has the service, and this very record: nothing more may be written.
        return await _end_process(x, error)
    except FailbackError as error:
        outcome = _outcome(node, "failed", began, reason=error.message, error=error.code, **_for_programs(node, error))
    except Exception as error:  # noqa: BLE001 - a defect in the middle of a rollout has to end in a rollback
        outcome = _outcome(node, "failed", began, reason=f"{type(error).__name__}: {error}", error="FB-001")
    if node.part in (Part.COMMAND, ROLLOUT[-1]) or outcome["status"] != "succeeded":
        x.emit(
            "step-finished",
            number=node.number,
            step=node.step.name,
            type=node.step.type,
            status=outcome["status"],
            duration=round(_took(x, node) + outcome["duration"], 4),
            reason=outcome.get("reason", ""),
        )
    return outcome


def _for_programs(node: Node, error: FailbackError) -> Outcome:
    """What the diagnosis and the exit code need of an error beside its words. Refused: nothing was touched yet."""
    found: Outcome = {"refused": True} if isinstance(error, Refused) and node.part is Part.STAGE else {}
    return found | {key: error.fields[key] for key in ("api_error", "findings", "rule") if error.fields.get(key)}


def _took(x: Execution, node: Node) -> float:
    """Seconds of the step's earlier nodes."""
    return sum(float(done["duration"]) for done in x.outcomes.values() if done.get("step") == node.step.name)


async def _work(x: Execution, node: Node) -> Outcome:
    if node.part is not Part.COMMAND:
        return await rollout.run_part(x, node)
    result = await _runner(x).run(node)
    return {
        "status": str(result.status),
        "attempts": result.attempts,
        "exit_code": result.exit_code,
        "reason": result.reason,
        "timed_out": result.timed_out,
    }


def _runner(x: Execution) -> StepRunner:
    return StepRunner(
        execution_id=x.id,
        mark=x.mark,
        folder=x.folder,
        outputs=x.files / "steps",
        redactor=x.redactor,
        env_of=x.values.step_env,
        orchestrator=x.orchestrator,
        retries_max=x.plan.rollback_config.failure_threshold,
        emit=x.emit,
        emit_live=x.events.live,
    )


class _Clock:
    """When it began, for people; and how long it took, by a clock that does not jump."""

    def __init__(self) -> None:
        self.at = time.time()
        self._mark = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self._mark, 4)


def _outcome(node: Node, status: str, began: _Clock, **fields: Any) -> Outcome:
    return {
        "node": node.name,
        "step": node.step.name,
        "number": node.number,
        "type": node.step.type,
        "part": str(node.part),
        "status": status,
        "began_at": began.at,
        "ended_at": time.time(),
        "duration": began.seconds(),
        **fields,
    }
