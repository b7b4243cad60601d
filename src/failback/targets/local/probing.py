"""Requests that failback itself sends to a replica: ready checks and smoke requests. Straight, not by the proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failback.model.evidence import ProbeResult
from failback.targets.asking import ask
from failback.targets.expectations import judge_ready, judge_smoke, ready_question, smoke_question


async def ready_check(name: str, port: int, ready: Mapping[str, Any]) -> ProbeResult:
    """One ready check: by default any answer from 200 to 399 is good."""
    return judge_ready(name, ready, await ask("127.0.0.1", port, ready_question(ready)))


async def smoke_request(name: str, port: int, check: Mapping[str, Any], host: str | None) -> ProbeResult:
    """One smoke request, judged by status, body and time."""
    return judge_smoke(name, check, await ask("127.0.0.1", port, smoke_question(check, host)))
