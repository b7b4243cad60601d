"""Everything seen of a revision before anything of it is deleted: pods, events, both logs, manifests, our requests.

Bounded, masked, and taken at once: phase 4 waits for it. What can't be read is left out; the way back does not depend
on it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from failback.model.errors import FailbackError
from failback.model.evidence import Evidence, LogPair, ProbeResult
from failback.targets.kubernetes.desired import references
from failback.targets.kubernetes.jobs import JOB_LABEL
from failback.targets.kubernetes.kinds import Object, annotations_of
from failback.targets.kubernetes.pods import containers, is_ready, main_container, restarts
from failback.targets.kubernetes.record import EXECUTION, execution_label
from failback.targets.kubernetes.saying import last_seen
from failback.targets.kubernetes.site import Site
from failback.targets.kubernetes.watching import Judged

_TAKEN_S_MAX = 5.0
_PODS_MAX = 8
_STABLE_PODS_MAX = 2
_EVENTS_MAX = 100
_LOG_BYTES = 64 * 1024
_PROBES_MAX = 60
_TEXT_CHARS_MAX = 4_000
_NOT_TOLD = ("kubectl.kubernetes.io/last-applied-configuration", "failback.dev/rollout")

T = TypeVar("T")


async def evidence(site: Site, judged: Sequence[Judged], change: str = "", *, execution: str | None = None) -> Evidence:
    """Of the new revision of these workloads, and of the Jobs of this execution that were not done before it. Never
    raises for something that can't be read."""
    parts = await asyncio.gather(*(_of_one(site, one) for one in judged))
    if execution is not None:
        parts = [*await _or(_of_jobs(site, execution), []), *parts]
    pods = [pod for part in parts for pod in part.pods]
    names = [pod["metadata"]["name"] for pod in pods]
    probes = [probe for name in names for probe in _telling(site.probes.get(name, []))]
    shape = Evidence(
        target="kubernetes",
        service=site.service,
        exit_code=_exit_code(pods),
        api_error=None if pods else site.cluster.refused,
        pods=tuple(_cut(pod) for pod in pods),
        events=tuple(event for part in parts for event in part.events),
        logs={name: pair for part in parts for name, pair in part.logs.items()},
        log_baseline={name: pair for part in parts for name, pair in part.baseline.items()},
        manifests=tuple(_cut(one) for part in parts for one in part.manifests),
        change=change,
        probes=tuple(probes[-_PROBES_MAX:]),
    )
    return _masked(site, shape)


class _Part:
    """What was read of one workload."""

    def __init__(self) -> None:
        self.pods: list[Object] = []
        self.events: list[Object] = []
        self.logs: dict[str, LogPair] = {}
        self.baseline: dict[str, LogPair] = {}
        self.manifests: list[Object] = []


async def _of_one(site: Site, judged: Judged) -> _Part:
    part = _Part()
    cluster = site.cluster
    wanted = [_or(cluster.find("Pod", labels=judged.selector(judged.hash)), [])]
    if judged.stable is not None and judged.stable != judged.hash:
        wanted.append(_or(cluster.find("Pod", labels=judged.selector(judged.stable)), []))
    found = await asyncio.gather(*wanted)
    part.pods = sorted(found[0], key=_worst_first)[:_PODS_MAX] if judged.hash else []
    stable = sorted(found[1] if len(found) > 1 else [], key=lambda pod: not is_ready(pod))[:_STABLE_PODS_MAX]
    part.logs, part.baseline, part.events, part.manifests = await asyncio.gather(
        _or(_logs(site, part.pods), {}),
        _or(_logs(site, stable, init=False), {}),
        _or(_events(site, judged, part.pods), []),
        _or(_manifests(site, judged), []),
    )
    return part


async def _of_jobs(site: Site, execution: str) -> list[_Part]:
    """Each Job that was not done, with its pods: what they printed, or wait for, is why the rollout was not begun."""
    jobs = await site.find_allowed("Job", labels=f"{EXECUTION}={execution_label(execution)}")
    return list(await asyncio.gather(*(_of_job(site, job) for job in jobs if not _is_done(job))))


async def _of_job(site: Site, job: Object) -> _Part:
    part = _Part()
    name = job["metadata"]["name"]
    found = await site.cluster.find("Pod", labels=f"{JOB_LABEL}={name}")
    part.pods = sorted(found, key=_worst_first)[:_PODS_MAX]
    part.manifests = [job]
    about = [f"involvedObject.uid={one['metadata']['uid']}" for one in (job, *part.pods)]
    listed, part.logs = await asyncio.gather(
        asyncio.gather(*(_or(site.cluster.find("Event", fields=fields), []) for fields in about)),
        _or(_logs(site, part.pods), {}),
    )
    events = sorted((event for one in listed for event in one), key=lambda event: last_seen(event) or 0.0)
    part.events = [_cut_event(event) for event in events[-_EVENTS_MAX:]]
    return part


def _is_done(job: Object) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)


async def _or(reading: Awaitable[T], otherwise: T) -> T:
    try:
        async with asyncio.timeout(_TAKEN_S_MAX):
            return await reading
    except (FailbackError, TimeoutError):
        return otherwise


def _worst_first(pod: Object) -> tuple[bool, int, str]:
    return is_ready(pod), -restarts(pod), pod["metadata"]["name"]


