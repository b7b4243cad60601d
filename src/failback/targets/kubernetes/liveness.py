"""Asks a ready pod what its liveness probe will ask, so that a release which the kubelet is going to kill in half a
minute is known now. As patient as the probe itself: one good answer of as many as it may fail is enough."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator

from failback.model.evidence import ProbeResult
from failback.targets.expectations import Question, judge_ready
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.pods import Port, port_number
from failback.targets.kubernetes.reaching import Reach, Way

_TRIES_MAX = 3
_AGAIN_S = 0.3


def questions(pod: Object) -> Iterator[tuple[Question, Port, int]]:
    """(what, where, how often it may fail) of each HTTP liveness probe that is at work from the start on."""
    for container in (pod.get("spec") or {}).get("containers") or ():
        probe = container.get("livenessProbe") or {}
        http = probe.get("httpGet")
        if not http or http.get("host") or probe.get("initialDelaySeconds"):
            continue
        number = port_number(pod, http.get("port"))
        if number is not None:
            headers = {"Host": f"127.0.0.1:{number}"}
            headers |= {str(one["name"]): str(one["value"]) for one in http.get("httpHeaders") or ()}
            question = Question(
                str(http.get("path") or "/"), headers=headers, timeout_s=float(probe.get("timeoutSeconds") or 1)
            )
            port = Port(number, http.get("scheme") == "HTTPS")
            yield question, port, min(_TRIES_MAX, int(probe.get("failureThreshold") or _TRIES_MAX))


async def liveness(reach: Reach, pod: Object) -> list[ProbeResult]:
    """Nothing where all is well; else the answers of a probe that failed each time. Raises as `Reach.ask` does."""
    for question, port, tries in questions(pod):
        answers: list[ProbeResult] = []
        while len(answers) <= tries:
            if answers:
                await asyncio.sleep(_AGAIN_S)
            answer = await reach.ask(pod, question, port)
            if reach.way is Way.NONE:
                return []
            judged = judge_ready(pod["metadata"]["name"], {"path": question.path}, answer)
            if judged.passed:
                break
            answers.append(dataclasses.replace(judged, kind="smoke", expected=f"{judged.expected} (liveness probe)"))
        else:
            return answers
    return []
