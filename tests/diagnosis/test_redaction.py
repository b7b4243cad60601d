"""A secret that stands anywhere in the evidence does not come out of the diagnosis."""

from __future__ import annotations

import base64
import json

import pytest
from typer.testing import CliRunner

from failback.cli.main import app
from failback.diagnosis import diagnose
from failback.model.evidence import Evidence, FailedStep, LogPair, ProbeResult, ReplicaEvidence
from failback.model.redaction import Redactor, StreamRedactor

BODY = "Zq7Lw2Rt9Xc4Vb6Nm1Kd8Js5Hf3Gp0Ya"
# Twenty kinds; each is put together here so that no scanner takes this file for a leak.
PLANTED = {
    "aws access key": "AKIA" + "Q3EGR7XN5BZL2MWT",
    "aws secret": "aws_secret_access_key=" + BODY + "12345678",
    "github": "ghp_" + BODY + "Q1w2",
    "github fine-grained": "github_pat_" + BODY + "_" + BODY,
    "gitlab": "glpat-" + BODY[:20],
    "slack bot": "xoxb-" + "2147483647-" + BODY[:24],
    "slack webhook": "https://hooks.slack.com/services/" + "T0AAAAAAA/B0BBBBBBB/" + BODY[:24],
    "discord webhook": "https://discord.com/api/webhooks/123456789/" + BODY,
    "google api key": "AIza" + BODY + "abc",
    "google oauth": "ya29." + BODY,
    "stripe": "sk_" + "live_" + BODY,
    "npm": "npm_" + BODY + "Abcd",
    "pypi": "pypi-" + BODY * 2,
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJ1c2VyIn0." + BODY,
    "bearer": "Authorization: Bearer " + BODY,
    "basic": "Authorization: Basic " + base64.b64encode(b"user:" + BODY.encode()).decode(),
    "url": "postgres://shop:" + BODY + "@db:5432/shop",
    "password pair": "password=" + BODY,
    "json password": '{"db_password": "' + BODY + '"}',
    "private key": "-----BEGIN RSA PRIVATE KEY-----\n" + BODY + "\n" + BODY + "\n-----END RSA PRIVATE KEY-----",
    "sendgrid": "api_key: SG." + BODY[:22] + "." + BODY,
}
CORE = {kind: (BODY[:16] if BODY[:16] in text else text[-16:]) for kind, text in PLANTED.items()}


def everywhere(secret: str) -> Evidence:
    """The secret in every field that holds text."""
    said = f"ERROR cannot connect with {secret}: connection refused"
    pod = {
        "metadata": {"name": "shop-1", "namespace": "shop", "annotations": {"note": secret}},
        "spec": {"containers": [{"name": "app", "image": "shop:1", "env": [{"name": "DSN", "value": secret}], "command": ["run", secret]}]},
        "status": {"containerStatuses": [{"name": "app", "restartCount": 3, "state": {"waiting": {"reason": "CreateContainerConfigError", "message": said}}}]},
    }  # fmt: skip
    return Evidence(
        target="kubernetes",
        failed_step=FailedStep(7, "Deploy", "deploy"),
        exit_code=1,
        step_output=f"$ deploy --with {secret}\n{said}",
        api_error={"reason": "Invalid", "message": f"Deployment \"shop\" is invalid: spec.x: Invalid value: {secret}", "code": 422},
        pods=(pod,),
        events=({"type": "Warning", "reason": "Failed", "message": said, "involvedObject": {"kind": "Pod", "name": "shop-1"}},),
        logs={"shop-1/app": LogPair(f"{said}\nTraceback (most recent call last):\n  File \"/app/a.py\", line 3, in f\n    connect(\"{secret}\")\nValueError: {secret}", said)},
        log_baseline={"shop-0/app": LogPair(secret)},
        manifests=(pod,),
        change=f"--- a/.env\n+++ b/.env\n@@ -1 +1 @@\n-X=1\n+X={secret}\n",
        replicas=(ReplicaEvidence("web-1", exit_code=1),),
        probes=(ProbeResult("web-1", "/", 500, 3.0, "status 200", False, error=said, body_head=said),),
        service="shop",
    )  # fmt: skip


def said_of(evidence: Evidence) -> str:
    found = diagnose(evidence)
    fixes = [fix.as_dict() for fix in found.recommendations]
    return json.dumps([found.as_root_cause(), fixes, found.facts])


@pytest.mark.parametrize("kind", sorted(PLANTED))
def test_a_planted_secret_never_comes_out(kind):
    """As evidence is always read: redacted first (by the collector, or when a case file is opened)."""
    assert len(PLANTED) >= 20
    shape = Redactor().redact_value(everywhere(PLANTED[kind]).as_dict())

    assert CORE[kind] not in json.dumps(shape)
    assert CORE[kind] not in said_of(Evidence.from_dict(shape))


@pytest.mark.parametrize(
    "kind", sorted(set(PLANTED) - {"private key"})
)  # a key's inner lines tell nothing by themselves
def test_a_secret_that_the_collector_missed_is_masked_in_what_is_said(kind):
    assert CORE[kind] not in said_of(everywhere(PLANTED[kind]))


def test_a_case_file_is_redacted_when_it_is_opened(tmp_path):
    secret = PLANTED["private key"]
    case = tmp_path / "case.json"
    case.write_text(json.dumps({"id": "x", "given": everywhere(secret).as_dict(), "expect": {}}))

    result = CliRunner().invoke(app, ["diagnose", "--case", str(case), "--json"])

    assert result.exit_code == 0, result.output
    assert CORE["private key"] not in result.output


def test_values_that_are_met_on_the_way_are_masked_from_then_on():
    """A manifest's Secrets are known only once it is rendered; what was given at first stays masked."""
    redactor = Redactor(["first-value"])
    stream = StreamRedactor(redactor)

    before = redactor.redact("first-value second-value")
    redactor.add(["second-value", "tiny"])
    redactor.add(["second-value"])

    assert before == "*** second-value"
    assert redactor.redact("first-value second-value tiny") == "*** *** tiny"
    assert stream.feed(b"second-value\n") == b"***\n"
    assert redactor.longest_form_bytes >= len("second-value")