async def _logs(site: Site, pods: Sequence[Object], *, init: bool = True) -> dict[str, LogPair]:
    """Of all containers; the main one first, because the diagnosis reads in this order."""
    wanted: list[tuple[str, str]] = []
    for pod in pods:
        names = [status["name"] for status, is_init in containers(pod) if init or not is_init]
        first = [name for name in names if name == main_container(pod)]
        wanted += [(pod["metadata"]["name"], name) for name in dict.fromkeys(first + names)]
    pairs = await asyncio.gather(*(_pair(site, pod, container) for pod, container in wanted))
    return {f"{pod}/{container}": pair for (pod, container), pair in zip(wanted, pairs, strict=True)}


async def _pair(site: Site, pod: str, container: str) -> LogPair:
    current, previous = await asyncio.gather(
        _or(site.cluster.logs(pod, container, tail_bytes=_LOG_BYTES), ""),
        _or(site.cluster.logs(pod, container, previous=True, tail_bytes=_LOG_BYTES), ""),
    )
    # Between two starts the API gives the same run for both.
    return LogPair(current=current, previous="" if previous == current else previous)


async def _events(site: Site, judged: Judged, pods: Sequence[Object]) -> list[Object]:
    """Of the pods, and of those that should have made them."""
    unit = judged.unit
    owners = [(unit.kind, unit.name)]
    if unit.kind == "Deployment":
        sets = await site.cluster.find("ReplicaSet", labels=judged.selector(judged.hash)) if judged.hash else []
        owners += [("ReplicaSet", one["metadata"]["name"]) for one in sets]
    about = [f"involvedObject.uid={pod['metadata']['uid']}" for pod in pods]
    about += [f"involvedObject.kind={kind},involvedObject.name={name}" for kind, name in owners]
    found = await asyncio.gather(*(site.cluster.find("Event", fields=fields) for fields in about))
    since = min((str(pod["metadata"].get("creationTimestamp")) for pod in pods), default="")
    events = [event for listed in found for event in listed]
    events = [event for event in events if event.get("type") != "Normal" or _of_pod(event)]
    events.sort(key=lambda event: last_seen(event) or 0.0)
    recent = [event for event in events if _of_pod(event) or not since or _stamp(event) >= since]
    return [_cut_event(event) for event in recent[-_EVENTS_MAX:]]


def _of_pod(event: Object) -> bool:
    return (event.get("involvedObject") or {}).get("kind") == "Pod"


def _stamp(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def _cut_event(event: Object) -> Object:
    about = event.get("involvedObject") or {}
    kept = ("type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime", "action")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event["metadata"]["name"]},
        "involvedObject": {key: about[key] for key in ("kind", "name", "fieldPath") if about.get(key)},
        "source": {"component": (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""},
        **{key: event[key] for key in kept if event.get(key) is not None},
    }


async def _manifests(site: Site, judged: Judged) -> list[Object]:
    """The workload as it is, its Services, what its template needs, and what may refuse its pods."""
    cluster, unit = site.cluster, judged.unit
    workload = await cluster.get(unit.kind, unit.name)
    if workload is None:
        return []
    needed = {(kind, name) for kind, name, _, _ in references(workload["spec"]["template"]["spec"])}
    wanted = [("Service", name) for name in judged.services] + sorted(needed)
    objects = await asyncio.gather(*(_or(cluster.get(kind, name), None) for kind, name in wanted))
    limits = await asyncio.gather(*(_or(cluster.find(kind), []) for kind in ("ResourceQuota", "LimitRange")))
    return [workload, *(one for one in objects if one is not None), *(one for listed in limits for one in listed)]


def _cut(obj: Object) -> Object:
    """Without what only the API server needs, and without copies of the whole object in its own annotations."""
    kept = ("name", "namespace", "labels", "ownerReferences", "creationTimestamp", "deletionTimestamp", "generation")
    metadata = {key: obj["metadata"][key] for key in kept if obj["metadata"].get(key) is not None}
    annotations = {key: value for key, value in annotations_of(obj).items() if key not in _NOT_TOLD}
    if annotations:
        metadata["annotations"] = annotations
    shape = {key: _short(value) for key, value in obj.items() if key != "metadata"}
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": metadata, **shape}


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _TEXT_CHARS_MAX else value[:_TEXT_CHARS_MAX] + " [...]"
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, list) else value


def _exit_code(pods: Sequence[Object]) -> int | None:
    """Of the newest end with an error."""
    for pod in pods:
        for status, _ in containers(pod):
            for state in ("state", "lastState"):
                code = ((status.get(state) or {}).get("terminated") or {}).get("exitCode")
                if code:
                    return int(code)
    return None


def _telling(probes: Sequence[ProbeResult]) -> list[ProbeResult]:
    """The latest of each pod, those that failed among them."""
    failed = [probe for probe in probes if not probe.passed]
    passed = [probe for probe in probes if probe.passed]
    return [*passed[-10:], *failed[-20:]]


def _masked(site: Site, shape: Evidence) -> Evidence:
    redactor = site.redactor

    def logs(pairs: Mapping[str, LogPair]) -> dict[str, LogPair]:
        return {
            name: LogPair(redactor.redact(pair.current), redactor.redact(pair.previous)) for name, pair in pairs.items()
        }

    return dataclasses.replace(
        shape,
        api_error=redactor.redact_value(shape.api_error),
        pods=tuple(redactor.redact_value(list(shape.pods))),
        events=tuple(redactor.redact_value(list(shape.events))),
        manifests=tuple(redactor.redact_value(list(shape.manifests))),
        logs=logs(shape.logs),
        log_baseline=logs(shape.log_baseline),
        change=redactor.redact(shape.change),
        probes=tuple(
            dataclasses.replace(one, body_head=redactor.redact(one.body_head), error=redactor.redact_value(one.error))
            for one in shape.probes
        ),
    )
