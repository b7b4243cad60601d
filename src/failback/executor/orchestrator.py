"""Who does a step's work: the built-in one runs its command; any object with `execute_step(step)` may stand in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from failback.model.execution import StepResult, StepStatus

_GOOD = frozenset({"success", "succeeded", "successful", "completed", "complete", "ok", "passed", "done", "skipped"})
_BAD = frozenset({"failed", "failure", "error", "errored", "timeout", "timed_out", "cancelled", "aborted"})
_OUTPUT_KEYS = ("output", "stdout", "logs", "log", "stderr", "error", "message", "reason")


@runtime_checkable
class Orchestrator(Protocol):
    """Does one step; raises, or answers with a mapping (`{"status": "success", "output": ...}`) or a StepResult.

    With `snapshot()` and `restore(snapshot)` it can also be backed up and rolled back in a plan without a target.
    """

    def execute_step(self, step: Any) -> Mapping[str, Any] | StepResult | None: ...


class StepMapping(dict[str, Any]):
    """A step as an orchestrator gets it: a mapping, whose keys are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class UnclearAnswer(ValueError):
    """The orchestrator's answer says neither that the step succeeded nor that it failed."""


def read_answer(answer: Any) -> tuple[bool, str, int | None, dict[str, Any]]:
    """(succeeded, output, exit code, the answer's data) of what an orchestrator gave back.

    None means that the step was done (it would have raised). Raises UnclearAnswer where it can't be told: taking an
    unknown word for a success would deploy what nobody checked.
    """
    if answer is None or answer is True:
        return True, "", None, {}
    if answer is False:
        return False, "", None, {}
    if isinstance(answer, StepResult):
        return (
            answer.status is StepStatus.SUCCEEDED,
            answer.output or answer.reason,
            answer.exit_code,
            dict(answer.data),
        )
    if not isinstance(answer, Mapping):
        raise UnclearAnswer(f"execute_step answered with {type(answer).__name__}; a mapping with 'status' is expected")
    data = {str(key): value for key, value in answer.items()}
    output = "\n".join(str(data[key]) for key in _OUTPUT_KEYS if data.get(key))
    code = data.get("exit_code", data.get("returncode"))
    exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
    return _succeeded(data, exit_code), output, exit_code, data


def _succeeded(data: Mapping[str, Any], exit_code: int | None) -> bool:
    status = data.get("status")
    if isinstance(status, str) and status.lower() in _GOOD:
        return True
    if isinstance(status, str) and status.lower() in _BAD:
        return False
    for flag in (status, data.get("success"), data.get("ok")):
        if isinstance(flag, bool):
            return flag
    if exit_code is not None:
        return exit_code == 0
    if status is None and data.get("error"):
        return False
    raise UnclearAnswer(
        f"execute_step answered with status {status!r}: it should be one of {', '.join(sorted(_GOOD | _BAD))}"
    )
