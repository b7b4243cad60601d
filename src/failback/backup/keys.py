"""The home's age key: made on first use, private to its user, and openable by the plain `age` tool."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyrage

from failback.backup.disk import sync_folder, write_durably
from failback.model.errors import NotPermitted, SnapshotUnreadable

PASSPHRASE_VARIABLE = "FAILBACK_PASSPHRASE_FILE"


class Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Writer(Protocol):
    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...


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

    def encrypt_stream(self, reader: Reader, writer: Writer) -> None:
        """From `reader` to `writer` in pieces, so that a large release needs no memory of its size.

        What the two raise comes out as it is.
        """
        ends = _Ends(reader, writer)
        try:
            pyrage.encrypt_io(ends, ends, [pyrage.x25519.Recipient.from_str(self.recipient)])
        except (pyrage.EncryptError, OSError) as cause:
            raise ends.raised or cause from None

    def decrypt_stream(self, reader: Reader, writer: Writer) -> None:
        """The way back. Raises ValueError as `decrypt`; what `writer` got until then is not to be trusted."""
        ends = _Ends(reader, writer)
        try:
            pyrage.decrypt_io(ends, ends, [_identity(self.path)])
        except (pyrage.DecryptError, OSError) as cause:
            raise ends.raised or ValueError(f"cannot be opened with {self.path}: {cause}") from None


class _Ends:
    """Keeps what a reader or writer raised: age would only pass its text on."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self.raised: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except BaseException as cause:
            self.raised = cause
            raise

    def write(self, data: bytes) -> int:
        try:
            return self._writer.write(data)
        except BaseException as cause:
            self.raised = cause
            raise

    def flush(self) -> None:
        self._writer.flush()


def ensure_key(path: Path) -> Key:
    """The key of this path, made with mode 0600 if there is none; two processes at once make one.

    Raises NotPermitted when others can read it: then it protects nothing, and only its owner can say what to do.
    """
    if not path.exists():
        _create(path)
    return _open(path)


def existing_key(path: Path) -> Key:
    """The key for reading: a missing one is never made anew, it would open nothing. Raises SnapshotUnreadable."""
    if not path.exists():
        raise SnapshotUnreadable(
            f"The key {path} is missing, and what it encrypted cannot be opened without it. Put it back from where you "
            f"keep it, or open the backup's own copy with the passphrase (see docs/how-to/restore-with-age.md).",
            path=str(path),
        )
    return _open(path)


def passphrase_file(environment: Mapping[str, str]) -> Path | None:
    """Where the passphrase for people stands, if the environment names a file."""
    named = environment.get(PASSPHRASE_VARIABLE, "")
    return Path(named) if named else None


def keep_for_people(key: Key, passphrase: Path, folder: Path) -> Path:
    """Keeps the key itself in `folder`, encrypted with the passphrase, as `age -p` would; returns its path.

    An age file has either a passphrase or recipients, never both; so it is the key that gets the passphrase. It is
    made once a key, since scrypt takes seconds by design, and again when the passphrase's file is newer. Raises
    NotPermitted where the passphrase cannot be used.
    """
    kept = folder / f"key-{key.recipient.removeprefix('age1')[:12]}.age"
    words = _passphrase(passphrase)
    if kept.exists() and kept.stat().st_mtime_ns >= passphrase.stat().st_mtime_ns:
        return kept
    sealed = bytes(pyrage.passphrase.encrypt(key.path.read_bytes(), words))
    if pyrage.passphrase.decrypt(sealed, words) != key.path.read_bytes():
        raise NotPermitted(f"The copy of {key.path} for people does not open with the words of {passphrase}.")
    write_durably(kept, sealed)
    sync_folder(folder)
    return kept


def _passphrase(path: Path) -> str:
    try:
        words = path.read_text().rstrip("\r\n")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as cause:
        raise NotPermitted(
            f"{PASSPHRASE_VARIABLE} names {path}, which cannot be read ({type(cause).__name__}). Name another file, or "
            f"unset it: backups are encrypted to the key file in any case.",
            path=str(path),
        ) from None
    if mode & 0o077 or not words:
        wrong = "is empty" if not words else f"can be read by others (mode {mode & 0o777:o})"
        raise NotPermitted(
            f"The passphrase file {path} {wrong}. Write the passphrase into it and run `chmod 600 {path}`.",
            path=str(path),
        )
    return words


def _open(path: Path) -> Key:
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
    note = "# the key of this failback home: keep a copy elsewhere, without it the backups cannot be read"
    text = f"{note}\n# public key: {identity.to_public()}\n{identity}\n"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key is the key
            os.link(temporary, path)  # exclusive, and never a half-written key
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _identity(path: Path) -> pyrage.x25519.Identity:
    try:
        for line in path.read_text().splitlines():
            if line.startswith("AGE-SECRET-KEY-"):
                return pyrage.x25519.Identity.from_str(line.strip())
    except (PermissionError, UnicodeDecodeError, pyrage.IdentityError) as cause:
        raise NotPermitted(
            f"The key {path} cannot be used ({type(cause).__name__}). Restore it from a copy, or move it away to begin "
            f"with a new one; what the old one encrypted needs the old one.",
            path=str(path),
        ) from None
    raise NotPermitted(
        f"{path} holds no age key. Restore it from a copy, or move it away to begin with a new one.", path=str(path)
    )
