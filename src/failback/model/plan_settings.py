"""The plan's settings beside the service itself: rollback, notifications, backup, diagnosis."""

from __future__ import annotations

from typing import Annotated

from failback.model.plan_base import PlanModel, number, one_of, text, texts
from failback.model.plan_types import Days, Flag, HttpUrl, Path_, PlanValue, PlanValues, Port, Retries, Seconds, Word

_RECIPIENT = text("an e-mail address", pattern=r"[^@\s,;<>]+@[^@\s,;<>]+", most=320)


class RollbackConfig(PlanModel):
    """How a failed release is taken back."""

    auto_rollback_enabled: Flag = True
    failure_threshold: Retries = 3
    rollback_timeout: Seconds = 60.0
    zero_downtime_required: Flag = True


class Slack(PlanModel):
    """An incoming webhook of Slack, or of a server that speaks the same."""

    enabled: Flag = False
    channel: Word = "#deployments"
    webhook_url: PlanValue = ""


class Email(PlanModel):
    """Mail by SMTP."""

    enabled: Flag = False
    recipients: Annotated[tuple[str, ...], texts("a list of e-mail addresses", _RECIPIENT, single=True)] = ()
    server: Word = "localhost"
    port: Port = 25
    sender: Annotated[str, _RECIPIENT] | None = None
    username: PlanValue = ""
    password: PlanValue = ""
    tls: Annotated[
        str, one_of("auto", "starttls", "tls", "none", hints={"ssl": "tls", "true": "tls", "false": "none"})
    ] = "auto"


class PagerDuty(PlanModel):
    """Events v2 of PagerDuty, or of a server that speaks the same."""

    enabled: Flag = False
    api_key: PlanValue = ""
    address: HttpUrl = "https://events.pagerduty.com/v2/enqueue"


class NotificationConfig(PlanModel):
    """Who is told."""

    slack: Slack = Slack()
    email: Email = Email()
    pagerduty: PagerDuty = PagerDuty()
    urls: PlanValues = ()


class Backup(PlanModel):
    """Where snapshots are kept, for how long, and whether they are encrypted."""

    backup_root: Path_ | None = None
    retention_days: Days = 30
    encryption: Flag = True


class LanguageModel(PlanModel):
    """An OpenAI-compatible server that is asked for a second opinion."""

    enabled: Flag = False
    address: HttpUrl | None = None
    model: Word | None = None
    api_key: PlanValue = ""
    timeout: Annotated[float, number("a number of seconds", least=0, most=300, above=True, unit_s=1)] = 20.0


class DiagnosisConfig(PlanModel):
    """What is done to find the cause and to try a fix."""

    try_fixes: Flag = False
    try_timeout: Seconds = 60.0
    try_count: Annotated[int, number("a number of fixes", least=1, most=20, whole=True)] = 5
    llm: LanguageModel = LanguageModel()
