"""`failback init`: what a folder's plan looks like, and that it is always valid."""

# ruff: noqa: E501 - a row of a table is read on one line

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from failback.executor.plan_file import load_plan, load_text
from failback.executor.scaffold import Scaffold, look, scaffold, service_name, write_scaffold
from failback.model.plan import KubernetesReleaseSpec, LocalReleaseSpec, Plan
from failback.model.plan_schema import plan_schema

FLASK = "from flask import Flask\n\napp = Flask(__name__)\n\n@app.get('/healthz')\ndef health(): return 'ok'\n"
MANAGE = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\n"
NODE = {
    "name": "shop",
    "scripts": {"start": "node server.js", "build": "tsc", "test": "vitest run", "lint": "eslint ."},
}

# name -> (listing, the start command's words, the types and commands of the active steps)
FOLDERS = {
    "flask-gunicorn": (
        {"requirements.txt": "Flask==3.0\ngunicorn\n", "app.py": FLASK},
        "python3 -m gunicorn --bind 127.0.0.1:$PORT app:app",
        [("build", "python3 -m pip install --quiet --upgrade --target vendor -r requirements.txt"), ("deploy", None)],
    ),
    "flask-alone": (
        {"requirements.txt": "flask\npytest\n", "web.py": FLASK.replace("app =", "api ="), "tests/test_web.py": ""},
        "python3 -m flask --app web:api run --host 127.0.0.1 --port $PORT",
        [("build", None), ("test", "python3 -m pytest -q"), ("deploy", None)],
    ),
    "flask-factory": (
        {"requirements.txt": "flask\ngunicorn\n", "shop/__init__.py": "def create_app():\n    pass\n"},
        "python3 -m gunicorn --bind 127.0.0.1:$PORT 'shop:create_app()'",
        [("build", None), ("deploy", None)],
    ),
    "fastapi": (
        {"pyproject.toml": '[project]\nname="x"\ndependencies=["fastapi>=0.1", "uvicorn"]\n[tool.ruff]\n', "main.py": "from fastapi import FastAPI\napp = FastAPI()\n"},
        "python3 -m uvicorn --host 127.0.0.1 --port $PORT main:app",
        [("build", "python3 -m pip install --quiet --upgrade --target vendor ."), ("quality", "ruff check ."), ("deploy", None)],
    ),
    "django": (
        {"requirements.txt": "Django>=5\ngunicorn==23\n", "manage.py": MANAGE, "shop/wsgi.py": "", "shop/settings.py": ""},
        "python3 -m gunicorn --bind 127.0.0.1:$PORT shop.wsgi",
        [("build", None), ("test", "python3 manage.py test"), ("deploy", None)],
    ),
    "python-script": ({"server.py": "print('hi')\n"}, "python3 server.py", [("deploy", None)]),
    "node": (
        {"package.json": json.dumps(NODE), "package-lock.json": "{}", "server.js": "listen(process.env.PORT)"},
        "node server.js",
        [("build", "npm ci && npm run build"), ("test", "npm test"), ("quality", "npm run lint"), ("deploy", None)],
    ),
    "node-defaults": (
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}, "main": "index.js"}', "index.js": ""},
        "node index.js",
        [("build", "npm install"), ("deploy", None)],
    ),
    "yarn-start": (
        {"package.json": '{"scripts": {"start": "next start -p $PORT"}}', "yarn.lock": ""},
        "yarn start",
        [("build", "yarn install --frozen-lockfile"), ("deploy", None)],
    ),
    "go": (
        {"go.mod": "module shop\n", "cmd/shop/main.go": "package main\n", "shop_test.go": "package shop\n"},
        "./app",
        [("build", "go build -o bin/app ./cmd/shop"), ("test", "go test ./..."), ("quality", "go vet ./..."), ("deploy", None)],
    ),
    "static": ({"public/index.html": None, "README.md": None}, "python3 -m http.server --bind 127.0.0.1 $PORT", [("deploy", None)]),
    "procfile": ({"Procfile": "worker: x\nweb: bin/serve -p $PORT\n", "bin/serve": None}, "bin/serve -p $PORT", [("deploy", None)]),
    "script": ({"run.sh": None}, "sh run.sh", [("deploy", None)]),
    "empty": ({}, "exit 1", [("deploy", None)]),
}  # fmt: skip


