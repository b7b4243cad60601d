"""Builds a changed release aside: the plan's build steps, in a copy of the plan's folder.

Promise: the user's own folder stays untouched; what a trial build started ends with it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from failback.executor import commands
from failback.executor.context import Execution
from failback.executor.repository import GitFailed, git
from failback.model.dag import topological_order
from failback.model.fix import PutFile
from failback.model.plan import Step
from failback.model.redaction import StreamRedactor

COPY_BYTES_MAX = 500 * 1024 * 1024
COPY_FILES_MAX = 20_000
STEP_MARK = "fix"
_NEVER = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".mypy_cache", ".ruff_cache"})


class CannotRebuild(Exception):
    """The release cannot be built aside; the message says why."""


def build_steps(x: Execution) -> list[Step]:
    """The steps that make the release, in their order."""
    by_name = {step.name: step for step in x.plan.steps}
    ordered = [by_name[name] for name in topological_order(x.plan.step_needs())]
    return [step for step in ordered if step.type == "build" and step.run is not None]


def check_rebuild(x: Execution, release_path: str) -> None:
    """Raises CannotRebuild where a build would do nothing, or could touch the user's own folder."""
    steps = build_steps(x)
    if x.orchestrator is not None or not steps:
        raise CannotRebuild("the plan has no build step with a command that would install it")
    if Path(release_path).is_absolute() or ".." in Path(release_path).parts:
        raise CannotRebuild("the release lies outside of the plan's folder")
    for step in steps:
        words = [step.run] if isinstance(step.run, str) else list(step.run or ())
        if any(str(x.folder) in word for word in (*words, step.cwd or "")):
            raise CannotRebuild(f"the step {step.name} names the plan's own folder, which a trial must not touch")


async def rebuild(
    x: Execution, release_path: str, files: Sequence[PutFile], folder: Path, timeout_s_max: float
) -> Path:
    """The folder of the plan's copy, built with these files in the release. Raises CannotRebuild."""
    check_rebuild(x, release_path)
    copy = folder / "plan"
    await asyncio.to_thread(_copy, x.folder, copy, x.home.root)
    for file in files:
        path = copy / release_path / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s_max
    for step in build_steps(x):
        await _run(x, step, copy, min(step.timeout, max(1.0, deadline - loop.time())))
    if not (copy / release_path).is_dir():
        raise CannotRebuild("the build did not make the release's folder")
    return copy


async def _run(x: Execution, step: Step, copy: Path, timeout_s_max: float) -> None:
    env = {
        **os.environ,
        **x.values.step_env(step.name),
        commands.EXECUTION_MARK: x.mark,
        commands.STEP_MARK: STEP_MARK,
    }
    env.pop("FAILBACK_FAULT", None)
    done = await commands.run_command(
        ["sh", "-c", step.run] if isinstance(step.run, str) else list(step.run or ()),
        cwd=str(copy / (step.cwd or ".")),
        env=env,
        timeout_s_max=timeout_s_max,
        redactor=StreamRedactor(x.redactor),
        on_line=lambda line: None,
    )
    if done.exit_code != 0:
        why = "took too long" if done.timed_out else f"ended with {done.exit_code}"
        lines = [line for line in done.output.splitlines() if line.strip()]
        raise CannotRebuild(f"the step {step.name} {why} with it" + (f": {lines[-1][:200]}" if lines else ""))


def _copy(source: Path, target: Path, home: Path) -> None:
    """What a fresh checkout would have: tracked and new files in a repository; elsewhere all but build products."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    size = count = 0
    for name in _names(source, home):
        path, made = source / name, target / name
        if not path.is_symlink() and not path.is_file():
            continue
        if path.is_symlink() and not _stays_inside(path, source):
            raise CannotRebuild(f"{name} is a link that leads out of the copy: a build could write through it")
        count, size = count + 1, size + path.lstat().st_size
        if size > COPY_BYTES_MAX or count > COPY_FILES_MAX:
            raise CannotRebuild(f"the plan's folder is too large to be copied (over {COPY_BYTES_MAX // 2**20} MiB)")
        made.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, made, follow_symlinks=False)


def _stays_inside(link: Path, source: Path) -> bool:
    """Whether the copied link will lead to something in the copy."""
    return not link.readlink().is_absolute() and link.resolve().is_relative_to(source.resolve())


def _names(source: Path, home: Path) -> Iterator[str]:
    try:
        listed = git(source, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ".")
    except GitFailed:
        listed = b""
    if listed:
        yield from (os.fsdecode(name) for name in dict.fromkeys(listed.split(b"\0")) if name)
        return
    for root, folders, names in os.walk(source):
        here = Path(root)
        folders[:] = [name for name in folders if not _is_product(here / name, home)]
        yield from (str((here / name).relative_to(source)) for name in names)


def _is_product(folder: Path, home: Path) -> bool:
    """What a build makes anew: an installer would leave the old version where it is."""
    if folder.name in _NEVER or folder.is_symlink() or folder == home or (folder / "pyvenv.cfg").exists():
        return True
    return any(entry.endswith(".dist-info") for entry in os.listdir(folder))  # noqa: PTH208 - names are all it needs
