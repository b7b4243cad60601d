"""The kinds of objects that failback touches by name, and where the API server has them. Others are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: `api_version` as in manifests ("apps/v1"), the resource's plural name, whether it has a namespace."""

    name: str
    api_version: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """ "apps"; "" for the core group."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """ "/apis/apps/v1/namespaces/shop/deployments/web/scale"."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "".join((root, place, f"/{self.plural}", f"/{name}" if name else "", f"/{sub}" if sub else ""))


def _kind(name: str, api_version: str, plural: str, namespaced: bool = True) -> tuple[str, Kind]:
    return name, Kind(name, api_version, plural, namespaced)


KINDS: Mapping[str, Kind] = dict(
    (
        _kind("Pod", "v1", "pods"),
        _kind("Service", "v1", "services"),
        _kind("ConfigMap", "v1", "configmaps"),
        _kind("Secret", "v1", "secrets"),
        _kind("ServiceAccount", "v1", "serviceaccounts"),
        _kind("Event", "v1", "events"),
        _kind("Namespace", "v1", "namespaces", namespaced=False),
        _kind("Node", "v1", "nodes", namespaced=False),
        _kind("PersistentVolume", "v1", "persistentvolumes", namespaced=False),
        _kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
        _kind("ResourceQuota", "v1", "resourcequotas"),
        _kind("LimitRange", "v1", "limitranges"),
        _kind("Deployment", "apps/v1", "deployments"),
        _kind("ReplicaSet", "apps/v1", "replicasets"),
        _kind("StatefulSet", "apps/v1", "statefulsets"),
        _kind("DaemonSet", "apps/v1", "daemonsets"),
        _kind("ControllerRevision", "apps/v1", "controllerrevisions"),
        _kind("Job", "batch/v1", "jobs"),
        _kind("CronJob", "batch/v1", "cronjobs"),
        _kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices"),
        _kind("Lease", "coordination.k8s.io/v1", "leases"),
        _kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
        _kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
        _kind("Ingress", "networking.k8s.io/v1", "ingresses"),
        _kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
        _kind("Role", "rbac.authorization.k8s.io/v1", "roles"),
        _kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
        _kind("StorageClass", "storage.k8s.io/v1", "storageclasses", namespaced=False),
        _kind("PriorityClass", "scheduling.k8s.io/v1", "priorityclasses", namespaced=False),
        _kind("Application", "argoproj.io/v1alpha1", "applications"),
        _kind("Kustomization", "kustomize.toolkit.fluxcd.io/v1", "kustomizations"),
        _kind("HelmRelease", "helm.toolkit.fluxcd.io/v2", "helmreleases"),
        _kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes"),
    )
)

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def told(obj: Mapping[str, Any]) -> str:
    """ "Deployment/web", as findings and actions name an object."""
    return f"{obj.get('kind', '?')}/{(obj.get('metadata') or {}).get('name', '?')}"


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}
