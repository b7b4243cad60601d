"""A stable Deployment with its Service, and new templates of it launched dark by hand, looked at by the watch alone."""

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
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.pods import is_ready
from failback.targets.kubernetes.site import Settings, Site
from failback.targets.kubernetes.watching import Judged, Watch

LABEL = "pod-template-hash"
SMOKE: Mapping[str, Any] = {"path": "/", "method": "GET", "status": (200,), "max_ms": 500, "repeat": 3}
CHECKS: Mapping[str, Any] = {"ready": {"path": "/", "timeout": 30.0}, "smoke": [SMOKE]}
LIMITS = Limits(ready_s_max=30, soak_s=1.0, bake_s=2.0)
DARK: Mapping[str, Any] = {
    "minReadySeconds": 2147483646,
    "progressDeadlineSeconds": 2147483647,
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
}


def container(env: Any = None, **more: Any) -> dict[str, Any]:
    """The testbed's web service; `env` (a mapping, or a list as in a manifest) says how it misbehaves. A key that is
    None is left out."""
    shape: dict[str, Any] = {
        "name": "app",
        "image": "failback/app:1",
        "imagePullPolicy": "IfNotPresent",
        "env": env if isinstance(env, list) else [{"name": k, "value": str(v)} for k, v in (env or {}).items()],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
    }
    return {key: value for key, value in {**shape, **more}.items() if value is not None}


def helper(name: str, env: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A second container of the pod, or one that comes before it."""
    return container({"PORT": "8081", **(env or {})}, name=name, readinessProbe=None, ports=None, **more)


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"containers": list(containers) or [container()], "terminationGracePeriodSeconds": 1, **spec}


class Rig:
    """`site`: as the target has it, in a namespace that is there already."""

    def __init__(self, folder: Path, namespace: str, replicas: int = 2) -> None:
        settings = Settings(namespace=namespace)
        self.site = Site(folder / "site", folder / "key", "web", settings, Redactor(["hunter2-secret"]))
        self.cluster = self.site.cluster
        self.replicas = replicas
        self.launched = 0.0
        self.hash = ""
        self.stable = ""
        self.verdict: Verdict | None = None
        self.views: list[View] = []

    async def serve(self, spec: dict[str, Any] | None = None) -> None:
        """The stable revision, ready, and the Service that leads to it; nothing to do where they are there."""
        found = await self.cluster.get("Service", "web")
        if found is None:
            await self.cluster.create(deployment(spec or pod(), self.replicas))
            await self.cluster.create(service(await self._hash()))
            found = await self.cluster.get("Service", "web")
        self.stable = (found or {})["spec"]["selector"][LABEL]
        await self.ready(self.stable)

    async def launch(self, spec: dict[str, Any]) -> None:
        """A new template for the Deployment, dark as a rollout launches it."""
        self.launched = time.time()
        if await self.cluster.get("Deployment", "web") is None:
            shape = deployment(spec, self.replicas)
            shape["spec"] |= DARK
            await self.cluster.create(shape)
        else:
            template = deployment(spec, self.replicas)["spec"]["template"]
            changes = [("template", template), *DARK.items()]
            await self.cluster.patch(
                "Deployment", "web", [{"op": "add", "path": f"/spec/{key}", "value": value} for key, value in changes]
            )
        self.hash = await self._hash()

    def judged(self) -> Judged:
        unit = Unit("Deployment", "web", ("web",))
        return Judged(unit, LABEL, self.hash, self.stable or None, self.replicas, ("web",))

    async def judge(
        self, spec: dict[str, Any], checks: Mapping[str, Any] = CHECKS, limits: Limits = LIMITS, within_s: float = 60.0
    ) -> Verdict:
        """Launches it and looks until there is a verdict."""
        await self.launch(spec)
        async with asyncio.timeout(within_s):
            return await self.look(checks, limits)

    async def look(
        self,
        checks: Mapping[str, Any] = CHECKS,
        limits: Limits = LIMITS,
        cut_over: float | None = None,
        of: Judged | None = None,
    ) -> Verdict:
        """Until there is a verdict; every picture is kept."""
        views = Watch(self.site, [of or self.judged()], checks, self.launched, cut_over).views()
        try:
            async for view in views:
                self.views.append(view)
                self.verdict = judge(view, limits)
                if self.verdict.state is not VerdictState.PROGRESSING:
                    return self.verdict
        finally:
            await views.aclose()  # type: ignore[attr-defined]
        raise AssertionError("the watch ended by itself")

    async def ready(self, revision: str) -> None:
        async with Mirror(self.cluster, "Pod", labels=f"{LABEL}={revision}") as pods:
            there = await pods.until(lambda found: sum(map(is_ready, found.values())) >= self.replicas, 60)
        assert there, f"{self.replicas} pods of {revision} did not become ready"

    async def close(self) -> None:
        await self.site.close()

    async def _hash(self) -> str:
        """Of the ReplicaSet whose template the Deployment has."""
        for _ in range(200):
            current = await self.cluster.get("Deployment", "web")
            wanted = (current or {})["spec"]["template"]
            for one in await self.cluster.find("ReplicaSet", labels="app=web"):
                template = copy.deepcopy(one["spec"]["template"])
                found = template["metadata"]["labels"].pop(LABEL)
                if template == wanted:
                    return str(found)
            await asyncio.sleep(0.05)
        raise AssertionError("no ReplicaSet was made")


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


def service(revision: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"app": "web", LABEL: revision},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }
