"""Reads how a recorded breakage is built and started (its `run.sh`), and makes a plan of it.

The script installs, checks and serves in one go; a plan has a step for each. Lines that only set things up belong to
all that come after them. The virtual environment moves out of the release, as into an image, so that a release holds no
link into the folder it came from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEP_S_MAX = 600
_KINDS = (
    ("build", re.compile(r"-m venv|pip install|npm (?:install|ci)|npm run build")),
    ("test", re.compile(r"\b(?:pytest|jest|npm test)\b")),
    ("quality", re.compile(r"\b(?:eslint|ruff|flake8|mypy)\b")),
    ("security", re.compile(r"\b(?:bandit|pip-audit|npm audit)\b")),
    ("verify", re.compile(r"\bmigrate\b")),
)
_BEFORE = re.compile(r"^\s*(?:#.*|set -.*|ver=.*|here=.*|\s*)$")


@dataclass(frozen=True, slots=True)
class Part:
    """One line that does something, with the lines before it that set something up."""

    kind: str
    line: str
    setup: tuple[str, ...]

    def command(self) -> list[str]:
        return ["bash", "-c", "\n".join(["set -euo pipefail", 'work="$PWD"', *self.setup, self.line])]


def read_recipe(script: str) -> tuple[list[Part], Part]:
    """The steps, and what serves. Raises ValueError where the script has no line that serves."""
    setup: list[str] = []
    steps: list[Part] = []
    for line in script.replace("$work/.venv", "$VENV").replace(".venv", '"$VENV"').splitlines():
        if line.startswith("exec "):
            return steps, Part("start", line, tuple(setup))
        if _BEFORE.match(line) or 'cp -r "$here' in line:
            continue
        kind = next((kind for kind, pattern in _KINDS if pattern.search(line)), None)
        if kind is None:
            setup.append(line)
        else:
            steps.append(Part(kind, line, tuple(setup)))
    raise ValueError("no line begins with exec: nothing would be served")


def plan_of(script: str, *, service: str, listen: str, environment: Path) -> dict[str, Any]:
    """A plan whose release is the folder `app`; `environment` is where the release's virtual environment stands."""

    parts, start = read_recipe(script)
    venv = {"VENV": str(environment)}
    steps: list[dict[str, Any]] = [
        {
            "name": f"{part.kind} {number}",
            "type": part.kind,
            "run": part.command(),
            "cwd": "app",
            "env": venv,
            "timeout": STEP_S_MAX,
        }
        for number, part in enumerate(parts, 1)
    ]
    return {
        "apiVersion": "failback/v1",
        "service": service,
        "target": {"kind": "local", "listen": listen},
        "release": {"path": "app", "start": start.command(), "env": venv, "replicas": 2},
        "checks": {
            "ready": {"path": "/", "timeout": 30},
            # Repeated, since one kind of release breaks only after some requests.
            "smoke": [{"path": "/", "status": 200, "repeat": 30}],
            "soak": 1,
            "bake": 2,
            "drain": 3,
        },
        "steps": [*steps, {"name": "deploy", "type": "deploy"}],
    }
