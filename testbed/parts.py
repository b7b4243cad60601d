"""The processes of the node: how each is started, and how one knows that it works."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from testbed import namespaces, processes
from testbed.settings import (
    ADMIN_KUBECONFIG,
    API_SERVER,
    BIN,
    FIRST,
    HOME,
    KUBECONFIGS,
    NODE_ADDRESS,
    PKI,
    POD_CIDR,
    SERVICE_CIDR,
    Machine,
)

READY_S_MAX = 120.0  # on a machine that compiles beside it
NODE = str(BIN / "kube-node")


@dataclass(frozen=True)
class Part:
    """One process. `ready` raises or returns False while it is not."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    machine: Machine = FIRST


def answers(url: str, trusted: bool = True) -> Callable[[], bool]:
    """Ready when the address answers below 500 (a registry that wants a password answers 401). Some parts serve a
    certificate of their own making, which nobody has to trust to see that they are up."""

    def ask() -> bool:
        context = None
        if url.startswith("https") and trusted:
            context = ssl.create_default_context(cafile=str(PKI / "apiserver.crt"))
        elif url.startswith("https"):
            context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(url, timeout=2, context=context):
                return True
        except urllib.error.HTTPError as error:
            return error.code < 500

    return ask


def containerd(machine: Machine) -> Part:
    """Ready when it lists images: its socket is there earlier."""

    def lists_images() -> bool:
        command = ["ctr", f"--address={machine.containerd_socket}", "--namespace=k8s.io", "images", "list", "--quiet"]
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0

    command = ("containerd", "--config", str(machine.home / "containerd.toml"))
    return Part(f"containerd{machine.suffix}", command, lists_images, machine)


def kubectl(*arguments: str) -> str:
    """What kubectl prints, as the cluster's administrator."""
    command = [str(BIN / "kubectl"), f"--kubeconfig={ADMIN_KUBECONFIG}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout if done.returncode == 0 else ""


def kubelet(machine: Machine) -> Part:
    """Ready as the API says, when this kubelet answers itself (the API may still tell of one that died)."""
    query = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    lives = answers(f"http://127.0.0.1:{machine.health_port}/healthz")

    def node_is_ready() -> bool:
        return lives() and kubectl("get", "node", machine.name, "-o", query) == "True"

    command = (
        NODE,
        "kubelet",
        f"--config={machine.home}/kubelet.json",
        f"--kubeconfig={KUBECONFIGS}/kubelet{machine.suffix}",
        f"--root-dir={machine.home}/kubelet",
        f"--cert-dir={machine.home}/kubelet/pki",
        f"--node-ip={machine.address}",
        f"--hostname-override={machine.name}",
    )
    return Part(f"kubelet{machine.suffix}", command, node_is_ready, machine)


def parts() -> tuple[Part, ...]:
    """In the order of their start."""
    return (
        Part("etcd", etcd(), answers("http://127.0.0.1:2379/health")),
        containerd(FIRST),
        *(
            Part(
                f"registry-{name}",
                ("docker-registry", "serve", str(HOME / f"registry-{name}.yaml")),
                answers(f"http://127.0.0.1:{port}/v2/"),
            )
            for name, port in (("open", 5000), ("private", 5001))
        ),
        Part("kube-apiserver", api_server(), answers(f"{API_SERVER}/readyz")),
        Part("kube-controller-manager", controllers(), answers("https://127.0.0.1:10257/healthz", trusted=False)),
        Part("kube-scheduler", scheduler(), answers("https://127.0.0.1:10259/healthz", trusted=False)),
        kubelet(FIRST),
        Part("kube-proxy", proxy(), answers("http://127.0.0.1:10256/healthz")),
        Part("metrics", metrics(), answers("https://127.0.0.1:4443/", trusted=False)),
    )


def etcd() -> tuple[str, ...]:
    """Nothing in it outlives the cluster, so it need not wait for the disk."""
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return (
        "etcd",
        f"--data-dir={HOME}/etcd",
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--auto-compaction-retention=1h",
    )


def api_server() -> tuple[str, ...]:
    """Admission as Kubernetes has it by default: Pod Security, quota, priorities, ValidatingAdmissionPolicy."""
    return (
        NODE,
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={NODE_ADDRESS}",
        "--secure-port=6443",
        f"--cert-dir={PKI}",
        f"--token-auth-file={PKI}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={PKI}/service-account.key",
        f"--service-account-signing-key-file={PKI}/service-account.key",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
    )


def controllers() -> tuple[str, ...]:
    """One of its kind, so no leader election; the usual limit of 20 requests/s would slow thousands of objects."""
    return (
        NODE,
        "kube-controller-manager",
        *own_accounts("kube-controller-manager"),
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={PKI}/kube-controller-manager",
        f"--service-account-private-key-file={PKI}/service-account.key",
        f"--root-ca-file={PKI}/apiserver.crt",
        "--use-service-account-credentials=true",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    )


def scheduler() -> tuple[str, ...]:
    return (
        NODE,
        "kube-scheduler",
        *own_accounts("kube-scheduler"),
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={PKI}/kube-scheduler",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    )


def own_accounts(name: str) -> tuple[str, ...]:
    """Its account for its own work and for asking who its callers are."""
    path = KUBECONFIGS / name
    return tuple(f"--{use}kubeconfig={path}" for use in ("", "authentication-", "authorization-"))


def proxy() -> tuple[str, ...]:
    """It may not write the machine's connection tracking limits, and 0 says: leave them as they are."""
    return (
        NODE,
        "kube-proxy",
        f"--kubeconfig={KUBECONFIGS}/kube-proxy",
        f"--hostname-override={FIRST.name}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_CIDR}",
        "--oom-score-adj=0",
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    )


def metrics() -> tuple[str, ...]:
    """The resource metrics API, for autoscalers and `kubectl top`."""
    return (str(BIN / "metrics"), f"--kubeconfig={KUBECONFIGS}/metrics")


def start(part: Part) -> bool:
    """Starts it unless it runs; says whether it did."""
    if processes.recorded(part.name):
        return False
    if running := namespaces.inside(
        part.command, part.machine
    ):  # whoever started it was killed before it wrote that down
        processes.record(part.name, running)
        return False
    if part.name.startswith("containerd"):
        part.machine.containerd_socket.unlink(missing_ok=True)
    # A fixed PATH: CNI plugins and iptables are in /usr/sbin. The user's proxies and locale are not the cluster's.
    env = {"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(HOME), "TMPDIR": str(HOME / "tmp")}
    namespaces.start_inside(part.name, part.command, part.machine, env)
    return True


def wait_until_ready(part: Part, limit_s: float = READY_S_MAX) -> None:
    """Returns when it works; an error shows the end of its log when it ended or the limit is reached."""
    deadline = time.monotonic() + limit_s
    reason = ""
    while time.monotonic() < deadline:
        if not processes.recorded(part.name):
            raise RuntimeError(f"{part.name} ended:\n{processes.last_lines(part.name)}")
        try:
            if part.ready():
                return
        except (OSError, http.client.HTTPException, subprocess.TimeoutExpired) as error:
            reason = str(error)
        time.sleep(0.1)
    raise RuntimeError(
        f"{part.name} was not ready within {limit_s:.0f} s ({reason or 'no answer'}):\n"
        f"{processes.last_lines(part.name)}"
    )
