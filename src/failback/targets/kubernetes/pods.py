"""What a pod's status says, as plain facts. Pure; every part of the object may be missing."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from failback.model.observation import Waiting
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object

_LOST = ("NodeLost", "NodeShutdown", "Terminated", "Shutdown")
_LOST_BY = ("DeletionByTaintManager", "DeletionByPodGC", "TerminationByKubelet")
_UNREACHABLE = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
_HTTP_NAMES = ("http", "https", "web", "api")
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True, slots=True)
class Ended:
    """One end of a container, the `number`-th of it in this pod. Times are unix seconds, whole ones."""

    container: str
    number: int
    init: bool
    code: int | None = None
    reason: str = ""
    message: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    current: bool = True  # its log is the current one; else that of the run before

    @property
    def signal(self) -> str | None:
        """ "SIGKILL" of exit code 137."""
        if self.code is None or not 128 < self.code <= 128 + 64:
            return None
        try:
            return signal.Signals(self.code - 128).name
        except ValueError:
            return None

    @property
    def lived_s(self) -> float:
        if self.started_at is None or self.finished_at is None:
            return 0.0
        return max(0.0, self.finished_at - self.started_at)


@dataclass(frozen=True, slots=True)
class Port:
    """Where a pod answers requests."""

    number: int
    tls: bool = False


def seconds_of(text: Any) -> float | None:
    """Unix seconds of a timestamp as the API server writes it; None without one."""
    if not isinstance(text, str) or not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def condition(pod: Object, kind: str) -> Mapping[str, Any]:
    found = (one for one in _status(pod).get("conditions") or () if one.get("type") == kind)
    return next(found, {})


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True" and not is_leaving(pod)


def is_leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def containers(pod: Object) -> Iterator[tuple[Object, bool]]:
    """(status, init) of each container; a sidecar (an init container that always restarts) is no init container."""
    always = {
        one["name"] for one in pod.get("spec", {}).get("initContainers") or () if one.get("restartPolicy") == "Always"
    }
    for status in _status(pod).get("initContainerStatuses") or ():
        yield status, status["name"] not in always
    for status in _status(pod).get("containerStatuses") or ():
        yield status, False


def main_container(pod: Object) -> str:
    """The first container, as kubectl takes it; or the one that the pod itself names as its default."""
    named = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    names = [one["name"] for one in pod.get("spec", {}).get("containers") or ()]
    return str(named) if named in names else (names[0] if names else "")


def has_readiness_probe(pod: Object) -> bool:
    """Without one a pod counts as ready from its start on."""
    return any(one.get("readinessProbe") for one in (pod.get("spec") or {}).get("containers") or ())


def is_running(pod: Object) -> bool:
    """All its own containers run."""
    states = [status.get("state") or {} for status, init in containers(pod) if not init]
    return bool(states) and all("running" in state for state in states) and not is_leaving(pod)


def running_since(pod: Object) -> float | None:
    """Since when all its own containers run; None where they don't."""
    if not is_running(pod):
        return None
    started = [seconds_of(status["state"]["running"].get("startedAt")) for status, init in containers(pod) if not init]
    return max((one for one in started if one is not None), default=None)


def waiting(pod: Object) -> tuple[Waiting, ...]:
    """What its containers wait for. A pod of which nothing is said yet waits to be scheduled or started."""
    main = main_container(pod)
    found = []
    for status, init in containers(pod):
        state = (status.get("state") or {}).get("waiting")
        if state is not None:
            name = "" if status["name"] == main and not init else status["name"]
            found.append(Waiting(state.get("reason") or "Waiting", state.get("message") or "", name, init))
    if not found and not _status(pod).get("containerStatuses") and _status(pod).get("phase") == "Pending":
        scheduled = condition(pod, "PodScheduled")
        reason = "Scheduling" if scheduled.get("status") != "True" else "ContainerCreating"
        found.append(Waiting(reason, str(scheduled.get("message") or "") if reason == "Scheduling" else ""))
    return tuple(found)


def ends(pod: Object) -> Iterator[Ended]:
    """Every end that the status still tells of, oldest first. An init container's good end is its work done."""
    for status, init in containers(pod):
        restarts = int(status.get("restartCount") or 0)
        last = (status.get("lastState") or {}).get("terminated")
        now = (status.get("state") or {}).get("terminated")
        if last and restarts > 0 and not (init and last.get("exitCode") == 0):
            yield _ended(status["name"], restarts, init, last, current=False)
        if now and not (init and now.get("exitCode") == 0):
            yield _ended(status["name"], restarts + 1, init, now, current=True)


