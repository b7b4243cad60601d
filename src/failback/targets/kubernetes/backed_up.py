"""What belongs to a service in its namespace: workloads, Services, configuration, what scales and guards them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from failback.targets.kubernetes.desired import Unit, references, selects
from failback.targets.kubernetes.kinds import Object, labels_of, told
from failback.targets.kubernetes.record import REVISION_OF
from failback.targets.kubernetes.site import Site

_HASHES = ("pod-template-hash", "controller-revision-hash")


@dataclass(frozen=True, slots=True)
class Ran:
    """One container as the kubelets say that it runs; `digest` is "" where none says it."""

    workload: str  # "Deployment/web"
    container: str
    image: str
    digest: str


@dataclass(frozen=True, slots=True)
class Belongings:
    """Live objects, as the cluster has them. `revision`: the hash that most pods carry."""

    workloads: tuple[Object, ...]
    services: tuple[Object, ...]
    configs: tuple[Object, ...]
    others: tuple[Object, ...]
    revision: str | None
    images: tuple[Ran, ...]

    def items(self) -> Iterator[str]:
        yield from (told(one) for one in self.workloads)
        yield from (f"image {one.image} ({one.digest or 'digest not known'})" for one in self.images)
        yield from (told(one) for one in (*self.services, *self.others))
        for kind in ("ConfigMap", "Secret"):
            names = [one["metadata"]["name"] for one in self.configs if one["kind"] == kind]
            if names:
                yield f"{kind} {', '.join(names)}"


async def collect(site: Site, units: Sequence[Unit]) -> Belongings:
    """One round of reads at once, and one more for what the first names."""
    cluster = site.cluster
    found, services, autoscalers, budgets, ingresses = await asyncio.gather(
        asyncio.gather(*(cluster.get(unit.kind, unit.name) for unit in units)),
        cluster.find("Service"),
        cluster.find("HorizontalPodAutoscaler"),
        cluster.find("PodDisruptionBudget"),
        cluster.find("Ingress"),
    )
    workloads = [one for one in found if one is not None]
    configs, accounts, *pods = await asyncio.gather(
        _configs(site, workloads), _accounts(site, workloads), *(pods_of(site, one) for one in workloads)
    )
    labels = [labels_of(one["spec"]["template"]) for one in workloads]
    named = {name for unit in units for name in unit.services}
    mine = [one for one in services if one["metadata"]["name"] in named or _reaches(one, labels)]
    targets = {(one["kind"], one["metadata"]["name"]) for one in workloads}
    others = [
        *accounts,
        *(one for one in autoscalers if scales(one) in targets),
        *(one for one in budgets if any(_guards(one, entry) for entry in labels)),
        *(one for one in ingresses if _leads_to(one, {service["metadata"]["name"] for service in mine})),
    ]
    hashes = [labels_of(pod)[key] for part in pods for pod in part for key in _HASHES if key in labels_of(pod)]
    nothing = "unknown" if workloads else None
    return Belongings(
        tuple(workloads),
        tuple(mine),
        tuple(configs),
        tuple(others),
        max(hashes, key=hashes.count, default=nothing),
        tuple(ran for one, part in zip(workloads, pods, strict=True) for ran in running(told(one), part)),
    )


async def pods_of(site: Site, workload: Object) -> list[Object]:
    """Its pods, those of other workloads with the same labels not among them as far as labels tell."""
    selector = workload["spec"].get("selector") or {}
    labels = selector.get("matchLabels") or labels_of(workload["spec"]["template"])
    return await site.cluster.find("Pod", labels=",".join(f"{key}={value}" for key, value in labels.items()))


def running(workload: str, pods: Sequence[Object]) -> list[Ran]:
    """Image and digest of each container, from the pods' own status. Pure."""
    found: dict[tuple[str, str], str] = {}
    for pod in pods:
        images = {one["name"]: one.get("image", "") for one in pod["spec"].get("containers") or ()}
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            key = (status["name"], images.get(status["name"]) or status.get("image", ""))
            _, at, digest = str(status.get("imageID") or "").rpartition("@")
            found[key] = found.get(key) or (digest if at and digest.startswith("sha256:") else "")
    return [Ran(workload, container, image, digest) for (container, image), digest in sorted(found.items())]


async def _configs(site: Site, workloads: Sequence[Object]) -> list[Object]:
    """Those that the pods name, and the plain ones that a versioned one stands for."""
    wanted = {
        (kind, name): None
        for workload in workloads
        for kind, name, _, _ in references(workload["spec"]["template"]["spec"])
    }
    found = [one for one in await asyncio.gather(*(site.cluster.get(*key) for key in wanted)) if one is not None]
    plain = {(one["kind"], labels_of(one)[REVISION_OF]) for one in found if REVISION_OF in labels_of(one)}
    more = await asyncio.gather(*(site.cluster.get(*key) for key in sorted(plain) if key not in wanted))
    return [*found, *(one for one in more if one is not None)]


async def _accounts(site: Site, workloads: Sequence[Object]) -> list[Object]:
    names = {one["spec"]["template"]["spec"].get("serviceAccountName") or "default" for one in workloads} - {"default"}
    found = await asyncio.gather(*(site.cluster.get("ServiceAccount", name) for name in sorted(names)))
    return [one for one in found if one is not None]


def scales(autoscaler: Object) -> tuple[str, str]:
    """(kind, name) of what it scales."""
    target = autoscaler["spec"]["scaleTargetRef"]
    return target["kind"], target["name"]


def _reaches(service: Object, labels: Sequence[Mapping[str, str]]) -> bool:
    selector = (service.get("spec") or {}).get("selector")
    return any(selects(selector, entry) for entry in labels)


def _guards(budget: Object, labels: Mapping[str, str]) -> bool:
    return selects((budget["spec"].get("selector") or {}).get("matchLabels"), labels)


def _leads_to(ingress: Object, services: set[str]) -> bool:
    spec = ingress.get("spec") or {}
    backends = [spec.get("defaultBackend")]
    for rule in spec.get("rules") or ():
        backends += [path.get("backend") for path in (rule.get("http") or {}).get("paths") or ()]
    return any(((backend or {}).get("service") or {}).get("name") in services for backend in backends)
