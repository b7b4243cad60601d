"""Images from folders: each folder is a layer, packed the same way every time, so that equal content has equal digests.

There is no registry to pull from: a docker-archive is written, imported into containerd, and pushed to the registries
of the testbed where asked.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.settings import CONTAINERD_SOCKET, HOME

CTR = ("ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io")


@dataclass(frozen=True)
class Image:
    """An image to be made. `entrypoint` empty: the pod says what to run."""

    name: str
    layers: tuple[Path, ...]
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    arch: str = "amd64"


def full_name(name: str) -> str:
    """The name as containerd keeps it: `app` is `docker.io/library/app:latest`."""
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        path, tag = name, "latest"
    first, slash, _ = path.partition("/")
    if not slash:
        path = f"library/{path}"
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        path = f"docker.io/{path}"
    return f"{path}:{tag}"


def pack(folder: Path, target: Path) -> str:
    """Packs a folder as a layer: sorted, everything owned by root and of the same date. Returns its sha256."""
    with tarfile.open(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            info = archive.gettarinfo(str(path), str(path.relative_to(folder)))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = 0
            if not (info.isreg() or info.islnk()):
                archive.addfile(info)
                continue
            # A second name of one file becomes a file: the first name may be gone from the image later.
            info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(info, content)
    with target.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def configuration(image: Image, digests: Sequence[str]) -> dict[str, Any]:
    """The image's configuration in the form that both Docker and OCI know."""
    process: dict[str, Any] = {"WorkingDir": image.workdir, "User": image.user}
    process["Env"] = [f"{name}={value}" for name, value in {"PATH": "/usr/bin:/bin", **image.env}.items()]
    if image.entrypoint:
        process["Entrypoint"] = list(image.entrypoint)
    return {
        "architecture": image.arch,
        "os": "linux",
        "config": process,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }


def write_archive(images: Sequence[Image], target: Path) -> None:
    """Writes them as `docker save` would: a layer that several have is in it once."""
    folders = dict.fromkeys(folder for image in images for folder in image.layers)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, tarfile.open(target, "w") as archive:
        layer_of: dict[Path, str] = {}
        for folder in folders:
            layer = Path(scratch) / "layer"
            layer_of[folder] = pack(folder, layer)
            if list(layer_of.values()).count(layer_of[folder]) == 1:
                archive.add(layer, f"{layer_of[folder]}.tar")
        manifest = []
        for image in images:
            digests = [layer_of[folder] for folder in image.layers]
            config = json.dumps(configuration(image, digests), sort_keys=True).encode()
            config_name = hashlib.sha256(config).hexdigest() + ".json"
            add_bytes(archive, config_name, config)
            layers = [f"{digest}.tar" for digest in digests]
            manifest.append({"Config": config_name, "RepoTags": [full_name(image.name)], "Layers": layers})
        add_bytes(archive, "manifest.json", json.dumps(manifest).encode())


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def ctr(*arguments: str) -> str:
    """containerd's own client, on the images that Kubernetes sees."""
    done = subprocess.run([*CTR, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ctr {' '.join(arguments[:2])} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def digests() -> dict[str, str]:
    """Name and digest of every image that containerd has."""
    rows = (line.split() for line in ctr("images", "list").splitlines()[1:])
    return {row[0]: row[2] for row in rows if len(row) > 2}


def make(*images: Image) -> dict[str, str]:
    """Makes and imports images of one architecture; returns their full names and digests."""
    (HOME / "tmp").mkdir(parents=True, exist_ok=True)
    for folder in (folder for image in images for folder in image.layers):
        if not folder.is_dir():
            raise RuntimeError(f"{folder} is not a folder: an image is made from folders that hold its files")
    arch = images[0].arch
    with tempfile.TemporaryDirectory(dir=HOME / "tmp") as scratch:
        archive = Path(scratch) / "image.tar"
        write_archive(images, archive)
        unpack = [] if arch == "amd64" else ["--no-unpack"]
        ctr("images", "import", f"--platform=linux/{arch}", *unpack, str(archive))
    there = digests()
    return {full_name(image.name): there[full_name(image.name)] for image in images}


def push(name: str, reference: str, login: str = "") -> None:
    """Sends an image that containerd has to a registry of the testbed, by plain HTTP."""
    extra = [f"--user={login}"] if login else []
    ctr("images", "push", "--plain-http", *extra, reference, full_name(name))
