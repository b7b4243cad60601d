"""Loads a plan from a file or from Python's mappings; every problem is told at once, with its line and remedy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from failback.executor.plan_files import missing_files
from failback.executor.plan_report import plan_error
from failback.executor.plan_yaml import Document, YamlProblem, decode, read_yaml
from failback.model.errors import PlanError, PlanNotFound
from failback.model.plan import Plan
from failback.model.plan_base import nearest
from failback.model.plan_checks import check, not_yet
from failback.model.plan_keys import known_keys
from failback.model.plan_problems import Path as Where
from failback.model.plan_problems import Problem, path_text, problems_of
from failback.model.values import Position

PLAN_NAMES = ("failback.yaml", "failback.yml")


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A valid plan and where it came from.

    `folder`: absolute; the plan's relative paths start there. `source_path`: None when it came from Python.
    `positions`: "steps/3/timeout" -> (line, column) of the value, both from 1; steps also by name ("steps/Build/env").
    `digest`: "sha256:..." of the plan's content, whatever its layout.
    """

    plan: Plan
    folder: Path
    source_path: Path | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)
    digest: str = ""

    def read_file(self, path: str) -> str:
        """The text of a file that a value names; relative to the plan's folder. Raises OSError, UnicodeError."""
        return (self.folder / Path(path).expanduser()).read_text(encoding="utf-8")


def load_plan(path: str | os.PathLike[str], *, orchestrated: bool = False) -> LoadedPlan:
    """Reads and checks a plan file. `orchestrated`: an orchestrator does the steps' work, so they need no `run`.

    Raises PlanNotFound, or PlanError with everything that is wrong.
    """
    file = Path(path)
    return load_text(_read(file), file=file, orchestrated=orchestrated)


def load_text(
    raw: bytes,
    *,
    file: Path | None = None,
    folder: Path | None = None,
    orchestrated: bool = False,
    check_files: bool = True,
    reserved: Callable[[Mapping[str, Any]], list[Problem]] = not_yet,
) -> LoadedPlan:
    """As `load_plan`, from the bytes of a plan. `folder`: where its relative paths start (default: its file's).

    `reserved` gives the problems of keys that this version does not act on.
    """
    name = file.name if file is not None else "the plan"
    home = (folder or (file.parent if file is not None else Path())).absolute()
    text: str | None = None
    try:
        text = decode(raw)
        document = read_yaml(text)
    except YamlProblem as error:
        raise plan_error(name, [(Problem(error.where, error.message), error.position)], text) from None
    found = [(Problem(one.where, one.message), one.position) for one in document.problems]
    files = home if check_files else None
    plan, problems = _examined(document.data, files, orchestrated, reserved)
    found += [(one, document.position(one.where, at_key=one.at_key)) for one in problems]
    if plan is None or found:
        raise plan_error(name, found, text, document.values)
    return LoadedPlan(plan, home, file.absolute() if file else None, _positions(document, plan), plan.digest())


def plan_from_mapping(
    plan: Mapping[str, Any] | Plan | str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    orchestrated: bool = False,
    check_files: bool = True,
) -> LoadedPlan:
    """A plan as Python passes it: a mapping, a Plan, or the path of a plan file.

    `folder`: where a mapping's relative paths start (default: the current one); a file's start at its own. With an
    orchestrator, keys of steps that failback does not know are handed on in `params`, and a plan without a target
    needs no service.
    `check_files=False`: for a recorded plan, whose files may have gone since.
    Raises PlanNotFound, PlanError, TypeError for anything else.
    """
    if isinstance(plan, str | os.PathLike):
        file = Path(plan)
        raw = _read(file)
        return load_text(raw, file=file, orchestrated=orchestrated, check_files=check_files)
    home = (Path() if folder is None else Path(folder)).absolute()
    if isinstance(plan, Plan):
        data: Mapping[str, Any] = plan.model_dump(mode="json", by_alias=True, exclude_unset=True)
    elif isinstance(plan, Mapping):
        data = _handed_on(plan) if orchestrated else plan
    else:
        raise TypeError(f"a plan is a mapping, a Plan or the path of a file, not {type(plan).__name__}")
    made, problems = _examined(data, home if check_files else None, orchestrated, not_yet)
    if made is None or problems:
        raise plan_error("the plan", [(one, None) for one in problems])
    return LoadedPlan(made, home, None, {}, made.digest())


