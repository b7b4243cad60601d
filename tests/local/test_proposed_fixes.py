"""`auto_fix: propose`: a branch with one commit, made beside the user's work, which stays as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.local.world import World

PROPOSE: dict[str, Any] = {
    "auto_fix": "propose",
    "diagnosis": {"try_fixes": True},
    "checks": {"soak": 0.2, "bake": 0.3},
}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def repository(world: World) -> World:
    """A plan in a repository with hooks that tell on who runs them; release 1 is live, release 2, broken, committed."""
    world.extra = PROPOSE
    world.release(1)
    assert world.deploy()["exit_code"] == 0
    (world.folder / ".gitignore").write_text("home\nhooked\n")
    git(world.folder, "init", "-q", "-b", "main")
    git(world.folder, "add", ".")
    git(world.folder, "commit", "-q", "-m", "Release 1")
    world.release(2)
    (world.folder / "app" / "settings.json").unlink()
    git(world.folder, "add", ".")
    git(world.folder, "commit", "-q", "-m", "Release 2")
    for name in ("post-commit", "reference-transaction", "pre-commit"):
        hook = world.folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {world.folder}/hooked\n")
        hook.chmod(0o755)
    return world


def test_the_fix_is_a_branch_and_nothing_else_changed(repository: World) -> None:
    folder = repository.folder
    (folder / "notes.txt").write_text("not committed")
    (folder / "app" / "app.py").write_text((folder / "app" / "app.py").read_text() + "# not committed either\n")
    before = (
        git(folder, "status", "--porcelain"),
        git(folder, "rev-parse", "HEAD"),
        git(folder, "branch", "--show-current"),
    )

    result = repository.deploy()

    proposal = result["fixes"]["proposal"]
    after = (
        git(folder, "status", "--porcelain"),
        git(folder, "rev-parse", "HEAD"),
        git(folder, "branch", "--show-current"),
    )
    assert after == before
    assert git(folder, "diff", "--stat", f"main..{proposal['branch']}").strip().startswith("app/settings.json | 1 +")
    assert git(folder, "log", "-1", "--format=%an %s", proposal["branch"]) == (
        "failback Put settings.json back, as the former release had it\n"
    )
    assert "Verified in the dark" in git(folder, "log", "-1", "--format=%b", proposal["branch"])
    assert not (folder / "hooked").exists()
    assert not (folder / ".git" / "index.lock").exists()


def test_the_branch_goes_live(repository: World) -> None:
    """Merged by its user, the next deployment completes."""
    proposal = repository.deploy()["fixes"]["proposal"]

    git(repository.folder, "merge", "-q", "--ff-only", proposal["branch"])

    assert repository.deploy()["exit_code"] == 0


def test_killed_while_it_is_made_there_is_one_branch(repository: World) -> None:
    repository.run("deploy", "--yes", fault="kill:fix.propose:effect-made-record-not#1")
    assert repository.run("resume").returncode == 0

    branches = git(repository.folder, "branch", "--list", "failback/*").split()

    assert len(branches) == 1
    assert git(repository.folder, "rev-list", "--count", f"main..{branches[0]}").strip() == "1"


def test_without_a_repository_it_is_said(world: World) -> None:
    world.extra = PROPOSE
    world.release(1)
    world.deploy()
    world.release(2)
    (world.folder / "app" / "settings.json").unlink()

    result = world.deploy()

    assert "in no git repository" in result["fixes"]["proposal"]["reason"]
    assert result["rollback"]["phases_completed"] == 8
