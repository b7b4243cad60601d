"""A language model's opinion of a failure, when the plan names one: asked after phases 1 to 4, shown as its own."""

from __future__ import annotations

import secrets
import time

from failback.executor.context import Outcome
from failback.executor.evidence import load
from failback.executor.phase import Recovery
from failback.model.evidence import INTERRUPTED
from failback.opinion.answer import Unusable, opinion
from failback.opinion.asking import ask
from failback.opinion.question import question

ANSWERED, DROPPED = "answered", "no usable answer"


async def second_opinion(recovery: Recovery) -> Outcome:
    """The durable step. It fails nothing and starts nothing; without a usable answer it says why there is none."""
    x = recovery.x
    settings = x.plan.diagnosis.llm
    told: Outcome = {"model": settings.model, "status": DROPPED}
    if recovery.failure["status"] != "failed" or x.stop.latest == INTERRUPTED:
        return {**told, "reason": "the deployment was stopped by its user", "seconds": 0.0}
    began = time.monotonic()
    try:
        asked = question(load(x), x.kept("diagnosis.json") or {}, secrets.token_hex(8), x.redactor.redact)
        if not asked.lines:
            raise Unusable("there is no evidence to ask about")
        key = x.values.setting("diagnosis.llm.api_key")
        words = await ask(settings.address or "", settings.model or "", key, asked.messages, settings.timeout)
        told |= {"status": ANSWERED, **opinion(words, asked.lines, x.redactor.redact).as_dict()}
    except Unusable as error:
        told["reason"] = str(error)
    except Exception as error:  # noqa: BLE001 - a help: the phases after it must run all the same
        told["reason"] = f"{type(error).__name__}"
    told["seconds"] = round(time.monotonic() - began, 3)
    x.emit("opinion", **told)
    return told
