"""Telling the team: every channel for real, none twice, a dead one delays nothing."""

from __future__ import annotations

import email
import os
import signal
import sqlite3
import subprocess
import sys
import time
from email import policy
from pathlib import Path
from typing import Any

import pytest

from failback.notify.messages import as_html, as_pagerduty, as_slack, as_text, channels_of, message
from failback.notify.outbox import Outbox
from tests.notify.receivers import http_receiver, smtp_receiver

HOSTILE = "<!channel> *bold* </td><script>alert(1)</script> \x1b[31m\r\nBcc: all@company.com \u202egnp"


def result(reason: str = "exit code 1", cause: str = "the file config/production.json is missing") -> dict[str, Any]:
    phases = [{"number": number, "phase": "x", "status": "succeeded", "duration": 0.1, "actions": []} for number in range(1, 9)]
    phases[5]["recommendations"] = [
        {"priority": "HIGH", "action": "Add the file", "description": "It is missing.", "example": "echo '{}' > config/production.json"}
    ]
    phases[6]["archive"] = {"execution": "/logs/failures/execution-1737354000.json"}
    return {
        "execution_id": "plan_deploy_production_1737354000",
        "service": "shop",
        "deployment": {"failed_at_step": 7},
        "error": {"step": "Deploy", "reason": reason},
        "root_cause": {"type": "missing_file", "cause": cause},
        "traffic": {"requests": 1204, "failed": 0, "source": "proxy"},
        "rollback": {"user_impact": "ZERO", "system_status": "STABLE", "phases": phases},
    }


def config(http: str = "", smtp_port: int = 0, **urls: Any) -> dict[str, Any]:
    return {
        "slack": {"enabled": bool(http), "channel": "#deployments", "webhook_url": f"{http}/slack/secret-path"},
        "email": {
            "enabled": bool(smtp_port),
            "recipients": ["devops-team@company.com"],
            "server": "127.0.0.1",
            "port": smtp_port,
            "sender": "failback@company.com",
            "tls": "none",
        },
        "pagerduty": {"enabled": bool(http), "api_key": "routing-key-0123456789", "address": f"{http}/v2/enqueue"},
        **urls,
    }


async def send(tmp_path: Path, settings: dict[str, Any], **options: Any) -> dict[str, Any]:
    outbox = Outbox(tmp_path / "db")
    told = message(result())
    outbox.enqueue(told, channels_of(settings))
    done = await outbox.deliver(told.execution_id, settings, **options)
    outbox.close()
    return {one.channel: one for one in done}


async def test_the_three_channels_for_real(tmp_path: Path) -> None:
    with http_receiver() as http, smtp_receiver() as (mails, port):
        done = await send(tmp_path, config(http.address, port))

    assert {name: one.state for name, one in done.items()} == {"slack": "sent", "email": "sent", "pagerduty": "sent"}
    bodies = dict(http.got)
    slack, pager = bodies["/slack/secret-path"], bodies["/v2/enqueue"]
    assert slack["channel"] == "#deployments"
    assert slack["blocks"][0]["text"]["text"] == "🚨 Deployment Failed - Automatic Rollback Completed"
    assert pager["dedup_key"] == "plan_deploy_production_1737354000"
    assert pager["payload"]["custom_details"]["priority"] == "HIGH"
    assert "INC-1737354000" in pager["payload"]["summary"]
    mail = email.message_from_bytes(mails.got[0].content, policy=policy.default)
    assert mail["Subject"] == "Deployment Failure - Action Required: shop"
    assert mails.got[0].rcpt_tos == ["devops-team@company.com"]
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert "ZERO: 0 of 1,204 requests failed" in plain.get_content()
    assert done["slack"].detail == "Slack: #deployments channel"
    assert done["email"].detail == "Email: devops-team@company.com"
    assert done["pagerduty"].detail == "PagerDuty: incident INC-1737354000 created"


async def test_passing_troubles_are_repeated(tmp_path: Path) -> None:
    """A rate limit, a server error and a broken connection; the message arrives once."""
    with http_receiver() as http:
        http.answers = [(429, {"Retry-After": "1"}, 0), (500, {}, 0)]
        settings = config(http.address)
        settings["pagerduty"]["enabled"] = False
        done = await send(tmp_path, settings)

        assert done["slack"].state == "sent"
        assert done["slack"].attempts == 3
        assert len(http.got) == 1


async def test_lasting_troubles_are_not(tmp_path: Path) -> None:
    with http_receiver() as http:
        http.answers = [(404, {}, 0)]
        settings = config(http.address)
        settings["pagerduty"]["enabled"] = False
        done = await send(tmp_path, settings)

    assert (done["slack"].state, done["slack"].attempts, done["slack"].detail) == ("failed", 1, "answered 404")


