"""Loading a plan: everything that is wrong, at once, with its place and what to write."""

# ruff: noqa: E501 - a row of a table, or of a plan, is read on one line

from __future__ import annotations

import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failback.executor.plan_file import LoadedPlan, load_plan, load_text
from failback.model.errors import PlanError, PlanNotFound
from failback.model.plan import Plan

CONTRACT = """\
apiVersion: failback/v1
service: notes
target:
  kind: local                     # embedded default: processes behind a proxy on this machine
  listen: 127.0.0.1:8080          # where users reach the service
release:
  path: ./notes                   # this folder, copied into an immutable release
  start: ["sh", "run.sh"]         # gets PORT; runs in the release's folder
  env: {LOG_LEVEL: info}
  replicas: 2
  resources: {memory: 256Mi}      # optional: enforced, so that OOM is seen
checks:
  ready: {path: /, timeout: 30}   # seconds a replica may take to its first good answer
  smoke: [{path: /, status: 200, max_ms: 500}]
steps:                            # the seven; each optional, more may be added, `needs` makes the graph
  - {name: Build,    type: build,    run: "python -m compileall -q notes"}
  - {name: Test,     type: test,     run: "python -m pytest -q", timeout: 300}
  - {name: Quality,  type: quality,  run: "ruff check notes"}
  - {name: Security, type: security, run: "pip-audit -r notes/requirements.txt"}
  - {name: Docker,   type: docker,   run: "true"}
  - {name: Verify,   type: verify,   run: "python verify.py"}
  - {name: Deploy,   type: deploy}
rollback_config:     {auto_rollback_enabled: true, failure_threshold: 3, rollback_timeout: 60, zero_downtime_required: true}
notification_config: {slack: {enabled: false, channel: "#deployments", webhook_url: ""}, email: {enabled: false, recipients: []},
                      pagerduty: {enabled: false, api_key: ""}}
backup:              {backup_root: null, retention_days: 30, encryption: true}
"""
LINES = CONTRACT.splitlines()
# A plan that stands alone, without any file; {} is where a test puts something wrong.
STEPS = """\
service: shop
steps:
  - {name: Build, type: build, run: make}
  - {name: Test, type: test, run: make test}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path


def load(text: str, folder: Path, **options: Any) -> LoadedPlan:
    file = folder / "failback.yaml"
    file.write_text(text, encoding="utf-8")
    return load_plan(file, **options)


def problems(text: str, folder: Path, **options: Any) -> list[tuple[str, int, int, str]]:
    with pytest.raises(PlanError) as refused:
        load(text, folder, **options)
    assert refused.value.exit_code == 2
    return [(p["where"], p["line"], p["column"], p["message"]) for p in refused.value.fields["problems"]]


def test_the_contracts_own_example_is_valid(folder):
    loaded = load(CONTRACT, folder)

    assert [step.name for step in loaded.plan.steps] == [
        "Build",
        "Test",
        "Quality",
        "Security",
        "Docker",
        "Verify",
        "Deploy",
    ]
    assert loaded.folder == folder and loaded.source_path == folder / "failback.yaml"
    assert loaded.positions["steps/2/timeout"] == (17, LINES[16].index("300") + 1)
    assert loaded.positions["steps/Test/timeout"] == loaded.positions["steps/2/timeout"]
    assert loaded.digest == loaded.plan.digest()


def test_all_problems_are_told_at_once_in_the_files_order(folder):
    """One problem at a time would be one run a problem."""
    text = (
        CONTRACT.replace("timeout: 300", 'timeout: "5s"')
        .replace("replicas: 2", "replica: 2")
        .replace("./notes", "./note")
    )

    found = problems(text, folder)

    assert [(where, line) for where, line, _, _ in found] == [
        ("release/path", 7),
        ("release/replica", 10),
        ("steps/2/timeout", 17),
    ]
    assert [message for *_, message in found] == [
        'should be a folder that exists, got "./note". Did you mean "notes"?',
        "is no known key. Did you mean `replicas`?",
        'should be a number of seconds, got "5s". Write 5.',
    ]


def test_the_message_shows_the_line_and_points_at_the_place(folder):
    with pytest.raises(PlanError) as refused:
        load(STEPS + "    retrys: 3\n", folder)
    lines = refused.value.message.splitlines()
    with pytest.raises(PlanError) as other:
        load(STEPS.replace("type: test", "type: test, timeout: 5s"), folder)
    caret = other.value.message.splitlines()

    assert lines[0] == "failback.yaml has a problem; nothing was touched."
    assert caret[1] == "failback.yaml:4:39: steps/2/timeout: should be a number of seconds, got 5s. Write 5."
    assert caret[2].endswith("timeout: 5s, run: make test}")
    assert caret[3].index("^") == caret[2].index("5s")


ON_CLUSTER = (
    "service: shop\ntarget: {kind: kubernetes, traffic: {source: SOURCE}}\nrelease: {objects: [deployment/shop]}\n"
)


@pytest.mark.parametrize(
    ("text", "where", "line", "says"),
    [
        ("service: shop\nsteps: []\n", "", 1, "nothing to do"),
        ("service: shop\n", "", 1, "nothing to do"),
        ("steps:\n  - {name: a, type: b, run: c}\n", "service", 1, "is missing. Write service: NAME"),
        ("hello\n", "", 1, "a mapping with keys as"),
        ("- a\n- b\n", "", 1, "a mapping with keys as"),
        ("kind: Deployment\nmetadata: {name: x}\n", "", 1, "is no plan"),
        (STEPS + "colour: red\n", "colour", 5, "is no known key. Known are: apiVersion"),
        (STEPS + "rollback: {}\n", "rollback", 5, "`rollback_config`"),
        (STEPS + "soak: 5\n", "soak", 5, "`checks/soak`"),
        (STEPS + "steps: []\n", "steps", 5, "written twice: it stands in line 2"),
        (STEPS.replace("run: make}", "command: make}"), "steps/1/command", 3, "Did you mean `run`?"),
        (STEPS.replace("run: make}", "run: make, depends_on: []}"), "steps/1/depends_on", 3, "`needs`"),
        (STEPS.replace("Test", "Build"), "steps/2/name", 4, "step 1 has it already"),
        (STEPS.replace("make test", "make test, needs: [Biuld]"), "steps/2/needs/1", 4, 'Did you mean "Build"?'),
        (STEPS.replace("make test", "make test, needs: Biuld"), "steps/2/needs", 4, 'Did you mean "Build"?'),
        (STEPS.replace("make test", "make test, needs: [Test]"), "steps/2/needs", 4, "the step itself (Test)"),
        (STEPS.replace("run: make}", "run: make, needs: [Test]}"), "steps/1/needs", 3, "Build needs Test needs Build"),
        (STEPS.replace(", run: make}", "}"), "steps/1", 3, "should have `run`"),
        (STEPS.replace("type: test", "type: deploy"), "steps/2", 4, ""),
        (STEPS.replace("run: make}", "run: make, service: shop}"), "steps/1/service", 3, "a step of type deploy alone"),
        (STEPS.replace("run: make}", "run: make, cwd: nowhere}"), "steps/1/cwd", 3, "a folder that exists"),
        (STEPS.replace("run: make}", "run: make, env: {A: {from_file: no.txt}}}"), "steps/1/env/A/from_file", 3, "a file that exists"),
        ("service: shop\nsteps: [{name: D, type: deploy}]\n\n\ntarget: {kind: local}\n", "target", 5, "has no `release` beside it"),
        ("service: a\ntarget: {listen: ':1'}\nrelease: {path: notes, start: x}\n", "target/kind", 2, "Write kind: local"),
        (STEPS + "release: {path: notes, start: x}\n", "release", 5, "no `target`"),
        (ON_CLUSTER.replace("SOURCE", "probe"), "target/traffic/address", 2, "is missing: the address that users have"),
        (ON_CLUSTER.replace("SOURCE", "gateway"), "target/traffic/address", 2, "is missing: where the gateway's metrics are"),
        (STEPS + "notification_config: {slack: {enabled: true}}\n", "notification_config/slack/webhook_url", 5, "is missing, and `enabled` is true"),
        (STEPS + "notification_config: {email: {enabled: yes, recipients: []}}\n", "notification_config/email/recipients", 5, "is empty"),
        (STEPS + "notification_config: {pagerduty: {enabled: true, api_key: ''}}\n", "notification_config/pagerduty/api_key", 5, "is empty"),
        (STEPS + "checks: {ready: {status: ok}}\n", "checks/ready/status", 5, "100 to 599"),
        (STEPS + "checks: [soak]\n", "checks", 5, "should be a mapping (key: value), got a list. Write {ready: ...}."),
        (STEPS + "checks:\n", "checks", 5, "got nothing"),
        (STEPS + "strategy: weighted\n", "strategy", 5, "should be dark, got weighted"),
        (STEPS + "checks: {mirror: {methods: [FETCH]}}\n", "checks/mirror/methods/1", 5, "should be one of GET"),
        (STEPS + "'[key]': 1\n", "[key]", 5, "is no known key"),
        ("service: shop\nsteps: {name: a}\n", "steps", 2, "should be a list, got a mapping. Write a - before each entry."),
        ("service: shop\nsteps: [make]\n", "steps/1", 2, "should be a mapping"),
    ],
)  # fmt: skip
def test_one_wrong_thing_is_one_problem_at_its_place(folder, text, where, line, says):
    if not says:  # a deploy step with a command, without a target, is an ordinary step
        load(text, folder)
        return
    (found,) = problems(text, folder)

    assert found[:2] == (where, line)
    assert says in found[3]


SEVERAL = (
    "service: platform\nservices:\n"
    "  shop:\n    target: {kind: local, listen: '127.0.0.1:1'}\n    release: {path: notes, start: x}\n"
    "  search:\n    target: {kind: local, listen: '127.0.0.1:2'}\n    release: {path: notes, start: x}\n"
)
LOCAL = "service: shop\ntarget: {kind: local}\nrelease:\n  path: notes\n  start: sh run.sh\n"


@pytest.mark.parametrize(
    ("text", "where", "line", "says"),
    [
        (LOCAL.replace("notes", "gone"), "release/path", 4, "let its command say so: mkdir -p gone."),
        (LOCAL.replace("notes", "failback.yaml"), "release/path", 4, "is a file"),
        (LOCAL + "  manifests: [k8s]\n", "release/manifests", 6, "it belongs to kubernetes"),
        (LOCAL + "  env: {PORT: 80}\n", "release/env/PORT", 6, "a port of its own"),
        (LOCAL + "  shared: [/var/lib]\n", "release/shared/1", 6, "inside the release"),
        (LOCAL + "  shared: [../x]\n", "release/shared/1", 6, "inside the release"),
        (LOCAL + "steps:\n  - {name: Test, type: test, run: x}\n", "steps", 6, "a step of type deploy"),
        (LOCAL + "steps:\n  - {name: A, type: deploy}\n  - {name: B, type: deploy}\n", "steps/2/type", 8, "step 1 deploys shop already"),
        (LOCAL + "steps:\n  - {name: A, type: deploy, run: x}\n", "steps/1/run", 7, "Put the command into a step before it"),
        (LOCAL + "steps:\n  - {name: A, type: deploy, service: shp}\n", "steps/1/service", 7, "Did you mean shop?"),
        (LOCAL.replace("kind: local", "kind: locl"), "target/kind", 2, "Did you mean local?"),
        (LOCAL.replace("start:", "command:"), "release/command", 5, "Did you mean `start`?"),
        (LOCAL + "services: {a: {target: {kind: local}, release: {path: notes, start: x}}}\n", "target", 2, "below `services`"),
        (SEVERAL.replace("0.1:2", "0.1:1"), "services/search/target/listen", 7, "shop has 127.0.0.1:1 already"),
        (SEVERAL + "steps:\n  - {name: D, type: deploy, service: shop}\n", "services/search", 6, "no step that deploys it"),
        (SEVERAL + "steps:\n  - {name: D, type: deploy}\n", "steps/1", 10, "since the plan has several: shop, search"),
        (SEVERAL.replace("kind: local, listen: '127.0.0.1:1'", "kind: kubernetes").replace("kind: local, listen: '127.0.0.1:2'", "kind: kubernetes").replace("path: notes, start: x", "manifests: '-'"), "services/search/release/manifests", 8, "not be those of shop as well (-)"),
    ],
)  # fmt: skip
def test_problems_of_targets_and_releases(folder, text, where, line, says):
    found = [problem for problem in problems(text, folder) if "is missing" not in problem[3]]

    assert found[0][:2] == (where, line)
    assert says in found[0][3]


def test_several_services_without_steps_are_deployed_one_after_the_other(folder):
    """Each has its Deploy step, in the order in which they are written."""
    plan = load(SEVERAL, folder).plan

    assert [(step.name, plan.service_of(step)) for step in plan.steps] == [
        ("Deploy shop", "shop"),
        ("Deploy search", "search"),
    ]
    assert plan.step_needs()["Deploy search"] == ("Deploy shop",)


def test_one_service_of_several_is_a_plan_of_its_own(folder):
    """It is what a rollback, a drill and its target work with: nothing in it names another service."""
    plan = load(SEVERAL, folder).plan
    alone = plan.alone("search")

    assert (alone.service, alone.services) == ("search", {})
    assert (alone.target, alone.release) == (plan.services["search"].target, plan.services["search"].release)
    assert [(step.name, step.service) for step in alone.steps] == [("Deploy search", None)]
    assert Plan.model_validate(alone.model_dump(mode="json", by_alias=True)) == alone


@pytest.mark.parametrize("run", ["mkdir -p dist", "npm run build -- --out=./dist", "cp -r src dist/"])
def test_a_folder_that_a_step_names_may_be_made_by_it(folder, run):
    """The release is copied when the Deploy step starts: a fresh clone need not hold what Build makes."""
    text = (
        LOCAL.replace("notes", "./dist")
        + f"steps:\n  - {{name: B, type: build, run: '{run}'}}\n  - {{name: D, type: deploy}}\n"
    )

    assert load(text, folder).plan.release is not None


@pytest.mark.parametrize(
    "run", ["make distclean", "mkdir -p redist", "mkdir x && cat dist", "python -m compileall dist", "true"]
)
def test_a_command_that_only_reads_the_folder_makes_nothing(folder, run):
    text = (
        LOCAL.replace("notes", "./dist")
        + f"steps:\n  - {{name: B, type: build, run: '{run}'}}\n  - {{name: D, type: deploy}}\n"
    )

    assert [where for where, *_ in problems(text, folder)] == ["release/path"]


def test_scalars_of_the_environment_keep_their_text(folder):
    loaded = load(
        STEPS
        + "    env: {A: off, B: 1.10, C: 0777, D: '1', E: yes, F: 2026-01-01}\n".replace(
            "    env", "  - {name: X, type: y, run: z, env"
        ).replace("\n", "}\n"),
        folder,
    )

    assert loaded.plan.step("X").env == {"A": "off", "B": "1.10", "C": "0777", "D": "1", "E": "yes", "F": "2026-01-01"}


def test_what_may_be_a_secret_is_not_shown(folder):
    """Messages go to CI logs: a password that was written into the plan by mistake is not repeated there."""
    text = (
        STEPS
        + "notification_config: {slack: {webhook_url: [hush-1]}, email: {password: {a: hush-2}}, pagerduty: {api_key: [hush-3]}}\n"
    )

    with pytest.raises(PlanError) as refused:
        load(text, folder)

    assert len(refused.value.fields["problems"]) == 3
    assert "hush" not in refused.value.message + json.dumps(refused.value.as_dict())


def test_an_error_survives_storing(folder):
    with pytest.raises(PlanError) as refused:
        load(STEPS + "colour: red\n", folder)

    again = pickle.loads(pickle.dumps(refused.value))

    assert again.fields == refused.value.fields and str(again) == str(refused.value)


def test_many_problems_do_not_fill_the_screen(folder):
    text = "service: shop\nsteps:\n" + "".join(f"  - {{name: s{n}, type: x}}\n" for n in range(100))

    with pytest.raises(PlanError) as refused:
        load(text, folder)

    assert len(refused.value.fields["problems"]) == 100
    assert "... and 75 more." in refused.value.message


def test_control_characters_of_a_plan_do_not_reach_the_terminal(folder):
    with pytest.raises(PlanError) as refused:
        load(STEPS + '"a\\e[31m": 1\n', folder)

    assert "\x1b" not in refused.value.message


def test_a_plan_that_is_not_there_names_the_one_that_is(folder):
    (folder / "failback.yml").write_text(STEPS)

    with pytest.raises(PlanNotFound, match=r"Did you mean .*failback\.yml\?"):
        load_plan(folder / "failback.yaml")
    with pytest.raises(PlanNotFound, match="is a folder"):
        load_plan(folder)
    with pytest.raises(PlanNotFound, match="failback init"):
        load_plan(folder / "nowhere" / "x.yaml")
    with pytest.raises(PlanNotFound):
        load_plan("a\0b")


# -- properties ------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
@example(b"service: a\nsteps: [{name: &a a, type: b, run: c, needs: [*a]}]")
@example(b"{}")
@example(b"? {a: b}\n: c")
def test_no_bytes_raise_anything_but_a_plan_error(raw):
    try:
        load_text(raw, check_files=False)
    except PlanError as refused:
        assert refused.fields["problems"]


PLACES = [  # (line from 1, what stands there, what a slip makes of it, the path)
    (3, "target:", "targt:", "targt"),
    (5, "listen:", "lisen:", "target/lisen"),
    (10, "replicas:", "repliccas:", "release/repliccas"),
    (11, "256Mi", "256Zi", "release/resources/memory"),
    (13, "timeout: 30", "timeout: 30s", "checks/ready/timeout"),
    (14, "status: 200", "status: 20", "checks/smoke/1/status"),
    (16, "type: build", "tipe: build", "steps/1/tipe"),
    (20, "name: Docker", "name: Doc/ker", "steps/5/name"),
    (23, "rollback_timeout: 60", "rollback_timeout: -1", "rollback_config/rollback_timeout"),
    (25, "api_key", "apikey", "notification_config/pagerduty/apikey"),
    (26, "retention_days: 30", "retention_days: never", "backup/retention_days"),
]


@given(st.sampled_from(PLACES), st.integers(0, 2**32))
def test_a_planted_error_has_its_own_line_wherever_comments_moved_it(tmp_path_factory, place, seed):
    """Line numbers are right in a file with any layout around the error."""
    line, good, bad, where = place
    assert good in LINES[line - 1]
    lines = [text.replace(good, bad) if number == line else text for number, text in enumerate(LINES, start=1)]
    chance = random.Random(seed)
    moved: list[str] = []
    at = 0
    for number, text in enumerate(lines, start=1):
        if number != 25:  # in the middle of a flow mapping a comment is allowed too, but the line before is not done
            moved += ["# a comment: {[" if chance.random() < 0.5 else "" for _ in range(chance.randrange(3))]
        moved.append(text)
        if number == line:
            at = len(moved)

    with pytest.raises(PlanError) as refused:
        load_text("\n".join(moved).encode(), check_files=False)

    found = {problem["where"]: problem for problem in refused.value.fields["problems"]}
    assert where in found
    assert found[where]["line"] == at
    word = bad.split(": ")[-1].rstrip(":") if ": " in bad and not bad.startswith("tipe") else bad.split(":")[0]
    assert moved[at - 1][found[where]["column"] - 1 :].startswith(word)