def plan_of(made: Scaffold) -> Plan:
    """The scaffold's text as a plan; reserved kinds are let through."""
    return load_text(made.text.encode(), check_files=False, reserved=lambda data: []).plan


@pytest.mark.parametrize("name", FOLDERS)
def test_the_steps_are_real_commands_of_the_stack(name):
    listing, start, steps = FOLDERS[name]

    plan = plan_of(scaffold(listing, name))

    assert isinstance(plan.release, LocalReleaseSpec)
    assert start in " ".join(plan.release.start)
    assert [step.type for step in plan.steps] == [kind for kind, _ in steps]
    for step, (_, run) in zip(plan.steps, steps, strict=True):
        assert run is None or step.run == run


@pytest.mark.parametrize("name", FOLDERS)
def test_every_scaffold_loads_where_it_was_made(name, tmp_path):
    listing, *_ = FOLDERS[name]
    folder = tmp_path / name
    folder.mkdir()
    for path, content in listing.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content or "")

    written = write_scaffold(folder, Path("failback.yaml"))

    assert load_plan(folder / "failback.yaml").plan.service == service_name(name)
    assert written["written"] == [str(folder / "failback.yaml"), str(folder / "failback.schema.json")]
    text = (folder / "failback.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=failback.schema.json\n")
    schema = json.loads((folder / "failback.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(text), schema)
    assert schema == plan_schema()


def test_tools_that_are_not_configured_are_not_run():
    """A first deployment must not fail for a linter that the team never used."""
    made = scaffold({"requirements.txt": "flask\n", "app.py": FLASK}, "shop")

    assert [step.name for step in plan_of(made).steps] == ["Build", "Deploy"]
    assert '# - {name: Security, type: security, run: "pip-audit -r requirements.txt"}' in made.text


def test_a_package_that_only_begins_alike_is_not_the_framework():
    made = plan_of(scaffold({"requirements.txt": "flask-cors\nstarlette-context\n", "app.py": "app = 1\n"}, "shop"))

    assert isinstance(made.release, LocalReleaseSpec)
    assert made.release.start == ("python3", "app.py")


def test_libraries_go_into_the_release_itself():
    """A virtual environment's links would lead out of the release, and an old one would load the new one's libraries."""
    release = plan_of(scaffold(FOLDERS["flask-gunicorn"][0], "shop")).release

    assert isinstance(release, LocalReleaseSpec)
    assert release.env == {"PYTHONPATH": "vendor"}
    taken = plan_of(scaffold({**FOLDERS["flask-gunicorn"][0], "vendor/x.py": None}, "shop")).release
    assert isinstance(taken, LocalReleaseSpec) and taken.env == {"PYTHONPATH": "pylibs"}


def test_a_health_route_is_asked():
    assert plan_of(scaffold(FOLDERS["flask-gunicorn"][0], "shop")).checks.ready.path == "/healthz"
    assert plan_of(scaffold({"app.py": "# see /healthz of the other service\n"}, "shop")).checks.ready.path == "/"


@pytest.mark.parametrize(
    ("listing", "release"),
    [
        ({"k8s/web.yaml": DEPLOYMENT, "k8s/service.yaml": "kind: Service\n"}, {"manifests": ["./k8s"]}),
        ({"web.yaml": DEPLOYMENT, "other.yaml": "a: 1\n"}, {"manifests": ["./web.yaml"]}),
        (
            {"k8s/base/kustomization.yaml": "resources: []\n", "k8s/base/web.yaml": DEPLOYMENT},
            {"kustomize": "./k8s/base"},
        ),
        ({"chart/Chart.yaml": "name: shop\n", "chart/templates/web.yaml": DEPLOYMENT}, {"chart": "./chart"}),
    ],
)
def test_a_cluster_is_recognised(listing, release):
    made = scaffold(listing, "shop")
    plan = plan_of(made)

    assert isinstance(plan.release, KubernetesReleaseSpec)
    shape = plan.release.model_dump()
    found = {**shape, **(shape["helm"] or {})}
    assert {key: found[key] for key in release} == release
    assert any("KUBECONFIG" in note for note in made.notes)


def test_a_service_that_can_run_here_is_for_a_cluster_only_where_there_is_one():
    """Manifests are there too; without a kubeconfig their plan could not be deployed."""
    listing = {**FOLDERS["node"][0], "k8s/web.yaml": DEPLOYMENT}

    here, there = scaffold(listing, "shop"), scaffold(listing, "shop", has_cluster=True)

    assert isinstance(plan_of(here).release, LocalReleaseSpec)
    assert any("manifests in ./k8s" in note for note in here.notes)
    assert isinstance(plan_of(there).release, KubernetesReleaseSpec)
    assert there.notes == ()


def test_where_nothing_but_a_cluster_is_at_hand_what_runs_there_is_the_release():
    made = scaffold({"README.md": None}, "shop", has_cluster=True)

    release = plan_of(made).release
    assert isinstance(release, KubernetesReleaseSpec)
    assert release.objects == ("deployment/shop",)
    assert any("release/objects" in note for note in made.notes)


def test_a_service_without_a_start_command_says_what_to_write():
    made = scaffold({"README.md": None}, "shop")

    assert any("release.start" in note for note in made.notes)
    assert "release.start" in made.text


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "failback.yaml").write_text("mine\n")
    (tmp_path / "failback.schema.json").write_text("mine too\n")

    result = write_scaffold(tmp_path, Path("failback.yaml"))

    assert (tmp_path / "failback.yaml").read_text() == "mine\n"
    assert (tmp_path / "failback.schema.json").read_text() == "mine too\n"
    assert result["written"] == []
    assert "failback.yaml is there already and was not touched." in result["notes"]


def test_a_dangling_link_is_not_written_through(tmp_path):
    """A link to nowhere looks free to a check for existence."""
    (tmp_path / "failback.yaml").symlink_to(tmp_path / "elsewhere.yaml")

    write_scaffold(tmp_path, Path("failback.yaml"))

    assert not (tmp_path / "elsewhere.yaml").exists()


def test_the_listing_leaves_out_what_is_not_the_service(tmp_path):
    for path in (
        "a.py",
        "node_modules/x/index.js",
        ".venv/lib/y.py",
        ".git/config",
        "a/b/c/d/deep.py",
        "big.py",
        "bin.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x = 1\n")
    (tmp_path / "big.py").write_text("x" * 100_000)
    (tmp_path / "bin.py").write_bytes(b"\xff\xfe")
    (tmp_path / "loop").symlink_to(tmp_path)

    listing = look(tmp_path)

    assert {name for name in listing if not name.startswith("loop")} == {"a.py", "big.py", "bin.py"}
    assert (listing["a.py"], listing["big.py"], listing["bin.py"]) == ("x = 1\n", None, None)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Shop (2)", "my-shop-2"),
        ("", "service"),
        ("ÄÖ", "service"),
        ("a" * 80, "a" * 63),
        ("--x--", "x"),
        ("123", "123"),
    ],
)
def test_service_names(folder, name):
    assert service_name(folder) == name


NAMES = st.sampled_from(
    ["requirements.txt", "pyproject.toml", "package.json", "go.mod", "Procfile", "app.py", "manage.py", "index.html", "run.sh",
     "Chart.yaml", "x/kustomization.yaml", "k8s/a.yaml", "Dockerfile", "server.js", "cmd/a b/main.go", "cmd/x-1/main.go", "ruff.toml"]
) | st.text(min_size=1, max_size=8)  # fmt: skip
CONTENTS = st.none() | st.text(max_size=40) | st.sampled_from(
    [FLASK, MANAGE, DEPLOYMENT, json.dumps(NODE), "web: x 'y\n", "web: \\ \x07\n", '{"scripts": {"start": 5}}', "[]", "flask\ngunicorn\n", "[" * 5000]
)  # fmt: skip


@given(st.dictionaries(NAMES, CONTENTS, max_size=6), st.text(max_size=20))
def test_any_folder_gets_a_valid_plan(listing, name):
    """The promise of `init`: what it writes loads, whatever it found."""
    made = scaffold(listing, name)

    assert plan_of(made).steps
