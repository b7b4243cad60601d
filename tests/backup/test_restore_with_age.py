"""The printed commands, run in a shell with the plain `age` tool: backups outlive failback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("encryption", [True, False])
def test_commands_restore_everything(make_store, content, tmp_path, encryption, secret):
    """In folders whose names need quotes, copied as they are printed."""
    odd = tmp_path / "it's a folder"
    store = make_store(root=odd / "back ups", key_file=odd / "key file", encryption=encryption)
    ref = store.create(content, "e")
    commands = store.explain_restore(ref)

    subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, check=True, timeout=60)

    restored = tmp_path / "restored"
    assert content.documents["k8s"] == (restored / "k8s.yaml").read_text()
    assert content.documents["service"] == (restored / "service.yaml").read_text()
    assert secret == json.loads((restored / "configs.json").read_text())["secrets"]["TOKEN"]
    assert (restored / "release" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (restored / "release" / "app" / "main.py").read_text() == "print('ü')\n"
    assert str((restored / "release" / "data").readlink()) == "/var/lib/notes"


def test_single_line_of_the_guide(store, content, tmp_path):
    """`age -d -i key.age snapshot.yaml.age`, as the guide has it."""
    ref = store.create(content, "e")
    sealed = store.root / "k8s" / f"{ref.id}.yaml.age"

    done = subprocess.run(
        ["age", "-d", "-i", str(tmp_path / "home" / "key.txt"), str(sealed)], capture_output=True, check=True
    )

    assert content.documents["k8s"].encode() == done.stdout


def test_lost_key_file_is_opened_by_the_passphrase(make_store, content, tmp_path):
    """A person with the backup folder and the words, on another machine: age asks on the terminal."""
    words = tmp_path / "words"
    words.write_text("correct horse battery staple\n")
    words.chmod(0o600)
    store = make_store(passphrase=words)
    ref = store.create(content, "e")
    (tmp_path / "home" / "key.txt").unlink()
    commands = store.explain_restore(ref)
    assert "age -d -o restored/key.txt" in commands

    (people_key,) = store.root.glob("key-*.age")
    answered_by_hand(["age", "-d", "-o", str(tmp_path / "key.txt"), str(people_key)], "correct horse battery staple")
    sealed = store.root / "k8s" / f"{ref.id}.yaml.age"
    done = subprocess.run(["age", "-d", "-i", str(tmp_path / "key.txt"), str(sealed)], capture_output=True, check=True)

    assert content.documents["k8s"].encode() == done.stdout


def answered_by_hand(command: list[str], answer: str) -> None:
    """Runs a command that asks on its terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    seen = b""
    while b"passphrase" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, answer.encode() + b"\n")
    try:
        while os.read(terminal, 1000):
            pass
    except OSError:
        pass  # the terminal is gone with its process
    status = os.waitpid(child, 0)[1]
    os.close(terminal)
    assert status == 0
    assert Path(command[3]).exists()
