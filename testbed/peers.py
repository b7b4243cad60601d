"""The tools that failback is measured against, one that fakes thousands of pods, and a gateway: built for tests only.

Promise: a peer is built from its own released module, unchanged, and is never part of this repository. What it takes
from its module beside the program (custom resources) is copied into the cache at that moment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.settings import CACHE, CannotRunError

PEERS = CACHE / "peers"


@dataclass(frozen=True)
class Peer:
    """A released module, the programs that are built of it, and the folders of it that are needed at run time."""

    name: str
    module: str
    version: str
    programs: dict[str, str]  # name of the program -> its package in the module
    folders: dict[str, str]  # name in the cache -> its path in the module
    set_version: str = ""  # what a build from the module does not know, as the linker takes it: VARIABLE=VALUE

    @property
    def folder(self) -> Path:
        return PEERS / f"{self.name}-{self.version}"


ALL = (
    Peer(
        "helm",
        "helm.sh/helm/v4",
        "v4.3.1",
        {"helm": "./cmd/helm"},
        {},
        "helm.sh/helm/v4/internal/version.version=v4.3.1",
    ),
    Peer(
        "argo-rollouts",
        "github.com/argoproj/argo-rollouts",
        "v1.10.1",
        {"rollouts-controller": "./cmd/rollouts-controller", "kubectl-argo-rollouts": "./cmd/kubectl-argo-rollouts"},
        {"crds": "manifests/crds"},
        "github.com/argoproj/argo-rollouts/utils/version.version=1.10.1",
    ),
    Peer("kwok", "sigs.k8s.io/kwok", "v0.8.0", {"kwok": "./cmd/kwok"}, {"stages": "kustomize/stage"}),
    Peer(
        "contour",
        "github.com/projectcontour/contour",
        "v1.33.8",
        {"contour": "./cmd/contour"},
        {"contour-kinds": "examples/contour", "gateway-api": "examples/gateway"},
        "github.com/projectcontour/contour/internal/build.Version=v1.33.8",
    ),
)


def build(peer: Peer) -> Path:
    """The peer's folder in the cache with its programs, built now if they are not there. Slowly: others measure."""
    if peer.folder.exists():
        return peer.folder
    if not shutil.which("go"):
        raise CannotRunError(f"{peer.name} is not built yet and there is no Go compiler (go) on PATH")
    print(f"testbed: building {peer.name} {peer.version} (minutes)", file=sys.stderr)
    began = time.monotonic()
    PEERS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PEERS) as scratch:
        # A copy, since the module cache is read-only and its modules may replace others, which `go install` refuses.
        sources = Path(scratch) / "sources"
        shutil.copytree(download(peer), sources)
        for path in (sources, *sources.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)
        made = Path(scratch) / "made"
        made.mkdir()
        for program, package in peer.programs.items():
            compile_program(peer, sources, package, made / program)
        for name, path_in_module in peer.folders.items():
            shutil.copytree(sources / path_in_module, made / name)
        made.rename(peer.folder)
    print(f"testbed: {peer.name} built in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return peer.folder


def download(peer: Peer) -> Path:
    """The module's folder in Go's own cache."""
    command = ["go", "mod", "download", "-json", f"{peer.module}@{peer.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    found = json.loads(done.stdout or "{}")
    if "Dir" not in found:
        raise RuntimeError(f"{peer.module} {peer.version} cannot be downloaded: {found.get('Error') or done.stderr}")
    return Path(found["Dir"])


def compile_program(peer: Peer, sources: Path, package: str, target: Path) -> None:
    """Its own go.mod and go.sum decide what it is built of."""
    flags = "-s -w" + (f" -X {peer.set_version}" if peer.set_version else "")
    command = ["nice", "-n", "19", "go", "build", "-mod=readonly", "-trimpath", "-ldflags", flags]
    done = subprocess.run(
        [*command, "-o", str(target), package],
        cwd=sources,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"building {peer.name} {peer.version} failed:\n{done.stderr[-3000:]}")


def folders_on_path() -> list[Path]:
    """Of those that are built."""
    return [peer.folder for peer in ALL if peer.folder.exists()]
