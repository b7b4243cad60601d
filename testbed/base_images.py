"""The images that every test may count on, made from what is on this machine.

failback/pause:1          first process of every pod
failback/app:1            the service that misbehaves as its environment says (testbed/app/server), and /loadgen
failback/app-arm64:1      the same, compiled for another processor, in an image that says it is for this one
failback/node:1           Node.js and its libraries
failback/node-app:1, :2   a server in Node.js; in :2 `config/production.json` was forgotten
failback/python:1         Python and its standard library
failback/python-app:1, :2 a server in Python; in :2 a module that it imports was forgotten

All of them are in the open registry, too: localhost:5000/failback/..., and the app in the private one.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from testbed.build import digest_of
from testbed.images import Image, digests, make, push
from testbed.settings import HOME, OPEN_REGISTRY, PRIVATE_PASSWORD, PRIVATE_REGISTRY, PRIVATE_USER, SOURCES

PYTHON = Path("/usr/bin/python3").resolve()  # the name of its library has its version
UNPRIVILEGED = "65532:65532"


def copy_with_libraries(programs: Iterable[Path], root: Path) -> None:
    """Copies programs and every shared library that the loader would load for them, at the same paths."""
    for program in programs:
        place(program.resolve(), root / str(program).lstrip("/"))
        listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+)", listed):
            place(Path(library).resolve(), root / library.lstrip("/"))


def place(source: Path, target: Path) -> None:
    """Copies a file unless it is there."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def with_usual_folders(root: Path) -> None:
    """What a program may expect of a root file system: a /tmp for everyone, users by name."""
    (root / "tmp").mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/sbin/nologin\napp:x:65532:65532:app:/tmp:/sbin/nologin\n")
    (root / "etc" / "group").write_text("root:x:0:\napp:x:65532:\n")


def pause_root(root: Path, binaries: dict[str, Path]) -> None:
    place(binaries["pause"], root / "pause")


def app_root(root: Path, binaries: dict[str, Path], server: str = "server") -> None:
    with_usual_folders(root)
    place(binaries[server], root / "server")
    if server == "server":
        place(binaries["loadgen"], root / "loadgen")


def arm64_root(root: Path, binaries: dict[str, Path]) -> None:
    app_root(root, binaries, "server-arm64")


def node_root(root: Path, _: dict[str, Path]) -> None:
    with_usual_folders(root)
    node = Path(shutil.which("node") or "/usr/bin/node").resolve()
    copy_with_libraries([node], root)
    if node != Path("/usr/bin/node"):
        (root / "usr" / "bin").mkdir(parents=True, exist_ok=True)
        (root / "usr" / "bin" / "node").symlink_to(node)


def python_root(root: Path, _: dict[str, Path]) -> None:
    with_usual_folders(root)
    library = Path("/usr/lib") / PYTHON.name
    left_out = shutil.ignore_patterns("__pycache__", "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "pydoc_data")
    shutil.copytree(
        library, root / "usr" / "lib" / PYTHON.name, ignore=left_out, symlinks=False, ignore_dangling_symlinks=True
    )
    copy_with_libraries([PYTHON, *(library / "lib-dynload").glob("*.so")], root)
    (root / "usr" / "bin" / "python3").symlink_to(PYTHON.name)


def source_root(language: str, forgotten: str = "") -> Callable[[Path, dict[str, Path]], None]:
    """The application's files under /app, without the one that somebody forgot."""

    def fill(root: Path, _: dict[str, Path]) -> None:
        left_out = (
            shutil.ignore_patterns(forgotten, "__pycache__") if forgotten else shutil.ignore_patterns("__pycache__")
        )
        shutil.copytree(SOURCES / "app" / language, root / "app", ignore=left_out)

    return fill


ROOTS: dict[str, Callable[[Path, dict[str, Path]], None]] = {
    "pause": pause_root,
    "app": app_root,
    "app-arm64": arm64_root,
    "node": node_root,
    "node-app": source_root("node"),
    "node-app-without-config": source_root("node", forgotten="production.json"),
    "python": python_root,
    "python-app": source_root("python"),
    "python-app-without-module": source_root("python", forgotten="greetings.py"),
}


def base_images(roots: Path) -> list[Image]:
    """All of them; the pause image first, since no pod starts without it."""
    node, python = ("node", "/app/server.js"), ("python3", "/app/app.py")

    def image(name: str, *layers: str, entrypoint: tuple[str, ...] = (), workdir: str = "/") -> Image:
        paths = tuple(roots / layer for layer in layers)
        user = "" if name == "pause:1" else UNPRIVILEGED
        return Image(f"failback/{name}", paths, entrypoint=entrypoint, workdir=workdir, user=user)

    return [
        image("pause:1", "pause", entrypoint=("/pause",)),
        image("app:1", "app", entrypoint=("/server",)),
        image("app-arm64:1", "app-arm64", entrypoint=("/server",)),
        image("node:1", "node"),
        image("node-app:1", "node", "node-app", entrypoint=node, workdir="/app"),
        image("node-app:2", "node", "node-app-without-config", entrypoint=node, workdir="/app"),
        image("python:1", "python"),
        image("python-app:1", "python", "python-app", entrypoint=python, workdir="/app"),
        image("python-app:2", "python", "python-app-without-module", entrypoint=python, workdir="/app"),
    ]


def ensure(binaries: dict[str, Path]) -> bool:
    """Makes, imports and pushes them unless that has been done with the same content; says whether it did."""
    sources = [path for path in SOURCES.rglob("app/*/**/*") if path.is_file()]
    key = digest_of([*sources, SOURCES / "base_images.py"], *(path.name for path in binaries.values()))
    stamp = HOME / "base-images.json"
    known = json.loads(stamp.read_text()) if stamp.exists() else {}
    there = digests()
    if known.get("key") == key and all(there.get(name) == digest for name, digest in known["digests"].items()):
        return False
    with tempfile.TemporaryDirectory(dir=HOME / "tmp") as folder:
        for name, fill in ROOTS.items():
            (Path(folder) / name).mkdir()
            fill(Path(folder) / name, binaries)
        made = make(*base_images(Path(folder)))
    for name in made:
        push(name, name.replace("docker.io", OPEN_REGISTRY, 1))
    login = f"{PRIVATE_USER}:{PRIVATE_PASSWORD}"
    push("failback/app:1", f"{PRIVATE_REGISTRY}/failback/app:1", login)
    stamp.write_text(json.dumps({"key": key, "digests": made}, indent=1))
    return True
