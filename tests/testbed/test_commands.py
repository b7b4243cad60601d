"""The testbed's commands keep their promises: exit codes and environment pass, images are what their folders are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.support import Cluster, is_testbed, pod, run_testbed

ROOT = Path(__file__).resolve().parents[2]

needs_testbed = pytest.mark.skipif(not is_testbed(), reason="this cluster is not the testbed: run under testbed/run")


def test_without_root_every_command_says_why_and_exits_77() -> None:
    """So that tests which need it can be skipped with the reason. Tried as a user who is not root."""
    become = ["unshare", "--user"] if os.geteuid() == 0 else []
    for command in ("up", "down", "run true"):
        name, *arguments = command.split()
        done = subprocess.run(
            [*become, sys.executable, "-", *arguments],
            input=f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            f"from testbed import commands\nsys.exit(commands.{name}({'sys.argv[1:]' if arguments else ''}))",
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )

        assert done.returncode == 77, done
        assert "needs root" in done.stderr or "Linux" in done.stderr


@pytest.mark.cluster
@needs_testbed
def test_run_passes_environment_folder_and_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [os.environ["FAILBACK_TESTBED"] + "/run", "sh", "-c", "echo $GREETING $PWD; exit 41"],
        env={**os.environ, "GREETING": "hello"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 41
    assert done.stdout.split() == ["hello", str(tmp_path)]


@pytest.mark.cluster
@needs_testbed
def test_an_image_of_a_folder_runs_and_has_the_same_digest_twice(cluster: Cluster, tmp_path: Path) -> None:
    """Equal content, equal digest: a rollback to a digest is a rollback to that content."""
    program = Path(os.environ["FAILBACK_TESTBED"]).parent / "testbed" / "app" / "server" / "faults.go"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text(program.read_text())
    name = f"{cluster.namespace}/data:1"

    first = run_testbed("image", name, str(tmp_path), "--push", f"localhost:5000/{name}")
    os.utime(tmp_path / "data" / "file", (0, 0))
    second = run_testbed("image", name, str(tmp_path))
    refused = run_testbed("image", name, str(tmp_path), "--push", f"localhost:5001/{name}")

    assert first.returncode == 0, first.stderr
    assert first.stdout.split()[1] == first.stdout.split()[3] == second.stdout.split()[1]
    assert refused.returncode == 1
    assert "401" in refused.stderr
    cluster.apply(pod("pulls", f"localhost:5000/{name}@{first.stdout.split()[1]}"))
    # There is no program in it: it was pulled, and then could not be started.
    cluster.wait_until(
        lambda: (
            "waiting" in cluster.container_state("pulls")
            and "no command specified" in cluster.container_state("pulls")["waiting"].get("message", "")
        ),
        "the image by its digest",
    )


@pytest.mark.cluster
@needs_testbed
def test_a_part_that_was_killed_is_started_again_by_up() -> None:
    """The controllers, since others can do without them for a second."""
    run_testbed("part", "kill", "kube-controller-manager")
    gone = run_testbed("part", "pid", "kube-controller-manager")

    up = run_testbed("up")

    assert gone.returncode == 1
    assert up.returncode == 0, up.stderr
    assert "started kube-controller-manager" in up.stdout
