"""Installs what the tests need beyond Python packages: by apt, as root, where there is apt and root; else it says what
is missing. Safe to repeat."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Debian package -> what shows that it is there.
NEEDED = {
    "age": "/usr/bin/age",
    "libfaketime": "/usr/lib/*/faketime/libfaketime.so.1",
    "curl": "/usr/bin/curl",
    "postgresql": "/usr/lib/postgresql/*/bin/postgres",
    "tmux": "/usr/bin/tmux",
}

# The testbed's; elsewhere than on Linux as root it is not used.
FOR_TESTBED = {
    "etcd-server": "/usr/bin/etcd",
    "containerd": "/usr/bin/containerd",
    "runc": "/usr/sbin/runc",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "docker-registry": "/usr/bin/docker-registry",
    "buildah": "/usr/bin/buildah",
    "iptables": "/usr/sbin/iptables",
    "conntrack": "/usr/sbin/conntrack",
    "iproute2": "/usr/sbin/ip",
    "openssl": "/usr/bin/openssl",
    "python3": "/usr/lib/python3.*/http/server.py",
    "nodejs": "/usr/bin/node",
}


def missing() -> list[str]:
    """Packages whose file is not there."""
    needed = {**NEEDED, **(FOR_TESTBED if sys.platform == "linux" and os.geteuid() == 0 else {})}
    if shutil.which("node"):
        needed.pop("nodejs", None)
    return [package for package, pattern in needed.items() if not any(Path("/").glob(pattern.removeprefix("/")))]


def main() -> int:
    """0 when everything is there."""
    wanted = missing()
    if wanted and shutil.which("apt-get") and os.geteuid() == 0:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-q"], env=env, check=False, stdout=subprocess.DEVNULL)
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted],
            env=env,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        wanted = missing()
    if wanted:
        sys.stderr.write(f"The tests need: {', '.join(wanted)}. Install them (apt-get install {' '.join(wanted)}).\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
