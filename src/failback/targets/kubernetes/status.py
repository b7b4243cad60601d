"""What runs now: revisions by the cluster's own hashes, pods, and which of them the Services reach. Only reads."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from failback.model.release import ReplicaState, Revision, RevisionState, ServiceState
from failback.targets.kubernetes import names
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object, labels_of, told
from failback.targets.kubernetes.quantities import asked
from failback.targets.kubernetes.record import Moment, record_of
from failback.targets.kubernetes.settling import unsettled
from failback.targets.kubernetes.site import Site

_HISTORY_SHOWN_MAX = 10


async def service_state(site: Site, units: Sequence[Unit]) -> ServiceState:
    """The service at this moment. `stable` is what its Services reach; of the first unit, where there are several."""
    lives = await asyncio.gather(*(site.cluster.get(unit.kind, unit.name) for unit in units))
    found = [(unit, live) for unit, live in zip(units, lives, strict=True) if live is not None]
    if not found:
        notes = (
            ()
            if not units
            else tuple(f"{unit.told} is not in the namespace {site.cluster.namespace}" for unit in units)
        )
        return ServiceState(site.service, "kubernetes", notes=notes)
    pictures = await asyncio.gather(*(_picture(site, unit, live) for unit, live in found))
    first = pictures[0]
    return ServiceState(
        service=site.service,
        target="kubernetes",
        address=first["address"],
        stable=first["stable"],
        revisions=tuple(revision for one in pictures for revision in one["revisions"]),
        replicas=tuple(replica for one in pictures for replica in one["replicas"]),
        notes=tuple(note for one in pictures for note in one["notes"]),
        proxy={
            "kind": "Service",
            "running": all(one["endpoints"] > 0 or not one["services"] for one in pictures),
            "routed": first["stable"],
            "endpoints": sum(one["endpoints"] for one in pictures),
            "namespace": site.cluster.namespace,
            "context": site.cluster.context,
        },
    )


async def _picture(site: Site, unit: Unit, live: Object) -> dict[str, Any]:
    """One workload with its revisions, pods and Services."""
    (histories, pods), (services, slices) = await asyncio.gather(
        asyncio.gather(_histories(site, live), site.cluster.find("Pod", labels=names.pods_of(live))),
        asyncio.gather(
            asyncio.gather(*(site.cluster.get("Service", name) for name in unit.services)),
            asyncio.gather(
                *(
                    site.cluster.find("EndpointSlice", labels=f"kubernetes.io/service-name={name}")
                    for name in unit.services
                )
            ),
        ),
    )
    present = [one for one in services if one is not None]
    label = names.hash_label(unit.kind)
    mine = [pod for pod in pods if labels_of(pod).get(label)]
    current = current_hash(live, histories)
    pinned = {(one["spec"].get("selector") or {}).get(label) for one in present} - {None}
    stable = pinned.pop() if len(pinned) == 1 else _stable_of(live, current, mine, label)
    ready = _ready_endpoints([part for parts in slices for part in parts])
    reached = [pod for pod in mine if pod["metadata"]["uid"] in ready]
    return {
        "address": _address(present),
        "services": present,
        "stable": stable,
        "revisions": list(_revisions(live, histories, mine, label, stable)),
        "replicas": [_replica(pod, labels_of(pod)[label]) for pod in mine],
        "endpoints": len(reached),
        "notes": list(_notes(unit, live, present, reached, stable, label)),
    }


async def _histories(site: Site, live: Object) -> list[Object]:
    """The ReplicaSets of a Deployment, or the ControllerRevisions of other workloads."""
    if live["kind"] == "Deployment":
        return await names.replica_sets(site, live)
    selector = names.selector_text(live["spec"]["selector"])
    found = await site.cluster.find("ControllerRevision", labels=selector)
    return [one for one in found if names.owned_by(one, live)]


def current_hash(live: Object, histories: Sequence[Object]) -> str | None:
    """The hash of the workload's own template. Pure."""
    if live["kind"] == "Deployment":
        found = names.set_of_template(live, histories)
        return None if found is None else labels_of(found).get(names.POD_HASH)
    status = live.get("status") or {}
    if status.get("updateRevision"):
        return str(status["updateRevision"])
    newest = max(histories, key=lambda one: int(one.get("revision") or 0), default=None)
    return None if newest is None else _hash_of(live, newest)


