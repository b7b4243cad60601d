"""Whatever the evidence holds, diagnose() answers: fuzzed shapes, binary logs, ten megabytes, hostile lines."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failback.diagnosis import diagnose
from failback.diagnosis.engine import hypotheses
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Diagnosis
from failback.model.evidence import Evidence, FailedStep, LogPair
from failback.model.evidence_form import evidence_from_dict

CASES = sorted((Path(__file__).resolve().parent.parent / "cases").glob("*.json"))
STEP = FailedStep(7, "Deploy", "deploy")
SLOW_S = 2.0  # ten times the promise of 0.2 s for a megabyte, so that a busy machine fails no test

scalars = st.none() | st.booleans() | st.integers(-5, 300) | st.floats(allow_nan=True) | st.text(max_size=40)
objects = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["metadata", "name", "spec", "status", "containers", "containerStatuses", "state", "waiting", "reason", "message", "terminated", "exitCode",
         "lastState", "conditions", "type", "events", "involvedObject", "kind", "details", "causes", "resources", "limits", "cpu", "memory", "readinessProbe",
         "httpGet", "port", "volumes", "configMap", "restartCount", "initContainerStatuses"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
mappings = st.dictionaries(st.sampled_from(["metadata", "spec", "status", "reason", "message", "kind", "type"]), objects, max_size=4)  # fmt: skip


def with_log(text: str, **more: object) -> Evidence:
    return Evidence(target="local", failed_step=STEP, logs={"web-1/app": LogPair(text)}, **more)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    log=st.text(max_size=3000),
    step=st.text(max_size=1000),
    change=st.text(max_size=500),
    code=st.none() | st.integers(-200, 400),
)
def test_any_text_gets_an_answer(log, step, change, code):
    found = diagnose(Evidence(target="none", failed_step=STEP, exit_code=code, step_output=step, logs={log[:20]: LogPair(log, step)}, change=change))  # fmt: skip

    assert isinstance(found, Diagnosis)
    assert 0 <= found.confidence <= 1


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pods=st.lists(mappings, max_size=2), events=st.lists(mappings, max_size=2), error=st.none() | mappings, manifests=st.lists(mappings, max_size=2))  # fmt: skip
def test_any_kubernetes_object_gets_an_answer(pods, events, error, manifests):
    evidence = Evidence(target="kubernetes", failed_step=STEP, pods=tuple(pods), events=tuple(events), api_error=error, manifests=tuple(manifests))  # fmt: skip

    assert isinstance(diagnose(evidence), Diagnosis)


@pytest.mark.parametrize("path", CASES[::6], ids=lambda path: path.stem)
def test_no_rule_breaks_on_a_mutilated_case(path):
    """Lines out of order, cut in the middle, doubled: a rule that raises is a defect, even though the engine survives it."""
    shape = json.loads(path.read_text(encoding="utf-8"))["given"]
    dice = random.Random(path.stem)

    def mutilated(value: object) -> object:
        if isinstance(value, str):
            lines = value.split("\n")
            dice.shuffle(lines)
            return "\n".join(line[: dice.randint(0, len(line))] if dice.random() < 0.3 else line for line in lines)
        if isinstance(value, dict):
            return {
                key: mutilated(inner)
                for key, inner in value.items()
                if key in ("failed_step", "target") or dice.random() > 0.1
            }
        if isinstance(value, list):
            return [mutilated(inner) for inner in value]
        return value

    for _ in range(3):
        wild = mutilated(shape)
        assert isinstance(wild, dict)
        evidence = evidence_from_dict(wild | {"target": shape["target"], "failed_step": shape["failed_step"]})
        assert hypotheses(Scene(evidence))[1] == []


@pytest.mark.parametrize("make", [
    lambda size: "".join(random.Random(1).choices("abcdef \n:=/.-0123456789\x00\x1b[", k=size)),
    lambda size: ("x" * 3999 + "\n") * (size // 4000),
    lambda size: "a" * size,
    lambda size: ('{"level":"error","msg":"' + "e" * 200 + '"}\n') * (size // 220),
    lambda size: ("Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in f\n    g()\nValueError: x\n") * (size // 90),
    lambda size: "(" * (size // 2) + "[" * (size // 2),
    lambda size: "/a" * (size // 2),
    lambda size: ("\tat com.acme.A.b(A.java:3)\n" * 40 + "Caused by: java.lang.X: y\n") * (size // 1100),
], ids=["random", "long lines", "one line", "json", "traces", "brackets", "slashes", "java"])  # fmt: skip
def test_a_megabyte_of_anything_is_read_in_time(make):
    evidence = with_log(make(1_000_000), exit_code=1)
    started = time.perf_counter()

    diagnose(evidence)

    assert time.perf_counter() - started < SLOW_S


def test_ten_megabytes_of_bytes_do_not_hang_it():
    noise = random.Random(3).randbytes(10_000_000).decode("latin-1")

    assert isinstance(diagnose(with_log(noise, exit_code=1)), Diagnosis)


def test_the_error_in_a_long_log_is_found():
    """Given a megabyte of requests with one refused connection near the end, when it exits, then that line is the cause."""
    noise = "\n".join(f"2026-01-01T00:00:{i % 60:02} INFO served request {i} in {i % 90} ms" for i in range(18_000))
    said = diagnose(
        with_log(noise + "\npanic: dial tcp 10.0.0.7:5432: connect: connection refused\n" + noise[:2000], exit_code=2)
    )

    assert said.type == "dependency_unreachable"
    assert "10.0.0.7:5432" in said.cause
