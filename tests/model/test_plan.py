"""The plan's models: defaults, field types, what survives storing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from failback.model.plan import KubernetesReleaseSpec, LocalReleaseSpec, LocalTargetSpec, Plan
from failback.model.plan_base import PlainScalar, nearest, shown
from failback.model.plan_problems import problems_of
from failback.model.plan_types import cpu_cores, memory_bytes
from failback.model.values import FromEnv, FromFile

LOCAL: dict[str, Any] = {
    "service": "shop",
    "target": {"kind": "local"},
    "release": {
        "path": "app",
        "start": "sh run.sh",
        "env": {"A": "${B}", "C": {"env": "D", "default": "e"}, "F": {"from_file": "g"}},
    },
    "checks": {"smoke": [{"path": "/", "headers": {"X-Token": {"env": "T", "secret": False}}}]},
    "steps": [
        {"name": "Build", "type": "build", "run": ["make", "all"]},
        {"name": "Lint", "type": "quality", "run": "make lint", "needs": []},
        {"name": "Deploy", "type": "deploy", "needs": ["Build", "Lint"]},
    ],
}


def with_value(path: str, value: object) -> dict[str, Any]:
    """LOCAL with one more key."""
    data = json.loads(json.dumps(LOCAL))
    part = data
    *way, last = path.split("/")
    for name in way:
        part = part[int(name)] if isinstance(part, list) else part.setdefault(name, {})
    part[last] = value
    return data


def value_at(plan: Plan, path: str) -> Any:
    found: Any = plan
    for name in path.split("/"):
        found = (
            found[int(name)]
            if isinstance(found, tuple)
            else found[name]
            if isinstance(found, dict)
            else getattr(found, name)
        )
    return found


def test_defaults_are_those_of_the_contract():
    plan = Plan.model_validate({"service": "shop", "target": {"kind": "local"}, "release": {"path": "a", "start": "b"}})

    assert isinstance(plan.target, LocalTargetSpec) and plan.target.listen == "127.0.0.1:8080"
    assert (plan.target.host, plan.target.port) == ("127.0.0.1", 8080)
    assert plan.environment == "production"
    assert plan.rollback_config.model_dump() == {
        "auto_rollback_enabled": True,
        "failure_threshold": 3,
        "rollback_timeout": 60,
        "zero_downtime_required": True,
    }
    assert plan.backup.model_dump() == {"backup_root": None, "retention_days": 30, "encryption": True}
    assert (plan.checks.soak, plan.checks.bake, plan.checks.drain) == (2, 5, 10)


def test_a_target_alone_is_deployed_by_an_implied_step():
    """The shortest plan is a service, a target and a release."""
    plan = Plan.model_validate({"service": "shop", "target": {"kind": "local"}, "release": {"path": "a", "start": "b"}})

    assert [(step.name, step.type) for step in plan.steps] == [("Deploy", "deploy")]


def test_steps_follow_one_another_unless_they_say_what_they_need():
    plan = Plan.model_validate(LOCAL)

    assert plan.step_needs() == {"Build": (), "Lint": (), "Deploy": ("Build", "Lint")}
    plain = Plan.model_validate({"service": "s", "steps": [{"name": n, "type": "x", "run": "y"} for n in "abc"]})
    assert plain.step_needs() == {"a": (), "b": ("a",), "c": ("b",)}


def test_the_target_decides_how_a_release_is_read():
    data = {"service": "s", "target": {"kind": "kubernetes"}, "release": {"manifests": "k8s/"}}

    assert isinstance(Plan.model_validate(data).release, KubernetesReleaseSpec)
    assert isinstance(Plan.model_validate(LOCAL).release, LocalReleaseSpec)


@pytest.mark.parametrize(
    "data",
    [
        LOCAL,
        {"service": "s", "target": {"kind": "kubernetes"}, "release": {"manifests": "k8s/", "image": "a:${TAG}"}},
        {"service": "s", "steps": [{"name": "a", "type": "x", "params": {"n": [1, None, {"b": True}]}}]},
        {"service": "s", "services": {"a": {"target": {"kind": "kubernetes"}, "release": {"helm": {"chart": "c"}}}}},
    ],
)
def test_a_plan_survives_storing_as_json(data):
    """A resumed execution reads its plan back from the record; values have to be references still."""
    plan = Plan.model_validate(data)

    stored = json.loads(json.dumps(plan.model_dump(mode="json", by_alias=True)))

    assert Plan.model_validate(stored) == plan
    assert Plan.model_validate(stored).digest() == plan.digest()


def test_references_are_kept_and_not_looked_up():
    plan = Plan.model_validate(LOCAL)

    assert isinstance(plan.release, LocalReleaseSpec)
    assert plan.release.env == {"A": "${B}", "C": FromEnv("D", default="e"), "F": FromFile("g")}


def test_the_digest_sees_content_and_not_layout():
    other = {**LOCAL, "rollback_config": {"failure_threshold": 3}}

    assert Plan.model_validate(LOCAL).digest() == Plan.model_validate(other).digest()
    assert Plan.model_validate(LOCAL).digest() != Plan.model_validate(with_value("environment", "test")).digest()


def test_a_plan_cannot_be_changed():
    with pytest.raises(ValidationError):
        Plan.model_validate(LOCAL).service = "other"


@pytest.mark.parametrize(
    ("path", "given", "means"),
    [
        ("steps/0/timeout", 30, 30.0),
        ("steps/0/timeout", 0.5, 0.5),
        ("steps/0/timeout", PlainScalar("1_000"), 1000.0),
        ("steps/0/timeout", PlainScalar("1e3"), 1000.0),
        ("steps/0/name", PlainScalar("7"), "7"),
        ("steps/0/name", "Prüfung №1 ✓", "Prüfung №1 ✓"),
        ("steps/0/type", "e2e-tests", "e2e-tests"),
        ("steps/0/needs", "Lint", ("Lint",)),
        ("steps/0/run", "a | b > ${C}", "a | b > ${C}"),
        ("steps/0/env", {"A": PlainScalar("off"), "B": PlainScalar("1.10")}, {"A": "off", "B": "1.10"}),
        ("steps/0/env", {"A": True, "B": 5, "C": 1.5}, {"A": "true", "B": "5", "C": "1.5"}),
        ("backup/encryption", PlainScalar("no"), False),
        ("backup/encryption", False, False),
        ("auto_fix", PlainScalar("off"), "off"),
        ("auto_fix", False, "off"),
        ("target/listen", "[::1]:80", "[::1]:80"),
        ("target/listen", "localhost:8080", "localhost:8080"),
        ("release/start", "python app.py --port 1", ("python", "app.py", "--port", "1")),
        ("release/start", "app 'a b'", ("app", "a b")),
        ("release/start", "app --port $PORT", ("sh", "-c", "app --port $PORT")),
        ("release/start", "A=b app", ("sh", "-c", "A=b app")),
        ("release/start", "app --name=x", ("app", "--name=x")),
        ("release/start", ["sh", "-c", "app $PORT"], ("sh", "-c", "app $PORT")),
        ("release/start", ["/bin/bash", "-c", "app ${PORT}"], ("/bin/bash", "-c", "app ${PORT}")),
        ("release/start", ["app", "$PORTAL"], ("app", "$PORTAL")),
        ("release/resources/memory", "1.5Gi", "1.5Gi"),
        ("release/resources/cpu", 2, "2"),
        ("checks/ready/status", 204, (204,)),
        ("checks/ready/status", [200, 302], (200, 302)),
        ("checks/soak", 0, 0.0),
        ("notification_config/email/recipients", "a@b.org", ("a@b.org",)),
    ],
)  # fmt: skip
def test_good_values(path, given, means):
    assert value_at(Plan.model_validate(with_value(path, given)), path) == means


@pytest.mark.parametrize(
    ("path", "given", "says"),
    [
        ("steps/0/timeout", "5s", 'should be a number of seconds, got "5s". Write 5.'),
        ("steps/0/timeout", PlainScalar("2m"), "should be a number of seconds, got 2m. Write 120."),
        ("steps/0/timeout", PlainScalar("1.5 hours"), 'got "1.5 hours". Write 5400.'),
        ("steps/0/timeout", PlainScalar("500ms"), "Write 0.5."),
        ("steps/0/timeout", "30", "Write 30 without quotes."),
        ("steps/0/timeout", 0, "above 0"),
        ("steps/0/timeout", -1, "above 0"),
        ("steps/0/timeout", float("nan"), "a number of seconds"),
        ("steps/0/timeout", float("inf"), "a number of seconds"),
        ("steps/0/timeout", 10**40, "a very large number"),
        ("steps/0/timeout", True, "got true"),
        ("steps/0/timeout", None, "got nothing"),
        ("steps/0/timeout", [1], "got a list"),
        ("steps/0/name", "a/b", "no / and no control characters"),
        ("steps/0/name", "a\nb", "no control characters"),
        ("steps/0/name", "", "an empty text"),
        ("steps/0/type", "Build", "small letters"),
        ("steps/0/run", [], "1 to"),
        ("steps/0/run", "  ", "an empty text"),
        ("steps/0/run", True, 'Write "true"'),
        ("steps/0/needs", {"a": 1}, "a list of step names"),
        ("steps/0/env", ["A=b"], "a mapping of names to values"),
        ("steps/0/env", {"A": None}, 'Write "" for an empty text.'),
        ("steps/0/env", {"A": "${B:-c}"}, "{env: B, default: ...}"),
        ("steps/0/env", {"A": {"form_file": "x"}}, "Did you mean `from_file`?"),
        ("steps/0/env", {"A": {"env": "a b"}}, "the name of an environment variable"),
        ("steps/0/env", {"A": {"env": "B", "from_file": "c"}}, "{from_file: path} or {env:"),
        ("steps/0/env", {"1A": "x"}, "the name of an environment variable"),
        ("steps/0/retries", 1.5, "a whole number"),
        ("steps/0/cwd", "${DIR}/x", "${...} is not replaced in this key"),
        ("service", "Shop", "small letters"),
        ("service", "a" * 64, "at most 63"),
        ("service", "-a", "small letters"),
        ("environment", "../x", "letters, digits"),
        ("target/listen", "8080", "Write 127.0.0.1:8080."),
        ("target/listen", 8080, "Write 127.0.0.1:8080."),
        ("target/listen", ":8080", "Write 0.0.0.0:8080"),
        ("target/listen", "localhost", "an address as 127.0.0.1:8080"),
        ("target/listen", "127.0.0.1:0", "1 to 65535"),
        ("target/listen", "127.0.0.1:70000", "1 to 65535"),
        ("target/listen", "127.0.0.300:80", "no IP address"),
        ("target/listen", "http://a:80", "an address as"),
        ("target/listen", "::1:80", "an address as"),
        ("release/start", ["gunicorn", "-b", ":$PORT"], "no shell is there to replace $PORT"),
        ("release/start", "app 'a", "no closing quotation"),
        ("release/start", "", "empty text"),
        ("release/replicas", 0, "at least 1"),
        ("release/resources/memory", "256MB", "Write 256Mi."),
        ("release/resources/memory", "256 mb", "Write 256Mi."),
        ("release/resources/memory", 256, "that is 256 bytes. Write 256Mi."),
        ("release/resources/memory", "lots", "a quantity of memory"),
        ("release/resources/cpu", "half", "500m (half a core)"),
        ("release/resources/cpu", "1m", "at least 10m"),
        ("checks/ready/path", "health", "Write /health."),
        ("checks/ready/path", "http://x/", "Leave scheme and host out"),
        ("checks/ready/status", 99, "100 to 599"),
        ("checks/ready/status", [], "an empty list"),
        ("checks/smoke/0/method", "get", "Did you mean GET?"),
        ("checks/max_error_increase", 5, "at most 1"),
        ("backup/encryption", "false", "Write false without quotes."),
        ("backup/encryption", 1, "true or false"),
        ("backup/retention_days", 0, "at least 1"),
        ("strategy", "drak", "Did you mean dark?"),
        ("notification_config/email/tls", "ssl", "Did you mean tls?"),
        ("notification_config/email/recipients", ["devops"], "an e-mail address"),
        ("notification_config/pagerduty/address", "events.pagerduty.com", "https://"),
        ("apiVersion", "failback/v2", "should be failback/v1"),
        ("steps/0/params", {"a": object()}, "texts, numbers"),
        ("release/resources/cpu", float("nan"), "got nan"),
    ],
)  # fmt: skip
def test_bad_values_say_what_to_write(path, given, says):
    assert says in refusal(path, given)


@pytest.mark.parametrize("path", ["steps/0/timeout", "steps/0/name", "target/listen", "release/resources/memory"])
def test_a_number_too_long_to_be_written_is_still_an_error_in_words(path):
    """Python refuses to write integers of more than 4300 digits, with a ValueError of its own."""
    assert "a very large number" in refusal(path, 10**5000)
    assert "a very large number" in refusal("steps/0/env", {"A": 10**5000})


def refusal(path: str, given: object) -> str:
    """The one message for one wrong value."""
    data = json.loads(json.dumps(LOCAL))
    part: Any = data
    *way, last = path.split("/")
    for name in way:
        part = part[int(name)] if isinstance(part, list) else part.setdefault(name, {})
    part[last] = given
    with pytest.raises(ValidationError) as refused:
        Plan.model_validate(data)

    (problem,) = problems_of(refused.value, data)
    return problem.message


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("256Mi", 2**28),
        ("1Gi", 2**30),
        ("1.5Gi", 3 * 2**29),
        ("500M", 500_000_000),
        ("1048576", 2**20),
        ("2000k", 2_000_000),
    ],
)
def test_quantities_of_memory(quantity, amount):
    assert memory_bytes(quantity) == amount


@pytest.mark.parametrize(("quantity", "cores"), [("500m", 0.5), ("2", 2.0), ("0.25", 0.25), ("1500m", 1.5)])
def test_quantities_of_cpu(quantity, cores):
    assert cpu_cores(quantity) == cores


def test_a_wrong_value_is_shown_short_and_without_control_characters():
    """A value of a plan from elsewhere must not write to the reader's terminal."""
    assert "\x1b" not in shown("\x1b[31mred\x1b[0m\u202e")
    assert len(shown("x" * 10_000)) <= 70


@pytest.mark.parametrize(
    ("word", "known", "means"),
    [
        ("retrys", ("retries", "run"), "retries"),
        ("maxMs", ("max_ms", "method"), "max_ms"),
        ("MAX-MS", ("max_ms", "method"), "max_ms"),
        ("color", ("timeout", "run"), None),
        ("", ("run",), None),
    ],
)
def test_nearest(word, known, means):
    assert nearest(word, known) == means


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.text(max_size=8).map(PlainScalar)
)


def branches(inner):
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)


TREES = st.recursive(SCALARS, branches, max_leaves=8)
KEYS = (
    "service",
    "target",
    "release",
    "checks",
    "steps",
    "services",
    "rollback_config",
    "notification_config",
    "backup",
)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), TREES, max_size=5))
def test_no_mapping_raises_anything_but_a_validation_error(data):
    """Every wrong value has a sentence: no TypeError or RecursionError of our own validators gets out."""
    try:
        Plan.model_validate(data)
    except ValidationError as refused:
        problems = problems_of(refused, data)
        assert problems and all(problem.message for problem in problems)
