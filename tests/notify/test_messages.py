"""What is told: everything a person needs, nothing that acts, nothing that is secret."""

from __future__ import annotations

import email
import email.policy
import html
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.model.redaction import Redactor
from failback.notify.mail import as_html, as_mail
from failback.notify.messages import as_text, clean, message
from failback.notify.pagerduty import as_pagerduty
from failback.notify.slack import as_slack
from tests.notify.conftest import a_result

HOSTILE = (
    "<!channel> <@U123> <http://evil|click> & ``` *b* </td><script>alert(1)</script>"
    "\x1b[2J\x1b]0;title\x07\x1b]8;;http://evil\x1b\\ \r\nBcc: all@company.com\n\n\u202egnp\x00\x9b31m\u2028x"
)


def forms(told):
    """Every text that leaves, by channel, as it goes over the wire."""
    return {
        "text": as_text(told),
        "html": as_html(told),
        "slack": json.dumps(as_slack(told, "#deployments"), ensure_ascii=False),
        "pagerduty": json.dumps(as_pagerduty(told, "key"), ensure_ascii=False),
        "mail": as_mail(told, "failback@company.com", ["a@b.example"]).as_string(),
    }


def hostile_result(text):
    result = a_result()
    result["service"] = text
    result["error"] = {"step": text, "reason": text}
    result["root_cause"] = {"type": text, "cause": text, "recurrence": {"text": text}}
    result["rollback"]["phases"][6]["archive"]["execution"] = text
    for item in result["rollback"]["phases"][5]["recommendations"]:
        item.update(action=text, description=text, example=text)
    return result


def test_that_it_was_there_before_is_told(result):
    result["root_cause"]["recurrence"] = {
        "text": "third time in 14 days; last fixed by memory 64Mi -> 256Mi, 4 min after"
    }

    told = message(result)

    assert all("third time in 14 days" in text for name, text in forms(told).items() if name != "mail")
    assert "Seen before" not in as_text(message(a_result()))


def test_everything_a_person_needs_is_in_every_form(result):
    told = message(result)

    for name, text in forms(told).items():
        if name == "mail":
            continue  # its parts are the text and the HTML
        for needed in (
            "ZERO: 0 of 1,204 requests failed",
            "config/production.json is missing",
            "step 7 (Deploy): exited with code 1 at start",
            "STABLE",
            "Add missing configuration file",
            "failback explain plan_deploy_production_1737354000",
            "/home/ops/logs/failures/execution-1737354000.json",
        ):
            assert needed in html.unescape(text), (name, needed)


def test_slack_has_the_words_of_the_specification(result):
    body = as_slack(message(result), "#deployments")

    assert body["channel"] == "#deployments"
    assert body["blocks"][0]["text"]["text"] == "🚨 Deployment Failed - Automatic Rollback Completed"
    assert body["text"].startswith("🚨 Deployment Failed - Automatic Rollback Completed: notes")


def test_mail_has_the_subject_of_the_specification_and_the_service_as_its_sender(result):
    mail = as_mail(message(result), "failback@company.com", ["devops-team@company.com", "b@company.com"])

    assert mail["Subject"] == "Deployment Failure - Action Required"
    assert mail["From"] == '"failback: notes" <failback@company.com>'
    assert mail["To"] == "devops-team@company.com, b@company.com"
    assert {part.get_content_type() for part in mail.iter_parts()} == {"text/plain", "text/html"}


def test_mail_of_one_execution_has_one_message_id(result):
    first, second = (as_mail(message(result), "failback@company.com", ["a@b.example"]) for _ in range(2))

    assert first["Message-ID"] == second["Message-ID"] == "<plan_deploy_production_1737354000@company.com>"


def test_pagerduty_names_the_incident_and_the_priority(result):
    event = as_pagerduty(message(result), "key")

    assert event["dedup_key"] == "plan_deploy_production_1737354000"
    assert event["payload"]["summary"].startswith("INC-1737354000 notes: ")
    assert event["payload"]["custom_details"]["priority"] == "HIGH"
    assert event["payload"]["severity"] == "error"


def test_second_execution_in_one_second_is_another_incident(result):
    result["execution_id"] += "-2"

    assert message(result).incident == "INC-1737354000-2"


def test_not_stable_is_not_called_completed(result):
    result["rollback"]["system_status"] = "UNSTABLE"
    told = message(result)

    assert "Completed" not in told.title
    assert "Not Stable" in told.title
    assert as_pagerduty(told, "key")["payload"]["severity"] == "critical"


def test_where_nothing_was_touched_nothing_was_rolled_back(result):
    result["rollback"]["phases"][0]["status"] = "skipped"

    assert "Nothing Was Changed" in message(result).title


