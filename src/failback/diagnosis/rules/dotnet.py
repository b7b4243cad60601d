""".NET: assemblies and frameworks that do not load, and uncaught exceptions."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.packages import align, changed
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, trace_rule
from failback.diagnosis.rules.languages import fix_at
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType


@line_rule(
    "dotnet-load",
    "could not load file or assembly|framework: '|framework 'microsoft|methodaccess|missingmethodexception|typeloadexception|dllnotfoundexception|it was not possible to find any compatible framework|deps.json|unable to load shared library|unable to load dll",
    r"Could not load file or assembly '(?P<asm>[^',]+)(?:, Version=(?P<ver>[\d.]+))?|Framework: '(?P<fw>[^']+)', version '(?P<fv>[^']+)'|framework '(?P<fw2>[^']+)', version '(?P<fv2>[^']+)'|MissingMethodException: (?P<mm>.+)|TypeLoadException: (?P<tl>.+)|Unable to load (?:shared library|DLL) '(?P<dll>[^']+)'",
    source=".NET's host and loader",
)
def dotnet_load(hit: Hit) -> Hypothesis | None:
    """An assembly, a framework or a native library that .NET cannot load."""
    scene = hit.scene
    framework = hit.get("fw") or hit.get("fw2")
    if framework:
        version = hit.get("fv") or hit.get("fv2")
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f".NET {version} ({framework}) is not installed where the application runs: {hit.line}",
            0.95,
            (
                high(
                    f"Run on .NET {version}",
                    f"Use the runtime image of .NET {version}, or target the framework that is installed (TargetFramework)",
                    f"FROM mcr.microsoft.com/dotnet/aspnet:{'.'.join(version.split('.')[:2])}",
                ),
            ),
        )
    if hit.get("dll"):
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"The native library {hit.get('dll')} is not installed: {hit.line}",
            0.92,
            (
                high(
                    f"Install {hit.get('dll')} in the image",
                    "Add the system package that holds the library",
                    f"RUN apt-get update && apt-get install -y {hit.get('dll').lower()}",
                ),
            ),
        )
    if hit.get("mm") or hit.get("tl"):
        what = hit.get("mm") or hit.get("tl")
        name = what.split(".")[0].strip("' ")
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"Incompatible assembly versions: {quoted(what)}{hit.at}",
            0.88,
            align(name, "dotnet", changed(scene, name)),
            names=(name,),
        )
    name, version = hit.get("asm"), hit.get("ver")
    different = "manifest definition does not match" in hit.document.window(hit.index, 0, 1)
    kind = FailureType.VERSION_INCOMPATIBILITY if different else FailureType.MISSING_DEPENDENCY
    return Hypothesis(
        kind,
        f"The assembly {name}{' ' + version if version else ''} {'is there in another version' if different else 'is missing from the release'}: {hit.line}",
        0.92,
        (
            high(
                f"Ship the assembly {name}",
                f"Add or align the package that contains {name}{' in version ' + version if version else ''} and publish the whole output folder (dotnet publish), not only the main dll",
                f"dotnet add package {name}{' --version ' + version if version else ''} && dotnet publish -c Release",
            ),
        ),
        names=(name,),
    )


@trace_rule("dotnet-exception", ".NET's exceptions", "dotnet")
def dotnet_exception(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """Any other .NET exception."""
    frame = trace.own_frame()
    said = f"{root.type}: {root.message}".rstrip(": ")
    activate = re.search(
        r"Unable to resolve service for type '([^']+)' while attempting to activate '([^']+)'", root.message
    )
    if activate:
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"The service {activate.group(1)} is not registered, and {activate.group(2)} needs it: {quoted(said)}",
            0.88,
            (
                high(
                    f"Register {activate.group(1)}",
                    "Add it to the services before the application is built",
                    f"builder.Services.AddScoped<{activate.group(1).rsplit('.', 1)[-1]}>();",
                ),
            ),
        )
    spot = f"{scene.in_release(frame.file)}:{frame.line}" if frame else ""
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Unhandled {quoted(said)}{f' at {spot}' if spot else ''}",
        0.76 if frame else 0.52,
        fix_at(scene, scene.in_release(frame.file) if frame else "", frame.line if frame else 0, said),
        names=(scene.in_release(frame.file),) if frame else (),
    )
