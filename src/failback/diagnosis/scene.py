"""The evidence prepared for the rules: documents, the release's change, and small questions that many rules ask."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from failback.facts.change import Change, read_change
from failback.facts.document import Document, is_access_line, level_of
from failback.facts.installed import Installed, installed_in
from failback.facts.signatures import error_lines, template
from failback.facts.traces import Trace
from failback.model.diagnosis import Citation
from failback.model.evidence import Evidence, ProbeResult

DOCUMENTS_MAX = 24
CITED_CHARS_MAX = 300
_ROOTS = (
    "/app/",
    "/usr/src/app/",
    "/srv/app/",
    "/home/app/",
    "/workspace/",
    "/code/",
    "/src/",
    "/opt/app/",
    "./",
    "file://",
)
_HANDLED = re.compile(
    r"\b(?:falling back|fall(?:ing)? ?back to|fallback|ignor(?:ed|ing)|non-?fatal|continuing without|will retry|retrying|retry in|optional|skipp(?:ed|ing)"
    r"|using default|recovered|reconnect(?:ed|ing)|(?<!not )(?<!never )handled(?![ =:]*\d)|gracefully|assuming|using (?:the )?(?:cached|default|last|old)|succeeded on attempt|suppressed|degraded mode)\b",
    re.IGNORECASE,
)
_DEPRECATION = re.compile(
    r"deprecat|\w+Warning: |ExperimentalWarning|\(node:\d+\) \[?\w*Warning|npm (?:warn|WARN)|futurewarning",
    re.IGNORECASE,
)


_PROBE_LINE = re.compile(r"curl: \(\d+\)|\bprobe\b|\bGET (?:https?://|/)|readiness|health ?check|smoke", re.IGNORECASE)


class Scene:
    """One failure as the rules see it; everything is computed once and nothing is changed."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.change: Change = read_change(evidence.change)
        self.installed = installed_in(evidence.release_files)
        self.documents = tuple(_documents(evidence, self.installed))
        step = evidence.failed_step
        self.step_type = step.type.lower() if step else ""
        self.step_name = step.name if step else ""
        self.statements: tuple[Any, ...] | None = None  # what the infrastructure says, read once by `statements()`
        self.answers: tuple[Any, ...] | None = None  # requests and how they ended, read once by `answers()`

    @cached_property
    def logs(self) -> tuple[Document, ...]:
        """The documents that a running program wrote (a step's output apart)."""
        return tuple(document for document in self.documents if document.role != "step")

    @cached_property
    def step(self) -> Document | None:
        """The step's output."""
        return next((document for document in self.documents if document.role == "step"), None)

    @cached_property
    def baseline(self) -> frozenset[str]:
        """Templates of the error lines that the last good revision printed as well."""
        found: set[str] = set()
        for name, pair in self.evidence.log_baseline.items():
            for raw in (pair.current, pair.previous):
                if raw:
                    found.update(error_lines(Document(name, raw)))
        return frozenset(found)

    @cached_property
    def failed_probes(self) -> tuple[ProbeResult, ...]:
        """Requests whose answer was not as expected."""
        return tuple(probe for probe in self.evidence.probes if not probe.passed)

    @property
    def on_kubernetes(self) -> bool:
        """True where the release runs as pods."""
        return self.evidence.target == "kubernetes"

    def is_old(self, document: Document, index: int) -> bool:
        """True when the stable revision printed the same line."""
        return bool(self.baseline) and template(document.lines[index]) in self.baseline

    def is_foreign(self, document: Document, index: int) -> bool:
        """True for a line whose words were written by a caller: a request's record."""
        return document.role != "step" and is_access_line(document.lines[index])

    def is_probe_line(self, document: Document, index: int) -> bool:
        """True for what a deployment step printed of a request to the service itself: not a dependency's answer."""
        return (
            document.role == "step"
            and self.step_type == "deploy"
            and _PROBE_LINE.search(document.lines[index]) is not None
        )

    def is_handled(self, document: Document, index: int) -> bool:
        """True when the line, or the one after it, says that the program went on."""
        line = document.lines[index]
        if _HANDLED.search(line[:2000]):
            return True
        following = document.lines[index + 1] if index + 1 < len(document.lines) else ""
        return level_of(line) == "WARN" and _HANDLED.search(following[:500]) is not None

    def is_deprecation(self, document: Document, index: int) -> bool:
        """True for a warning that says what will break one day."""
        return _DEPRECATION.search(document.lines[index][:500]) is not None

    def cite(self, document: Document, index: int) -> Citation:
        """One line of a document with its place."""
        return Citation(f"{document.source}:{document.number(index)}", document.lines[index].strip()[:CITED_CHARS_MAX])

    def component_of(self, document: Document) -> str:
        """What printed a document: the container or replica, else the service, else the step."""
        if document.role != "step" and "/" in document.source:
            parts = document.source.split("/")
            return self.evidence.service or (parts[2] if len(parts) > 2 else parts[1]).removesuffix(" (previous)")
        return self.step_name or self.evidence.service or "release"

    def place_of(self, trace: Trace | None) -> str:
        """The innermost line of own code of a trace, with the path in the release: "src/app.py:12"."""
        frame = trace.own_frame() if trace else None
        return f"{self.in_release(frame.file)}:{frame.line}" if frame and frame.line else ""

    def in_release(self, path: str) -> str:
        """A path as it stands in the repository: without the folder that the release lies in."""
        path = path.strip("'\"` ")
        changed = self.change.touches(path) if "/" in path else None
        if changed and path.endswith(changed):
            return changed
        for file in self.evidence.release_files:
            if path.endswith("/" + file):
                return file
        for root in _ROOTS:
            if path.startswith(root):
                return path[len(root) :]
        return path

    def variable_in_change(self, name: str) -> bool:
        """True when the diff touches a name."""
        return bool(name) and self.change.says(name) is not None

    def pods(self) -> Iterator[Mapping[str, Any]]:
        """The pods of the evidence."""
        yield from self.evidence.pods


def _documents(evidence: Evidence, installed: Installed) -> Iterator[Document]:
    """Logs before the step's output for a deployment, because it only reports what the logs explain; previous runs first."""
    step = Document("step_output", evidence.step_output, "step", installed) if evidence.step_output.strip() else None
    logs: list[Document] = []
    for name, pair in list(evidence.logs.items())[:DOCUMENTS_MAX]:
        if pair.previous.strip():
            logs.append(Document(f"logs/{name} (previous)", pair.previous, "previous", installed))
        if pair.current.strip():
            logs.append(Document(f"logs/{name}", pair.current, "log", installed))
    yield from logs
    if step:
        yield step
