"""A namespace of its own, a stable Deployment with its Service, and dark Deployments made by hand beside it."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from failback.detection.gate import judge
from failback.model.observation import Limits, Verdict, VerdictState, View
from failback.model.redaction import Redactor
from failback.targets.kubernetes.desired import Unit
from failback.targets.kubernetes.site import Settings, Site
from failback.targets.kubernetes.watching import Judged, Watch

APP = "failback/app:1"
LABEL = "pod-template-hash"
CHECKS: Mapping[str, Any] = {
    "ready": {"path": "/", "timeout": 30.0, "status": None, "host": None},
    "smoke": [
        {"path": "/", "method": "GET", "status": (200,), "max_ms": 500, "body": None, "headers": {}, "repeat": 3}
    ],
    "soak": 1.0,
}
LIMITS = Limits(ready_s_max=30, soak_s=1.0, bake_s=2.0)


def container(env: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The testbed's web service; `env` says how it misbehaves."""
    shape: dict[str, Any] = {
        "name": "app",
        "image": APP,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": str(value)} for key, value in (env or {}).items()],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
    }
    return {**shape, **more}


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"containers": list(containers) or [container()], "terminationGracePeriodSeconds": 1, **spec}


class Rig:
    """`site`: as the target has it. Everything is made in the rig's own namespace."""

    def __init__(self, folder: Path, namespace: str) -> None:
        key = folder / "key"
        key.write_text("")
        settings = Settings(namespace=namespace)
        self.site = Site(folder / "site", key, "web", settings, Redactor(["hunter2-secret"]))
        self.cluster = self.site.cluster
        self.namespace = namespace
        self.launched = 0.0
        self.hash = ""
        self.stable = ""
        self.verdict: Verdict | None = None
        self.views: list[View] = []

    async def make_namespace(self) -> None:
        await self.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})

    async def remove_namespace(self) -> None:
        await self.cluster.delete("Namespace", self.namespace)
        await self.site.close()

    async def serve(self, spec: dict[str, Any] | None = None, replicas: int = 2) -> None:
        """The stable revision, ready, and the Service that leads to it."""
        await self.cluster.create(deployment(spec or pod(), replicas))
        self.stable = await self._hash()
        await self.cluster.create(service(self.stable))
        await self._ready(self.stable, replicas)

    async def launch(self, spec: dict[str, Any]) -> None:
        """A new template for the Deployment, dark as a rollout launches it."""
        current = await self.cluster.get("Deployment", "web")
        if current is None:
            await self.cluster.create(service("none yet"))
            self.launched = time.time()
            await self.cluster.create(dark(deployment(spec, 2)))
        else:
            wanted = dark(deployment(spec, 2))
            self.launched = time.time()
            await self.cluster.apply(wanted)
        self.hash = await self._hash(besides=self.stable)

    def judged(self) -> Judged:
        unit = Unit("Deployment", "web", ("web",))
        return Judged(unit, LABEL, self.hash, self.stable or None, 2, ("web",))

    async def judge(
        self,
        spec: dict[str, Any],
        *,
        checks: Mapping[str, Any] = CHECKS,
        limits: Limits = LIMITS,
        timeout_s: float = 60.0,
    ) -> Verdict:
        """Launches it and looks until there is a verdict."""
        await self.launch(spec)
        async with asyncio.timeout(timeout_s):
            return await self.look(checks, limits)

    async def look(self, checks: Mapping[str, Any] = CHECKS, limits: Limits = LIMITS, **more: Any) -> Verdict:
        watch = Watch(self.site, [self.judged()], checks, self.launched, more.pop("cut_over", None), **more)
        views = watch.views()
        try:
            async for view in views:
                self.views.append(view)
                self.verdict = judge(view, limits)
                if self.verdict.state is not VerdictState.PROGRESSING:
                    return self.verdict
        finally:
            await views.aclose()  # type: ignore[attr-defined]
        raise AssertionError("the watch ended by itself")

    async def _hash(self, besides: str = "") -> str:
        """Of the ReplicaSet whose template the Deployment has."""
        for _ in range(200):
            deployment = await self.cluster.get("Deployment", "web")
            wanted = copy.deepcopy((deployment or {})["spec"]["template"])
            for one in await self.cluster.find("ReplicaSet", labels="app=web"):
                found = one["metadata"]["labels"][LABEL]
                template = copy.deepcopy(one["spec"]["template"])
                template["metadata"]["labels"].pop(LABEL)
                if found != besides and template == wanted:
                    return str(found)
            await asyncio.sleep(0.05)
        raise AssertionError("no ReplicaSet was made")

    async def _ready(self, revision: str, replicas: int) -> None:
        from failback.targets.kubernetes.mirror import Mirror
        from failback.targets.kubernetes.pods import is_ready

        async with Mirror(self.cluster, "Pod", labels=f"{LABEL}={revision}") as pods:
            there = await pods.until(lambda found: sum(map(is_ready, found.values())) >= replicas, 60)
        assert there, f"{replicas} pods of {revision} did not become ready"


def deployment(spec: dict[str, Any], replicas: int) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec},
        },
    }


def dark(shape: dict[str, Any]) -> dict[str, Any]:
    """With the fields by which no old pod leaves."""
    shape["spec"] |= {
        "minReadySeconds": 2147483646,
        "progressDeadlineSeconds": 2147483647,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
    }
    return shape


def service(revision: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"app": "web", LABEL: revision.replace(" ", "-")},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }
