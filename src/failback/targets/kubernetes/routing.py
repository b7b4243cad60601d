"""Which pods users reach: Services pinned to one revision, switched to another in one patch, and let go at the end.

Promise: a Service's selector is one atomic map, so users are on one revision or on the other, never on neither. What
the selector was stands beside it in the same write; the last write gives it back, with who owned which field.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from failback.model.errors import ReleaseError, WriteRejected
from failback.targets.base import Action
from failback.targets.kubernetes import merging
from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.kinds import Object, annotations_of
from failback.targets.kubernetes.mirror import CONTROLLERS_S_MAX, Mirror
from failback.targets.kubernetes.names import POD_HASH
from failback.targets.kubernetes.ownership import handed_back
from failback.targets.kubernetes.record import FENCE, RECORD, SERVING, annotate, set_field
from failback.targets.kubernetes.site import Site

# From the endpoints' change until every node's proxy has it: kube-proxy writes its rules at most once a second, and on
# a node that is short of CPU three seconds were not enough. No pod that users came to goes before.
PROXIES_S_MIN = 5.0
PINS = (POD_HASH, SERVING)  # the labels by which a Service is pinned


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A pinned Service as it was: selector, ports, and who owned which field."""

    execution: str
    selector: Mapping[str, str]
    ports: tuple[Any, ...]
    managers: tuple[Any, ...]


def service_record(service: Object | None) -> ServiceRecord | None:
    """The record on a Service; None where it is not pinned by failback."""
    text = annotations_of(service or {}).get(RECORD)
    if not text:
        return None
    shape = json.loads(text)
    return ServiceRecord(shape["execution"], shape["selector"], tuple(shape["ports"]), tuple(shape["managers"]))


async def pin(site: Site, name: str, execution: str, pins: Mapping[str, str]) -> Object:
    """Users stay on the pods with these labels, whatever comes beside them."""

    def operations(service: Object) -> Patch:
        spec = service["spec"]
        record = service_record(service) or ServiceRecord(
            execution,
            dict(spec.get("selector") or {}),
            tuple(spec.get("ports") or ()),
            tuple(service["metadata"].get("managedFields") or ()),
        )
        wanted = {**record.selector, **pins}
        if spec.get("selector") == wanted and service_record(service) is not None:
            return []
        text = json.dumps(asdict(record), separators=(",", ":"), sort_keys=True)
        return [*annotate(service, {RECORD: text}), *set_field(service, ("spec", "selector"), wanted)]

    return await site.change("Service", name, operations)


async def as_wanted(site: Site, name: str, wanted: Object | None) -> tuple[dict[str, str], list[Any] | None]:
    """Selector and ports of a Service as the release wants them: merged by the API server; as they were where the
    release has no such Service."""
    service = await site.cluster.get("Service", name)
    record = service_record(service)
    if wanted is None:
        return dict(record.selector) if record else {}, None
    if record is None:
        raise ReleaseError(f"Service {name} lost its rollout record: somebody removed its annotations.")
    merged = await merging.merged(site.cluster, wanted, service)
    # The dry run shows today's pins as well, where they are not the manifest's.
    selector = {
        key: value
        for key, value in (merged["spec"].get("selector") or {}).items()
        if key not in PINS or key in (wanted["spec"].get("selector") or {})
    }
    return selector, list(merged["spec"].get("ports") or ())


async def switch(site: Site, name: str, selector: Mapping[str, str], ports: Sequence[Any] | None) -> Object:
    """All new connections of users to the pods of this selector, and the ports with it, in one patch."""

    def operations(service: Object) -> Patch:
        found = set_field(service, ("spec", "selector"), dict(selector))
        return [*found, *(set_field(service, ("spec", "ports"), list(ports)) if ports is not None else [])]

    return await site.change("Service", name, operations)


async def let_go(site: Site, name: str, *, forward: bool) -> Object | None:
    """The end: no pin, no record, no fence. `forward`: selector and ports stay as the new release has them; else they
    are again what they were."""
    current = await site.cluster.get("Service", name)
    record = service_record(current)
    if current is None or (record is None and FENCE not in annotations_of(current)):
        return current

    def operations(service: Object) -> Patch:
        kept = service_record(service)
        found: Patch = []
        if kept is not None and forward:
            pinned = service["spec"].get("selector") or {}
            own = {key: value for key, value in pinned.items() if key not in PINS or key in kept.selector}
            found = set_field(service, ("spec", "selector"), own)
        elif kept is not None:
            found = [
                *set_field(service, ("spec", "selector"), dict(kept.selector)),
                *set_field(service, ("spec", "ports"), list(kept.ports)),
            ]
        return [*found, *annotate(service, {RECORD: None, FENCE: None})]

    changed = await site.unfence("Service", name, operations)
    return await hand_back(site, changed, record.managers if record else ())


async def hand_back(site: Site, obj: Object, before: Sequence[Any]) -> Object:
    """Gives the fields of an object back to who owned them. Values stay as they are."""
    kind, name = obj["kind"], obj["metadata"]["name"]

    def operations(current: Object) -> Patch:
        have = current["metadata"].get("managedFields") or []
        wanted = handed_back(before, have)
        if wanted == have or not wanted:
            return []
        return [{"op": "replace", "path": "/metadata/managedFields", "value": wanted}]

    return await site.cluster.change(kind, name, operations)


async def confirmed(site: Site, services: Sequence[str], label: str, revision_hash: str, least: int) -> list[Action]:
    """Waits until each Service's endpoints are pods of this revision alone, at least `least` of them ready."""
    return list(await asyncio.gather(*(_confirm(site, name, label, revision_hash, least) for name in services)))


async def _confirm(site: Site, name: str, label: str, revision_hash: str, least: int) -> Action:
    service = await site.cluster.get("Service", name)
    if service is None:
        return Action(f"Service {name} is not there", ok=False)
    pins = service["spec"].get("selector") or {}
    if pins.get(label) != revision_hash:
        return Action(f"Service {name} is not pinned to {revision_hash}: its selector is {pins}", ok=False)
    mine = {
        one["metadata"]["uid"]
        for one in await site.cluster.find("Pod", labels=",".join(f"{key}={value}" for key, value in pins.items()))
    }
    found: list[int] = []

    def only_these(slices: dict[str, Object]) -> bool:
        endpoints = [one for part in slices.values() for one in part.get("endpoints") or ()]
        ready = [one for one in endpoints if (one.get("conditions") or {}).get("ready") is not False]
        strangers = [one for one in ready if (one.get("targetRef") or {}).get("uid") not in mine]
        found[:] = [len(ready), len(strangers)]
        # A dual-stack Service has every pod twice; that is more, not less.
        return not strangers and len(ready) >= least

    async with Mirror(site.cluster, "EndpointSlice", labels=f"kubernetes.io/service-name={name}") as slices:
        good = await slices.until(only_these, CONTROLLERS_S_MAX)
    ready, strangers = found
    text = f"Service {name} reaches {ready} ready pods, all of {revision_hash}"
    if not good:
        text = f"Service {name} reaches {ready} ready pods ({least} wanted), {strangers} of them not of {revision_hash}"
    return Action(text, ok=good, detail={"service": name, "ready": ready, "strangers": strangers})


def must_hold(actions: Sequence[Action], what: str) -> None:
    """Raises WriteRejected where one of these did not do."""
    failed = [action.text for action in actions if action.ok is False]
    if failed:
        raise WriteRejected(f"{what}: {'; '.join(failed)}")
