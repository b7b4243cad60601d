"""Requests that were sent to the service and how they ended, and where the service itself says that it listens.

One list for failback's own requests, the kubelet's probes, and what a deployment or verification step printed of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from failback.diagnosis.kube import container_states, get, name_of, number, text
from failback.diagnosis.scene import Scene
from failback.diagnosis.statements import statements
from failback.facts.document import Document
from failback.model.diagnosis import Citation

LINES_MAX = 4_000
_URL = re.compile(
    r"(?P<scheme>https?|tcp|grpc)://(?P<host>\[[0-9a-fA-F:]*\]|[\w.-]*)(?::(?P<port>\d{1,5}))?(?P<path>/[^\s\"'<>,;]*)?"
)
_REQUEST = re.compile(r"\b(?P<verb>GET|HEAD|POST|PUT|DELETE) (?P<path>/[^\s\"':,]*)")
_STATUS = re.compile(
    r"(?:(?:->|=>|→)\s*|\bstatus(?:[ _-]?code)?(?: is| was)?[:= ]+|\breturned(?: status| error:?)?:? |\bgot (?:status )?|\bHTTP/[\d.]+ |\brespond(?:s|ed) with |\banswer(?:s|ed)(?: with)? |\bstatuscode: |\breceived |\bHTTP (?:status |error |code )?)[\"']?(?P<status>[1-5]\d\d)\b"
)
_TAIL = re.compile(r"[\s:=>(\[](?P<status>[1-5]\d\d)[)\]]?\s*$")
_BARE = re.compile(
    r"^\s*(?:(?:ok|OK|\{.{0,200}\}|(?:status|code|HTTP|smoke|probe|/[\w/.-]*):?) )?(?P<status>[1-5]\d\d)\s*$"
)
_REFUSED = re.compile(
    r"curl: \(7\)|connection refused|ECONNREFUSED|Couldn't connect to server|actively refused|Errno 111|failed to connect",
    re.IGNORECASE,
)
_TIMED = re.compile(
    r"curl: \(28\)|timed? ?out|context deadline exceeded|ETIMEDOUT|i/o timeout|Client\.Timeout|deadline exceeded",
    re.IGNORECASE,
)
_RESET = re.compile(
    r"curl: \((?:52|56)\)|empty reply|connection reset|ECONNRESET|\bEOF\b|socket hang up|remote end closed",
    re.IGNORECASE,
)
_PLAIN_TO_TLS = re.compile(
    r"malformed HTTP response \\?\"\\*\\x15|HTTP request to an HTTPS server|curl: \(1\) Received HTTP/0\.9|plain HTTP request was sent to HTTPS port",
    re.IGNORECASE,
)
_TLS_TO_PLAIN = re.compile(
    r"server gave HTTP response to HTTPS client|wrong version number|first record does not look like a TLS handshake|curl: \(35\)|packet length too long",
    re.IGNORECASE,
)
_PROBE = re.compile(
    r"(?P<kind>Readiness|Liveness|Startup) probe (?P<how>failed|errored)(?: and resulted in unknown state)?:? ?(?P<what>.*)",
    re.DOTALL,
)
_LISTENS = re.compile(
    r"(?:listen(?:ing|s|er)?|running|serv(?:ing|er|es)|started|bound|ready|accepting|available|bind(?:ing)?|address|addr|http_?server|up|Local|Network|initialized)\b(?P<between>[^\n]{0,80}?)"
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9a-fA-F:]*\]|\d{1,3}(?:\.\d{1,3}){3}|localhost|\*|0\.0\.0\.0|[\w-]+(?=:\d))?(?::|[Pp]orts?(?:\(s\))?[:= ]+\(?|:::)(?P<port>\d{2,5})\b(?![.\d])",
    re.IGNORECASE,
)
_LISTENS_BARE = re.compile(
    r"\b(?:listening|running|serving|started|bound|accepting\b[^\n]{0,20}) (?:on|at) (?P<port>\d{2,5})\s*(?:[.,;!]|\.\.\.|$)",
    re.IGNORECASE,
)
_NO_LISTEN = re.compile(
    r"\b(?:connect(?:ing|ed)? to|upstream|broker|database|redis|postgres|mysql|mongo|kafka|refused|failed|error|cannot|unable|proxy(?:ing)? to|client|peer|retry|waiting for|jdbc:|amqp:)\b|://[\w.-]+:[^/\s@]+@|already in use",
    re.IGNORECASE,
)
LATE = re.compile(r"took \d+ ms")  # as failback's own smoke check says it of a right answer
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and how it ended: a status, or a problem ("refused", "timeout", "reset", "plain-to-tls", "tls-to-plain",
    "command", "late")."""

    citation: Citation
    path: str = ""
    host: str = ""
    port: str = ""
    scheme: str = ""
    status: int | None = None
    problem: str = ""
    probe: str = ""  # "readiness", "liveness", "startup", "smoke", "ready"
    container: str = ""
    said: str = ""

    @property
    def good(self) -> bool:
        """True for an answer that says the service works."""
        return self.status is not None and self.status < 400 and self.problem != "late"

    @property
    def bad(self) -> bool:
        """True for an answer, or its lack, that says something is wrong."""
        return bool(self.problem) or (self.status is not None and self.status >= 400)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the service says that it listens; `host` may be empty (all addresses, or not said)."""

    host: str
    port: str
    scheme: str
    document: Document
    index: int


def problem_in(text_: str) -> str:
    """The kind of problem that an error text speaks of; "" where it names none."""
    for name, pattern in (
        ("plain-to-tls", _PLAIN_TO_TLS),
        ("tls-to-plain", _TLS_TO_PLAIN),
        ("refused", _REFUSED),
        ("timeout", _TIMED),
        ("reset", _RESET),
    ):
        if pattern.search(text_):
            return name
    return ""


def answers(scene: Scene) -> tuple[Answer, ...]:
    """Every request in the evidence, computed once."""
    if scene.answers is None:
        scene.answers = (*_own(scene), *_kubelet(scene), *_printed(scene))
    return scene.answers


def _own(scene: Scene) -> list[Answer]:
    found = []
    for probe in scene.evidence.probes:
        said = (
            f"{probe.kind} GET {probe.path} -> {probe.status or probe.error or 'no answer'}, expected {probe.expected}"
        )
        problem = "" if probe.passed else problem_in(probe.error or "") or ("" if probe.status else "failed")
        if not probe.passed and LATE.match(probe.error or ""):
            problem = "late"
        found.append(
            Answer(
                Citation(f"probes/{probe.replica}", f"{said} {probe.body_head[:160]}".strip()), probe.path, status=probe.status, problem=problem,
                probe=probe.kind, said=f"{probe.error or ''} {probe.body_head[:300]}".strip(),
            )
        )  # fmt: skip
    return found


def _kubelet(scene: Scene) -> list[Answer]:
    """Probes that failed on pods which are not ready now (a Ready pod has recovered)."""
    found = []
    for statement in statements(scene):
        match = _PROBE.search(statement.message)
        if not match:
            continue
        what, kind = match.group("what"), match.group("kind").lower()
        spec, container = _probe_spec(scene, statement.name, statement.container, kind)
        url = _URL.search(what)
        status = re.search(r"statuscode: (\d{3})", what)
        http = get(spec, "httpGet") or {}
        problem = "" if status else problem_in(what)
        if get(spec, "exec") is not None or (not problem and not status and not url):
            problem = "timeout" if re.search(r"command timed out|timed out after", what) else "command"
        address = re.search(r"dial tcp (\[?[0-9a-fA-F.:]+\]?):(\d+)", what)
        found.append(
            Answer(
                statement.cited()[0], (url and url.group("path")) or text(http, "path"), (url and url.group("host")) or (address.group(1) if address else ""),
                (url and url.group("port")) or (address.group(2) if address else "") or str(get(http, "port") or get(spec, "tcpSocket", "port") or get(spec, "grpc", "port") or ""),
                (url and url.group("scheme")) or text(http, "scheme").lower() or ("grpc" if get(spec, "grpc") else ""), int(status.group(1)) if status else None, problem, kind, container, what.strip(),
            )
        )  # fmt: skip
    return found


def _probe_spec(scene: Scene, pod_name: str, container: str, kind: str) -> tuple[object, str]:
    pods = [pod for pod in scene.evidence.pods if not pod_name or name_of(pod) == pod_name] or list(scene.evidence.pods)
    for spec in (
        *(get(p, "spec") for p in pods),
        *(get(m, "spec", "template", "spec") for m in scene.evidence.manifests),
    ):
        for entry in get(spec, "containers") or ():
            if (not container or text(entry, "name") == container) and get(entry, f"{kind}Probe"):
                return get(entry, f"{kind}Probe"), text(entry, "name")
    return {}, container


def _printed(scene: Scene) -> list[Answer]:
    """What the step printed of requests: each outcome belongs to the request named last."""
    document = scene.step
    if document is None or scene.step_type not in ("deploy", "verify"):
        return []
    found: list[Answer] = []
    request: dict[str, str] = {}
    for index, line in enumerate(document.lines[:LINES_MAX]):
        url, verb = _URL.search(line), _REQUEST.search(line)
        if url or verb:
            named = {key: value for key, value in (url.groupdict() if url else {}).items() if value}
            if verb:
                named["path"] = named.get("path") or verb.group("path")
            request = (
                {**{key: value for key, value in request.items() if key in ("host", "port")}, **named}
                if verb and not url
                else named
            )
        where = re.search(r"connect to (?P<host>[\w.-]+) port (?P<port>\d+)", line)
        if where:
            request = {**request, "host": where.group("host"), "port": where.group("port")}
        outcome = (
            _STATUS.search(line)
            or (_TAIL.search(line) if url or verb else None)
            or (_BARE.search(line) if len(line) < 400 else None)
        )
        problem = (
            ""
            if outcome
            else problem_in(line)
            if (url or verb or where or "curl: (" in line or "probe" in line.lower())
            else ""
        )
        if outcome or problem:
            found.append(
                Answer(scene.cite(document, index), request.get("path", ""), request.get("host", ""), request.get("port", ""), request.get("scheme", ""),
                       int(outcome.group("status")) if outcome else None, problem, "smoke", "", f"{line.strip()} {_body(document, index) if outcome else ''}".strip())
            )  # fmt: skip
    return found


def _body(document: Document, index: int) -> str:
    return " ".join(line.strip() for line in document.lines[index + 1 : index + 14] if line.strip())[:400]


def listeners(scene: Scene) -> tuple[Listener, ...]:
    """Addresses that the service's own log says it listens at."""
    found: list[Listener] = []
    for document in scene.logs:
        indices = sorted(
            {
                i
                for word in (
                    "listen",
                    "running",
                    "serving",
                    "started",
                    "bound",
                    "ready",
                    "accepting",
                    "server",
                    "port",
                    "available",
                )
                for i in document.hits(word)
            }
        )
        for index in indices[:200]:
            line = document.lines[index][:600]
            match = _LISTENS.search(line) or _LISTENS_BARE.search(line)
            if (
                match
                and not line.lstrip().startswith(("at ", "File ", "from "))  # "(/app/server.js:4:16)"
                and not _NO_LISTEN.search(line)
                and 0 < int(match.group("port")) <= 65535
                and document.level(index) not in ("ERROR", "FATAL")
            ):
                said = match.groupdict()
                host = (said.get("host") or "").lower()
                serving_on = re.search(r"\bon (\d{1,3}(?:\.\d{1,3}){3}|localhost|\[::1?\]) port", line)
                found.append(
                    Listener(
                        host or (serving_on.group(1) if serving_on else ""),
                        match.group("port"),
                        (said.get("scheme") or "").lower(),
                        document,
                        index,
                    )
                )
    return tuple(found)


def restarts(scene: Scene) -> int:
    """How often containers were started again."""
    return sum(state.restarts for pod in scene.pods() for state in container_states(pod)) + sum(
        r.restarts for r in scene.evidence.replicas
    )


def cpu_limit_millis(scene: Scene) -> int | None:
    """The smallest CPU limit of a container, in thousandths of a CPU; None where none is set."""
    found = []
    for spec in (
        *(get(p, "spec") for p in scene.pods()),
        *(get(m, "spec", "template", "spec") for m in scene.evidence.manifests),
    ):
        for entry in get(spec, "containers") or ():
            value = get(entry, "resources", "limits", "cpu")
            match = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", str(value)) if value is not None else None
            if match:
                found.append(int(float(match.group(1)) * (1 if match.group(2) else 1000)))
    return min(found, default=None)


def probe_number(scene: Scene, kind: str, field: str) -> int | None:
    """A number of a probe in the pod's spec: initialDelaySeconds, failureThreshold, periodSeconds, timeoutSeconds."""
    return number(_probe_spec(scene, "", "", kind)[0], field)
