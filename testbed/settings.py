"""Where the testbed keeps things and which addresses it uses; nothing here touches the machine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
KUBERNETES = "1.34.4"

HOME = Path(os.environ.get("FAILBACK_TESTBED_HOME") or "/var/lib/failback-testbed")
"""State and logs of the running cluster; `down` removes all of it but the logs."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "failback-testbed"
"""Binaries, keyed by the hash of their sources, so that a second cluster costs no compilation."""

BIN = HOME / "bin"
LOGS = HOME / "logs"
PROCESSES = HOME / "processes"
PKI = HOME / "pki"
KUBECONFIGS = HOME / "kubeconfigs"
ADMIN_KUBECONFIG = KUBECONFIGS / "admin"

CGROUP_PREFIX = "failback-testbed-"
CGROUP = CGROUP_PREFIX + hashlib.sha256(str(HOME).encode()).hexdigest()[:8]
"""One cgroup per home: two testbeds on a machine do not meet."""

NODE_ADDRESS = "10.200.0.1"
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"


@dataclass(frozen=True)
class Machine:
    """One node of the cluster: what must differ between two of them on one machine. `suffix`: of its processes."""

    name: str
    suffix: str
    address: str
    pods: str
    home: Path
    cgroup: str
    kubelet_port: int
    health_port: int
    taints: tuple[str, ...] = ()

    @property
    def containerd_socket(self) -> Path:
        return self.home / "containerd.sock"


FIRST = Machine("testbed", "", NODE_ADDRESS, "10.244.0.0/22", HOME, CGROUP, 10250, 10248)
SECOND = Machine(
    "testbed-2",
    "-2",
    "10.200.0.2",
    "10.244.4.0/22",
    HOME / "second",
    f"{CGROUP}-2",
    10350,
    10348,
    taints=("failback.testbed/second",),  # only pods that ask for it land on a node that tests switch off
)
CONTAINERD_SOCKET = FIRST.containerd_socket

API_SERVER = f"https://{NODE_ADDRESS}:6443"

OPEN_REGISTRY = "localhost:5000"
PRIVATE_REGISTRY = "localhost:5001"
PRIVATE_USER = "testbed"
PRIVATE_PASSWORD = "testbed"
# bcrypt of the password above; it opens nothing but a registry that lives inside the network namespace.
PRIVATE_HTPASSWD = "testbed:$2y$05$xPgvASVacZalTxuEbHDdEeCiayvv31Ts9f0G2seG7WjfGflkGFO4S"

CANNOT_RUN = 77
"""The exit code that says: not here, and why; tests that need a cluster are skipped with that reason."""


class CannotRunError(Exception):
    """This machine cannot run the testbed; the text says what is missing and how to get it."""
