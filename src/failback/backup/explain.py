"""How a person restores a snapshot when failback is gone: the exact commands, by `age`, `tar` and `cat` alone."""

from __future__ import annotations

import shlex
from pathlib import Path

from failback.model.snapshot import SnapshotRef

_MEANING = {
    "k8s": "the deployment",
    "service": "the service and its routing",
    "configs": "configuration, environment and secrets",
}


def commands(reference: SnapshotRef, key_file: Path, people_key: Path | None, into: str) -> str:
    """Copied into a shell they write every document and release of the snapshot below `into`."""
    key = shlex.quote(str(key_file))
    lines = [f"umask 077 && mkdir -p {shlex.quote(into)}"]
    if reference.encrypted and people_key is not None:
        asked = shlex.quote(f"{into}/key.txt")
        lines += [
            "# Only if the key file is lost: this asks for the passphrase; then use",
            f"# -i {asked} in place of -i {key} below.",
            f"#   age -d -o {asked} {shlex.quote(str(people_key))}",
        ]
    for relative in sorted(reference.files):
        kind, _, name = relative.partition("/")
        stored = shlex.quote(str(Path(reference.root) / relative))
        opened = f"age -d -i {key} {stored}" if reference.encrypted else f"cat {stored}"
        plain = name.removesuffix(".age")
        if plain.endswith(".tar"):
            folder = shlex.quote(f"{into}/{plain.removesuffix('.tar').split('.', 1)[-1]}")
            lines.append(f"mkdir -p {folder} && {opened} | tar -x -p -C {folder}")
        else:
            target = shlex.quote(f"{into}/{kind}{Path(plain).suffix}")
            lines.append(f"{opened} > {target}" + (f"   # {_MEANING[kind]}" if kind in _MEANING else ""))
    return "\n".join(lines)
