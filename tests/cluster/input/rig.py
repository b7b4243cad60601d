"""Words for stories about what goes into a rollout: a release of manifests, what preflight says of it, its snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failback.backup.keys import ensure_key
from failback.model.redaction import Redactor
from failback.model.release import Finding
from failback.targets.base import ReleaseSpec
from failback.targets.kubernetes.desired import Desired, desired_of
from failback.targets.kubernetes.manifest_files import Found
from failback.targets.kubernetes.manifests import placed
from failback.targets.kubernetes.preflight import preflight
from failback.targets.kubernetes.site import Settings, Site
from tests.cluster.support import Cluster, app

Object = dict[str, Any]


class Journal:
    """Notes each write that is about to be made."""

    token = 1

    def __init__(self) -> None:
        self.writes: list[str] = []

    @contextlib.contextmanager
    def intent(self, write: str, /, **detail: Any) -> Iterator[None]:
        self.writes.append(f"{write} {detail}")
        yield


@dataclass
class Rig:
    cluster: Cluster
    site: Site
    journal: Journal

    @classmethod
    def of(cls, cluster: Cluster, folder: Path, **settings: Any) -> Rig:
        key = folder / "key.age"
        ensure_key(key)
        place = Settings(namespace=cluster.namespace, **settings)
        return cls(cluster, Site(folder / "service", key, "app", place, Redactor()), Journal())

    def serve(self, *objects: Object) -> None:
        """The stable release: these objects run before the story begins."""
        self.cluster.apply(*objects)
        self.cluster.rolled_out()

    def wanted(self, *objects: Object, image: str | None = None) -> Desired:
        found = [Found(one, "a test") for one in objects or app()]
        return desired_of(placed(found, self.cluster.namespace), (), image)

    async def preflight(
        self, *objects: Object, image: str | None = None, checks: Mapping[str, Any] | None = None
    ) -> list[Finding]:
        release = ReleaseSpec("app", {}, checks or {})
        return await preflight(self.site, release, self.wanted(*objects, image=image))

    async def blocks(self, *objects: Object, image: str | None = None) -> list[Finding]:
        return [one for one in await self.preflight(*objects, image=image) if one.blocking]

    def pods(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.cluster.listed("pods")}


def with_container(objects: list[Object], **fields: Any) -> list[Object]:
    """The application's Deployment with these fields in its container."""
    deployment = objects[0]
    template = deployment["spec"]["template"]
    container = {**template["spec"]["containers"][0], **fields}
    spec = {**template["spec"], "containers": [container]}
    made = {**deployment, "spec": {**deployment["spec"], "template": {**template, "spec": spec}}}
    return [made, *objects[1:]]


def with_pod(objects: list[Object], **fields: Any) -> list[Object]:
    """The application's Deployment with these fields in its pod."""
    deployment = objects[0]
    template = deployment["spec"]["template"]
    made = {
        **deployment,
        "spec": {**deployment["spec"], "template": {**template, "spec": {**template["spec"], **fields}}},
    }
    return [made, *objects[1:]]


def config(name: str, kind: str = "ConfigMap", **data: str) -> Object:
    content = {"data": data} if kind == "ConfigMap" else {"stringData": data}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **content}
