"""Ports that are free and ours; the state file that is whole or the former one, and refuses an older writer."""

from __future__ import annotations

import dataclasses
import json
import socket
from pathlib import Path

import pytest

from failback.model.errors import FailbackError, LeaseLost
from failback.model.release import RevisionState
from failback.targets.local.ports import free_ports, is_free
from failback.targets.local.state import LocalState, ReplicaRecord, RevisionRecord, StateFile


def _record(name: str = "r1") -> RevisionRecord:
    return RevisionRecord(
        id=name,
        digest="sha256:" + "a" * 64,
        state=RevisionState.STAGED,
        execution_id="e1",
        created_at=1.0,
        replicas=(ReplicaRecord(f"{name}-1", 20001, f"notes-{name}-1"),),
        shape={"start": ["x"], "env": {}},
        checks={"ready": {"path": "/"}},
        secrets=("TOKEN",),
    )


def test_ports_are_free_different_and_below_what_the_kernel_gives_away() -> None:
    """A port of the ephemeral range would be taken by any outgoing connection while a replica restarts."""
    ports = free_ports(50)
    first = Path("/proc/sys/net/ipv4/ip_local_port_range")
    ephemeral = int(first.read_text().split()[0]) if first.exists() else 49152

    assert len(set(ports)) == 50
    assert all(port < ephemeral for port in ports)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_someone_listens_on_is_not_free(host: str) -> None:
    """Also where the other one listens on every address."""
    with socket.socket() as other:
        other.bind((host, 0))
        other.listen()

        assert not is_free(other.getsockname()[1])


def test_a_port_just_left_is_free() -> None:
    """The look-alike: connections in TIME_WAIT keep no server from listening."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            client.recv(1)

    assert is_free(port)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    """Everything a resume needs, in its own types."""
    file = StateFile(tmp_path / "a" / "state.json", "notes", "127.0.0.1:8080")
    assert file.read() == LocalState("notes", "127.0.0.1:8080")

    written = file.write(file.read().with_revision(_record()), 3)

    assert StateFile(file.path, "notes", "").read() == written
    assert written.revision("r1") == _record()


def test_an_older_writer_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """A stale executor's write is never merged."""
    file = StateFile(tmp_path / "state.json", "notes", "")
    file.write(dataclasses.replace(file.read(), stable="r2"), 7)
    before = file.path.read_bytes()

    with pytest.raises(LeaseLost):
        file.write(dataclasses.replace(file.read(), stable="r1"), 6)

    assert file.path.read_bytes() == before
    assert file.write(file.read(), 7).token == 7


def test_a_write_that_breaks_off_leaves_the_former_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disk full in the middle: the file is replaced as a whole, or not at all."""
    file = StateFile(tmp_path / "state.json", "notes", "")
    file.write(dataclasses.replace(file.read(), stable="r1"), 1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OSError, match="No space"):
        file.write(dataclasses.replace(file.read(), stable="r2"), 1)

    assert file.read().stable == "r1"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"service": "notes"}', '{"revisions": [{"id": 1}]}', "\x00" * 40])
def test_a_damaged_state_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    """A file system that lost the last write: a person is told, and no traceback is shown."""
    path = tmp_path / "state.json"
    path.write_text(content)

    with pytest.raises(FailbackError) as error:
        StateFile(path, "notes", "").read()

    assert str(path) in error.value.message
