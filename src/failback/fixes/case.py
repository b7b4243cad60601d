"""What a finder of candidates gets to see: the evidence, the cause, and both releases. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from failback.model.diagnosis import Diagnosis
from failback.model.evidence import Evidence
from failback.model.fix import ReleaseShape

CONFIG_ENDS = (".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".env", ".xml")
# Restoring one of these would be a change of the program, or of what is installed, not of its configuration.
CODE_ENDS = (
    ".py", ".pyc", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".rb", ".php", ".java", ".class", ".jar", ".go", ".rs",
    ".c", ".cc", ".cpp", ".h", ".cs", ".dll", ".so", ".sh", ".pl", ".ex", ".exs", ".scala", ".kt", ".swift", ".sql",
)  # fmt: skip
MANIFESTS = ("package.json", "package-lock.json", "pyproject.toml", "composer.json", "Cargo.toml", "tsconfig.json")
_INSTALLED = re.compile(r"(?:^|/)(?:node_modules|site-packages|vendor|[^/]+\.dist-info)/")
_TEXT_CHARS_MAX = 400_000


@dataclass(frozen=True)
class Case:
    """`former` None: nothing was live before, or the target cannot tell. `references`: what the former plan said for a
    variable (`${API_KEY}`), by its name. `memory_max`: bytes that one replica may get at most on this machine."""

    evidence: Evidence
    diagnosis: Diagnosis
    new: ReleaseShape
    former: ReleaseShape | None = None
    references: Mapping[str, object] = field(default_factory=dict)
    memory_max: int | None = None

    @cached_property
    def told(self) -> str:
        """The diagnosis in all its words: cause, cited lines, facts, advice."""
        found = self.diagnosis
        parts = [found.cause, *(cited.text for cited in found.evidence), *found.facts.values()]
        parts += [f"{advice.action} {advice.description}" for advice in found.recommendations]
        return "\n".join(parts)

    @cached_property
    def said(self) -> str:
        """The cause and the cited lines, and the failed release's own output."""
        found = self.diagnosis
        logs = [text for pair in self.evidence.logs.values() for text in (pair.current, pair.previous)]
        parts = [found.cause, *(cited.text for cited in found.evidence), self.evidence.step_output, *logs]
        return "\n".join(parts)[:_TEXT_CHARS_MAX]

    def names(self, word: str) -> bool:
        """Whether the diagnosis speaks of this very word."""
        return bool(word) and re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", self.told) is not None

    def mentions(self, word: str) -> bool:
        """Whether the release's output or the diagnosis holds this very word."""
        return bool(word) and re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", self.said) is not None


def is_configuration(name: str) -> bool:
    """A file that configures the program: not code, not a dependency's own, no list of dependencies."""
    base = name.rpartition("/")[2]
    if _INSTALLED.search(name) or base in MANIFESTS or base.startswith(("requirements", "constraints")):
        return False
    return base.endswith(CONFIG_ENDS) or base.startswith(".env")


def may_be_restored(name: str) -> bool:
    """A file that may be put back when it is missing: configuration, data, a certificate, a template; never code."""
    return not _INSTALLED.search(name) and not name.lower().endswith(CODE_ENDS)


def text_of(shape: ReleaseShape, name: str) -> str | None:
    """A file as text; None where it is not there, too large, or no text."""
    raw = shape.files.get(name)
    if raw is None or b"\0" in raw:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
