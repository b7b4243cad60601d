"""Libraries that stand in the release itself (`pip install --target lib`): whose file is whose, in any trace.

There a path says nothing by itself, `lib/flask/app.py` could be anyone's. The packages' own metadata tells.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from failback.facts.change import plain_name
from failback.facts.packages import package_of
from failback.facts.traces import Frame, Trace

_METADATA = re.compile(r"^(?:(.*)/)?([^/]+?)-(\d[^/-]*)\.dist-info/[^/]+$")


@dataclass(frozen=True, slots=True)
class Installed:
    """`folders` (relative to the release) that hold installed packages, with the `versions` of these (plain name ->
    version); `own`: the application's files by name."""

    folders: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)

    def version_of(self, package: str) -> str | None:
        """The version that the release holds; None where it holds none, or nobody told."""
        return self.versions.get(plain_name(package))

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
    """What the names of a release's files tell."""
    names = frozenset(files)
    found = [match for name in sorted(names) if (match := _METADATA.match(name))]
    folders = {match.group(1) for match in found if match.group(1)}
    versions = {plain_name(match.group(2)): match.group(3) for match in found}
    return Installed(tuple(sorted(folders, key=len, reverse=True)), names, versions)
