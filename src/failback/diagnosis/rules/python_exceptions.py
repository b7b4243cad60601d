"""Python: uncaught exceptions, and calls that the installed version of a package does not accept."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.recommend.packages import align, changed
from failback.diagnosis.rule import Hypothesis, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Frame, Raised, Trace
from failback.model.diagnosis import FailureType


@trace_rule("python-exception", "CPython's exceptions; where the innermost frame stands", "python")
def exception(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """Any other exception: of the own code, or raised inside a library that was called in a way its version does not know."""
    if root.name in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):
        return None
    frame, last = trace.own_frame(), root.frames[-1] if root.frames else None
    foreign = last.package if last and not last.own else None
    place = scene.place_of(trace)
    said = f"{root.name}: {root.message}".rstrip(": ")
    if root.name in ("TypeError", "AttributeError") and (signature := _signature_mismatch(root, trace, foreign)):
        return _mismatch(scene, trace, root, signature, place)
    if (
        root.name in ("TypeError", "AttributeError", "NameError", "SyntaxError")
        and foreign
        and _at_import(root, foreign)
    ):
        change = changed(scene, foreign) or scene.change.runtime()
        runtime = _python_of(root.frames)
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The package {foreign} does not work with the installed Python {runtime} or with another installed version: importing it raises {quoted(said)}{f' (imported at {place})' if place else ''}",
            0.9,
            align(foreign, "python", change, "Python" if change and change.runtime else "", _import_hint(foreign)),
            names=(foreign, "python", *(dep.name for dep in scene.change.dependencies[:1])),
        )
    if root.name in ("SyntaxError", "IndentationError", "TabError") and frame:
        spot = last or frame
        if root.name == "SyntaxError" and re.match(r"(?:match\b.+:|case\b.+:|except\*|type \w+ =)", frame.code.strip()):
            return Hypothesis(
                FailureType.VERSION_INCOMPATIBILITY,
                f"{scene.in_release(spot.file)} line {spot.line} uses syntax of a newer Python than the one that runs it ({quoted(frame.code, 80)}): {quoted(said)}",
                0.9,
                (high("Run a newer Python", "Upgrade the Python of the image (match needs 3.10, except* 3.11, type 3.12), or replace it by if and elif", "FROM python:3.12-slim"),),
                names=(scene.in_release(spot.file),),
            )  # fmt: skip
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"Syntax error in {scene.in_release(spot.file)} line {spot.line}: {quoted(said)}",
            0.93,
            _repair(scene, spot, said),
            names=(scene.in_release(spot.file),),
        )
    if frame is None:
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"An uncaught exception: {quoted(said)}",
            0.5,
            (high("Fix the exception", f"{quoted(said)} was raised in {last.place if last else 'the code'}"),),
            names=(),
        )
    name = scene.in_release(frame.file)
    certain = 0.78 if root.name in _OWN_ERRORS else 0.66
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Uncaught {quoted(said)} in {place} ({frame.function})",
        certain,
        _repair(scene, frame, said),
        names=(name,),
    )


_OWN_ERRORS = (
    "TypeError",
    "NameError",
    "AttributeError",
    "KeyError",
    "IndexError",
    "ZeroDivisionError",
    "UnboundLocalError",
    "AssertionError",
    "ValueError",
    "RecursionError",
    "NotImplementedError",
    "UnicodeDecodeError",
    "StopIteration",
    "OverflowError",
)


def _signature_mismatch(root: Raised, trace: Trace, foreign: str | None) -> re.Match[str] | None:
    match = re.search(
        r"(?P<what>[\w.<>]+)\(\) (?:got an unexpected keyword argument '(?P<arg>\w+)'|missing \d+ required (?:keyword-only |positional )?arguments?: (?P<need>.*)|takes .*positional)|'(?P<cls>\w+)' object has no attribute '(?P<attr>\w+)'",
        root.message,
    )
    if match is None:
        return None
    if match.group("cls"):
        known = {name.lower().replace("-", "_").split("_")[0] for name in trace.packages()} | {
            "flask",
            "fastapi",
            "engine",
            "dataframe",
            "series",
            "openai",
        }
        if (
            match.group("cls")
            in (
                "NoneType",
                "str",
                "dict",
                "list",
                "int",
                "tuple",
                "function",
                "float",
                "set",
                "bytes",
                "bool",
                "module",
            )
            and not foreign
        ):
            return None
        return match if foreign or match.group("cls").lower() in known else None
    return match if foreign else None


def _mismatch(scene: Scene, trace: Trace, root: Raised, match: re.Match[str], place: str) -> Hypothesis:
    """A call that the installed version does not accept: the caller's package and the called one must be aligned."""
    packages = trace.packages()
    suspects = [dep.name for dep in scene.change.dependencies]
    wrapped = next(
        (
            name
            for name in suspects
            if any(name.lower().replace("-", "_") in frame.code.lower() for frame in root.frames[-3:])
        ),
        "",
    )
    called = (
        wrapped
        or (suspects[0] if suspects else "")
        or (match.group("cls") or "").lower()
        or (packages[0] if packages else "the library")
    )
    other = next((name for name in packages if name.lower() != called.lower()), "")
    change = scene.change.dependency(called) or changed(scene, *packages)
    arg = match.group("arg") or match.group("attr") or match.group("need") or match.group("what")
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"Incompatible versions: {called}{f' and {other}' if other else ''}: the installed version no longer accepts or has {arg} ({root.name}: {quoted(root.message)})"
        f"{f', called at {place}' if place else ''}{f'; the release changed {change.text}' if change else ''}",
        0.87 if change else 0.8,
        (
            *align(
                called,
                "python",
                change,
                other,
                f"Pin {called} to the version that still has {arg} (downgrade), or call what replaces {arg}{f' at {place}' if place else ''}, as the changelog of {called} says; the class is {match.group('cls') or called}",
            ),
            medium(
                f"Replace {arg} in the code",
                f"If the new version is wanted, remove or replace {arg}{f' at {place}' if place else ''}; see the changelog of {called}",
            ),
        ),
        names=(called, other, arg),
    )


def _at_import(root: Raised, foreign: str) -> bool:
    """True when the package was being imported: its module level code raised."""
    return bool(root.frames) and any(
        frame.function == "<module>" and frame.package == foreign for frame in root.frames[-6:]
    )


def _import_hint(package: str) -> str:
    return f"Upgrade {package} to a version that supports this Python, replace it by its maintained successor, or go back to the version of Python and of its dependencies that worked"


def _python_of(frames: tuple[Frame, ...]) -> str:
    for frame in frames:
        match = re.search(r"python(\d+\.\d+)", frame.file)
        if match:
            return match.group(1)
    return ""


def _repair(scene: Scene, frame: Frame, said: str) -> tuple:  # type: ignore[type-arg]
    file = scene.in_release(frame.file)
    changed_here = scene.change.touches(frame.file)
    why = f"This release changed {changed_here}. " if changed_here else ""
    code = f" The line is: {quoted(frame.code, 120)}." if frame.code else ""
    return (
        high(
            f"Fix {file} line {frame.line}",
            f"{why}{frame.function or 'The code'} raises {quoted(said)}.{code}",
            f"$EDITOR {file} +{frame.line}",
        ),
        medium(
            "Add a test that starts the application",
            "The error appears without any traffic, so a test that imports and starts the application finds it",
            "",
        ),
        commit(file, f"Fix {file}"),
    )
