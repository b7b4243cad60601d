"""Is anything wrong at all? A service that answers is not called broken because of a line in its log."""

from __future__ import annotations

import re

from failback.diagnosis.asked import Answer, answers
from failback.diagnosis.kube import condition, container_states, event_warnings, killed_by_probe, text
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Trace

_HARMLESS_EVENTS = frozenset(
    ["Unhealthy", "FailedScheduling", "BackOff", "FailedMount", "DNSConfigForming", "FailedToUpdateEndpoint", "ProbeWarning", "FailedGetResourceMetric", "FailedComputeMetricsReplicas", "SandboxChanged",
        "MissingClusterDNS", "FailedAttachVolume", "NetworkNotReady"]
)  # fmt: skip


_NEVER_THERE = re.compile(
    r"^/(?:favicon\.ico|robots\.txt|wp-|\.env|\.git|apple-touch|sitemap\.xml|phpmyadmin)", re.IGNORECASE
)


def is_healthy(scene: Scene) -> bool:
    """True when there is a sign of health and none of failure; an empty evidence of a failed step is not healthy."""
    evidence = scene.evidence
    if _failed(scene):
        return False
    if evidence.failed_step is None:
        return True
    if _died(scene):
        return False
    if any(answer.good for answer in answers(scene)) or _says_it_works(scene) or _recovered(scene):
        return True
    if _ended_in_error(scene):
        return False
    return bool(evidence.pods) or evidence.exit_code == 0 or any(replica.lived_s for replica in evidence.replicas)


def _failed(scene: Scene) -> bool:
    evidence = scene.evidence
    ready = bool(evidence.pods) and all(_pod_works(pod) for pod in evidence.pods)
    asked = [
        answer for answer in answers(scene) if not (ready and answer.probe in ("readiness", "liveness", "startup"))
    ]
    if _only_never_there(scene):
        asked = [answer for answer in asked if answer.status != 404]
    return (
        evidence.exit_code not in (None, 0)
        or evidence.api_error is not None
        or bool(evidence.verdict_rule)
        or evidence.timed_out_after_s is not None
        or (not _only_looked(scene, asked) and _answers_failed([answer.good for answer in asked if answer.good or answer.bad]))
        or any(r.exit_code or r.signal or r.oom_killed or r.restarts for r in evidence.replicas)
        or any(not _pod_works(pod) for pod in evidence.pods)
        or (not ready and any(text(event, "reason") != "MissingClusterDNS" for event in event_warnings(evidence.events)))
        or killed_by_probe(evidence.events)
        or any("probe errored" in text(event, "message") for event in evidence.events)
        or any(text(event, "reason") not in _HARMLESS_EVENTS and text(event, "involvedObject", "kind") in ("ReplicaSet", "Job", "Node", "PersistentVolumeClaim") for event in event_warnings(evidence.events))
    )  # fmt: skip


_DIED = re.compile(
    r"^\s*(?:.{0,40}: )?(?:line \d+: +\d+ )?Killed\b|sent SIGKILL|heap out of memory|java\.lang\.OutOfMemoryError|oom-kill|core dumped|Segmentation fault|exited (?:too quickly|with (?:exit )?(?:code|status) [1-9])|entered FATAL state|panic: ",
    re.MULTILINE,
)
_SERVES = re.compile(
    r"\b(?:listening|ready|started|connected|reconnected|serving|running|healthy|accepting|recovered|established|up)\b",
    re.IGNORECASE,
)


def _died(scene: Scene) -> bool:
    """A process that was started again, or a worker that was killed, is no health, whatever answers now."""
    if scene.evidence.pods:
        return False
    return any(document.role == "previous" or _DIED.search(document.text[-40_000:]) for document in scene.logs)


def _recovered(scene: Scene) -> bool:
    """A process that lives, was asked nothing, and whose last words say that it serves, after whatever went wrong before."""
    evidence = scene.evidence
    if (
        evidence.exit_code is not None
        or not scene.logs
        or evidence.pods
        or answers(scene)
        or (scene.step and scene.step_type != "deploy")
    ):
        return False
    if scene.step and _WORKS_NOT.search(scene.step.text):
        return False
    return all(_ends_serving(document) for document in scene.logs)


