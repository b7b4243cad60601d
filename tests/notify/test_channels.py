"""Each channel against a real server that speaks its protocol."""

from __future__ import annotations

import email
import email.policy
import time

import pytest

from failback.notify import mail, other, pagerduty, slack
from failback.notify.messages import message
from failback.notify.sending import Lasting, Passing, Unclear
from tests.notify.receivers import certificate, smtp_receiver

LIMIT_S = 5.0


@pytest.fixture
def told(result):
    return message(result)


def settings(port, **changes):
    return {
        "recipients": ["devops-team@company.com"],
        "server": "127.0.0.1",
        "port": port,
        "sender": "failback@company.com",
        **changes,
    }


async def test_slack_posts_its_blocks(told, http):
    did = await slack.send(told, {"webhook_url": http.address + "/hook", "channel": "#ops"}, LIMIT_S)

    assert did == "Slack: #ops channel"
    ((path, body, _),) = http.got
    assert (path, body["channel"]) == ("/hook", "#ops")
    assert body["blocks"][0]["type"] == "header"


async def test_pagerduty_posts_its_event(told, http):
    did = await pagerduty.send(told, {"address": http.address + "/v2/enqueue", "api_key": "R0"}, LIMIT_S)

    assert did == "PagerDuty: incident INC-1737354000 created"
    ((_, body, _),) = http.got
    assert (body["routing_key"], body["event_action"]) == ("R0", "trigger")


@pytest.mark.parametrize("date", [True, False])
async def test_pause_is_read_as_seconds_or_date(told, http, date):
    at = email.utils.formatdate(time.time() + 7, usegmt=True)
    http.answers = [(429, {"Retry-After": at if date else "6"})]

    with pytest.raises(Passing) as error:
        await slack.send(told, {"webhook_url": http.address}, LIMIT_S)
    assert error.value.pause_s is not None
    assert 4 < error.value.pause_s <= 7


async def test_mail_arrives_with_both_parts(told, smtp):
    mails, port = smtp
    did = await mail.send(told, settings(port), LIMIT_S)

    assert did == "Email: devops-team@company.com"
    (envelope,) = mails.got
    assert (envelope.mail_from, envelope.rcpt_tos) == ("failback@company.com", ["devops-team@company.com"])
    arrived = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert arrived["Subject"] == "Deployment Failure - Action Required"
    text = arrived.get_body(("plain",)).get_content()
    assert "ZERO: 0 of 1,204 requests failed" in text
    assert "🚨" in text
    assert "<li>" in arrived.get_body(("html",)).get_content()


async def test_mail_to_several_of_whom_one_is_unknown(told, smtp):
    """The others must get it, and the report must not say that all did."""
    mails, port = smtp
    mails.refused = {"gone@company.com"}
    did = await mail.send(told, settings(port, recipients=["a@company.com", "gone@company.com"]), LIMIT_S)

    assert did == "Email: a@company.com (the server refused gone@company.com)"
    assert mails.got[0].rcpt_tos == ["a@company.com"]


async def test_mail_to_nobody_known(told, smtp):
    mails, port = smtp
    mails.refused = {"devops-team@company.com"}

    with pytest.raises(Lasting, match=r"refuses the recipients \(550\)"):
        await mail.send(told, settings(port), LIMIT_S)
    assert mails.got == []


@pytest.mark.parametrize("password", ["password", "pässword"])
@pytest.mark.parametrize("tls", ["starttls", "auto"])
async def test_mail_by_starttls_with_an_account(told, tmp_path, monkeypatch, tls, password):
    context, authority = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with smtp_receiver(tls=context, account=("ops", password)) as (mails, port):
        await mail.send(told, settings(port, tls=tls, username="ops", password=password), LIMIT_S)

        assert len(mails.got) == 1
        with pytest.raises(Lasting, match="refuses the user name and password"):
            await mail.send(told, settings(port, tls=tls, username="ops", password=password + "!"), LIMIT_S)
        assert len(mails.got) == 1


async def test_mail_by_tls_from_the_first_byte(told, tmp_path, monkeypatch):
    context, authority = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with smtp_receiver(tls=context, implicit=True) as (mails, port):
        await mail.send(told, settings(port, tls="tls"), LIMIT_S)

        assert len(mails.got) == 1


async def test_mail_to_a_server_whose_certificate_nobody_knows(told, tmp_path):
    """Somebody in between must not get the password, and an alarm neither."""
    context, _ = certificate(tmp_path)
    with smtp_receiver(tls=context, account=("ops", "password")) as (mails, port):
        with pytest.raises(Lasting, match="CERTIFICATE_VERIFY_FAILED"):
            await mail.send(told, settings(port, username="ops", password="password"), LIMIT_S)

        assert mails.got == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_password_is_not_sent_in_the_clear(told):
    with smtp_receiver(account=("ops", "password")) as (mails, port):
        with pytest.raises(Lasting, match="not sent in the clear"):
            await mail.send(told, settings(port, username="ops", password="password"), LIMIT_S)
        with pytest.raises(Lasting, match="offers no STARTTLS"):
            await mail.send(told, settings(port, tls="starttls"), LIMIT_S)
        assert mails.got == []

        await mail.send(told, settings(port, tls="none", username="ops", password="password"), LIMIT_S)
        assert len(mails.got) == 1


@pytest.mark.parametrize(
    ("answer", "kind"), [("451 try later", Passing), ("554 no", Lasting), ("hang", Unclear), ("lost", Unclear)]
)
async def test_mail_whose_content_was_sent(told, smtp, answer, kind):
    """Refused with a word it did not arrive; without a word nobody knows."""
    mails, port = smtp
    mails.answers = [answer]

    with pytest.raises(kind):
        await mail.send(told, settings(port), 1.0)
    assert len(mails.got) == 1


async def test_mail_to_nobody_who_listens(told):
    with pytest.raises(Passing, match=r"127\.0\.0\.1:1: "):
        await mail.send(told, settings(1), LIMIT_S)


async def test_mail_without_recipients(told):
    with pytest.raises(Lasting, match="no recipients"):
        await mail.send(told, settings(25, recipients=[]), LIMIT_S)


async def test_any_other_channel_by_its_address(told, http):
    address = "json://" + http.address.removeprefix("http://") + "/any?token=secret-token"
    did = await other.send(told, {"url": address}, LIMIT_S)

    assert did == "json: sent"
    assert "0 of 1,204 requests failed" in str(http.got)


async def test_address_that_apprise_does_not_know(told):
    with pytest.raises(Lasting, match="does not know this kind"):
        await other.send(told, {"url": "nonsense://x"}, LIMIT_S)


async def test_other_channel_that_fails_is_not_tried_again(told, http, caplog):
    """apprise does not say whether anything was sent; nor may it write the address into the log."""
    caplog.set_level("DEBUG")
    http.answers = [500]
    address = "json://" + http.address.removeprefix("http://") + "/secret-path"

    with pytest.raises(Lasting, match="could not deliver"):
        await other.send(told, {"url": address}, LIMIT_S)
    assert "secret-path" not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("apprise"))
