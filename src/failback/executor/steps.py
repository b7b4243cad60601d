"""Runs one ordinary step of the plan, with retries of what may pass by itself."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failback.executor import commands
from failback.executor.nodes import Node
from failback.executor.orchestrator import Orchestrator, StepMapping, UnclearAnswer, read_answer
from failback.executor.transient import transient_reason
from failback.model.execution import StepResult, StepStatus
from failback.model.redaction import Redactor, StreamRedactor

_BACKOFF_S_MIN = 0.5
_BACKOFF_S_MAX = 15.0


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Everything a step needs of its execution. `env_of` gives a step's resolved environment, by the step's name."""

    execution_id: str
    mark: str
    folder: Path
    outputs: Path
    redactor: Redactor
    env_of: Callable[[str], Mapping[str, str]]
    orchestrator: Orchestrator | None
    retries_max: int
    emit: Callable[..., None]
    emit_live: Callable[..., None]

    async def run(self, node: Node) -> StepResult:
        """Runs the step's work; a transient failure is repeated up to `retries` times, with back-off and jitter."""
        if not node.step.run and self.orchestrator is None:
            return self._result(node, StepStatus.SUCCEEDED, time.monotonic(), 0, reason="it has no command")
        # A killed failback may have left this very step running: two at once would be worse than none.
        commands.end_marked(self.mark, node.step.name)
        began = time.monotonic()
        retries = self.retries_max if node.step.retries is None else node.step.retries
        attempt = 0
        while True:
            attempt += 1
            result = await self._attempt(node, began, attempt)
            self._keep_output(node, result.output)
            if result.status is StepStatus.SUCCEEDED or attempt > retries:
                return result
            passing = None if result.timed_out else transient_reason(node.step.type, result.exit_code, result.output)
            if passing is None:
                return result
            pause_s = min(_BACKOFF_S_MAX, _BACKOFF_S_MIN * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
            self.emit("step-retried", step=node.step.name, attempt=attempt, pause_s=round(pause_s, 2), because=passing)
            await asyncio.sleep(pause_s)

    async def _attempt(self, node: Node, began: float, attempt: int) -> StepResult:
        if self.orchestrator is not None:
            return await self._ask_orchestrator(node, self.orchestrator, began, attempt)
        step = node.step
        run = step.run
        env = {
            **os.environ,
            **self.env_of(step.name),
            "FAILBACK_EXECUTION": self.execution_id,
            commands.EXECUTION_MARK: self.mark,
            commands.STEP_MARK: step.name,
        }
        env.pop("FAILBACK_FAULT", None)
        done = await commands.run_command(
            ["sh", "-c", run] if isinstance(run, str) else list(run or ()),
            cwd=str(self.folder / (step.cwd or ".")),
            env=env,
            timeout_s_max=step.timeout,
            redactor=StreamRedactor(self.redactor),
            on_line=lambda line: self.emit_live("step-output", step=step.name, line=line),
        )
        if done.exit_code == 0:
            return self._result(node, StepStatus.SUCCEEDED, began, attempt, exit_code=0, output=done.output)
        reason = f"timed out after {step.timeout:g} s" if done.timed_out else f"exit code {_exit(done.exit_code)}"
        return self._result(
            node,
            StepStatus.FAILED,
            began,
            attempt,
            exit_code=done.exit_code,
            output=done.output,
            reason=reason,
            timed_out=done.timed_out,
        )

    async def _ask_orchestrator(self, node: Node, orchestrator: Orchestrator, began: float, attempt: int) -> StepResult:
        """The orchestrator's code runs in a thread; past the step's time-out it is left to itself, and says so."""
        shape = StepMapping(node.step.params | node.step.model_dump(mode="json") | {"number": node.number})
        shape["env"] = dict(self.env_of(node.step.name))
        failed: dict[str, Any]
        try:
            answer = await asyncio.wait_for(
                asyncio.to_thread(orchestrator.execute_step, shape), timeout=node.step.timeout
            )
            succeeded, output, exit_code, _data = read_answer(answer)
            failed = {
                "output": self.redactor.redact(output),
                "exit_code": exit_code,
                "reason": "the orchestrator says so",
            }
            if succeeded:
                return self._result(
                    node, StepStatus.SUCCEEDED, began, attempt, exit_code=exit_code, output=failed["output"]
                )
        except TimeoutError:
            failed = {"reason": f"timed out after {node.step.timeout:g} s", "timed_out": True}
        except UnclearAnswer as unclear:
            failed = {"reason": str(unclear)}
        except Exception as error:  # noqa: BLE001 - whatever a user's orchestrator raises is this step's failure
            failed = {"reason": self.redactor.redact(f"{type(error).__name__}: {error}")}
            failed["output"] = failed["reason"]
        return self._result(node, StepStatus.FAILED, began, attempt, **failed)

    def _result(self, node: Node, status: StepStatus, began: float, attempt: int, **fields: Any) -> StepResult:
        return StepResult(
            number=node.number,
            name=node.step.name,
            type=node.step.type,
            status=status,
            duration=time.monotonic() - began,
            attempts=attempt,
            **fields,
        )

    def _keep_output(self, node: Node, output: str) -> None:
        self.outputs.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.outputs / f"{node.number:02d}.log").write_text(output, encoding="utf-8", errors="replace")


def _exit(code: int | None) -> str:
    return "unknown" if code is None else f"{code} (ended by signal {-code})" if code < 0 else str(code)
