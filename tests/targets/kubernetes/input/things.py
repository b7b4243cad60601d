"""Objects as manifests have them and as a cluster gives them back, for tables without a cluster."""

from __future__ import annotations

import copy
from typing import Any

from failback.targets.kubernetes.desired import desired_of
from failback.targets.kubernetes.preflight_scene import Scene

NAMESPACE = "shop"
Object = dict[str, Any]


def deployment(name: str = "web", replicas: int | None = 2, kind: str = "Deployment", **pod: Any) -> Object:
    container = {
        "name": "app",
        "image": "registry.example.org/web:1",
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }
    spec: Object = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **pod}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def service(name: str = "web", selector: dict[str, str] | None = None, **spec: Any) -> Object:
    shape = {"selector": selector or {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": shape}


def config(name: str = "cfg", kind: str = "ConfigMap", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}


def pod(name: str = "web-1", labels: dict[str, str] | None = None, owner: str = "web-7d9f", **spec: Any) -> Object:
    metadata = {
        "name": name,
        "uid": f"uid-{name}",
        "labels": labels or {"app": "web"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": "u"}],
    }
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": [], **spec}, "status": {}}


def running(workload: Object, ready: int = 2, updated: int = 2, total: int = 2, generation: int = 3) -> Object:
    """The workload as the cluster has it."""
    live = copy.deepcopy(workload)
    live["metadata"] |= {"uid": "u1", "resourceVersion": "7", "generation": generation, "managedFields": []}
    live["spec"].setdefault("replicas", 2)
    live["status"] = {
        "observedGeneration": generation,
        "replicas": total,
        "readyReplicas": ready,
        "updatedReplicas": updated,
    }
    return live


def scene(*objects: Object, live: Object | None = None, **more: Any) -> Scene:
    """A release beside what runs; without more, a healthy service before an ordinary release."""
    desired = desired_of(objects or (deployment(), service()))
    unit = desired.units[0]
    present = live if live is not None else running(desired.workload(unit))
    shape: dict[str, Any] = {
        "service": "web",
        "namespace": NAMESPACE,
        "desired": desired,
        "live": {unit.told: present},
        "services": tuple(one for one in objects if one["kind"] == "Service") or (service(),),
        "reached": {"web": (pod(),)},
        "pods": {unit.told: (pod(),)},
        "namespace_object": {"metadata": {"name": NAMESPACE}},
    }
    return Scene(**{**shape, **more})


def node(name: str = "n1", cpu: str = "4", memory: str = "8Gi", pods: str = "110", **more: Any) -> Object:
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": more.pop("labels", {})},
        "spec": more,
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory, "pods": pods},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
