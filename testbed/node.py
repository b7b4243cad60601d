"""Brings the cluster up and takes it down.

Promise: `up` may be repeated at any time and after anything died: it starts what is missing. `down` ends every process
by its id and leaves only the logs. Both hold a lock, so that two of them do not meet.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from testbed import base_images, build, configuration, namespaces, parts, processes, second_node
from testbed.settings import BIN, HOME, LOGS, SECOND, SOURCES, CannotRunError

# Program -> the Debian package that has it.
NEEDED = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "buildah": "buildah",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "openssl": "openssl",
    "node": "nodejs",
    "/usr/bin/python3": "python3",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
# A kubelet sets these for the whole machine; the last `down` gives back what was there before the first `up`.
KERNEL_SETTINGS_BEFORE = Path("/run/failback-testbed-kernel-settings.json")
KERNEL_SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
LOG_BYTES_MAX = 50_000_000


def check() -> None:
    """Raises CannotRunError with everything that is missing here."""
    if not sys.platform.startswith("linux"):
        raise CannotRunError(f"the testbed runs Kubernetes on the kernel of this machine: Linux, not {sys.platform}")
    if os.geteuid() != 0:
        raise CannotRunError("the testbed needs root: network namespaces, mounts and cgroups are made")
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if missing:
        raise CannotRunError(f"missing programs: apt-get install --no-install-recommends {' '.join(missing)}")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One `up` or `down` at a time; the kernel gives the lock back when its holder dies."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up() -> None:
    """Returns when the node is Ready and the base images are there."""
    check()
    began = time.monotonic()
    binaries = {name: build.ensure(binary) for name, binary in build.binaries().items()}
    with locked():
        held_by = namespaces.holder()
        if not held_by:
            clean()
            configuration.write_all()
            link_programs(binaries)
            remember_kernel_settings()
            namespaces.create_cgroups()
            held_by = namespaces.create()
        namespaces.enter_network(held_by)
        started = start_parts(binaries)
    took = time.monotonic() - began
    print(
        f"testbed: ready after {took:.1f} s; " + (f"started {', '.join(started)}" if started else "it was up already")
    )


def start_parts(binaries: dict[str, Path]) -> list[str]:
    """Starts what does not run, and waits where the next one needs it."""
    all_parts = {part.name: part for part in parts.parts()}
    started = []
    for name in ("etcd", "containerd", "registry-open", "registry-private"):
        cut_log(name)
        started += [name] if parts.start(all_parts[name]) else []
    parts.wait_until_ready(all_parts["etcd"])
    started += ["kube-apiserver"] if parts.start(all_parts["kube-apiserver"]) else []
    for name in ("containerd", "registry-open", "registry-private"):
        parts.wait_until_ready(all_parts[name])
    started += ["base images"] if base_images.ensure(binaries) else []
    parts.wait_until_ready(all_parts["kube-apiserver"])
    for name in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "metrics"):
        cut_log(name)
        started += [name] if parts.start(all_parts[name]) else []
    for part in all_parts.values():
        parts.wait_until_ready(part)
    if started:
        parts.kubectl("apply", f"--filename={SOURCES / 'metrics.yaml'}")
        wait_for("serviceaccounts/default", "/api/v1/namespaces/default/serviceaccounts/default")
        wait_for("metrics", "/apis/metrics.k8s.io/v1beta1/nodes")
    return started


def wait_for(what: str, path: str, limit_s: float = 60.0) -> None:
    """No pod can be made before the controllers have given its namespace an account; and while an API that is
    announced does not answer, no namespace can be deleted."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if parts.kubectl("get", "--raw", path):
            return
        time.sleep(0.2)
    raise RuntimeError(f"{what}: not there within {limit_s:.0f} s:\n{processes.last_lines('kube-apiserver')}")


def link_programs(binaries: dict[str, Path]) -> None:
    """Names on the PATH of `run`; copies of nothing, so that the cache keeps the only one."""
    BIN.mkdir(parents=True, exist_ok=True)
    # Not called "node": that is Node.js.
    names = {"kube-node": "node", "kubectl": "node", "loadgen": "loadgen", "metrics": "metrics", "pause": "pause"}
    for name, binary in names.items():
        (BIN / name).unlink(missing_ok=True)
        (BIN / name).symlink_to(binaries[binary])


def cut_log(name: str) -> None:
    """Logs are kept over restarts, but not for ever."""
    path = LOGS / f"{name}.log"
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX and not processes.recorded(name):
        path.unlink()


def remember_kernel_settings() -> None:
    """What was there before the first kubelet; another testbed may have written it down already."""
    if not KERNEL_SETTINGS_BEFORE.exists():
        values = {name: (Path("/proc/sys") / name).read_text().strip() for name in KERNEL_SETTINGS}
        KERNEL_SETTINGS_BEFORE.write_text(json.dumps(values))


def give_back_machine() -> None:
    """What belongs to the whole machine: the kernel's settings and the kubelet's mount point."""
    if KERNEL_SETTINGS_BEFORE.exists():
        for name, value in json.loads(KERNEL_SETTINGS_BEFORE.read_text()).items():
            with contextlib.suppress(OSError):  # what we may not write, the kubelet could not write either
                (Path("/proc/sys") / name).write_text(value)
        KERNEL_SETTINGS_BEFORE.unlink()
    with contextlib.suppress(OSError):  # not there, or in use by a kubelet of the machine's own
        Path("/var/lib/kubelet").rmdir()


def down() -> None:
    """Ends the cluster; only the logs stay."""
    with locked():
        left = clean()
    if left:
        raise RuntimeError(f"still there: {', '.join(map(str, left))}")
    print(f"testbed: down; logs are in {LOGS}")


def clean() -> list[Path]:
    """Ends what runs, newest first, then removes the state. Returns cgroups that the kernel would not let go."""
    second_node.crash()
    namespaces.remove_cgroups(SECOND)
    for part in reversed(parts.parts()):
        if running := processes.recorded(part.name):
            running.end()
    for held_by in (namespaces.holder(), *namespaces.strays()):
        if held_by:
            held_by.end()
    left = namespaces.remove_cgroups()
    if not namespaces.other_testbeds():
        give_back_machine()
    for path in HOME.iterdir():
        if path.name in ("lock", "logs"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return left
