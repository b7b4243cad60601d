"""All that preflight has to know of the cluster, read at once; what may not be read is named, not guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from failback.model.errors import NotPermitted
from failback.targets.kubernetes.backed_up import pods_of
from failback.targets.kubernetes.desired import Desired, Unit, references, selects
from failback.targets.kubernetes.failures import NotFound
from failback.targets.kubernetes.kinds import Object, labels_of
from failback.targets.kubernetes.site import Site

Found = TypeVar("Found")
# More would be too much to read for a rough sum: a deployment costs the same in a large cluster as in a small one.
_NODES_MAX = 200
_PODS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment of the namespace. Keys of `live` and `pods`: "Deployment/web"; of `referenced`: (kind, name).

    `nodes`, `node_pods`, `quotas`: None where they may not be read, or are too many. `unread`: what that was.
    """

    service: str
    namespace: str
    desired: Desired
    live: Mapping[str, Object | None] = field(default_factory=dict)
    pods: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    services: tuple[Object, ...] = ()
    reached: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)  # Service name -> pods of its selector
    ingresses: tuple[Object, ...] = ()
    autoscalers: tuple[Object, ...] = ()
    referenced: Mapping[tuple[str, str], Object | None] = field(default_factory=dict)
    quotas: tuple[Object, ...] | None = ()
    nodes: tuple[Object, ...] | None = None
    node_pods: tuple[Object, ...] | None = None
    namespace_object: Object | None = None
    zero_downtime: bool = True
    dark_safe: bool = False
    unread: tuple[str, ...] = ()

    def template(self, unit: Unit) -> Object:
        found: Object = self.desired.workload(unit)["spec"]["template"]
        return found

    def services_of(self, unit: Unit) -> Iterator[Object]:
        """The live Services that reach the unit's pods, and those of the release that will."""
        labels = labels_of(self.template(unit))
        live = {one["metadata"]["name"]: one for one in self.services}
        for one in self.services:
            if one["metadata"]["name"] in unit.services or selects((one.get("spec") or {}).get("selector"), labels):
                yield one
        for one in self.desired.services:
            if one["metadata"]["name"] in unit.services and one["metadata"]["name"] not in live:
                yield one


async def read(site: Site, desired: Desired, *, dark_safe: bool) -> Scene:
    """Two rounds of reads, each at once."""
    cluster = site.cluster
    unread: list[str] = []

    async def allowed(what: str, reading: Awaitable[Found]) -> Found | None:
        try:
            return await reading
        except (NotPermitted, NotFound):
            unread.append(what)
            return None

    (lives, services, referenced, namespace), (ingresses, autoscalers, quotas, nodes) = await asyncio.gather(
        asyncio.gather(
            asyncio.gather(*(cluster.get(unit.kind, unit.name) for unit in desired.units)),
            cluster.find("Service"),
            _referenced(site, desired, allowed),
            allowed("Namespace", cluster.get("Namespace", cluster.namespace)),
        ),
        asyncio.gather(
            allowed("Ingress", cluster.find("Ingress")),
            allowed("HorizontalPodAutoscaler", cluster.find("HorizontalPodAutoscaler")),
            allowed("ResourceQuota", cluster.find("ResourceQuota")),
            allowed("Node", cluster.few("Node", _NODES_MAX)),
        ),
    )
    live = {unit.told: one for unit, one in zip(desired.units, lives, strict=True)}
    labels = [labels_of(one["spec"]["template"]) for one in desired.workloads]
    reaching = [
        one for one in services if any(selects((one.get("spec") or {}).get("selector"), each) for each in labels)
    ]
    pods, reached, node_pods = await asyncio.gather(
        asyncio.gather(
            *(pods_of(site, one or desired.workload(unit)) for unit, one in zip(desired.units, lives, strict=True))
        ),
        asyncio.gather(*(cluster.find("Pod", labels=_selector(one)) for one in reaching)),
        allowed("Pod of all namespaces", cluster.few("Pod", _PODS_MAX, fields=_RUNNING)) if nodes else _nothing(),
    )
    return Scene(
        service=site.service,
        namespace=cluster.namespace,
        desired=desired,
        live=live,
        pods={unit.told: tuple(found) for unit, found in zip(desired.units, pods, strict=True)},
        services=tuple(services),
        reached={one["metadata"]["name"]: tuple(found) for one, found in zip(reaching, reached, strict=True)},
        ingresses=tuple(ingresses or ()),
        autoscalers=tuple(autoscalers or ()),
        referenced=referenced,
        quotas=None if quotas is None else tuple(quotas),
        nodes=None if nodes is None else tuple(nodes),
        node_pods=None if node_pods is None else tuple(node_pods),
        namespace_object=namespace,
        zero_downtime=site.settings.zero_downtime,
        dark_safe=dark_safe,
        unread=tuple(unread),
    )


_RUNNING = "status.phase!=Succeeded,status.phase!=Failed"


async def _nothing() -> None:
    return None


async def _referenced(site: Site, desired: Desired, allowed: Any) -> dict[tuple[str, str], Object | None]:
    """What the pod templates name and the release does not bring itself."""
    brought = {(one["kind"], one["metadata"]["name"]) for one in desired.everything()}
    wanted: dict[tuple[str, str], None] = {}
    for workload in (*desired.workloads, *desired.jobs):
        pod = workload["spec"]["template"]["spec"]
        for kind, name, _, _ in references(pod):
            wanted[kind, name] = None
        account = pod.get("serviceAccountName")
        if account and account != "default":
            wanted["ServiceAccount", account] = None
        for volume in pod.get("volumes") or ():
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim:
                wanted["PersistentVolumeClaim", claim] = None
    keys = [key for key in wanted if key not in brought]
    found = await asyncio.gather(*(allowed(f"{kind} {name}", site.cluster.get(kind, name)) for kind, name in keys))
    return dict(zip(keys, found, strict=True))


def _selector(service: Object) -> str:
    return ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
