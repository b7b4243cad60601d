"""StatefulSets and DaemonSets: pods exchanged one by one, each out of the endpoints before it is deleted.

Such a workload has no second set of pods to switch to. So its Services are pinned to a label of ours that only pods
which may serve carry: a pod loses it and is drained before it goes, and its successor gets it after it has passed. The
first successor is the dark one that is judged; the others follow, each looked at before the next goes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from failback.model.errors import ReleaseError, TargetUnavailable
from failback.targets.base import Action, Journal
from failback.targets.kubernetes import deployments, names, rolling, routing
from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.failures import NotFound
from failback.targets.kubernetes.kinds import Object, labels_of, told
from failback.targets.kubernetes.mirror import CONTROLLERS_S_MAX, Mirror
from failback.targets.kubernetes.names import CONTROLLER_HASH
from failback.targets.kubernetes.pods import condition, is_ready
from failback.targets.kubernetes.record import (
    RECORD,
    SERVING,
    Moment,
    Record,
    annotate,
    label,
    record_of,
    set_field,
)
from failback.targets.kubernetes.site import Site, Staged

_SETTLE_S = 1.0  # a pod that is ready stays so this long before it serves


async def launch(site: Site, unit: Unit, staged: Staged, live: Object, record: Record, journal: Journal) -> None:
    """Pins users to the pods that serve, then lets the first pod be exchanged; its successor is dark."""
    stable = record.stable or ""
    serving = await _pods(site, live, stable)
    with journal.intent("pods.label", workload=unit.told, count=len(serving)):
        await asyncio.gather(*(_label(site, pod, site.service) for pod in serving))
    for service in await routed(site, unit):
        with journal.intent("service.pin", service=service, to=f"{SERVING}={site.service}"):
            await routing.pin(site, service, staged.execution, {SERVING: site.service})
    merged = await deployments.merged(site, unit, staged, live)
    strategy = {"type": "OnDelete"} if unit.kind == "DaemonSet" else _partition(count(live))
    with journal.intent("workload.launch", workload=unit.told):
        live = await site.change(
            unit.kind,
            unit.name,
            lambda current: _launch_patch(current, merged["spec"]["template"], strategy),
        )
    new = await new_hash(site, unit)
    if new != stable and not await _pods(site, live, new):
        await _exchange(site, unit, live, _next(await _pods(site, live, stable)), staged, journal)


async def routed(site: Site, unit: Unit) -> list[str]:
    """The Services by which users come: a headless one is how peers find one another, and names all pods."""
    found = []
    for name in unit.services:
        service = await site.cluster.get("Service", name)
        if service is not None and service["spec"].get("clusterIP") != "None":
            found.append(name)
    return found


async def new_hash(site: Site, unit: Unit) -> str:
    """The revision of the template that the workload has now, once its controller has seen it."""
    deadline = time.monotonic() + CONTROLLERS_S_MAX
    async with Mirror(site.cluster, unit.kind, fields=f"metadata.name={unit.name}") as workloads:

        def seen(objects: Mapping[str, Object]) -> bool:
            one = objects.get(unit.name)
            status = (one or {}).get("status") or {}
            return one is not None and int(status.get("observedGeneration") or 0) >= one["metadata"]["generation"]

        if not await workloads.until(seen, deadline - time.monotonic()):
            raise TargetUnavailable(f"The controller of {unit.told} did not see its new template.")
        found = await names.hash_of_template(site, workloads.objects[unit.name])
    if found is None:
        raise TargetUnavailable(f"{unit.told} has no revision of its template.")
    return found


async def serve_first(site: Site, unit: Unit, staged: Staged, journal: Journal) -> None:
    """The first successor has passed in the dark: it serves its share of users, beside all the others."""
    live, record = await site.record(unit)
    if live is None or record is None:
        raise ReleaseError(f"{unit.told} has no rollout under way.")
    await _serve(site, live, await new_hash(site, unit), staged, journal)


async def exchange_rest(site: Site, unit: Unit, staged: Staged, journal: Journal) -> None:
    """The first one has baked: the others are exchanged one after another, each looked at before the next goes.

    Raises ReleaseError where one of them does not become ready: the pods before it keep serving.
    """
    live, record = await site.record(unit)
    if live is None or record is None:
        raise ReleaseError(f"{unit.told} has no rollout under way.")
    new = await new_hash(site, unit)
    while True:
        await _serve(site, live, new, staged, journal)
        old = await _pods(site, live, record.stable or "")
        if new == record.stable or not old:
            return
        await _exchange(site, unit, live, _next(old), staged, journal)


async def _serve(site: Site, live: Object, new: str, staged: Staged, journal: Journal) -> None:
    """Each new pod that does not serve yet does so once it is ready."""
    for pod in await _pods(site, live, new):
        if labels_of(pod).get(SERVING) != site.service:
            await _passes(site, live, pod["metadata"]["name"], new, staged)
            with journal.intent("pod.serve", pod=pod["metadata"]["name"]):
                await _label(site, pod, site.service)


async def switch(site: Site, unit: Unit, staged: Staged, journal: Journal) -> None:
    """All pods are of the new revision: the Services' ports follow, where the release has others."""
    for name in await routed(site, unit):
        base, ports = await routing.as_wanted(site, name, staged.desired.service(name))
        with journal.intent("traffic.switch", service=name):
            await routing.switch(site, name, {**base, SERVING: site.service}, ports)


