"""The home's age key: made on first use, private to its user, and openable by the plain `age` tool."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyrage

from failback.model.errors import NotPermitted


@dataclass(frozen=True, slots=True)
class Key:
    """An X25519 identity. `recipient` may be shown; the identity is only in its file."""

    path: Path
    recipient: str

    def encrypt(self, plain: bytes) -> bytes:
        return bytes(pyrage.encrypt(plain, [pyrage.x25519.Recipient.from_str(self.recipient)]))

    def decrypt(self, sealed: bytes) -> bytes:
        """Raises ValueError when it was not sealed to this key, or is damaged."""
        try:
            return bytes(pyrage.decrypt(sealed, [_identity(self.path)]))
        except pyrage.DecryptError as cause:
            raise ValueError(f"cannot be opened with {self.path}: {cause}") from None


def ensure_key(path: Path) -> Key:
    """The key of this path, made with mode 0600 if there is none; two processes at once make one.

    Raises NotPermitted when others can read it: then it protects nothing, and only its owner can say what to do.
    """
    if not path.exists():
        _create(path)
    mode = path.stat().st_mode
    if mode & 0o077:
        raise NotPermitted(
            f"The key {path} can be read by others (mode {mode & 0o777:o}), so what it encrypts is not safe. "
            f"If nobody else had access to it, run `chmod 600 {path}`.",
            path=str(path),
        )
    return Key(path, str(_identity(path).to_public()))


def _create(path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    text = f"# the key of this failback home; keep it, or its backups can't be read\n# public key: {identity.to_public()}\n{identity}\n"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)  # exclusive, and never a half-written key
    except FileExistsError:
        return
    finally:
        temporary.unlink(missing_ok=True)


def _identity(path: Path) -> pyrage.x25519.Identity:
    for line in path.read_text().splitlines():
        if line.startswith("AGE-SECRET-KEY-"):
            return pyrage.x25519.Identity.from_str(line.strip())
    raise NotPermitted(f"{path} holds no age key. Restore it from a backup, or move it away to begin with a new one.")
