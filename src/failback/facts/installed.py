"""Libraries that stand in the release itself (`pip install --target lib`): whose file is whose, in any trace.

There a path says nothing by itself, `lib/flask/app.py` could be anyone's. The packages' own metadata tells.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass

from failback.facts.packages import package_of
from failback.facts.traces import Frame, Trace

_METADATA = re.compile(r"^(?:(.*)/)?[^/]+\.dist-info/[^/]+$")


@dataclass(frozen=True, slots=True)
class Installed:
    """`folders` (relative to the release) that hold installed packages; `own`: the application's files by name."""

    folders: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()

    def package_of(self, path: str) -> str | None:
        """The installed package that a file belongs to; None for the application's own and the language's library."""
        for folder in self.folders if path.endswith((".py", ".so", ".pyd")) else ():
            _, found, inside = f"/{path}".rpartition(f"/{folder}/")
            if found and f"{folder}/{inside}" not in self.own:
                return package_of(f"site-packages/{inside}")
        return package_of(path)

    def seen_in(self, traces: Iterable[Trace]) -> tuple[Trace, ...]:
        """The traces, with frames inside these folders known as their package's."""
        return tuple(traces) if not self.folders else tuple(self._trace(trace) for trace in traces)

    def _trace(self, trace: Trace) -> Trace:
        chain = tuple(
            dataclasses.replace(raised, frames=tuple(self._frame(frame) for frame in raised.frames))
            for raised in trace.chain
        )
        return dataclasses.replace(trace, chain=chain)

    def _frame(self, frame: Frame) -> Frame:
        package = self.package_of(frame.file)
        return frame if package in (None, frame.package) else dataclasses.replace(frame, own=False, package=package)


def installed_in(files: Iterable[str]) -> Installed:
    """What the names of a release's (and its change's) files tell."""
    names = frozenset(files)
    folders = {match.group(1) for name in names if (match := _METADATA.match(name)) and match.group(1)}
    return Installed(tuple(sorted(folders, key=len, reverse=True)), names)
