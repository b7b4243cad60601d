"""What the infrastructure itself says: container states, conditions, events, the API server's answers, as one list.

A rule for Kubernetes asks this list, so that the same message is understood wherever it stands: in a pod's status, in an
event that outlived the pod, in the API server's answer, or in what kubectl and helm printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from failback.diagnosis.kube import container_states, items, name_of, number, text
from failback.diagnosis.rule import Hypothesis, Rule, summary
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Citation

STATEMENTS_MAX = 400
MESSAGE_CHARS_MAX = 4_000
_PRINTED = re.compile(
    r"^(?:E\d{4} .*\] )?(?:Error from server(?: \((?P<reason>\w+)\))?: |(?:Error|error): (?:(?:INSTALLATION|UPGRADE) FAILED: |error (?:when|validating|parsing) )?|The (?P<kind>\w+) \"(?P<name>[^\"]*)\" is invalid:? ?"
    r"|\* (?:spec|metadata)[.\[]|Warning: .*PodSecurity|.*(?:violates PodSecurity|admission webhook \"|exceeded quota: |is forbidden: |no matches for kind \"|strict decoding error))"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of the kubelet, scheduler, a controller or the API server; `source` says where it stands."""

    source: str
    reason: str
    message: str
    kind: str = ""
    name: str = ""
    container: str = ""
    init: bool = False

    @property
    def owner(self) -> str:
        """The workload's name in a pod's or ReplicaSet's: shop-7d9f8c6b5-abcde -> shop."""
        name = re.sub(r"-[a-z0-9]{6,10}-[a-z0-9]{5}$", "", self.name)
        return (
            re.sub(r"-[a-z0-9]{5,10}$", "", name) if self.kind in ("ReplicaSet", "Job") and name == self.name else name
        )

    def cited(self) -> tuple[Citation, ...]:
        """The sentence as a citation."""
        said = f"{self.reason}: {self.message}" if self.reason and self.reason not in self.message else self.message
        return (Citation(self.source, " ".join(said.split())[:300]),)


def statements(scene: Scene) -> tuple[Statement, ...]:
    """Every statement in the evidence, the API server's answer first, then pods, events, and printed answers; each once."""
    if scene.statements is None:
        seen: dict[tuple[str, str], Statement] = {}
        for statement in _all(scene):
            seen.setdefault((statement.reason, statement.message[:500]), statement)
            if len(seen) >= STATEMENTS_MAX:
                break
        scene.statements = tuple(seen.values())
    return scene.statements


def _all(scene: Scene) -> Iterator[Statement]:
    yield from _api(scene)
    for pod in scene.pods():
        yield from _pod(pod)
    started = _started(scene)
    for number_, event in enumerate(scene.evidence.events):
        if text(event, "reason") in _BEFORE_START and text(event, "involvedObject", "name") in started:
            continue  # it was over before the container ran
        if text(event, "type") != "Normal" or text(event, "reason") in (
            "Killing",
            "NodeNotReady",
            "TaintManagerEviction",
        ):
            yield Statement(
                f"events:{number_}", text(event, "reason"), text(event, "message")[:MESSAGE_CHARS_MAX] or text(event, "note")[:MESSAGE_CHARS_MAX],
                text(event, "involvedObject", "kind") or text(event, "regarding", "kind"), text(event, "involvedObject", "name") or text(event, "regarding", "name"),
                _container_in(text(event, "involvedObject", "fieldPath")), "initContainers" in text(event, "involvedObject", "fieldPath"))  # fmt: skip
    for number_, manifest in enumerate(scene.evidence.manifests):
        for entry in items(manifest, "status", "conditions"):
            if text(entry, "message"):
                yield Statement(f"manifests:{number_}", text(entry, "reason"), text(entry, "message")[:MESSAGE_CHARS_MAX], text(manifest, "kind"), name_of(manifest))  # fmt: skip
    yield from _printed(scene)