@pytest.mark.parametrize(
    ("traffic", "impact", "said"),
    [
        ({"requests": 0, "failed": 0}, "ZERO", "ZERO: no requests came"),
        ({"requests": 4000, "failed": 228}, "228 requests failed", "228 of 4,000 requests failed"),
        ({"requests": None, "failed": None, "reason": "the proxy was started anew"}, "UNKNOWN", "UNKNOWN: the proxy"),
        (None, "UNKNOWN", "UNKNOWN: nobody measured it"),
    ],
)
def test_impact_never_stands_without_its_count(result, traffic, impact, said):
    result["traffic"], result["rollback"]["user_impact"] = traffic, impact

    assert said in as_text(message(result))


def test_result_of_the_contract_alone_is_enough(result):
    """Whoever calls with exactly what the contract names gets a message, too."""
    for extra in ("service", "error"):
        del result[extra]
    result["rollback"]["detection"] = {"seconds": 1.3, "reason": "every new replica exited"}
    told = message(result)

    assert "step 7 (Deploy): every new replica exited" in as_text(told)
    assert all(forms(told).values())


def test_result_with_hardly_anything_is_enough():
    told = message({"execution_id": "x_1", "rollback": {}, "root_cause": None, "traffic": None})

    assert not told.stable
    assert all(forms(told).values())


def test_hostile_text_stays_text():
    """What an application prints mentions nobody, marks nothing up, adds no header and moves no cursor."""
    told = message(hostile_result(HOSTILE))
    all_forms = forms(told)

    assert "<!channel>" not in all_forms["slack"]
    assert "<@U123>" not in all_forms["slack"]
    assert "<http://evil" not in all_forms["slack"]
    assert "<script>" not in all_forms["html"]
    assert "<td><" not in all_forms["html"]
    for name, text in all_forms.items():
        for bad in ("\x1b", "\x00", "\x07", "\x9b", "\u202e", "\u2028", "]0;title", "[2J"):
            assert bad not in text, (name, bad)
    for _, value in told.facts:
        assert "\n" not in value


def test_no_header_can_be_added_to_the_mail():
    mail = as_mail(message(hostile_result(HOSTILE)), "failback@company.com", ["a@b.example"])
    parsed = email.message_from_bytes(mail.as_bytes(), policy=email.policy.default)

    assert parsed["Bcc"] is None
    assert set(parsed.keys()) == set(mail.keys())


def test_code_block_in_slack_cannot_be_ended_by_its_text():
    told = message(hostile_result("before ``` after"))

    for block in as_slack(told, "#x")["blocks"]:
        text = block.get("text", {}).get("text", "")
        if text.startswith("```"):
            assert text.count("```") == 2


@given(st.text(max_size=3000))
def test_any_text_keeps_to_the_limits_of_the_channels(text):
    """Slack refuses the whole message when one field is too long or empty; then nobody would be told."""
    told = message(hostile_result(text * 20))
    body = as_slack(told, "#deployments")

    assert len(body["blocks"]) <= 50
    for block in body["blocks"]:
        for part in (block.get("text"), *block.get("fields", ()), *block.get("elements", ())):
            if part is None:
                continue
            most = 150 if part["type"] == "plain_text" else 2000 if "fields" in block else 3000
            assert 1 <= len(part["text"]) <= most
            assert "<" not in part["text"]
    assert 1 <= len(as_pagerduty(told, "k")["payload"]["summary"]) <= 1024
    assert len(json.dumps(as_pagerduty(told, "k"))) < 100_000
    assert len(as_text(told)) < 20_000
    json.dumps(body).encode()
    as_mail(told, "failback@company.com", ["a@b.example"]).as_bytes()


def test_cut_never_leaves_half_an_escape():
    told = message(hostile_result("&" * 5000))

    for block in as_slack(told, "#x")["blocks"]:
        for part in (block.get("text"), *block.get("fields", ())):
            if part:
                assert part["text"].replace("&amp;", "").count("&") == 0


@pytest.mark.parametrize("secret", ["s3cret-of-the-service", "pässword-with-ümlaut"])
def test_secrets_are_in_no_form(secret):
    """Also where a control character was put into the middle of one, and where a text is cut within it."""
    broken = f"{secret[:5]}\x1b[0m{secret[5:]}"
    text = f"token {secret} and {broken} {'x' * 460} {secret} {secret}"
    told = message(hostile_result(text), Redactor([secret]).redact)

    for name, form in forms(told).items():
        assert secret not in html.unescape(form), name
        assert secret[:12] not in html.unescape(form), name


@given(st.text())
def test_cleaned_text_is_one_bounded_line(text):
    line = clean(text, 50)

    assert len(line) <= 50
    assert len(line.splitlines()) <= 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)
    assert clean(line, 50) == line


def test_ordinary_text_is_left_as_it_is():
    """The look-alikes: brackets, arrows, other scripts and emoji are no controls."""
    for text in ("[31m is in the log", "a → b", "日本語 ошибка", "🚨 100 %", "C:\\new\\table"):
        assert clean(text) == text
