"""Whether this cluster adds nodes when a pod fits on none: asked once a pod does not fit."""

from __future__ import annotations

from failback.model.errors import FailbackError
from failback.targets.kubernetes.cluster import Cluster

_GROUPS = ("karpenter.sh", "karpenter.k8s.aws", "autoscaling.x-k8s.io")
_OWN_MACHINES = ("", "kind", "k3s", "rke2", "minikube", "k3d")  # whose providers rent no further node
_NODES_MAX = 20


async def adds_nodes(cluster: Cluster) -> bool | None:
    """True, False, or None where nothing says so: an autoscaler may run outside of what can be seen."""
    try:
        groups = await cluster.read("/apis", kind="api groups")
        if any(one.get("name") in _GROUPS for one in groups.get("groups") or ()):
            return True
        if await cluster.get("ConfigMap", "cluster-autoscaler-status", "kube-system") is not None:
            return True
        # A few of them say whose machines they are; a large cluster has thousands.
        nodes = (await cluster.read("/api/v1/nodes", {"limit": _NODES_MAX}, kind="some nodes")).get("items") or ()
    except FailbackError:
        return None
    providers = {str((node.get("spec") or {}).get("providerID") or "").partition(":")[0] for node in nodes}
    return False if nodes and providers <= set(_OWN_MACHINES) else None
