"""Ports, open files and addresses: what the kernel refuses a listening process."""

from __future__ import annotations

import re

from failback.diagnosis.kube import get
from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, trace_rule
from failback.diagnosis.rules.addresses import address_in
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType


@line_rule(
    "port-in-use",
    "in use|addrinuse|connection in use|only one usage|failed to bind|bind() to|port is already allocated|os error 98",
    r"address (?:is )?already in use|EADDRINUSE|Only one usage of each socket|port (?P<named>\d+) (?:is|was) (?:already )?(?:in use|allocated)|port is already allocated|os error 98\)|Address in use|(?:Port|port) (?P<spring>\d+) was already in use|already in use|AddrInUse|Connection in use",
    source="errno EADDRINUSE (98)",
)
def port_in_use(hit: Hit) -> Hypothesis | None:
    """The address to listen at is taken."""
    # Node prints the error, and then its fields ("code: 'EADDRINUSE',"): the sentence above them has the address.
    if re.match(r"\s*(?:code|errno|syscall): ", hit.line) and "already in use" in hit.document.window(hit.index, 20, 0):
        return None
    around = hit.document.window(hit.index, 2, 14)
    exact = re.search(r"^\s*port: (\d{2,5})\b", around, re.MULTILINE)
    port = exact.group(1) if exact else hit.get("named") or hit.get("spring") or _port_in(hit.line) or _port_in(around)
    host, _ = address_in(hit.line)
    twice = _listens_twice(hit.scene)
    own = f"; the release now listens twice ({twice})" if twice else ""
    where = f"Port {port}" if port else "The port"
    if any(len(containers) > 1 for pod in hit.scene.pods() if (containers := get(pod, "spec", "containers") or ())):
        own += f"; it is the container {hit.document.source.removesuffix(' (previous)').split('/')[-1]} of the pod that finds it taken: containers of one pod share its ports"
    return Hypothesis(
        FailureType.PORT_CONFLICT,
        f"{where} is already in use{f' on {host}' if host else ''}: another process or listener has the address{own}{hit.at}: {hit.line}",
        0.95,
        (high(f"Free or change the port {port or 'it listens at'}", f"Give each listener a port of its own{f' ({twice})' if twice else ''}, or stop the process that holds {'port ' + port if port else 'the port'} (an old instance, a second worker, an admin or metrics server)",
              f"ss -ltnp | grep ':{port}'" if port else "ss -ltnp"),),
        names=tuple(n for n in (port,) if n),
        facts={"port": port},
    )  # fmt: skip


@line_rule(
    "port-forbidden",
    "permission denied|eacces|permissionerror|operation not permitted|cannot assign requested|eaddrnotavail|could not bind|bind()",
    r"(?:bind|listen)\w*(?:\(\))?[^\n]*(?P<denied>permission denied|EACCES|Errno 13|\(13[:)]|operation not permitted)|(?P<denied2>PermissionError|permission denied)[^\n]*\b(?:bind|port|listen)\w*|(?P<na>cannot assign requested address|EADDRNOTAVAIL)",
    source="bind(2): EACCES below 1024, EADDRNOTAVAIL (99)",
)
def port_forbidden(hit: Hit) -> Hypothesis | None:
    """A port below 1024 without the right to it, or an address the machine does not have."""
    around = hit.document.window(hit.index, 2, 10)
    port = _port_in(hit.line) or _port_in(around)
    if hit.get("na"):
        if "connect" in hit.line.lower():
            return None
        host, near = address_in(hit.line)
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION,
            f"The address {host or 'to listen at'} does not belong to this machine (cannot assign requested address): {hit.line}",
            0.88,
            (
                high(
                    "Listen at 0.0.0.0",
                    f"Set the bind address to 0.0.0.0 (all addresses) instead of {host or 'the configured one'}; port {near or port}",
                    f"HOST=0.0.0.0 PORT={near or port or 8080}",
                ),
            ),
            names=(host,),
        )
    if port and int(port) >= 1024:
        return None
    if not port:
        asked = re.search(r"(?:port|PORT|:)\D{0,12}\b(\d{1,3})\b(?!\.)", hit.document.text[:4000])
        port = asked.group(1) if asked else ""
    return Hypothesis(
        FailureType.PORT_CONFLICT,
        f"Port {port or 'below 1024'} may not be used: a port below 1024 needs a privilege that the process's user lacks (permission denied){hit.at}: {hit.line}",
        0.93,
        (
            high(
                f"Listen at a port above 1023 instead of {port or 'this one'}",
                "Use for example port 8080 and map it (Service targetPort, load balancer), or give the process CAP_NET_BIND_SERVICE",
                "PORT=8080   # Kubernetes: ports: [{port: 80, targetPort: 8080}]",
            ),
        ),
        names=(port,),
        facts={"port": port},
    )


@line_rule(
    "too-many-files",
    "too many open files|emfile|enfile",
    r"too many open files|\bEMFILE\b|\bENFILE\b",
    source="errno EMFILE (24)",
)
def too_many_files(hit: Hit) -> Hypothesis | None:
    """The limit of open files is reached."""
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"The limit of open files (ulimit -n) is reached: too many open files{hit.at}: {hit.line}",
        0.85,
        (
            high(
                "Raise the limit of open files or close them",
                f"Close files and connections after use{hit.at}, or raise the limit (ulimit -n, LimitNOFILE)",
                "ulimit -n 65536",
            ),
        ),
    )


def _port_in(text: str) -> str:
    match = re.search(r"(?:port:?|PORT=|', |:::?|\*:|\d:|\]:|localhost:|0\.0\.0\.0:)\s*\(?(\d{2,5})\b(?!:)", text)
    return match.group(1) if match and int(match.group(1)) <= 65535 else ""


def _listens_twice(scene: Scene) -> str:
    """The variable or name of a second listener that this release added."""
    for lines in scene.change.added.values():
        for line in lines:
            match = (
                re.search(r"\b(\w*[Pp]ort\w*|\w*PORT\w*)\b", line)
                if re.search(r"listen|bind|port", line, re.IGNORECASE)
                else None
            )
            if match:
                return match.group(1)
    return ""


@trace_rule("port-forbidden-trace", "bind(2): EACCES below 1024, in a traceback without the address", "python")
def port_forbidden_trace(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """PermissionError out of socket.bind: the message names no path, the frames say what was tried."""
    if root.name != "PermissionError" or not any(
        frame.function in ("server_bind", "bind") or ".bind(" in frame.code for frame in root.frames[-6:]
    ):
        return None
    asked = re.search(r"(?:port|PORT|:)\D{0,12}\b(\d{1,3})\b(?!\.)", document.text[:4000])
    port = asked.group(1) if asked else "80 or another below 1024"
    return Hypothesis(
        FailureType.PORT_CONFLICT,
        f"Port {port} may not be used: a port below 1024 needs a privilege that the process's user lacks (permission denied) (at {scene.place_of(trace)})",
        0.93,
        (high(f"Listen at a port above 1023 instead of {port}", "Use for example port 8080 and map it (Service targetPort, load balancer), or give the process CAP_NET_BIND_SERVICE", "PORT=8080"),),
        names=(port,),
    )  # fmt: skip
