"""Is anything wrong at all? A service that answers is not called broken because of a line in its log."""

from __future__ import annotations

import re

from failback.diagnosis.kube import condition, container_states, event_warnings
from failback.diagnosis.scene import Scene

_ANSWERED = re.compile(r"^HTTP/[\d.]+ (\d{3})|(?:->|=>|status(?: code)?:?) ?(\d{3})\b", re.MULTILINE)


def is_healthy(scene: Scene) -> bool:
    """True when there is a sign of health and none of failure; an empty evidence of a failed step is not healthy."""
    evidence = scene.evidence
    if _failed(scene):
        return False
    if evidence.failed_step is None:
        return True
    answers = [int(a or b) for a, b in _ANSWERED.findall(evidence.step_output)]
    signs = (
        bool(evidence.pods),
        bool(evidence.probes),
        bool(answers),
        evidence.exit_code == 0,
        any(replica.lived_s for replica in evidence.replicas),
    )
    return any(signs)


def _failed(scene: Scene) -> bool:
    evidence = scene.evidence
    answers = [int(a or b) for a, b in _ANSWERED.findall(evidence.step_output)]
    return (
        evidence.exit_code not in (None, 0)
        or evidence.api_error is not None
        or bool(evidence.verdict_rule)
        or evidence.timed_out_after_s is not None
        or any(not probe.passed for probe in evidence.probes)
        or any(code >= 400 for code in answers)
        or any(r.exit_code or r.signal or r.oom_killed or r.restarts for r in evidence.replicas)
        or any(_pod_failed(pod) for pod in evidence.pods)
        or (bool(event_warnings(evidence.events)) and not evidence.pods)
    )


def _pod_failed(pod: object) -> bool:
    phase = condition(pod, "phase")
    if phase == "Succeeded":
        return False
    states = container_states(pod)
    if phase == "Failed" or any(
        state.waiting or state.failed or state.restarts or state.last_reason for state in states
    ):
        return True
    return condition(pod, "Ready") == "False" or condition(pod, "PodScheduled") == "False"
