"""Compiles the binaries of the testbed once per content of their sources.

Promise: a binary in the cache was built from exactly the sources that are here; a build that is cut off leaves none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed.settings import CACHE, KUBERNETES, SOURCES, CannotRunError

MAJOR, MINOR, _ = KUBERNETES.split(".")
VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Binary:
    """One Go program: where its module is, which package, and what its content is keyed by."""

    name: str
    module: Path
    package: str
    sources: tuple[Path, ...]
    ldflags: str = "-s -w"
    arch: str = ""

    def path(self) -> Path:
        """Where it is in the cache, there or not."""
        key = digest_of(self.sources, self.ldflags, self.arch)
        return CACHE / f"{self.name}-{key}"


def digest_of(paths: Iterable[Path], *settings: str) -> str:
    """The names and contents of the files, and how they are compiled, as 16 hexadecimal digits."""
    digest = hashlib.sha256("\0".join(settings).encode())
    for path in sorted(paths):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def binaries() -> dict[str, Binary]:
    """Everything that `up` needs compiled."""
    version = f"-s -w -X {VERSION}.gitVersion=v{KUBERNETES} -X {VERSION}.gitMajor={MAJOR} -X {VERSION}.gitMinor={MINOR}"
    found = [Binary("node", SOURCES, ".", (SOURCES / "go.mod", SOURCES / "main.go"), version)]
    app = SOURCES / "app"
    for name, arch in (("server", ""), ("server", "arm64"), ("loadgen", ""), ("metrics", ""), ("pause", "")):
        sources = (app / "go.mod", *(app / name).glob("*.go"))
        found.append(Binary(f"{name}-{arch}" if arch else name, app, f"./{name}", sources, arch=arch))
    return {binary.name: binary for binary in found}


def ensure(binary: Binary) -> Path:
    """The path of the compiled program, compiled now if it is not in the cache."""
    path = binary.path()
    if not path.exists():
        compile_into(binary, path)
    os.utime(path)
    return path


def compile_into(binary: Binary, path: Path) -> None:
    """Compiles beside the final name and renames: what has the name is complete."""
    if not shutil.which("go"):
        raise CannotRunError(f"{binary.name} is not built yet and there is no Go compiler (go) on PATH")
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    print(
        f"testbed: compiling {binary.name}" + (" (about 6 minutes)" if binary.name == "node" else ""), file=sys.stderr
    )
    began = time.monotonic()
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    if binary.arch:
        env["GOARCH"] = binary.arch
    command = ["go", "build", "-trimpath", "-ldflags", binary.ldflags, "-o", str(unfinished), binary.package]
    done = subprocess.run(command, cwd=binary.module, env=env, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        unfinished.unlink(missing_ok=True)
        raise RuntimeError(f"compiling {binary.name} failed:\n{done.stderr[-3000:]}")
    unfinished.rename(path)
    print(f"testbed: {binary.name} compiled in {time.monotonic() - began:.0f} s", file=sys.stderr)
    remove_old(binary)


def remove_old(binary: Binary, keep: int = 3) -> None:
    """The node binary has 100 MB: only the last few versions stay."""
    pattern = f"{binary.name}-{'?' * 16}"
    by_age = sorted(CACHE.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_age[keep:]:
        old.unlink(missing_ok=True)