def _ends_serving(document: Document) -> bool:
    last_bad = max(
        [trace.end for trace in document.traces]
        + [
            i
            for i in range(max(len(document.lines) - 400, 0), len(document.lines))
            if document.level(i) in ("ERROR", "FATAL")
        ],
        default=-1,
    )
    return any(
        _SERVES.search(line[:300]) and document.level(index) in ("", "INFO", "DEBUG")
        for index, line in enumerate(document.lines)
        if index > last_bad and index >= len(document.lines) - 40
    )


_WORKS = re.compile(
    r"^\s*(?:ok|OK|PONG|healthy|ready|SERVING|pass(?:ed)?|PASS(?:ED)?|success(?:ful)?|up|active|running|\{[^\n]{0,200}\"(?:ok|healthy|up|UP|pass)\"[^\n]{0,200}\})\s*$"
    r"|accepting connections|status: SERVING|active \(running\)|\b0 (?:failed|errors|failures)\b|\b(?:all|\d+) (?:checks|tests|requests|probes) (?:passed|ok|succeeded)",
    re.MULTILINE,
)
_WORKS_NOT = re.compile(
    r"fail|error|refused|timed? ?out|denied|unhealthy|not ready|no such|cannot|unable|exception|not found|killed",
    re.IGNORECASE,
)


def _says_it_works(scene: Scene) -> bool:
    """What the step printed ends with a word of success, and none of failure."""
    text_ = "\n".join(scene.step.lines[-6:]) if scene.step else ""
    cleaned = re.sub(r"\b0 (?:failed|errors|failures)\b", "", text_)
    return _WORKS.search(text_) is not None and _WORKS_NOT.search(cleaned) is None and not _ended_in_error(scene)


def _only_never_there(scene: Scene) -> bool:
    """True when every 404 in the service's own log is for a path that browsers and scanners ask for by themselves."""
    asked = [
        m.group(1)
        for d in scene.logs
        for i in d.hits(" 404")
        if (m := re.search(r"\"(?:GET|HEAD) (\S+) HTTP[^\"]*\" 404", d.lines[i]))
    ]
    return bool(asked) and all(_NEVER_THERE.search(path) for path in asked)


_STEP_COMPLAINS = re.compile(r"fail|error|unhealthy|expected|roll(?:ed|ing)? ?back|giv(?:e|ing) up|abort|not ready|timed out", re.IGNORECASE)  # fmt: skip


def _only_looked(scene: Scene, asked: list[Answer]) -> bool:
    """A step that printed requests, some refused as they should be (404 for a path that nobody serves), and ended with a good one."""
    step = scene.step
    return (
        step is not None
        and bool(asked)
        and asked[-1].good
        and all(a.citation.source.startswith("step_output") and a.status is not None and a.status < 500 for a in asked)
        and not _STEP_COMPLAINS.search(step.text)
    )


def _answers_failed(good: list[bool]) -> bool:
    """Requests that fail first and succeed in the end are a start, the other way round is a failure."""
    if not good or all(good):
        return False
    first = good.index(True) if True in good else len(good)
    return not all(good[first:]) or first == len(good)


def _pod_works(pod: object) -> bool:
    """Ready (or ended well), and not started again and again. One restart may happen to a healthy release."""
    phase = condition(pod, "phase")
    if phase == "Succeeded":
        return True
    states = container_states(pod)
    if phase == "Failed" or any(state.waiting or state.failed for state in states):
        return False
    if any(state.restarts > 1 or state.last_reason == "OOMKilled" for state in states):
        return False
    if condition(pod, "Ready"):
        return condition(pod, "Ready") == "True"
    return bool(states) and all(state.ready or state.init for state in states)


def _ended_in_error(scene: Scene) -> bool:
    """A log that ends in a trace belongs to a process that did not come up, whatever its exit code says."""
    return any(_ends(trace, len(document.lines)) for document in scene.logs for trace in document.traces)


def _ends(trace: Trace, lines: int) -> bool:
    return trace.end >= lines - 3
