"""The command as a stranger meets it: help, mistakes, exit codes, JSON, speed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAILBACK = [sys.executable, "-m", "failback.cli.main"]
COMMANDS = [
    "init",
    "plan",
    "deploy",
    "status",
    "history",
    "explain",
    "rollback",
    "backups",
    "drill",
    "diagnose",
    "resume",
    "down",
    "doctor",
    "install",
]


def failback(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAILBACK")}
    return subprocess.run(
        [*FAILBACK, *arguments],
        cwd=cwd,
        env=kept | {"FAILBACK_HOME": str(cwd / "home")} | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def write_plan(folder: Path, **changed: object) -> None:
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "run.sh").write_text("sleep 1\n")
    plan = {
        "apiVersion": "failback/v1",
        "service": "shop",
        "target": {"kind": "local", "listen": "127.0.0.1:18099"},
        "release": {"path": "app", "start": ["sh", "run.sh"]},
        "steps": [{"name": "Deploy", "type": "deploy"}],
    }
    (folder / "failback.yaml").write_text(json.dumps({**plan, **changed}))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, tmp_path: Path) -> None:
    done = failback(command, "--help", cwd=tmp_path)

    assert done.returncode == 0
    assert "Usage:" in done.stdout
    if command not in ("backups",):
        assert "--json" in done.stdout


def test_help_names_every_command(tmp_path: Path) -> None:
    done = failback("--help", cwd=tmp_path)

    assert all(re.search(rf"^  {command} ", done.stdout, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("deploy", "--yes"), 2, "failback.yaml"),
        (("plan", "-f", "nowhere.yaml"), 2, "nowhere.yaml"),
        (("explain", "nothing"), 2, "nothing"),
        (("rollback", "nobody", "--yes"), 2, "nobody"),
        (("down", "nobody"), 2, "nobody"),
        (("status", "nobody"), 2, "nobody"),
        (("diagnose",), 2, "SERVICE"),
        (("diagnose", "--case", "none.json"), 2, "none.json"),
        (("drill",), 2, "failback.yaml"),
        (("backups", "restore", "17", "--yes"), 2, "17"),
        (("nonsense",), 2, "nonsense"),
        (("deploy", "--nonsense"), 2, "nonsense"),
    ],
)
def test_a_users_mistake_is_told_in_a_sentence(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    """What, where and how to fix it; never a traceback; and nothing was made."""
    done = failback(*arguments, cwd=tmp_path)

    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home" / "failback.db").exists()


@pytest.mark.parametrize("arguments", [("explain", "x"), ("rollback", "x", "--yes"), ("plan",)])
def test_mistakes_in_json_are_one_document(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = failback(*arguments, "--json", cwd=tmp_path)

    assert json.loads(done.stdout)["error"]["code"].startswith("FB-")
    assert done.stderr


def test_an_invalid_plan_names_line_column_and_the_nearest_key(tmp_path: Path) -> None:
    write_plan(tmp_path)
    (tmp_path / "failback.yaml").write_text(
        "apiVersion: failback/v1\nservice: shop\nsteps:\n  - {name: Build, type: build, run: make, retrys: 3}\n"
    )
    done = failback("deploy", "--yes", cwd=tmp_path)

    assert done.returncode == 2
    assert "4:" in done.stderr
    assert "retries" in done.stderr
    assert not (tmp_path / "home").exists()


def test_without_a_terminal_and_yes_it_is_refused(tmp_path: Path) -> None:
    write_plan(tmp_path)
    done = failback("deploy", cwd=tmp_path)

    assert done.returncode == 5
    assert "--yes" in done.stderr
    assert not (tmp_path / "home").exists()


def test_plan_touches_nothing(tmp_path: Path) -> None:
    write_plan(tmp_path, environment="staging")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    done = failback("plan", cwd=tmp_path)
    shape = json.loads(failback("plan", "--json", cwd=tmp_path).stdout)

    assert done.returncode == 0, done.stderr
    assert "first deployment" in done.stdout
    assert shape["steps"] == [{"number": 1, "name": "Deploy", "type": "deploy", "needs": []}]
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_plan_shows_what_will_be_released_and_nothing_else(tmp_path: Path) -> None:
    """A plan in the service's own folder, with a home beside it: neither is part of what runs."""
    start = ["sh", "run.sh"]
    write_plan(tmp_path, release={"path": ".", "start": start, "exclude": ["failback*.yaml", "*.log"]})
    (tmp_path / "server.py").write_text("print('hello')\n")
    (tmp_path / "debug.log").write_text("x\n")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "failback.db").write_text("")
    (tmp_path / "home" / "key.age").write_text("AGE-SECRET-KEY-1\n")

    change = json.loads(failback("plan", "--json", cwd=tmp_path).stdout)["change"]

    assert "b/server.py" in change
    assert not {name for name in ("failback.yaml", "debug.log", "key.age", "SECRET") if name in change}


