"""Encrypts a revision's secret environment to the home's key, which the launchers open it with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyrage

from failback.model.errors import NotPermitted


def seal(path: Path, env: Mapping[str, str], masked: Sequence[str], key_file: Path) -> None:
    """Writes the file, 0600, at once or not at all."""
    identity = _identity(key_file)
    text = json.dumps({"env": dict(env), "masked": list(masked)}).encode()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(pyrage.encrypt(text, [identity.to_public()]))
    temporary.chmod(0o600)
    temporary.replace(path)


def unseal(path: Path, key_file: Path) -> tuple[dict[str, str], list[str]]:
    """(environment, values to be masked); both empty where nothing was sealed."""
    if not path.exists():
        return {}, []
    opened = json.loads(pyrage.decrypt(path.read_bytes(), [_identity(key_file)]))
    return dict(opened["env"]), list(opened["masked"])


def _identity(key_file: Path) -> pyrage.x25519.Identity:
    try:
        lines = key_file.read_text().splitlines()
    except OSError as cause:
        raise NotPermitted(
            f"The key {key_file} cannot be read ({cause.strerror}): secrets of local services are opened with it.",
            path=str(key_file),
        ) from cause
    return pyrage.x25519.Identity.from_str(next(line for line in lines if line.startswith("AGE-SECRET-KEY-")))