def merge_overrides(
    plan: Plan,
    rollback_config: Mapping[str, Any] | None = None,
    notification_config: Mapping[str, Any] | None = None,
    backup: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan with settings that Python passed; they win key by key over the plan's own. Raises PlanError."""
    given = {"rollback_config": rollback_config, "notification_config": notification_config, "backup": backup}
    overrides = {name: setting for name, setting in given.items() if setting is not None}
    if not overrides:
        return plan
    data = plan.model_dump(mode="json", by_alias=True)
    for name, setting in overrides.items():
        if not isinstance(setting, Mapping):
            raise plan_error("the configuration", [(Problem((name,), "should be a mapping."), None)])
        data[name] = _merged(data[name], setting)
    made, problems = _validated(data)
    problems += [one for one in check(data, orchestrated=True) if one.where[:1] and one.where[0] in overrides]
    if made is None or problems:
        raise plan_error("the configuration", [(one, None) for one in problems])
    return made


def _merged(below: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(below) if isinstance(below, Mapping) else {}
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(made.get(name), Mapping)
        # {env: ...} and {from_file: ...} are one value, not a part to be mixed with another.
        reference = both and ({"env", "from_file"} & {*value, *made[name]})
        made[name] = _merged(made[name], value) if both and not reference else value
    return made


def _read(file: Path) -> bytes:
    try:
        if file.is_dir():
            inside = next((name for name in PLAN_NAMES if (file / name).is_file()), None)
            hint = (
                f"Name the file: {file / inside}." if inside else "Name the plan's file, or write one: failback init."
            )
            raise PlanNotFound(f"{file} is a folder, not a plan. {hint}", path=str(file))
        with file.open("rb") as opened:
            # One byte more than a plan may have, so that a device without end is seen as too large.
            return opened.read(512 * 1024 + 1)
    except FileNotFoundError:
        raise PlanNotFound(f"There is no plan at {file}. {_other_plan(file)}", path=str(file)) from None
    except (OSError, ValueError) as cause:
        why = getattr(cause, "strerror", None) or str(cause)
        raise PlanNotFound(f"The plan {file} cannot be read ({why}).", path=str(file)) from None


def _other_plan(file: Path) -> str:
    folder = file.parent
    try:
        names = [entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml")][:1000]
    except OSError:
        return "Write one with `failback init`, or name it with --file."
    close = nearest(file.name, names)
    if close:
        return f"Did you mean {folder / close}?"
    return "Write one with `failback init`, or name it with --file."


def _examined(
    data: Any,
    files_from: Path | None,
    orchestrated: bool,
    reserved: Callable[[Mapping[str, Any]], list[Problem]],
) -> tuple[Plan | None, list[Problem]]:
    """The plan, or None, and everything that is wrong with it."""
    if not isinstance(data, Mapping):
        keys = ", ".join(known_keys(())[:5])
        return None, [Problem((), f"should be a mapping with keys as {keys}.")]
    if any(not isinstance(key, str) for key in data):
        return None, [Problem((), "should be a mapping whose keys are texts.")]
    if not any(key in known_keys(()) for key in data):
        return None, [Problem((), "is no plan: it has no key of one. It should have `service` and `steps`.")]
    try:
        plan, problems = _validated(data)
        problems += check(data, orchestrated=orchestrated)
        problems += reserved(data)
    except RecursionError:
        return None, [Problem((), "is nested too deeply.")]
    if files_from is not None:
        problems += missing_files(data, files_from)
    return plan, list(dict.fromkeys(problems))


def _validated(data: Mapping[str, Any]) -> tuple[Plan | None, list[Problem]]:
    try:
        return Plan.model_validate(dict(data)), []
    except ValidationError as error:
        return None, problems_of(error, data)


def _handed_on(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """The plan with what only the orchestrator knows in `params`; a key that looks like a slip stays an error."""
    data = dict(plan)
    if data.get("target") is None and not data.get("services"):
        data.setdefault("service", "plan")
    steps = data.get("steps")
    if not isinstance(steps, list | tuple):
        return data
    known = known_keys(("steps", 0))
    made: list[Any] = []
    for step in steps:
        if not isinstance(step, Mapping):
            made.append(step)
            continue
        own = {key: value for key, value in step.items() if key in known or nearest(str(key), known)}
        other = {str(key): value for key, value in step.items() if key not in own}
        params = step.get("params")
        if other and (params is None or isinstance(params, Mapping)):
            own["params"] = {**other, **(params or {})}
        made.append(own)
    data["steps"] = made
    return data


def _positions(document: Document, plan: Plan) -> dict[str, Position]:
    """By the path's text; steps by number and by name."""
    names = {place: step.name for place, step in enumerate(plan.steps)}
    found: dict[str, Position] = {}
    for path, position in document.values.items():
        found[path_text(path)] = position
        if len(path) > 1 and path[0] == "steps" and isinstance(path[1], int) and path[1] in names:
            found.setdefault(path_text(_by_name(path, names[path[1]])), position)
    return found


def _by_name(path: Where, name: str) -> Where:
    return (path[0], name, *path[2:])


__all__ = ["LoadedPlan", "PlanError", "load_plan", "load_text", "merge_overrides", "plan_from_mapping"]