def test_a_missing_variable_is_named_before_anything(tmp_path: Path) -> None:
    write_plan(tmp_path, release={"path": "app", "start": ["sh", "run.sh"], "env": {"TOKEN": "${NO_SUCH_VARIABLE}"}})
    done = failback("deploy", "--yes", cwd=tmp_path)

    assert done.returncode == 2
    assert "NO_SUCH_VARIABLE" in done.stderr
    assert not (tmp_path / "home").exists()


def test_init_writes_a_plan_that_is_valid_and_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(
        '{"name": "web", "scripts": {"start": "node server.js", "test": "node --test"}}'
    )
    (tmp_path / "server.js").write_text("")
    first = failback("init", cwd=tmp_path)
    text = (tmp_path / "failback.yaml").read_text()
    second = failback("init", cwd=tmp_path)

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "$schema=" in text
    assert (tmp_path / "failback.yaml").read_text() == text
    assert failback("plan", cwd=tmp_path).returncode == 0


def test_doctor_says_what_is_in_force(tmp_path: Path) -> None:
    done = failback("doctor", "--json", cwd=tmp_path)
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)}

    assert done.returncode == 0
    assert "Envoy" in found["proxy"]["message"]
    assert found["memory limits"]["message"]


def test_nothing_deployed_yet_is_no_error(tmp_path: Path) -> None:
    for command in (("status",), ("history",), ("resume",), ("backups", "list"), ("backups", "verify")):
        done = failback(*command, cwd=tmp_path)

        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m failback.cli.main --help | head -1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert "Traceback" not in done.stderr


def test_no_colours_without_a_terminal(tmp_path: Path) -> None:
    write_plan(tmp_path)

    assert "\x1b[" not in failback("plan", cwd=tmp_path, FORCE_COLOR="").stdout


def test_install_prints_a_unit_and_writes_nothing(tmp_path: Path) -> None:
    done = failback("install", "--print", cwd=tmp_path)

    assert done.returncode == 0
    assert "ExecStart=" in done.stdout or "ProgramArguments" in done.stdout


def test_completion_is_there(tmp_path: Path) -> None:
    done = failback("--show-completion", "bash", cwd=tmp_path)

    assert done.returncode in (0, 1, 2)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("arguments", "usual_s"), [(("--help",), 0.2), (("status",), 0.4)])
def test_it_starts_fast(arguments: tuple[str, ...], usual_s: float, tmp_path: Path) -> None:
    """Ten times the promise, since a test machine may be busy; `make bench` prints the true figure."""
    best = min(_timed(arguments, tmp_path) for _ in range(3))

    assert best < usual_s * 10


@pytest.mark.parametrize("arguments", [("--help",), ("status",), ("history",)])
def test_light_commands_import_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """The durable executor and the HTTP client cost half a second: commands that only read never load them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *FAILBACK[1:], *arguments],
        cwd=tmp_path,
        env={**os.environ, "FAILBACK_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}

    assert not loaded & {"dbos", "sqlalchemy", "httpx", "structlog", "apprise"}


def _timed(arguments: tuple[str, ...], folder: Path) -> float:
    began = time.monotonic()
    failback(*arguments, cwd=folder)
    return time.monotonic() - began
