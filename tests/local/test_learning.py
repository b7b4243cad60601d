"""Failures of real processes, remembered: the second one is named, its fix is told, a person is believed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from typing import Any

from tests.local.world import World


def break_it(world: World, number: int) -> dict[str, Any]:
    """A release without its settings."""
    world.release(number)
    (world.folder / "app" / "settings.json").unlink()
    result = world.deploy()
    assert result["exit_code"] == 3, result
    return result


def advice(result: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = result["rollback"]["phases"][5]["recommendations"]
    return found


def test_the_third_time_is_named_with_the_last_fix(live: World) -> None:
    """In the result, in `explain`, and with the advice that led to the success first."""
    first = break_it(live, 2)
    break_it(live, 3)
    live.release(4)
    assert live.deploy()["exit_code"] == 0

    third = break_it(live, 5)

    assert first["root_cause"]["recurrence"] is None
    seen = third["root_cause"]["recurrence"]
    assert seen["count"] == 3
    assert seen["text"].startswith("third time in 14 days; last fixed by settings.json")
    assert "It led to a success" in advice(third)[0]["description"]
    assert "third time in 14 days" in live.run("explain").stdout


def test_what_fixed_it_is_told_with_the_commit(live: World) -> None:
    """A fix in a repository is named by its commit."""
    git = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-C", str(live.folder)]
    break_it(live, 2)
    live.release(3)
    (live.folder / ".gitignore").write_text("home\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Bring the settings back"]):
        subprocess.run([*git, *arguments], check=True)
    assert live.deploy()["exit_code"] == 0

    again = break_it(live, 4)

    assert "Bring the settings back (Ann)" in again["root_cause"]["recurrence"]["text"]


def test_a_correction_weighs_the_next_time(live: World) -> None:
    break_it(live, 2)
    done = live.run("explain", "--correct", "missing-configuration", "--note", "copy settings.example.json", "--json")
    assert done.returncode == 0, done.stderr

    again = break_it(live, 3)

    assert again["root_cause"]["type"] == "missing_configuration"
    assert "copy settings.example.json" in again["root_cause"]["cause"]
    assert again["root_cause"]["alternatives"][0]["type"] == "missing_file"
    assert advice(again)[0]["description"] == "copy settings.example.json"


def test_corrections_are_checked(live: World) -> None:
    """A word that is no type names the nearest one; a release that went live has no cause to correct."""
    wrong = live.run("explain", "--correct", "missing_fil")
    good = live.run("explain", "--correct", "missing_file")
    alone = live.run("explain", "--note", "what for?")

    assert (wrong.returncode, good.returncode, alone.returncode) == (2, 2, 2)
    assert "Did you mean missing_file?" in wrong.stderr
    assert "no diagnosis" in good.stderr


def test_the_figures_of_the_history(live: World) -> None:
    break_it(live, 2)
    live.release(3)
    assert live.deploy()["exit_code"] == 0

    figures = json.loads(live.run("history", "--stats", "--json").stdout)
    page = live.run("history", "--stats")

    assert figures["deployment"]["total"] == 3
    assert figures["deployment"]["failed"] == 1
    assert figures["rollback"]["success_rate"] == 1.0
    assert figures["failures"]["types"] == {"missing_file": 1}
    assert figures["failures"]["fix_time"]["missing_file"]["fixed"] == 1
    assert figures["failures"]["retries"]["success_rate"] == 1.0
    assert page.returncode == 0
    assert "Deployments: 3" in page.stdout


def test_the_failed_release_says_how_its_retry_went(live: World) -> None:
    broken = break_it(live, 2)
    again = break_it(live, 3)
    live.release(4)
    good = live.deploy()

    def recovery(execution_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(live.run("explain", execution_id, "--json").stdout)["recovery"]
        return found

    assert recovery(broken["execution_id"])["retry_successful"] is False
    assert recovery(again["execution_id"])["retry_successful"] is True
    assert recovery(again["execution_id"])["redeployed_by"] == good["execution_id"]
    assert recovery(again["execution_id"])["auto_retry"] is False


def test_a_drill_is_not_remembered(live: World) -> None:
    """It failed on purpose: it would spoil the figures."""
    assert live.run("drill", "--yes").returncode == 0

    assert json.loads(live.run("history", "--stats", "--json").stdout)["failures"]["total"] == 0


def test_a_broken_memory_stops_no_recovery(live: World) -> None:
    """Its table was spoiled: the service is back all the same, and the report says that nothing was recalled."""
    with sqlite3.connect(live.home / "failback.db") as database:
        database.execute("DROP TABLE IF EXISTS learned_failures")
        database.execute("CREATE TABLE learned_failures (nonsense TEXT)")

    result = break_it(live, 2)

    assert result["rollback"]["system_status"] == "STABLE"
    assert result["root_cause"]["type"] == "missing_file"
    actions = [action["text"] for action in result["rollback"]["phases"][4]["actions"]]
    assert any("the memory of failures was not asked" in text for text in actions)
    assert live.run("explain").returncode == 0
    figures = live.run("history", "--stats")
    assert (figures.returncode, "Traceback" in figures.stderr) == (1, False)
    assert "What failback remembers of failures" in figures.stderr


def test_reading_commands_do_not_load_the_durable_runtime(live: World) -> None:
    """They would take half a second more."""
    code = (
        "import sys; from failback.cli.main import app\n"
        "try: app([*sys.argv[1:]])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'dbos', 'httpx', 'lightkube'} & set(sys.modules)"
    )
    for command in (["history", "--stats"], ["explain"]):
        arguments = [sys.executable, "-c", code, *command, "--home", str(live.home)]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
