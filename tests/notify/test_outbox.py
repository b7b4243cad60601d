"""The outbox: each channel at most once, in parallel, within the limit, whatever the receivers do."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

from failback.notify.channels import channels_of, settings_of
from failback.notify.messages import message
from failback.notify.outbox import Outbox, deliver_now
from tests.notify.conftest import EXECUTION
from tests.notify.receivers import full_backlog, http_receiver

SLACK = "/services/webhook-secret"
PAGER = "/v2/enqueue"


async def send(outbox, result, config, **limits):
    told = message(result)
    outbox.enqueue(told, channels_of(config))
    done = await outbox.deliver(told.execution_id, config, **limits)
    return {one.channel: one for one in done}


def only(config, *names):
    for name in ("slack", "email", "pagerduty"):
        config[name]["enabled"] = name in names
    return config


async def test_every_enabled_channel_gets_its_message(outbox, result, config, http, smtp):
    mails, port = smtp
    told = message(result)
    settings = config(http.address, port)

    actions = await deliver_now(outbox, told, channels_of(settings), settings)

    assert sorted(actions) == [
        "Email: devops-team@company.com",
        "PagerDuty: incident INC-1737354000 created",
        "Slack: #deployments channel",
    ]
    assert len(http.bodies(SLACK)) == len(http.bodies(PAGER)) == len(mails.got) == 1
    assert set(outbox.states(EXECUTION).values()) == {"sent"}


async def test_channel_that_is_not_enabled_gets_nothing(outbox, result, config, http):
    done = await send(outbox, result, only(config(http.address), "pagerduty"))

    assert set(done) == {"pagerduty"}
    assert http.bodies(SLACK) == []


async def test_delivered_again_nothing_is_sent_again(outbox, result, config, http):
    for _ in range(3):
        done = await send(outbox, result, config(http.address))

    assert {one.state for one in done.values()} == {"sent"}
    assert len(http.got) == 2


@pytest.mark.parametrize("channel", ["slack", "pagerduty"])
@pytest.mark.parametrize("answer", [429, 500, 503, 408])
async def test_what_surely_did_not_arrive_is_tried_again(outbox, result, config, http, channel, answer):
    """The receiver refused it, in words."""
    http.answers = [answer]

    done = await send(outbox, result, only(config(http.address), channel))

    assert (done[channel].state, done[channel].attempts) == ("sent", 2)


@pytest.mark.parametrize("answer", ["hang", "reset", "gone", "drip", 502, 504])
async def test_what_may_have_arrived_is_never_sent_to_people_again(outbox, result, config, http, answer):
    """Slack has no key that tells a repetition; a second alarm for one failure teaches to ignore alarms."""
    http.answers = [answer]

    done = await send(outbox, result, only(config(http.address), "slack"), attempt_s_max=0.5)

    assert done["slack"].state == "unconfirmed"
    assert "may have arrived" in done["slack"].detail
    assert len(http.got) <= 1
    assert (await send(outbox, result, only(config(http.address), "slack")))["slack"].state == "unconfirmed"
    assert len(http.got) <= 1


@pytest.mark.parametrize("answer", ["hang", "reset", "drip", 502])
async def test_pager_is_asked_again_with_the_same_key(outbox, result, config, http, answer):
    http.answers = [answer]

    done = await send(outbox, result, only(config(http.address), "pagerduty"), attempt_s_max=0.5)

    assert done["pagerduty"].state == "sent"
    assert {body["dedup_key"] for body in http.bodies(PAGER)} == {EXECUTION}
    assert len(http.bodies(PAGER)) == 2


@pytest.mark.parametrize("status", [301, 400, 403, 404, 410])
async def test_lasting_refusal_is_not_tried_again(outbox, result, config, http, status):
    http.answers = [(status, {"Location": "/elsewhere"})]

    done = await send(outbox, result, only(config(http.address), "slack"))

    assert (done["slack"].state, done["slack"].attempts) == ("failed", 1)
    assert done["slack"].detail.startswith(f"answered {status}")
    assert "\x1b" not in done["slack"].detail
    assert len(http.got) == 1


async def test_nobody_listens(outbox, result, config):
    done = await send(outbox, result, only(config("http://127.0.0.1:1"), "slack"))

    assert (done["slack"].state, done["slack"].detail, done["slack"].attempts) == ("failed", "ConnectError", 3)


async def test_pause_that_the_receiver_asks_for_is_kept(outbox, result, config, http):
    http.answers = [(429, {"Retry-After": "1"})]

    await send(outbox, result, only(config(http.address), "slack"))

    first, second = (at for _, _, at in http.got)
    assert second - first >= 1.0


async def test_pause_beyond_the_limit_is_not_waited_for(outbox, result, config, http):
    http.answers = [(429, {"Retry-After": "3600"})]

    done = await send(outbox, result, only(config(http.address), "slack"))

    assert (done["slack"].state, done["slack"].attempts) == ("failed", 1)
    assert done["slack"].seconds < 5


@pytest.mark.parametrize("trouble", ["hang", "drip", "flood", "connect"])
async def test_dead_channel_delays_no_other_and_keeps_to_the_limit(outbox, result, config, http, smtp, trouble):
    mails, port = smtp
    settings = config(http.address, port)
    with http_receiver() as dead, full_backlog() as unreachable:
        dead.answers = [trouble] * 10
        settings["slack"]["webhook_url"] = unreachable if trouble == "connect" else dead.address
        began = time.monotonic()
        done = await send(outbox, result, settings, timeout_s_max=2.0)
        took_s = time.monotonic() - began

    assert done["slack"].state == {"flood": "failed", "connect": "failed"}.get(trouble, "unconfirmed")
    assert done["pagerduty"].state == done["email"].state == "sent"
    assert done["pagerduty"].seconds < 2.0
    assert took_s < 20
    assert len(mails.got) == 1


async def test_all_channels_are_tried_at_once(outbox, result, config, http):
    """Both receivers hang for the whole limit: the sum is one limit, not two."""
    http.answers = ["hang"] * 10
    began = time.monotonic()

    await send(outbox, result, config(http.address), timeout_s_max=1.5, attempt_s_max=1.5)

    assert 1.0 < time.monotonic() - began < 2.9


def test_process_ends_though_a_thread_still_hangs(tmp_path, http):
    """A channel that never answers must not keep the command from ending."""
    http.answers = ["hang"] * 10
    script = f"""
        import asyncio
        from pathlib import Path
        from failback.notify.channels import channels_of
        from failback.notify.messages import message
        from failback.notify.outbox import Outbox
        from tests.notify.conftest import a_config, a_result

        async def run():
            outbox = Outbox(Path({str(tmp_path / "o.db")!r}))
            config = a_config({http.address!r})
            outbox.enqueue(message(a_result()), channels_of(config))
            await outbox.deliver("plan_deploy_production_1737354000", config, timeout_s_max=0.5)

        asyncio.run(run())
    """
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)

    assert time.monotonic() - began < 20, "the receiver hangs for 30 s"


async def test_secrets_are_neither_kept_nor_told(outbox, result, config, http, tmp_path, caplog):
    """A webhook's address is a password. Receivers are known to quote what they got, and httpx logs what it asks."""
    caplog.set_level("DEBUG")
    settings = config("http://127.0.0.1:1")
    done = await send(outbox, result, settings, attempts_max=1)
    await send(outbox, {**result, "execution_id": "x_2"}, config(http.address))

    kept = b"".join(path.read_bytes() for path in tmp_path.glob("outbox.db*"))
    for secret in ("webhook-secret", "routing-key-0123456789"):
        assert secret not in repr(done)
        assert secret.encode() not in kept
        assert secret not in caplog.text
    assert len(http.got) == 2


