"""SIGKILL at each file operation of a snapshot and of a pruning: nothing half is ever listed, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Runs `work` in a child that dies at its n-th file operation, for n = 1, 2, ... until it survives.
HARNESS = """
import json, os, signal, sys
from pathlib import Path
from failback.backup.store import SnapshotStore
from failback.model.snapshot import SnapshotContent

root, key, release, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
left = None

def count(event, arguments):
    global left
    if left is None:
        return
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if (event in CHANGES or writes) and str(root) in str(arguments[0]):
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
clock = {"wall": 1_737_354_000.0, "up": 0.0}

def store():
    return SnapshotStore(root, key, encryption=True, retention_days=30, clock=lambda: clock["wall"],
                         uptime=lambda: ("b", clock["up"]))

def content(number):
    Path(release, "version").write_text(str(number))
    return SnapshotContent("notes", "local", f"r{number}",
                           {"k8s": f"a: {number}\\n", "service": "b: 2\\n", "configs": "{}"}, {"release": release})

def later(days):
    clock["wall"] += days * 86_400
    clock["up"] += days * 86_400

known = [store().create(content(0), "e").id]
number, boundaries, problems = 0, 0, []
while True:
    number += 1
    later(1)
    if what == "prune":
        known.append(store().create(content(number), "e").id)
        later(40)
    expected = content(number)
    child = os.fork()
    if child == 0:
        left = number
        store().create(expected, "e") if what == "create" else store().prune(set(), clock["wall"])
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    boundaries += killed
    listed = [ref.id for ref in store().listed()]
    problems += [f"{number}: {problem}" for ref in listed for problem in store().verify(ref)]
    problems += [f"{number}: {bad} cannot be read" for bad in store().damaged()]
    if what == "create" and set(known) - set(listed):
        problems.append(f"{number}: lost {set(known) - set(listed)}")
    if what == "prune" and known[-1] not in listed:
        problems.append(f"{number}: the newest is gone")
    known = listed
    store().prune(set(), clock["wall"] if what == "prune" else 0.0)
    named = {path for ref in store().listed() for path in ref.files}
    there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    there -= {".witness.json", *(f"manifest-{ref.id}.json" for ref in store().listed())}
    if there != named:
        problems.append(f"{number}: left over {sorted(there - named)}, missing {sorted(named - there)}")
    known = [ref.id for ref in store().listed()]
    if not killed:
        break
print(json.dumps({"boundaries": boundaries, "problems": problems}))
"""


@pytest.mark.parametrize(("what", "at_least"), [("create", 14), ("prune", 6)])
def test_killed_at_every_file_operation(tmp_path, release, what, at_least):
    """The list of boundaries is computed by the run itself, so a new write is covered on its first day."""
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, str(tmp_path / "backups"), str(tmp_path / "key"), str(release), what],
        capture_output=True,
        text=True,
        timeout=170,
        check=True,
    )

    report = json.loads(done.stdout)
    assert report["problems"] == []
    assert report["boundaries"] >= at_least, "the kill never came: nothing was tested"


ENDLESS = """
import sys
from pathlib import Path
from failback.backup.store import SnapshotStore
from failback.model.snapshot import SnapshotContent
store = SnapshotStore(Path(sys.argv[1]), Path(sys.argv[2]), encryption=True, retention_days=30)
number = 0
print("ready", flush=True)
while True:
    number += 1
    Path(sys.argv[3], "version").write_text(f"{number} {sys.argv[4]}")
    store.create(SnapshotContent("notes", "local", "r", {"k8s": "a: 1"}, {"release": sys.argv[3]}), "e")
"""


def test_killed_at_random_instants(store, content, release, tmp_path, root):
    """Also between the file operations, in the middle of a write."""
    (release / "big").write_bytes(os.urandom(2_000_000))
    for number in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(root), str(tmp_path / "home" / "key.txt"), str(release), str(number)],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.01 + 0.013 * number)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()

        assert [problem for ref in store.listed() for problem in store.verify(ref.id)] == []
        assert store.damaged() == {}

    store.prune(set(), 0.0)
    named = {path for ref in store.listed() for path in ref.files}
    there = {str(path.relative_to(root)) for folder in ("k8s", "releases") for path in Path(root, folder).iterdir()}
    assert named == there
    assert list(root.glob(".claim-*")) == []
