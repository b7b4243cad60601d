"""Archives of large folders on disk: written sealed in one pass, and read back from the device."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from failback.backup.disk import forget_cache, replacing, write_all
from failback.backup.keys import Key
from failback.backup.tar import Source, TarCheck, TarStream

_CHUNK_BYTES = 1024 * 1024
_WRITE_BACK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive: `stored` is the sha256 of the file as it lies there, `content` that of the plain tar."""

    file: str  # relative to the backup root
    stored: str
    content: str
    bytes: int


def digest_of(source: Source) -> str:
    """The sha256 of the plain archive that this source makes now."""
    digest = hashlib.sha256()
    for chunk in TarStream(source).chunks():
        digest.update(chunk)
    return digest.hexdigest()


def store(source: Source, path: Path, relative: str, key: Key | None) -> Archive:
    """Writes the archive, sealed where there is a key, and reads it back from the device before it returns.

    Plain content never touches the disk. What is read back must open to the content that went in, so the hash of the
    stored bytes is taken there, once. Raises OSError, and ValueError when it is not what was written.
    """
    stream = _Counted(TarStream(source))
    with replacing(path) as descriptor:
        sink = _Sink(descriptor)
        if key is None:
            for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""):
                sink.write(chunk)
        else:
            key.encrypt_stream(stream, sink)
    written = Archive(relative, "", stream.digest.hexdigest(), sink.bytes)
    return replace(written, stored=_read(path, written, key, None))


def open_archive(path: Path, archive: Archive, key: Key | None, into: Callable[[bytes], object] | None = None) -> None:
    """Reads it from the device to its end: stored hash, seal, content hash and structure must be what they were.

    `into` gets the plain pieces, which are to be trusted only once this has returned. Raises ValueError or OSError.
    """
    _read(path, archive, key, into)


def _read(path: Path, archive: Archive, key: Key | None, into: Callable[[bytes], object] | None) -> str:
    """The hash of the stored bytes, when all is as it was."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        forget_cache(descriptor)
        source, plain = _Source(descriptor), _Plain(into)
        trouble = ""
        try:
            if key is None:
                for chunk in iter(lambda: source.read(_CHUNK_BYTES), b""):
                    plain.write(chunk)
            else:
                key.decrypt_stream(source, plain)
            plain.close()
        except ValueError as cause:
            trouble = str(cause)
        source.drain()
        stored = source.digest.hexdigest()
    finally:
        os.close(descriptor)
    if archive.stored not in ("", stored):
        # Said first, since it is the reason of whatever else is wrong: changed bytes cannot be decrypted either.
        raise ValueError("was changed or damaged: its hash is not the manifest's")
    if trouble:
        raise ValueError(trouble)
    if plain.digest.hexdigest() != archive.content:
        raise ValueError("holds another content than was archived")
    return stored


class _Counted:
    """Hashes the plain archive by large pieces while the sealing takes small ones."""

    def __init__(self, stream: TarStream) -> None:
        self._chunks = stream.chunks()
        self._rest = memoryview(b"")
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        if not self._rest:
            chunk = next(self._chunks, b"")
            self.digest.update(chunk)
            self._rest = memoryview(chunk)
        piece = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return piece


class _Sink:
    """Writes what is stored; the device begins to write before the end, so that the last sync is short."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begun = 0
        self.bytes = 0

    def write(self, data: bytes) -> int:
        write_all(self._descriptor, data)
        self.bytes += len(data)
        if self.bytes - self._begun >= _WRITE_BACK_BYTES:
            forget_cache(self._descriptor, self._begun, self.bytes - self._begun)
            self._begun = self.bytes
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


class _Source:
    """Reads and hashes what is stored."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = memoryview(b"")
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        if not self._rest:
            chunk = os.read(self._descriptor, _CHUNK_BYTES)
            self.digest.update(chunk)
            self._rest = memoryview(chunk)
        piece = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return piece

    def drain(self) -> None:
        while chunk := os.read(self._descriptor, _CHUNK_BYTES):
            self.digest.update(chunk)


class _Plain:
    """Hashes and checks the plain archive, by large pieces, and hands it on."""

    def __init__(self, into: Callable[[bytes], object] | None) -> None:
        self._into = into
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._check = TarCheck()
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= _CHUNK_BYTES:
            self._hand_on()
        return len(data)

    def flush(self) -> None:
        """What is held goes on with the next piece, or at the end."""

    def close(self) -> None:
        self._hand_on()
        self._check.close()

    def _hand_on(self) -> None:
        piece = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        self.digest.update(piece)
        self._check.write(piece)
        if self._into is not None:
            self._into(piece)
