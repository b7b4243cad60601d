"""The cluster's own network, mount and process namespaces.

They are held by one process, the first of its process namespace: when it ends, the kernel ends every other process in
it and takes mounts, network devices and iptables rules along. That is why `down` cannot leave anything of them behind.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import processes
from testbed.processes import Process
from testbed.settings import BIN, CGROUP, CGROUP_PREFIX, FIRST, LOGS, Machine

HOLDER = "namespaces"  # and the suffix of the node
CGROUPS = Path("/sys/fs/cgroup")
CLONE_NEWNET = 0x40000000
READY_S_MAX = 10.0

# /run, /var/log and /var/lib/kubelet are the namespace's own: containerd, CNI and the kubelet have names in them that
# no setting changes, and leave nothing in the machine's this way.
# There is no dummy device everywhere; a bridge without ports carries the node's address just as well.
MOUNTS = """set -eu
mount -t tmpfs tmpfs /run
mount --bind {logs} /var/log
mkdir -p /var/lib/kubelet
mount --bind {kubelet} /var/lib/kubelet
"""
NETWORK = """ip link set lo up
ip link add testbed0 type bridge
ip address add {address}/24 dev testbed0
ip link set testbed0 up
ip route add default via {address}
echo 1 > /proc/sys/net/ipv4/ip_forward
"""
ONE_MORE_ADDRESS = """ip address replace {address}/24 dev testbed0
"""
HOLD = """exec {pause}
"""


def holder(machine: Machine = FIRST) -> Process | None:
    """The process that holds the node's namespaces, if it has any."""
    return processes.recorded(HOLDER + machine.suffix)


def strays() -> list[Process]:
    """Holders that nobody recorded: `up` was killed between making the namespaces and writing it down."""

    def is_holder(pid: int, arguments: list[str]) -> bool:
        ours = any(str(BIN / "pause") in argument for argument in arguments)
        return ours and _is_first_of_its_namespace(pid)

    return processes.find(is_holder)


def _is_first_of_its_namespace(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    ids = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return len(ids) > 1 and ids[-1] == "1"


def inside(command: Sequence[str], machine: Machine) -> Process | None:
    """The process of the node with exactly this command line, recorded or not."""
    held_by = holder(machine)
    if not held_by:
        return None
    home = Path(f"/proc/{held_by.pid}/ns/pid").readlink()

    def is_ours(pid: int, arguments: list[str]) -> bool:
        return arguments == list(command) and Path(f"/proc/{pid}/ns/pid").readlink() == home

    return next(iter(processes.find(is_ours)), None)


def create(machine: Machine = FIRST) -> Process:
    """Makes the node's namespaces and returns their holder once the network is set up. The first node makes the
    network, a second one adds its address to it."""
    folders = {"logs": LOGS / f"machine{machine.suffix}", "kubelet": machine.home / "kubelet", "pause": BIN / "pause"}
    for name in ("logs", "kubelet"):
        folders[name].mkdir(parents=True, exist_ok=True)
    quoted = {name: shlex.quote(str(path)) for name, path in folders.items()}
    first = holder()
    enter = ["nsenter", f"--net=/proc/{first.pid}/ns/net", "--"] if first else []
    script = MOUNTS + (ONE_MORE_ADDRESS if first else NETWORK) + HOLD
    own = ["--mount", "--pid", "--fork", "--mount-proc"] + ([] if first else ["--net"])
    name = HOLDER + machine.suffix
    made = processes.start(
        name, [*enter, "unshare", *own, "--", "sh", "-c", script.format(**quoted, address=machine.address)]
    )
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline and made.alive:
        if Path(f"/proc/{made.pid}/comm").read_text().strip() == "pause":
            return made
        time.sleep(0.01)
    made.end(0)
    raise RuntimeError(f"the namespaces could not be set up:\n{processes.last_lines(name)}")


def start_inside(name: str, command: Sequence[str], machine: Machine, env: Mapping[str, str]) -> Process:
    """Starts a process of the node in all of its namespaces."""
    held_by = holder(machine)
    if not held_by:
        raise RuntimeError("the cluster's namespaces are gone")
    enter = ["nsenter", f"--target={held_by.pid}", "--net", "--mount", "--pid", "--"]
    return processes.start(name, [*enter, *command], env)


def enter_network(held_by: Process) -> None:
    """Moves this process (and what it starts) into the cluster's network, and nothing else of it.

    Not `ip netns exec`: that mounts another /sys, and the kubelet's cgroups would be gone.
    """
    descriptor = os.open(f"/proc/{held_by.pid}/ns/net", os.O_RDONLY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns: " + os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def hierarchies() -> list[Path]:
    """The mounted cgroup hierarchies: one for each controller (v1), or the one of v2."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink()]


def other_testbeds() -> bool:
    """Whether a testbed with another home runs on this machine: each has a cgroup."""
    return any(
        not path.name.startswith(CGROUP) for hierarchy in hierarchies() for path in hierarchy.glob(f"{CGROUP_PREFIX}*")
    )


def create_cgroups(machine: Machine = FIRST) -> None:
    """The cgroup that holds all pods of a node; a new cpuset has no processors until it is told."""
    for hierarchy in hierarchies():
        group = hierarchy / machine.cgroup
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if hierarchy.name == "cpuset" and not (group / name).read_text().strip():
                (group / name).write_text((hierarchy / name).read_text())


def remove_cgroups(machine: Machine = FIRST, limit_s: float = 5.0) -> list[Path]:
    """Removes them deepest first; returns what is still there (the kernel needs a moment after the last process)."""
    deadline = time.monotonic() + limit_s
    while True:
        left: list[Path] = []
        for hierarchy in hierarchies():
            groups = [hierarchy / machine.cgroup, *(hierarchy / machine.cgroup).rglob("*/")]
            for group in sorted(groups, key=lambda path: len(path.parts), reverse=True):
                try:
                    group.rmdir()
                except FileNotFoundError:
                    continue
                except OSError:
                    left.append(group)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)