async def finish(site: Site, unit: Unit, record: Record, journal: Journal) -> list[Action]:
    """The user's own update strategy and selectors; our label is taken away last."""
    live = await deployments.give_fields_back(site, unit, record.after, journal)
    for name in unit.services:
        with journal.intent("service.unpin", service=name):
            await routing.let_go(site, name, forward=True)
    return [await unlabel(site, live)]


async def unlabel(site: Site, live: Object) -> Action:
    """No pod carries our label any more."""
    pods = await site.cluster.find("Pod", labels=f"{names.pods_of(live)},{SERVING}={site.service}")
    await asyncio.gather(*(_label(site, pod, None) for pod in pods))
    return Action(f"{len(pods)} pods of {live['metadata']['name']} serve without a label of failback")


async def remove_failed(site: Site, live: Object, record: Record, journal: Journal) -> list[Action]:
    """Phase 4: the failed revision is none that `rollback` could choose. What an older revision was and what a pod
    still has stays."""
    pods = await site.cluster.find("Pod", labels=names.pods_of(live))
    used = {labels_of(pod).get(CONTROLLER_HASH) for pod in pods} | {record.stable}
    actions = []
    for name in await names.controller_revisions(site, live) if record.known else ():
        short = name.removeprefix(f"{live['metadata']['name']}-")
        if name not in record.known and not {name, short} & used:
            with journal.intent("controllerrevision.delete", name=name):
                await site.cluster.delete("ControllerRevision", name)
            actions.append(Action(f"removed ControllerRevision {name}"))
    return actions


async def withdraw(site: Site, unit: Unit, live: Object, record: Record, journal: Journal) -> list[Action]:
    """Phase 1: no pod of the failed revision is named by a Service, as the endpoints confirm. Where no stable pod is
    left that could serve instead, they keep serving until phase 2 has replaced each."""
    pods = await _pods(site, live, record.stable or "", other=True)
    if not any(is_ready(pod) for pod in await _pods(site, live, record.stable or "")):
        return [Action(f"{unit.told}: no stable pod is ready; each failed one serves until it is replaced", ok=None)]
    for pod in pods:
        if labels_of(pod).get(SERVING):
            with journal.intent("pod.withdraw", pod=pod["metadata"]["name"]):
                await _label(site, pod, None)
    actions = []
    for name in await routed(site, unit):
        gone = [await _out_of(site, name, pod["metadata"]["uid"]) for pod in pods]
        actions.append(Action(f"Service {name} reaches no pod of the failed revision", ok=all(gone)))
    return actions


async def restore(site: Site, unit: Unit, live: Object, record: Record, journal: Journal) -> list[Action]:
    """Phase 2: the stable template, and each failed pod replaced: Kubernetes would leave a broken one."""
    template = await template_of(site, live, record.stable or "")
    with journal.intent("workload.restore", workload=unit.told):
        live = await site.change(
            unit.kind,
            unit.name,
            lambda current: [
                *set_field(current, ("spec", "template"), template),
                *[one for key, value in record.before.items() for one in set_field(current, ("spec", key), value)],
            ],
        )
    actions = [Action(f"{unit.told} has its stable template")]
    stable = record.stable or ""
    failed = await _pods(site, live, stable, other=True)
    # Those without users go at once; of those that serve, one at a time, once its successor can.
    for pod in sorted(failed, key=lambda one: SERVING in labels_of(one)):
        name = pod["metadata"]["name"]
        if SERVING in labels_of(pod):
            await _withdrawn(site, unit, pod, journal)
        with journal.intent("pod.delete", pod=name):
            await site.cluster.delete("Pod", name, uid=pod["metadata"]["uid"])
        if SERVING in labels_of(pod):
            await _are_ready(site, live, stable, await _serve_all(site, live, stable) + 1)
            await _serve_all(site, live, stable)
    ready = await _are_ready(site, live, stable, count(live))
    serving = await _serve_all(site, live, stable)
    actions.append(Action(f"{serving} pods of {stable} are ready", ok=ready))
    return actions


async def _serve_all(site: Site, live: Object, stable: str) -> int:
    """Every ready stable pod serves; how many there are."""
    ready = [pod for pod in await _pods(site, live, stable) if is_ready(pod)]
    await asyncio.gather(*(_label(site, pod, site.service) for pod in ready))
    return len(ready)


async def _withdrawn(site: Site, unit: Unit, pod: Object, journal: Journal) -> None:
    """Out of the endpoints, and time for every node's proxy to see it. Raises TargetUnavailable."""
    name = pod["metadata"]["name"]
    with journal.intent("pod.withdraw", pod=name):
        await _label(site, pod, None)
    for service in await routed(site, unit):
        if not await _out_of(site, service, pod["metadata"]["uid"]):
            raise TargetUnavailable(f"Service {service} still names the pod {name}, which was taken out of it.")
    await asyncio.sleep(routing.PROXIES_S_MIN)


async def _are_ready(site: Site, live: Object, stable: str, wanted: int) -> bool:
    """Waits until so many pods of the stable revision are ready."""

    def good(pods: dict[str, Object]) -> bool:
        mine = [one for one in pods.values() if is_ready(one)]
        return len([one for one in mine if labels_of(one).get(CONTROLLER_HASH) == stable]) >= wanted

    async with Mirror(site.cluster, "Pod", labels=names.pods_of(live)) as pods:
        return await pods.until(good, CONTROLLERS_S_MAX)


async def template_of(site: Site, live: Object, stable: str) -> Any:
    """The pod template that a former revision had, as its ControllerRevision keeps it. Raises TargetUnavailable."""
    revisions = await site.cluster.find("ControllerRevision", labels=names.selector_text(live["spec"]["selector"]))
    for one in revisions:
        if stable in (one["metadata"]["name"], labels_of(one).get(CONTROLLER_HASH)):
            template = dict(one["data"]["spec"]["template"])
            template.pop("$patch", None)
            return template
    raise TargetUnavailable(f"The ControllerRevision {stable} of {live['metadata']['name']} is not there any more.")


def _launch_patch(current: Object, template: Any, strategy: Mapping[str, Any]) -> Patch:
    record = record_of(current)
    if record is None:
        raise TargetUnavailable(f"{told(current)} lost its rollout record: somebody removed its annotations.")
    if record.moment is not Moment.ANNOUNCED:
        return []
    return [
        *annotate(current, {RECORD: deployments.launched(record).text()}),
        *set_field(current, ("spec", "template"), template),
        *set_field(current, ("spec", "updateStrategy"), dict(strategy)),
    ]


def _partition(first: int) -> dict[str, Any]:
    """A StatefulSet's controller exchanges the pods from this ordinal on."""
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": first}}


async def _exchange(site: Site, unit: Unit, live: Object, pod: Object, staged: Staged, journal: Journal) -> None:
    """One pod: out of the endpoints, drained, deleted; its successor runs without users."""
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    await _withdrawn(site, unit, pod, journal)
    await asyncio.sleep(max(0.0, float(staged.checks.get("drain") or 0.0) - routing.PROXIES_S_MIN))
    if unit.kind == "StatefulSet":
        ordinal = int(name.rpartition("-")[2])
        with journal.intent("workload.partition", workload=unit.told, first=ordinal):
            await site.change(
                unit.kind,
                unit.name,
                lambda current: set_field(current, ("spec", "updateStrategy"), _partition(ordinal)),
            )
    else:
        with journal.intent("pod.delete", pod=name):
            await site.cluster.delete("Pod", name, uid=uid)
    async with Mirror(site.cluster, "Pod", labels=names.pods_of(live)) as pods:
        if not await pods.until(
            lambda objects: all(one["metadata"]["uid"] != uid for one in objects.values()), CONTROLLERS_S_MAX * 2
        ):
            raise TargetUnavailable(f"The pod {name} did not go within {CONTROLLERS_S_MAX * 2:.0f} s.")


async def _passes(site: Site, live: Object, pod: str, new: str, staged: Staged) -> None:
    """One successor becomes ready, and stays so for a moment. Raises ReleaseError."""
    limit_s = float((staged.checks.get("ready") or {}).get("timeout") or 30.0)

    def ready(pods: dict[str, Object]) -> bool:
        return (
            pod in pods
            and labels_of(pods[pod]).get(CONTROLLER_HASH) == new
            and condition(pods[pod], "Ready").get("status") == "True"
        )

    async with Mirror(site.cluster, "Pod", labels=names.pods_of(live, new)) as pods:
        good = await pods.until(ready, limit_s)
        if good:
            good = not await pods.until(lambda objects: not ready(objects), _SETTLE_S)
    if not good:
        raise ReleaseError(f"{pod} of the new revision did not become ready within {limit_s:g} s, or did not stay so.")


async def _out_of(site: Site, service: str, uid: str) -> bool:
    """Waits until no endpoint of the Service is this pod."""

    def out(slices: dict[str, Object]) -> bool:
        endpoints = [one for part in slices.values() for one in part.get("endpoints") or ()]
        return all((one.get("targetRef") or {}).get("uid") != uid for one in endpoints)

    async with Mirror(site.cluster, "EndpointSlice", labels=f"kubernetes.io/service-name={service}") as slices:
        return await slices.until(out, CONTROLLERS_S_MAX)


async def _label(site: Site, pod: Object, value: str | None) -> None:
    """Sets or removes our label; a pod that is gone by now needs none."""
    try:
        await site.cluster.change("Pod", pod["metadata"]["name"], lambda current: label(current, {SERVING: value}))
    except NotFound:
        return


async def _pods(site: Site, live: Object, revision_hash: str, *, other: bool = False) -> list[Object]:
    """The workload's pods of this revision (`other`: of all others), those on their way out left aside."""
    found = await site.cluster.find("Pod", labels=names.pods_of(live))
    return [
        pod
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
        and names.owned_by(pod, live)
        and (labels_of(pod).get(CONTROLLER_HASH) == revision_hash) is not other
    ]


def _next(pods: list[Object]) -> Object:
    """Who goes first: of a StatefulSet the highest number, as its controller does it."""
    return max(pods, key=lambda pod: _ordinal(pod["metadata"]["name"]))


def _ordinal(name: str) -> tuple[int, str]:
    end = name.rpartition("-")[2]
    return (int(end) if end.isdigit() else -1, name)


async def judged_count(site: Site, live: Object, new: str, record: Record | None) -> int:
    """How many pods of the new revision there should be at this moment."""
    if record is None or record.stable is None or record.moment is Moment.FINISHING or record.way == rolling.OWN:
        return count(live)
    if live["kind"] == "Deployment":
        return 1 if record.way == rolling.ROLLING else count(live)
    return max(1, len(await _pods(site, live, new)))


def count(live: Object) -> int:
    """How many pods the workload is to have."""
    if live["kind"] == "DaemonSet":
        return int((live.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int(live["spec"].get("replicas", 1))
