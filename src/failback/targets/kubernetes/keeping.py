"""The snapshot of a service in a cluster, and the server's own dry run of its way back (`restoring` makes it).

Promise: the documents are plain manifests, so that a person can restore them with kubectl alone; a workload tells the
image digests that ran. Nothing is written.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from failback.model.errors import FailbackError
from failback.model.release import Finding
from failback.model.snapshot import SnapshotContent
from failback.targets.kubernetes import backed_up
from failback.targets.kubernetes.backed_up import Belongings
from failback.targets.kubernetes.cleaning import as_manifest
from failback.targets.kubernetes.cluster import MANAGER
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.kinds import Object, told
from failback.targets.kubernetes.record import PREFIX
from failback.targets.kubernetes.restoring import as_it_was, objects_of, restore, scaled_by_autoscalers
from failback.targets.kubernetes.secret_values import secret_values
from failback.targets.kubernetes.site import Site

IMAGES = f"{PREFIX}/images"  # the annotation of a workload in a snapshot: what ran, by digest
_NOTHING = "# nothing ran before\n"


async def snapshot(site: Site, units: Sequence[Unit]) -> SnapshotContent:
    """What runs now, and all that it needs of its namespace."""
    found = await backed_up.collect(site, units)
    site.redactor.add(secret_values(found.configs))
    if not found.workloads:
        return SnapshotContent(
            service=site.service,
            target="kubernetes",
            revision=None,
            documents={"k8s": _NOTHING, "service": _NOTHING, "configs": "{}"},
            items=("nothing ran before",),
        )
    return SnapshotContent(
        service=site.service,
        target="kubernetes",
        revision=found.revision,
        documents={
            "k8s": _yaml([*_with_digests(found), *(as_manifest(one) for one in found.others)]),
            "service": _yaml([as_manifest(one) for one in found.services]),
            "configs": json.dumps(
                {"namespace": site.cluster.namespace, **_configs(found), "managers": _managers(found)},
                indent=1,
                ensure_ascii=False,
            ),
        },
        items=tuple(found.items()),
    )


def _configs(found: Belongings) -> dict[str, dict[str, Object]]:
    return {
        key: {one["metadata"]["name"]: as_manifest(one) for one in found.configs if one["kind"] == kind}
        for key, kind in (("configmaps", "ConfigMap"), ("secrets", "Secret"))
    }


def _managers(found: Belongings) -> dict[str, list[Any]]:
    """Who owned which field; no manifest can hold it, and a restore gives it back."""
    objects = (*found.workloads, *found.services, *found.configs, *found.others)
    kept = {
        told(one): [
            entry
            for entry in one["metadata"].get("managedFields") or ()
            if entry.get("manager") != MANAGER and not entry.get("subresource")
        ]
        for one in objects
    }
    return {name: entries for name, entries in kept.items() if entries}


def _with_digests(found: Belongings) -> Iterator[Object]:
    for workload in found.workloads:
        shape = as_manifest(workload)
        ran = {one.container: f"{one.image}@{one.digest}" for one in found.images if one.workload == told(workload)}
        shape["metadata"].setdefault("annotations", {})[IMAGES] = json.dumps(ran)
        yield shape


def _yaml(objects: Sequence[Object]) -> str:
    return str(yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True))


async def accepts(site: Site, content: SnapshotContent) -> list[Finding]:
    """The server's own dry run of each write of a restore: over what is there, and where nothing is. All at once."""
    if content.revision is None:
        return []
    try:
        objects = objects_of(content)
        other = json.loads(content.documents["configs"]).get("namespace")
    except (KeyError, ValueError, TypeError, yaml.YAMLError) as cause:
        return [Finding("error", "snapshot", f"its documents cannot be read: {cause}", blocking=True)]
    if other not in (None, site.cluster.namespace):
        told_so = f"is of the namespace {other}, and this service is in {site.cluster.namespace}"
        return [Finding("error", "snapshot", told_so, blocking=True)]
    scaled = scaled_by_autoscalers(objects)
    found = await asyncio.gather(*(_accepted(site, one, scaled) for one in objects))
    return [finding for findings in found for finding in findings]


async def _accepted(site: Site, obj: Object, scaled: frozenset[str]) -> list[Finding]:
    async def over_what_is_there() -> None:
        live = await site.cluster.get(obj["kind"], obj["metadata"]["name"])
        if live is not None and not (live.get("immutable") and obj.get("immutable")):
            await site.cluster.replace(as_it_was(obj, live, scaled), dry_run=True)

    async def where_nothing_is() -> None:
        await site.cluster.create(_as_new(obj), dry_run=True)

    done = await asyncio.gather(over_what_is_there(), where_nothing_is(), return_exceptions=True)
    findings = []
    for error, place in zip(done, ("over what runs", "in an emptied namespace"), strict=True):
        if error is None:
            continue
        if not isinstance(error, FailbackError):
            raise error
        if not _says_only_that_it_is_there(error):
            message = f"would not be accepted {place}: {error.message}"
            findings.append(Finding("error", told(obj), message, blocking=True))
    return findings


def _as_new(obj: Object) -> Object:
    """Under a name that nobody has, so that the server looks at it as at a new one."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "name"}
    shape = {**obj, "metadata": {**metadata, "generateName": "failback-check-"}}
    if obj["kind"] == "Service":
        ports = obj["spec"].get("ports") or ()
        free = [{key: value for key, value in port.items() if key != "nodePort"} for port in ports]
        shape["spec"] = {**obj["spec"], "ports": free}
    return shape


def _says_only_that_it_is_there(error: FailbackError) -> bool:
    """A quota that the present objects fill says nothing about an emptied namespace; nor does a write of this moment
    by somebody else about the restore."""
    return "exceeded quota" in error.message or "the object has been modified" in error.message


__all__ = ("accepts", "objects_of", "restore", "snapshot")