def _hash_of(live: Object, history: Object) -> str | None:
    if live["kind"] == "Deployment":
        return labels_of(history).get(names.POD_HASH)
    if live["kind"] == "StatefulSet":
        return str(history["metadata"]["name"])
    return labels_of(history).get(names.CONTROLLER_HASH)


def _stable_of(live: Object, current: str | None, pods: Sequence[Object], label: str) -> str | None:
    """Without a pin: what the record calls stable, else the revision with most ready pods, else the template's own."""
    record = record_of(live)
    if record is not None and record.moment in (Moment.ANNOUNCED, Moment.DARK, Moment.ROLLING_BACK):
        return record.stable
    ready = [labels_of(pod)[label] for pod in pods if _is_ready(pod)]
    return max(ready, key=lambda one: (ready.count(one), one == current), default=current)


def _revisions(
    live: Object, histories: Sequence[Object], pods: Sequence[Object], label: str, stable: str | None
) -> Iterator[Revision]:
    record = record_of(live)
    found = [(one, name) for one in histories if (name := _hash_of(live, one)) is not None]
    found.sort(key=lambda entry: str(entry[0]["metadata"]["creationTimestamp"]), reverse=True)
    current = current_hash(live, histories)
    for history, name in found[:_HISTORY_SHOWN_MAX]:
        count = sum(1 for pod in pods if labels_of(pod)[label] == name)
        dark = record is not None and record.moment is Moment.DARK and name == current and name != stable
        state = RevisionState.LIVE if name == stable else RevisionState.DARK if dark else RevisionState.RETIRED
        template = (history.get("spec") or {}).get("template") or history.get("data") or {}
        details: dict[str, Any] = {"workload": told(live), "images": _images(template)}
        if dark and record is not None:
            details |= {"revision": record.revision, "execution": record.execution}
        yield Revision(name, _digest(template), state, count, _unix(history["metadata"]["creationTimestamp"]), details)


def _images(template: Any) -> list[str]:
    spec = (template.get("spec") or {}) if isinstance(template, dict) else {}
    if "template" in spec:  # a ControllerRevision holds a patch of the workload
        spec = (spec["template"] or {}).get("spec") or {}
    return [str(one.get("image", "")) for one in spec.get("containers") or ()]


def _digest(template: Any) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _replica(pod: Object, revision: str) -> ReplicaState:
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or ()
    started = status.get("startTime")
    limit = asked(pod["spec"], "limits").get("memory")
    leaving = "deletionTimestamp" in pod["metadata"]
    return ReplicaState(
        name=pod["metadata"]["name"],
        revision=revision,
        running=not leaving and bool(containers) and all("running" in (one.get("state") or {}) for one in containers),
        address=str(status.get("podIP") or ""),
        uptime_s=max(0.0, time.time() - _unix(started)) if started else None,
        restarts=sum(int(one.get("restartCount") or 0) for one in containers),
        memory_limit_bytes=int(limit) if limit else None,
        healthy=_is_ready(pod),
    )


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _ready_endpoints(slices: Sequence[Object]) -> set[str]:
    """uids of the pods that get new connections."""
    return {
        str((one.get("targetRef") or {}).get("uid"))
        for part in slices
        for one in part.get("endpoints") or ()
        if (one.get("conditions") or {}).get("ready") is not False
    }


def _address(services: Sequence[Object]) -> str:
    for service in services:
        spec = service["spec"]
        ports = spec.get("ports") or [{}]
        port = ports[0].get("port", "")
        balancer = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        host = (balancer[0].get("hostname") or balancer[0].get("ip")) if balancer else spec.get("clusterIP")
        return f"{host}:{port} (Service {service['metadata']['name']})"
    return ""


def _notes(
    unit: Unit, live: Object, services: Sequence[Object], reached: Sequence[Object], stable: str | None, label: str
) -> Iterator[str]:
    record = record_of(live)
    if record is not None:
        yield (
            f"{unit.told}: a rollout is under way ({record.moment}, execution {record.execution}); if its process "
            f"died, `failback resume` ends it"
        )
    elif why := unsettled(live):
        yield f"{unit.told} is not at rest: {why}"
    strangers = [pod["metadata"]["name"] for pod in reached if labels_of(pod)[label] != stable]
    if strangers:
        yield f"{unit.told}: users also reach pods of other revisions: {', '.join(sorted(strangers))}"
    present = {one["metadata"]["name"] for one in services}
    gone = [name for name in unit.services if name not in present]
    if gone:
        yield f"{unit.told}: Service {', '.join(gone)} is not there"


def _unix(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
