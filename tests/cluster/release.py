"""Manifests of a small service as a team would keep them, and how they are broken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PORT = 8080
Object = dict[str, Any]


class Release:
    """Deployment (or another workload), Service and ConfigMap, with settings of the team's own to be kept."""

    def __init__(self, number: int, kind: str = "Deployment", replicas: int = 2) -> None:
        self.kind = kind
        self.container: Object = {
            "name": "app",
            "image": "failback/app:1",
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": "VERSION", "value": str(number)}],
            "envFrom": [{"configMapRef": {"name": "app-config"}}],
            "ports": [{"name": "http", "containerPort": PORT}],
            # Patient: on a busy machine an answer may be late, and that is not what these stories are about.
            "readinessProbe": {
                "httpGet": {"path": "/healthz", "port": "http"},
                "periodSeconds": 1,
                "timeoutSeconds": 5,
            },
        }
        self.pod: Object = {"containers": [self.container], "terminationGracePeriodSeconds": 3}
        labels = {"app": "app"}
        self.workload: Object = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": "app", "labels": {"team": "shop"}},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": dict(labels)}, "spec": self.pod},
                **_own_fields(kind),
            },
        }
        if kind != "DaemonSet":
            self.workload["spec"]["replicas"] = replicas
        self.service: Object = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "app"},
            "spec": {"selector": dict(labels), "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
        }
        self.config: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "app-config"},
            "data": {"GREETING": "hello"},
        }
        self.others: list[Object] = []

    def objects(self) -> list[Object]:
        return [self.config, self.workload, self.service, *self.others]

    def env(self, **variables: object) -> None:
        """Variables that tell the application how to misbehave."""
        kept = [one for one in self.container["env"] if one["name"] not in variables]
        self.container["env"] = kept + [{"name": name, "value": str(value)} for name, value in variables.items()]

    def needs(self, reference: Mapping[str, Any]) -> None:
        """A variable out of a ConfigMap or Secret."""
        self.container["env"].append({"name": "NEEDED", "valueFrom": dict(reference)})

    def mounts(self, volume: Mapping[str, Any], path: str = "/mounted") -> None:
        self.pod.setdefault("volumes", []).append({"name": "more", **volume})
        self.container.setdefault("volumeMounts", []).append({"name": "more", "mountPath": path})


def _own_fields(kind: str) -> Object:
    if kind == "Deployment":
        own = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        return {"strategy": own, "minReadySeconds": 1, "progressDeadlineSeconds": 120}
    own = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    if kind == "StatefulSet":
        own = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
        return {"updateStrategy": own, "serviceName": "app", "podManagementPolicy": "Parallel"}
    return {"updateStrategy": own}
