"""What an orchestrator's answer means; an unknown word is never taken for a success."""

from __future__ import annotations

from typing import Any

import pytest

from failback.executor.orchestrator import StepMapping, UnclearAnswer, read_answer
from failback.model.execution import StepResult, StepStatus


@pytest.mark.parametrize(
    ("answer", "succeeded"),
    [
        (None, True),
        (True, True),
        (False, False),
        ({"status": "success"}, True),
        ({"status": "COMPLETED"}, True),
        ({"status": "failed"}, False),
        ({"success": False, "error": "x"}, False),
        ({"success": True}, True),
        ({"exit_code": 0}, True),
        ({"returncode": 2}, False),
        ({"error": "it broke"}, False),
        (StepResult(1, "a", "build", StepStatus.SUCCEEDED), True),
        (StepResult(1, "a", "build", StepStatus.FAILED), False),
    ],
)
def test_answers(answer: Any, succeeded: bool) -> None:
    assert read_answer(answer)[0] is succeeded


@pytest.mark.parametrize("answer", [{"status": "perhaps"}, {"output": "done"}, 7, "success"])
def test_unclear_answers_are_refused(answer: Any) -> None:
    """A deployment must not go on because nobody understood the answer."""
    with pytest.raises(UnclearAnswer):
        read_answer(answer)


def test_output_is_found_under_its_usual_names() -> None:
    assert read_answer({"status": "failed", "stderr": "boom", "exit_code": 3})[1:3] == ("boom", 3)


def test_a_step_is_a_mapping_with_attributes() -> None:
    step = StepMapping({"name": "Build"})

    assert step.name == step["name"] == "Build"
    with pytest.raises(AttributeError):
        _ = step.unknown