_BEFORE_START = frozenset(
    {"FailedScheduling", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NetworkNotReady"}
)


def _started(scene: Scene) -> frozenset[str]:
    """Names of pods of which a container has run."""
    return frozenset(
        state.pod
        for pod in scene.pods()
        for state in container_states(pod)
        if not state.init and (state.ready or state.restarts or state.end_code is not None)
    )


def _api(scene: Scene) -> Iterator[Statement]:
    error = scene.evidence.api_error
    if error is None:
        return
    kind, name = text(error, "details", "kind"), text(error, "details", "name")
    message = text(error, "message")
    causes = [f"{text(c, 'field')}: {text(c, 'message')}".strip(": ") for c in items(error, "details", "causes")]
    missing = [cause for cause in causes if cause and cause.split(": ", 1)[-1] not in message]
    reason = text(error, "reason") or {403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid", 400: "BadRequest"}.get(number(error, "code") or 0, "")  # fmt: skip
    yield Statement("api_error", reason, "; ".join((message, *missing[:5]))[:MESSAGE_CHARS_MAX], kind, name)


def _pod(pod: object) -> Iterator[Statement]:
    name = name_of(pod)
    if text(pod, "status", "reason") or text(pod, "status", "message"):
        yield Statement(f"pods/{name}", text(pod, "status", "reason"), text(pod, "status", "message")[:MESSAGE_CHARS_MAX], "Pod", name)  # fmt: skip
    for entry in items(pod, "status", "conditions"):
        if (text(entry, "status") == "False" and text(entry, "type") == "PodScheduled") or text(
            entry, "type"
        ) == "DisruptionTarget":
            yield Statement(f"pods/{name}", "FailedScheduling" if text(entry, "type") == "PodScheduled" else text(entry, "reason"), text(entry, "message")[:MESSAGE_CHARS_MAX], "Pod", name)  # fmt: skip
    for state in container_states(pod):
        for reason, message in (
            (state.waiting, state.message),
            (state.reason, state.message),
            (state.last_reason, state.last_message),
        ):
            if reason and reason not in ("Completed",):
                yield Statement(
                    f"pods/{name}", reason, message[:MESSAGE_CHARS_MAX], "Pod", name, state.name, state.init
                )


def _printed(scene: Scene) -> Iterator[Statement]:
    """What kubectl and helm print of the API server's answer, in the step's output."""
    document = scene.step
    if document is None:
        return
    for index, line in enumerate(document.lines[:5000]):
        match = _PRINTED.match(line[:1000])
        if not match:
            continue
        message = line.strip()
        following = document.lines[index + 1 : index + 8] if line.rstrip().endswith(":") else []
        message = " ".join([message, *(part.strip() for part in following if part.startswith(("*", " ", "\t")))])
        yield Statement(f"step_output:{document.number(index)}", match.group("reason") or ("Invalid" if match.group("kind") else ""),
                        message[:MESSAGE_CHARS_MAX], match.group("kind") or "", match.group("name") or "")  # fmt: skip


def _container_in(path: str) -> str:
    match = re.search(r"ontainers\{([^}]+)\}", path)
    return match.group(1) if match else ""


@dataclass(frozen=True, slots=True)
class Told:
    """A statement that a rule's pattern matched."""

    scene: Scene
    statement: Statement
    match: re.Match[str]

    def get(self, name: str) -> str:
        """A named group, stripped; "" where it did not take part."""
        return (self.match.groupdict().get(name) or "").strip()


def statement_rule(
    name: str, reasons: str, pattern: str, source: str
) -> Callable[[Callable[[Told], Hypothesis | None]], Rule]:
    """Makes a rule of a function that explains one statement.

    `reasons`: reasons separated by "|" that the statement must have ("" for any); `pattern` is searched in its message.
    """
    wanted = frozenset(reasons.split("|")) if reasons else frozenset()
    compiled = re.compile(pattern, re.IGNORECASE)

    def decorate(build: Callable[[Told], Hypothesis | None]) -> Rule:
        def find(scene: Scene) -> Iterable[Hypothesis]:
            for statement in statements(scene):
                if wanted and statement.reason not in wanted:
                    continue
                match = compiled.search(statement.message)
                hypothesis = build(Told(scene, statement, match)) if match else None
                if hypothesis is not None:
                    yield stated(hypothesis, statement)

        return Rule(name, source, find, summary(build))

    return decorate


def stated(hypothesis: Hypothesis, statement: Statement) -> Hypothesis:
    """The hypothesis as the infrastructure's own statement, with its citation and component where they were left out."""
    from dataclasses import replace

    return replace(
        hypothesis,
        stated=True,
        citations=hypothesis.citations or statement.cited(),
        component=hypothesis.component or statement.container or statement.owner,
    )