def _ended(name: str, number: int, init: bool, terminated: Mapping[str, Any], *, current: bool) -> Ended:
    return Ended(
        container=name,
        number=number,
        init=init,
        code=terminated.get("exitCode"),
        reason=terminated.get("reason") or "",
        message=terminated.get("message") or "",
        started_at=seconds_of(terminated.get("startedAt")),
        finished_at=seconds_of(terminated.get("finishedAt")),
        current=current,
    )


def restarts(pod: Object) -> int:
    return sum(int(status.get("restartCount") or 0) for status, init in containers(pod) if not init)


def evicted(pod: Object) -> str:
    """Why a kubelet or the scheduler ended the whole pod; "" where nobody did."""
    status = _status(pod)
    if status.get("phase") != "Failed" or not status.get("reason") or is_lost(pod):
        return ""
    return f"{status['reason']}: {status.get('message') or 'no message'}"


def is_lost(pod: Object) -> bool:
    """The pod's own status says that its node went away."""
    disrupted = condition(pod, "DisruptionTarget")
    by_node = disrupted.get("status") == "True" and disrupted.get("reason") in _LOST_BY
    return _status(pod).get("reason") in _LOST or (by_node and _status(pod).get("reason") != "Evicted")


def doubts_its_node(pod: Object) -> bool:
    """Its containers were last seen ready, and the pod is said not to be: so speaks the node controller of a node that
    it hears nothing from (the kubelet changes both together)."""
    own = [status for status, init in containers(pod) if not init]
    ready = condition(pod, "Ready")
    return (
        bool(own)
        and all(status.get("ready") for status in own)
        and ready.get("status") != "True"
        and condition(pod, "ContainersReady").get("status") == "True"
        and not (pod.get("spec") or {}).get("readinessGates")
    )


def is_node_gone(node: Object | None) -> bool:
    """No such node any more, or nobody hears from it."""
    if node is None:
        return True
    if any(taint.get("key") in _UNREACHABLE for taint in (node.get("spec") or {}).get("taints") or ()):
        return True
    return condition(node, "Ready").get("status") != "True"


def is_owned_by(pod: Object, unit: Unit) -> bool:
    """Whether the workload made the pod; a Deployment does so through a ReplicaSet that has its name in front."""
    owner: Mapping[str, Any] = next(
        (one for one in pod["metadata"].get("ownerReferences") or () if one.get("controller")), {}
    )
    if unit.kind == "Deployment":
        return owner.get("kind") == "ReplicaSet" and str(owner.get("name")).startswith(f"{unit.name}-")
    return owner.get("kind") == unit.kind and owner.get("name") == unit.name


def memory_limits(pod: Object) -> dict[str, int]:
    """Container -> its memory limit in bytes, of those that have one."""
    found = {}
    for one in (pod.get("spec") or {}).get("containers") or ():
        limit = ((one.get("resources") or {}).get("limits") or {}).get("memory")
        if limit is not None:
            found[one["name"]] = quantity(str(limit))
    return found


def quantity(text: str) -> int:
    """Whole units (bytes) of a Kubernetes quantity: "128Mi", "1e9", "500k", "512m"."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return int(float(text[: -len(unit)]) * factor)
    return int(float(text[:-1]) / 1000) if text.endswith("m") else int(float(text))


def port_of(pod: Object, services: Sequence[Object]) -> Port | None:
    """Where requests to the pod go: the port that the first Service sends them to, the one that speaks HTTP by its
    name where there are several; without a Service that of its readiness probe, or its first one."""
    for service in services:
        ports = [one for one in (service.get("spec") or {}).get("ports") or () if one.get("protocol", "TCP") == "TCP"]
        ports.sort(key=lambda one: not str(one.get("appProtocol") or one.get("name") or "").startswith(_HTTP_NAMES))
        for port in ports:
            number = port_number(pod, port.get("targetPort", port.get("port")))
            if number is not None:
                word = str(port.get("appProtocol") or port.get("name") or "")
                return Port(number, word.startswith("https") or port.get("port") == 443)
    for container in (pod.get("spec") or {}).get("containers") or ():
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            http = (container.get(probe) or {}).get("httpGet")
            number = port_number(pod, http.get("port")) if http else None
            if http and number is not None:
                return Port(number, http.get("scheme") == "HTTPS")
    for container in (pod.get("spec") or {}).get("containers") or ():
        for declared in container.get("ports") or ():
            if declared.get("protocol", "TCP") == "TCP":
                return Port(int(declared["containerPort"]))
    return None


def port_number(pod: Object, port: Any) -> int | None:
    """A port by its number, or by the name that a container of the pod gives it."""
    if isinstance(port, int):
        return port
    for container in (pod.get("spec") or {}).get("containers") or ():
        for declared in container.get("ports") or ():
            if declared.get("name") == port:
                return int(declared["containerPort"])
    return int(port) if isinstance(port, str) and port.isdigit() else None


def _status(pod: Object) -> Mapping[str, Any]:
    return pod.get("status") or {}