async def test_a_dead_channel_delays_no_other(tmp_path: Path) -> None:
    """Slack hangs for longer than it may; PagerDuty has its message long before."""
    with http_receiver() as hanging, http_receiver() as http:
        hanging.answers = [(200, {}, 8.0)]
        settings = config(http.address)
        settings["slack"]["webhook_url"] = hanging.address
        began = time.monotonic()
        done = await send(tmp_path, settings, timeout_s_max=2.0)

    assert done["pagerduty"].state == "sent"
    assert done["pagerduty"].seconds < 2.0
    assert done["slack"].state == "failed"
    assert time.monotonic() - began < 20


async def test_the_addresses_are_kept_nowhere(tmp_path: Path) -> None:
    """A webhook's address is a password; neither the outbox nor a report of a failure has it."""
    settings = config("http://127.0.0.1:1")
    done = await send(tmp_path, settings, attempts_max=1)

    assert "secret-path" not in repr(done)
    assert b"secret-path" not in b"".join(path.read_bytes() for path in tmp_path.glob("db*"))
    assert b"routing-key" not in b"".join(path.read_bytes() for path in tmp_path.glob("db*"))


async def test_sent_once_however_often_it_is_delivered(tmp_path: Path) -> None:
    with http_receiver() as http:
        for _ in range(3):
            await send(tmp_path, config(http.address))

        assert len(http.got) == 2  # one for Slack, one for PagerDuty


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.notify.test_outbox import config, result, send
asyncio.run(send(Path(sys.argv[1]), config(sys.argv[2])))
"""


@pytest.mark.parametrize("when", ["before it was sent", "while it was being sent", "after it was sent"])
async def test_killed_never_sends_twice(tmp_path: Path, when: str) -> None:
    """Whatever the instant of SIGKILL: Slack gets at most one, PagerDuty one incident, and what is unsure is told."""
    with http_receiver() as http:
        http.answers = [(200, {}, 1.0)] * 2
        if when != "before it was sent":
            child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), http.address], cwd=Path(__file__).parents[2])
            _await_state(tmp_path / "db", "sending")
            if when == "after it was sent":
                child.wait(30)
            else:
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
                time.sleep(1.2)
        http.answers = []
        done = await send(tmp_path, config(http.address))
        paths = [path for path, _ in http.got]

    assert paths.count("/slack/secret-path") <= 1
    assert {body["dedup_key"] for path, body in http.got if path == "/v2/enqueue"} == {"plan_deploy_production_1737354000"}
    expected = "unconfirmed" if when == "while it was being sent" else "sent"
    assert done["slack"].state == expected
    assert done["pagerduty"].state == "sent"


async def test_any_other_channel_by_its_url(tmp_path: Path) -> None:
    """apprise's generic JSON channel, to a real receiver."""
    with http_receiver() as http:
        settings = config(urls=["json://" + http.address.removeprefix("http://") + "/any"])
        done = await send(tmp_path, settings)

        assert done["url-1"].state == "sent"
        assert "config/production.json" in http.got[0][1]["message"]


def test_hostile_text_stays_text() -> None:
    """What an application prints may neither mention a channel, nor mark up, nor add a header, nor act on a terminal."""
    told = message(result(reason=HOSTILE, cause=HOSTILE))
    slack = str(as_slack(told, "#x"))

    assert "<!channel>" not in slack
    assert "&lt;!channel&gt;" in slack
    assert "<script>" not in as_html(told)
    for text in (as_text(told), slack, str(as_pagerduty(told, "k")), as_html(told)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert all("\n" not in value for _, value in told.facts)


def test_lengths_are_bounded() -> None:
    told = message(result(reason="x" * 1_000_000, cause="y" * 1_000_000))

    assert len(as_text(told)) < 10_000
    assert all(len(str(block)) < 40_000 for block in as_slack(told, "#x")["blocks"])


def test_the_title_says_what_is() -> None:
    """Not stable is not "completed"; and where nothing was touched, nothing was rolled back."""
    unstable, untouched = result(), result()
    unstable["rollback"]["system_status"] = "UNSTABLE"
    untouched["rollback"]["phases"][0]["status"] = "skipped"

    assert "Not Stable" in message(unstable).title
    assert "Nothing Was Changed" in message(untouched).title
    assert as_pagerduty(message(unstable), "k")["payload"]["severity"] == "critical"


def _await_state(path: Path, state: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                states = {row[0] for row in db.execute("SELECT state FROM outbox")}
            if states == {state}:
                return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"the outbox never came to {state}")