async def test_receiver_that_quotes_the_secret(outbox, result, config, http):
    """Whatever a receiver says of an error is kept without the channel's own secrets."""
    settings = only(config(http.address), "slack")
    settings["slack"]["webhook_url"] = http.address + "/quote"
    http.answers = ["quote"]

    done = await send(outbox, result, settings)

    assert done["slack"].state == "failed"
    assert done["slack"].detail == "answered 400: no such hook: ***"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: c["slack"].update(webhook_url=""), "webhook_url is empty"),
        (lambda c: c["slack"].update(webhook_url="no address"), "no URL"),
        (lambda c: c["slack"].update(webhook_url="ftp://x/y"), "no URL"),
        (lambda c: c["slack"].update(webhook_url="http://[::1"), "no URL"),
        (lambda c: c.pop("slack"), "KeyError"),
    ],
)
async def test_wrong_settings_fail_that_channel_alone(outbox, result, config, http, change, why):
    settings = config(http.address)
    names = channels_of(settings)
    change(settings)
    outbox.enqueue(message(result), names)

    done = {one.channel: one for one in await outbox.deliver(EXECUTION, settings)}

    assert done["slack"].state == "failed"
    assert why in done["slack"].detail
    assert done["pagerduty"].state == "sent"


async def test_message_that_waits_is_the_one_that_is_sent(outbox, result, config, http):
    """A resumed execution builds its message anew; what was promised first is what goes out."""
    settings = only(config(http.address), "slack")
    outbox.enqueue(message(result), channels_of(settings))
    result["root_cause"]["cause"] = "another cause"
    outbox.enqueue(message(result), channels_of(settings))

    await outbox.deliver(EXECUTION, settings)

    assert "another cause" not in str(http.got)
    assert "config/production.json is missing" in str(http.got)


async def test_stopped_in_the_middle_says_so(outbox, result, config, http):
    """Ctrl-C while Slack is being told: nobody knows, so nobody is told twice; the pager is."""
    http.answers = ["hang", "hang"]
    settings = config(http.address)
    running = asyncio.create_task(send(outbox, result, settings))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if len(http.got) == 2:
            break
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert outbox.states(EXECUTION) == {"slack": "unconfirmed", "pagerduty": "pending"}
    done = await send(outbox, result, settings)
    assert done["pagerduty"].state == "sent"
    assert len(http.bodies(SLACK)) == 1


async def test_connection_of_the_caller_is_used_and_left_open(tmp_path, result, config, http):
    db = sqlite3.connect(tmp_path / "own.db", isolation_level=None)
    outbox = Outbox(db)
    await send(outbox, result, config(http.address))
    outbox.close()

    assert db.execute("SELECT count(*) FROM outbox").fetchone() == (2,)
    db.close()


def test_connection_with_transactions_of_its_own_is_refused(tmp_path):
    db = sqlite3.connect(tmp_path / "own.db")
    with pytest.raises(ValueError, match="autocommit"):
        Outbox(db)
    db.close()


async def test_no_channel_is_no_work(outbox, result, config):
    assert await send(outbox, result, only(config("http://127.0.0.1:1"))) == {}


def test_channels_are_named_by_the_settings(config):
    settings = {**config("http://x", 25), "urls": ["json://a", "json://b"]}

    assert channels_of(settings) == ["slack", "email", "pagerduty", "url-1", "url-2"]
    assert settings_of("url-2", settings) == {"url": "json://b"}
    assert channels_of({}) == []
