"""Probes and smoke requests that fail although the process lives: wrong port, path, scheme or host, or too early."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from failback.diagnosis.asked import LOOPBACK, Answer, Listener, answers, cpu_limit_millis, listeners, probe_number
from failback.diagnosis.kube import container_states, killed_by_probe
from failback.diagnosis.recommend import high, medium
from failback.diagnosis.recommend.kube import patch
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.rules.probe_statuses import refused_host, server_error
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Citation, FailureType, Recommendation

_PROGRESS = re.compile(
    r"load|warm|migrat|initiali[sz]|prepar|build|compil|index|fetch|download|import|sync|replay|restor|starting|part \d|\d+ ?(?:/|of) ?\d+|\d+ ?%",
    re.IGNORECASE,
)
_THROTTLED = re.compile(
    r"nr_throttled[ :=]+([1-9]\d*)|throttled_(?:time|usec)[ :=]+([1-9]\d*)|CPUThrottlingHigh|cpu throttl", re.IGNORECASE
)
SMALL_CPU_MILLIS = 150


@scene_rule(
    "probe",
    "kubelet's prober, HTTP status codes, errno ECONNREFUSED: what was asked, compared with what the service says",
)
def probe(scene: Scene) -> Iterable[Hypothesis]:
    """What was asked and how it ended, compared with where the service listens and what it answers."""
    asked = [answer for answer in answers(scene) if answer.bad]
    if not asked:
        return
    where = listeners(scene)
    last = asked[-1]
    by_problem: dict[str, Answer] = {}
    for answer in asked:
        by_problem.setdefault(str(answer.status or answer.problem), answer)
    for answer in by_problem.values():
        for hypothesis in _explained(scene, answer, where, asked):
            yield replace(
                hypothesis,
                citations=(answer.citation, *hypothesis.citations),
                component=hypothesis.component or answer.container or last.container,
                stated=bool(scene.evidence.pods or scene.evidence.events),
            )


def _explained(scene: Scene, answer: Answer, where: tuple[Listener, ...], asked: list[Answer]) -> Iterable[Hypothesis]:
    if answer.problem in ("refused", "timeout", "reset", "failed"):
        yield from _no_answer(scene, answer, where, asked)
    elif answer.problem in ("plain-to-tls", "tls-to-plain"):
        yield _scheme(scene, answer)
    elif answer.problem == "command":
        yield _command(scene, answer)
    elif answer.status in (404, 405, 401, 403, 301, 302, 307, 308, 410, 406, 415, 426):
        yield _path(scene, answer)
    elif answer.status == 400:
        yield from refused_host(scene, answer)
    elif answer.status is not None and answer.status >= 500:
        yield from server_error(scene, answer)


def _what(answer: Answer) -> str:
    name = {
        "readiness": "readiness probe",
        "liveness": "liveness probe",
        "startup": "startup probe",
        "ready": "ready check",
    }.get(answer.probe, "health check (probe)")
    return f"The {name}"


def _place(answer: Answer) -> str:
    port = f"port {answer.port}" if answer.port else ""
    return " ".join(part for part in (answer.path, port) if part) or "the service"


def _probe_patch(scene: Scene, answer: Answer, body: str) -> str:
    kind = answer.probe if answer.probe in ("readiness", "liveness", "startup") else "readiness"
    if scene.on_kubernetes:
        return patch(scene, None, answer.container, f"{kind}Probe: {{{body}}}")
    return f"checks:\n  ready: {{{body}}}"


def _no_answer(scene: Scene, answer: Answer, where: tuple[Listener, ...], asked: list[Answer]) -> Iterable[Hypothesis]:
    ports = {listener.port for listener in where}
    other = [listener for listener in where if listener.port != answer.port]
    same = [listener for listener in where if listener.port == answer.port or not answer.port]
    kubelet = answer.probe in ("readiness", "liveness", "startup")
    silent = answer.problem == "refused" or (answer.problem == "timeout" and kubelet)
    if silent and answer.port and other and answer.port not in ports:
        listener = other[-1]
        yield Hypothesis(
            FailureType.PROBE_MISCONFIGURED,
            f"{_what(answer)} asks port {answer.port}, but the service listens on port {listener.port} ({'connection refused' if answer.problem == 'refused' else 'timed out'}): {quoted(listener.document.lines[listener.index], 160)}",
            0.95 if answer.problem == "refused" else 0.86,
            _port_fix(scene, answer, listener),
            (scene.cite(listener.document, listener.index),),
            names=(answer.port, listener.port, "PORT", "containerPort", "readinessProbe", "livenessProbe"),
        )
        return
    loop = [listener for listener in same if listener.host in LOOPBACK]
    if (
        answer.problem in ("refused", "timeout")
        and loop
        and (scene.on_kubernetes or (answer.host and answer.host not in LOOPBACK))
        and len(loop) == len(same)
    ):
        yield Hypothesis(
            FailureType.PROBE_MISCONFIGURED,
            f"The service listens on {loop[-1].host} (loopback) port {loop[-1].port} only, so {_what(answer).lower()} from outside at {answer.host or 'the pod address'}:{answer.port} gets no answer ({answer.problem}): {quoted(loop[-1].document.lines[loop[-1].index], 160)}",
            0.94,
            (
                high("Listen on 0.0.0.0", f"Bind to all addresses (0.0.0.0) instead of {loop[-1].host}: change the host or bind option (HOST, --host, --bind) of the service; port {loop[-1].port} stays", f"HOST=0.0.0.0 PORT={loop[-1].port}"),
            ),
            (scene.cite(loop[-1].document, loop[-1].index),),
            names=(loop[-1].host, "HOST", "bind", "listen"),
        )  # fmt: skip
        return
    if _crashed(scene):
        return
    if (
        answer.scheme == "grpc"
        and answer.problem in ("refused", "timeout", "failed", "reset")
        and (same or _asked_http2(scene))
    ):
        yield _grpc(scene, answer)
        return
    starved = _starved(scene)
    if starved and answer.problem in ("timeout", "refused", "failed"):
        yield _starvation(scene, answer, starved)
        return
    if answer.problem in ("refused", "timeout", "failed") and not same:
        yield from _slow(scene, answer, asked)
    elif same and answer.problem == "refused" and any(a.good for a in answers(scene)):
        return
    elif (
        same and answer.problem == "timeout" and answer.probe in ("readiness", "liveness", "startup", "ready", "smoke")
    ):
        limit = (
            probe_number(scene, answer.probe, "timeoutSeconds")
            if answer.probe in ("readiness", "liveness", "startup")
            else None
        )
        yield Hypothesis(
            FailureType.TIMEOUT,
            f"{_what(answer)} of {_place(answer)} gets no answer in time{f' (timeoutSeconds: {limit})' if limit else ''}: the service listens and does not answer: {quoted(answer.said, 200)}",
            0.6,
            (high("Answer the probe faster, or give it more time", f"Find what blocks {answer.path or 'the service'} (a slow dependency, too little CPU, a deadlock), or raise timeoutSeconds", _probe_patch(scene, answer, "timeoutSeconds: 5, failureThreshold: 6")),),
        )  # fmt: skip
    elif same and answer.problem == "refused":
        yield from _slow(scene, answer, asked)


def _asked_http2(scene: Scene) -> bool:
    """True where a server that speaks HTTP/1 only logs the preface of HTTP/2."""
    return any(document.hits("pri * http/2") for document in scene.logs)


def _grpc(scene: Scene, answer: Answer) -> Hypothesis:
    seen = _asked_http2(scene)
    said = (
        "the server on it speaks HTTP/1 and refuses the HTTP/2 that gRPC needs"
        if seen
        else "the service listens, and no gRPC health service answers"
    )
    return Hypothesis(
        FailureType.PROBE_MISCONFIGURED,
        f"{_what(answer)} is a gRPC probe (grpc, port {answer.port}): {said}: {quoted(answer.said, 200)}",
        0.93 if seen else 0.68,
        (
            high("Ask with httpGet, or serve grpc.health.v1.Health", f"Change the probe from grpc to httpGet with the path of the health check on port {answer.port}, or add the gRPC health service to the server and let the probe ask its port",
                 _probe_patch(scene, answer, f"grpc: null, httpGet: {{path: /healthz, port: {answer.port or 8080}}}")),
        ),
        names=("grpc", "readinessProbe", "livenessProbe", "startupProbe"),
    )  # fmt: skip


def _port_fix(scene: Scene, answer: Answer, listener: Listener) -> tuple[Recommendation, ...]:
    return (
        high(
            f"Let the probe ask port {listener.port}",
            f"Change the port of the probe (and of the Service's targetPort) from {answer.port} to {listener.port}, or let the service listen on {answer.port} (PORT)",
            _probe_patch(scene, answer, f"httpGet: {{path: {answer.path or '/'}, port: {listener.port}}}") if scene.on_kubernetes else f"PORT={answer.port}   # or: check port {listener.port}",
        ),
    )  # fmt: skip


def _crashed(scene: Scene) -> bool:
    """True when the process ended by itself: then its end says why, and not the probe that found nobody."""
    if scene.evidence.exit_code not in (None, 0) and scene.step_type == "deploy" and not scene.logs:
        return False
    killed = killed_by_probe(scene.evidence.events)
    for pod in scene.pods():
        for state in container_states(pod):
            if "OOMKilled" in (state.reason, state.last_reason) or (state.end_code not in (None, 0) and not killed):
                return True
    if any(r.exit_code not in (None, 0) or r.oom_killed for r in scene.evidence.replicas):
        return True
    return not killed and any(
        trace.end >= len(document.lines) - 4 for document in scene.logs for trace in document.traces
    )


def _starved(scene: Scene) -> str:
    for document in scene.documents:
        for index in sorted({*document.hits("throttl")}):
            if _THROTTLED.search(document.lines[index]):
                return quoted(document.lines[index], 120)
    limit = cpu_limit_millis(scene)
    return f"cpu limit {limit}m" if limit is not None and limit <= SMALL_CPU_MILLIS else ""


def _starvation(scene: Scene, answer: Answer, sign: str) -> Hypothesis:
    limit = cpu_limit_millis(scene)
    wanted = f"{max((limit or 100) * 5, 500)}m"
    return Hypothesis(
        FailureType.CPU_STARVATION,
        f"The service has too little CPU ({sign}): it is throttled, starts slowly, and {_what(answer).lower()} of {_place(answer)} times out: {quoted(answer.said, 160)}",
        0.9 if "throttl" in sign else 0.84,
        (
            high(f"Raise the CPU limit to {wanted}", f"Increase resources.limits.cpu{f' (now {limit}m)' if limit else ''} (and the request) so that the start is not throttled, or remove the limit; measured sign: {sign}",
                 patch(scene, None, answer.container, f"resources: {{requests: {{cpu: 250m}}, limits: {{cpu: {wanted}}}}}") if scene.on_kubernetes else f"release:\n  resources: {{cpu: {wanted}}}"),
            high("Or give the start more time", "A startup probe with a higher failureThreshold lets a slow start finish", _probe_patch(scene, replace(answer, probe="startup"), "periodSeconds: 5, failureThreshold: 60")),
        ),
        names=("resources", "cpu", "limits"),
    )  # fmt: skip


def _slow(scene: Scene, answer: Answer, asked: list[Answer]) -> Iterable[Hypothesis]:
    """Nobody listens yet, nothing failed, and the log shows work: it needs longer than it is given."""
    if scene.evidence.exit_code not in (None, 0, 124, 143, 137) and not (
        scene.evidence.pods or scene.evidence.timed_out_after_s
    ):
        return
    shown = _progress(scene)
    late = [listener for listener in listeners(scene) if listener.port == answer.port]
    if not shown and not late and not (scene.on_kubernetes and scene.evidence.pods):
        return
    if _errors(scene):
        return
    kind = answer.probe if answer.probe in ("readiness", "liveness", "startup") else "startup"
    delay, threshold, period = (
        probe_number(scene, kind, field) for field in ("initialDelaySeconds", "failureThreshold", "periodSeconds")
    )
    given = (
        (delay or 0) + (threshold or 3) * (period or 10)
        if scene.on_kubernetes and (delay or threshold or period)
        else None
    )
    text_ = f"; the probe gives it {given} s" if given else ""
    deadline = _deadline(scene)
    cited = tuple(Citation(c.source, c.text) for _, c in shown[-1:])
    yield Hypothesis(
        FailureType.SLOW_START,
        f"The service is slow to start and still not ready when the deadline passes{f' ({deadline})' if deadline else ''}{text_}: it takes longer than the {kind} check allows{f' ({quoted(answer.said, 160)})' if answer.problem == 'timeout' else ''}{f'; the last thing it did is: {shown[-1][0]}' if shown else ''}",
        0.9 if shown else 0.66,
        (
            high(
                "Give the start more time",
                f"Set a startup probe (or raise initialDelaySeconds and failureThreshold of the {kind} probe; on one machine: checks.ready.timeout, the deadline) above the time that the start takes",
                patch(scene, None, answer.container, f"startupProbe: {{httpGet: {{path: {answer.path or '/'}, port: {answer.port or 8080}}}, periodSeconds: 5, failureThreshold: 60}}") if scene.on_kubernetes else "checks:\n  ready: {timeout: 120}   # ready_s_max",
            ),
            medium("Or start faster", f"Move slow work out of the start{f': {shown[-1][0]}' if shown else ''} (load lazily, in the background, or in the build)", ""),
        ),
        cited,
        names=("initialDelaySeconds", "startupProbe", "failureThreshold", "livenessProbe", "readinessProbe"),
    )  # fmt: skip


def _progress(scene: Scene) -> list[tuple[str, Citation]]:
    found = []
    for document in scene.logs:
        for index, line in enumerate(document.lines[-60:], start=max(len(document.lines) - 60, 0)):
            if line.strip() and _PROGRESS.search(line) and document.level(index) not in ("ERROR", "FATAL"):
                found.append((quoted(line, 140), scene.cite(document, index)))
    return found


def _errors(scene: Scene) -> bool:
    return any(document.level(i) in ("ERROR", "FATAL") and not scene.is_handled(document, i) for document in scene.logs for i in range(max(len(document.lines) - 40, 0), len(document.lines)))  # fmt: skip


def _deadline(scene: Scene) -> str:
    if scene.evidence.timed_out_after_s:
        return f"{scene.evidence.timed_out_after_s:g} s"
    if scene.step is None:
        return ""
    for index in range(len(scene.step.lines) - 1, max(len(scene.step.lines) - 10, -1), -1):
        match = re.search(
            r"(?:deadline|within|after|timeout|waited)[^\d\n]{0,20}(\d+(?:\.\d+)? ?(?:s|sec|seconds|m|min)\b)|not ready after \d+ attempts",
            scene.step.lines[index],
        )
        if match:
            return quoted(match.group(0), 60)
    return ""


def _scheme(scene: Scene, answer: Answer) -> Hypothesis:
    to_tls = answer.problem == "plain-to-tls"
    right = "HTTPS" if to_tls else "HTTP"
    return Hypothesis(
        FailureType.PROBE_MISCONFIGURED,
        f"{_what(answer)} speaks {'plain HTTP to a port that serves HTTPS (TLS)' if to_tls else 'HTTPS (TLS) to a port that serves plain HTTP'}: wrong scheme: {quoted(answer.said, 240)}",
        0.95,
        (
            high(
                f"Set scheme: {right} in the probe",
                f"The service answers {right} on {_place(answer)}: change the probe's scheme to {right}, or ask the other port",
                _probe_patch(
                    scene,
                    answer,
                    f"httpGet: {{scheme: {right}, path: {answer.path or '/'}, port: {answer.port or 8443}}}",
                ),
            ),
        ),
        names=("scheme", "readinessProbe", "livenessProbe", "httpGet"),
    )


def _command(scene: Scene, answer: Answer) -> Hypothesis:
    missing = re.search(
        r"exec: \\?\"([^\"\\]+)\\?\"|(?:sh: (?:\d+: )?|stat )([\w./-]+): (?:not found|no such file)", answer.said
    )
    name = next((g for g in missing.groups() if g), "") if missing else ""
    said = f": {name} is not found in the image" if name else ""
    return Hypothesis(
        FailureType.PROBE_MISCONFIGURED,
        f"{_what(answer)}'s command fails{said}: {quoted(answer.said, 300)}",
        0.93 if name else 0.78,
        (
            high(
                f"Correct the {answer.probe} probe's command",
                f"Use a command that exists in the image{f' instead of {name}' if name else ''} and ends with 0 when the service works, or ask with httpGet",
                _probe_patch(scene, answer, "httpGet: {path: /healthz, port: 8080}"),
            ),
        ),
        names=("exec", "command", "livenessProbe", "readinessProbe"),
    )


def _path(scene: Scene, answer: Answer) -> Hypothesis:
    routes = _routes(scene, answer.path)
    reason = {
        404: "not found: this path does not exist",
        405: "method not allowed",
        401: "authentication is required",
        403: "forbidden",
    }.get(answer.status or 0, "not what was expected")
    hint = f"; the service knows {', '.join(routes[:4])}" if routes else ""
    changed = next((f for r in routes for f in [scene.change.says(r)] if f), "")
    kubelet = answer.probe in ("readiness", "liveness", "startup", "ready")
    verify = scene.step_type == "verify" and not kubelet
    right = routes[0] if routes else "PATH"
    return Hypothesis(
        FailureType.PROBE_MISCONFIGURED,
        f"{_what(answer)} asks {_place(answer)} and is answered {answer.status} ({reason}){hint}{f' (changed in {changed})' if changed else ''}: {quoted(answer.said, 160)}",
        (0.93 if kubelet or routes else 0.84) - (0.3 if verify else 0),
        (
            high(f"Let the probe ask a path that exists{f': {right}' if routes else ''}", f"Change the path of the probe from {answer.path} to {right if routes else 'the route that the release serves'}, or add the route {answer.path} to the service{' and let it answer without credentials' if answer.status in (401, 403) else ''}",
                 _probe_patch(scene, answer, f"httpGet: {{path: {right}, port: {answer.port or 8080}}}") if scene.on_kubernetes else f"checks:\n  ready: {{path: {right}}}"),
        ),
        names=(answer.path, "path", "readinessProbe", "livenessProbe"),
    )  # fmt: skip


def _routes(scene: Scene, asked: str) -> list[str]:
    """Routes that the release's change adds, or that the log names, nearest to the one that was asked."""
    found: list[str] = []
    for lines in scene.change.added.values():
        for line in lines:
            found += re.findall(r"[\"'`](/[\w{}:./<>-]*)[\"'`]", line) + re.findall(r"path: (/[\w./-]*)", line)
    for document in scene.logs:
        for index in sorted({*document.hits("get "), *document.hits("route"), *document.hits("mapped")})[:200]:
            line = document.lines[index]
            found += re.findall(
                r"\b(?:GET|Mapped|route[sd]?:?|endpoint:?)[\"']? [\"'{(\[]*(/[\w{}:./-]*)[^\n]{0,40}?(?:\" 2\d\d|$|\b2\d\d\b|->|,|\))",
                line,
            )
    words = [word for word in re.split(r"\W+", asked) if word]
    known = [route for route in dict.fromkeys(found) if route not in (asked, "/") and len(route) > 1]
    return sorted(
        known,
        key=lambda route: (
            -sum(word in route for word in words) - (1 if re.search(r"health|ready|live|status|ping", route) else 0)
        ),
    )
