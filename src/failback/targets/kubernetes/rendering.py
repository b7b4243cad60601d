"""The user's own tools that make manifests (`kubectl kustomize`, `kustomize`, `helm`), run with a limit.

They run without the variables of failback's plan values, in the plan's folder, and only print.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from failback.model.errors import ReleaseError

RENDER_S_MAX = 120.0
_SAID_CHARS_MAX = 1500


def kustomize(path: str, folder: Path) -> str:
    """The manifests of a kustomization, by whichever tool is there. Raises ReleaseError."""
    place = path if re.match(r"https?://|git@|[a-z]+::", path) else str(folder / Path(path).expanduser())
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            return run([*command, place], folder, "release/kustomize")
    raise ReleaseError(
        "release/kustomize needs kubectl or kustomize, and neither is on PATH. Install one of them, or render the "
        "manifests in a step and name the file in release/manifests."
    )


def run(command: Sequence[str], folder: Path, what: str) -> str:
    """What the command prints. Raises ReleaseError with its own words where it fails."""
    try:
        done = subprocess.run(
            list(command), cwd=folder, capture_output=True, timeout=RENDER_S_MAX, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as cause:
        raise ReleaseError(f"{what} needs {command[0]}, which is not on PATH. Install it.") from cause
    except subprocess.TimeoutExpired as cause:
        raise ReleaseError(f"{what}: `{' '.join(command[:2])}` did not end within {RENDER_S_MAX:.0f} s.") from cause
    except OSError as cause:
        raise ReleaseError(f"{what}: `{command[0]}` cannot be run: {cause.strerror}.") from cause
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-_SAID_CHARS_MAX:] or f"exit code {done.returncode}"
        raise ReleaseError(f"{what}: `{' '.join(command[:2])}` failed: {said}")
    return done.stdout.decode("utf-8", "replace")
