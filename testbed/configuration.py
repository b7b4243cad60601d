"""Every configuration file of the node, with the reason for each setting that is not the usual one."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

from testbed.settings import (
    ADMIN_KUBECONFIG,
    API_SERVER,
    FIRST,
    HOME,
    KUBECONFIGS,
    LOGS,
    NODE_ADDRESS,
    OPEN_REGISTRY,
    PKI,
    PRIVATE_HTPASSWD,
    PRIVATE_REGISTRY,
    SECOND,
    Machine,
)

# Who may talk to the API server, and as what: the groups and names that Kubernetes itself grants the right roles.
ACCOUNTS = {
    "admin": ("testbed-admin", "system:masters"),
    "kubelet": (f"system:node:{FIRST.name}", "system:nodes"),
    "kubelet-2": (f"system:node:{SECOND.name}", "system:nodes"),
    "metrics": ("testbed-metrics", ""),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
}

CONTAINERD = """version = 2
root = "{home}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{home}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{registry}/failback/pause:1"
  # Without CAP_SYS_RESOURCE no process may lower its score; every sandbox would die.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{home}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{registries}"
"""

REGISTRY = """version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http:
  addr: :{port}
  secret: testbed
"""
REGISTRY_AUTH = """auth:
  htpasswd: {{realm: testbed, path: {htpasswd}}}
"""


def write_all() -> None:
    """Writes what is missing; secrets and keys that exist are kept, because running parts have read them."""
    for name in ("etcd", "registries", "buildah", "tmp"):
        (HOME / name).mkdir(parents=True, exist_ok=True)
    for folder in (PKI, KUBECONFIGS):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    write_accounts()
    key = PKI / "service-account.key"
    if not key.exists():
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    write_registries()
    write_machine(FIRST)


def write_machine(machine: Machine) -> None:
    """What a node's own processes read."""
    for name in ("cni", "kubelet"):
        (machine.home / name).mkdir(parents=True, exist_ok=True)
    # The first node has its images before there is a registry, the second finds them there.
    registry = "docker.io" if machine is FIRST else OPEN_REGISTRY
    places = {"home": machine.home, "socket": machine.containerd_socket, "registries": HOME / "registries"}
    (machine.home / "containerd.toml").write_text(CONTAINERD.format(**places, registry=registry))
    write_json(machine.home / "cni" / "10-testbed.conflist", network(machine))
    write_json(machine.home / "kubelet.json", kubelet(machine))


def write_accounts() -> None:
    """One token for each account."""
    table = PKI / "tokens.csv"
    if table.exists():
        return
    lines = []
    for account, (user, group) in ACCOUNTS.items():
        token = secrets.token_hex(20)
        lines.append(f'{token},{user},{user},"{group}"\n' if group else f"{token},{user},{user}\n")
        write_json(KUBECONFIGS / account, kubeconfig(account, token))
    table.write_text("".join(lines))
    table.chmod(0o600)
    ADMIN_KUBECONFIG.chmod(0o600)


def kubeconfig(account: str, token: str) -> dict[str, Any]:
    """JSON is YAML. The API server signs a certificate for itself at its first start."""
    cluster = {"server": API_SERVER, "certificate-authority": str(PKI / "apiserver.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": account}}],
        "current-context": "testbed",
    }


def network(machine: Machine) -> dict[str, Any]:
    """`ptp` routes every pod by itself, so that a pod may reach itself through a Service without bridge settings."""
    first, _, _ = machine.pods.rpartition(".")
    addresses = {"subnet": machine.pods, "gateway": f"{first}.1"}
    return {
        "cniVersion": "0.4.0",
        "name": "testbed",
        "plugins": [
            {
                "type": "ptp",
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "ranges": [[addresses]],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet(machine: Machine) -> dict[str, Any]:
    """Anyone in the cluster's own network may ask the kubelet: no machine but this one is in it."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{machine.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{machine.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "port": machine.kubelet_port,
        "healthzPort": machine.health_port,
        "registerWithTaints": [{"key": key, "value": "true", "effect": "NoSchedule"} for key in machine.taints],
        "podLogsDir": str(LOGS / f"pods{machine.suffix}"),
        "volumePluginDir": str(machine.home / "kubelet-plugins"),
        "resolvConf": "",
        "maxPods": 250,
        # A registry that does not answer must not hold up the pulls of other pods.
        "serializeImagePulls": False,
        # Its start-up reads a map that another goroutine writes, and now and then ends the kubelet of 1.34 with
        # "concurrent map read and map write". Nothing here uses what it is for.
        "featureGates": {"DynamicResourceAllocation": False},
        # A machine with a full disk or little memory is not the subject of these tests.
        "evictionHard": {"memory.available": "64Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def write_registries() -> None:
    """Two registries by plain HTTP: anyone may pull from the first, the second asks for a password."""
    (HOME / "htpasswd").write_text(PRIVATE_HTPASSWD + "\n")
    for name, address in (("open", OPEN_REGISTRY), ("private", PRIVATE_REGISTRY)):
        port = address.rpartition(":")[2]
        text = REGISTRY.format(root=HOME / f"registry-{name}", port=port)
        if name == "private":
            text += REGISTRY_AUTH.format(htpasswd=HOME / "htpasswd")
        (HOME / f"registry-{name}.yaml").write_text(text)
        for host in (address, f"{NODE_ADDRESS}:{port}"):
            folder = HOME / "registries" / host
            folder.mkdir(exist_ok=True)
            (folder / "hosts.toml").write_text(f'server = "http://{host}"\n')
    write_buildah()


def write_buildah() -> None:
    """`buildah` keeps its images in the testbed's folder and talks plain HTTP to the two registries."""
    storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{HOME}/buildah"\nrunroot = "{HOME}/buildah-run"\n'
    (HOME / "storage.conf").write_text(storage)
    ports = [address.rpartition(":")[2] for address in (OPEN_REGISTRY, PRIVATE_REGISTRY)]
    addresses = [f"{host}:{port}" for port in ports for host in ("localhost", NODE_ADDRESS)]
    insecure = "".join(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n' for address in addresses)
    (HOME / "registries.conf").write_text(insecure)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Indented, for people who look at it."""
    path.write_text(json.dumps(content, indent=1) + "\n")
