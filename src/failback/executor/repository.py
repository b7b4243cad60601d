"""The user's git repository, only looked at here: which commit a folder is at. Never fetches, runs no hook."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

GIT_S_MAX = 5.0
_OURS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")


class GitFailed(Exception):
    """git is not there, or said no; the text says which."""


def git(folder: Path, *arguments: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
    """The output of one git command in the folder. Raises GitFailed."""
    # A git hook that runs failback sets these: they would name its repository, not the folder's.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command: Sequence[str] = ("git", *_OURS, *arguments)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=GIT_S_MAX,
            env={**clean, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", **(env or {})},
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as cause:
        raise GitFailed(f"git could not be run: {cause}") from cause
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitFailed(said[-1] if said else f"git ended with {done.returncode}")
    return done.stdout


def top_of(folder: Path) -> Path | None:
    """The top of the work tree in which the folder is; None where there is none."""
    try:
        return Path(os.fsdecode(git(folder, "rev-parse", "--show-toplevel").rstrip(b"\n")))
    except GitFailed:
        return None


def commit_of(folder: Path) -> str:
    """ "1a2b3c4 Add the settings (Ann)", and whether the work tree has changes beside it; "" without a repository."""
    try:
        said = git(folder, "log", "-1", "--no-show-signature", "--format=%h%x00%s%x00%an").decode("utf-8", "replace")
        short, subject, author = said.rstrip("\n").split("\0")
        dirty = git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (GitFailed, ValueError):
        return ""
    return f"{short} {subject[:80]} ({author[:40]})" + (" + uncommitted changes" if dirty.strip() else "")
