"""What a release changed, read from the unified diff against the last good one: files, dependencies, runtimes, variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

DIFF_CHARS_MAX = 400_000
_FILE = re.compile(r"^(?:\+\+\+|---) (?:[ab]/)?(\S+)")
_REQUIREMENT = re.compile(
    r"^\s*([A-Za-z0-9][\w.-]*)(?:\[[\w,.-]*\])?\s*(?:(==|~=|>=|<=|<|>|!=|===)\s*([\w.*+!-]+))?\s*(?:[;#,].*)?$"
)
_JSON_DEP = re.compile(r"\"((?:@[\w.-]+/)?[\w.-]+)\"\s*:\s*\"((?:[\^~=v<>]*\s*)?\d[\w.*+-]*|latest|\*|workspace:\S*)\"")
_GO_DEP = re.compile(r"^\s*(?:require\s+)?([\w.-]+\.[\w.-]+/\S+)\s+(v\d\S*)")
_TOML_DEP = re.compile(r"^\s*\"?([\w.-]+)\"?\s*=\s*(?:\"([\^~=<>]*\s*\d[^\"]*|\*)\"|\{[^}]*version\s*=\s*\"([^\"]+)\")")
_TOML_LIST = re.compile(r"^\s*\"([A-Za-z0-9][\w.-]*)(?:\[[\w,.-]*\])?\s*((?:==|~=|>=|<=|<|>)[^\"]*)?\"\s*,?\s*$")
_GEM_DEP = re.compile(r"^\s*gem ['\"]([\w-]+)['\"](?:\s*,\s*['\"]([^'\"]+)['\"])?")
_XML_TAG = re.compile(r"<(artifactId|version|[\w.-]+\.version)>([^<]+)</")
_GRADLE_DEP = re.compile(r"['\"]([\w.-]+:[\w.-]+):([\w.+-]+)['\"]")
_NUGET = re.compile(r"<PackageReference\s+Include=\"([\w.]+)\"\s+Version=\"([^\"]+)\"", re.IGNORECASE)
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)?([\w./-]+?)(?::([\w.-]+))?(?:@\S+)?(?:\s|$)", re.IGNORECASE)
_RUNTIME_FILES = (
    "runtime.txt",
    ".python-version",
    ".nvmrc",
    ".node-version",
    ".ruby-version",
    ".tool-versions",
    ".java-version",
    "go.mod",
    "rust-toolchain",
)
_VERSION = re.compile(r"\d+(?:\.\d+)*[\w.+-]*")


@dataclass(frozen=True, slots=True)
class DependencyChange:
    """A dependency's version before and after; None: not named there (added, removed or no longer pinned)."""

    name: str
    old: str | None
    new: str | None
    file: str
    runtime: bool = False

    @property
    def text(self) -> str:
        """ "httpx 0.27.2 -> not pinned", as a person would say it."""
        return f"{self.name} {self.old or 'not there'} -> {self.new or 'no longer pinned'}"


@dataclass(frozen=True, slots=True)
class Change:
    """The diff in parts; `added` and `removed` are the lines of each file without their sign.

    `created` and `deleted`: files that were not there before, that are not there any more.
    """

    files: tuple[str, ...] = ()
    dependencies: tuple[DependencyChange, ...] = ()
    added: dict[str, tuple[str, ...]] = field(default_factory=dict)
    removed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    created: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def dependency(self, *names: str) -> DependencyChange | None:
        """The change of the first of these dependencies (case, "-" and "_" do not matter)."""
        wanted = {plain_name(name) for name in names if name}
        return next((dep for dep in self.dependencies if plain_name(dep.name) in wanted), None)

    def runtime(self) -> DependencyChange | None:
        """The change of the language's own version."""
        return next((dep for dep in self.dependencies if dep.runtime), None)

    def touches(self, path: str) -> str | None:
        """The changed file that a path from a log means, by the longest common end."""
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
        for length in range(len(parts), 0, -1):
            end = "/".join(parts[-length:])
            for file in self.files:
                if file == end or file.endswith("/" + end):
                    return file
        return None

    def takes_away(self, path: str) -> str | None:
        """The file that this release no longer has, where it is this very path, or ends with it, or is its end."""
        wanted = "/" + path.replace("\\", "/").removeprefix("./").strip("/")
        return next((file for file in self.deleted if _ends(wanted, f"/{file}") or _ends(f"/{file}", wanted)), None)

    def moved(self, deleted: str) -> str | None:
        """Where a deleted file's content is now, whole."""
        lines = self.removed.get(deleted)
        return next((file for file in self.created if lines and self.added.get(file) == lines), None)

    def says(self, word: str) -> str | None:
        """The file in which a changed line holds the word."""
        for lines in (self.added, self.removed):
            for file, content in lines.items():
                if any(word in line for line in content):
                    return file
        return None


def _ends(path: str, end: str) -> bool:
    return len(end) > 1 and path.endswith(end)


def plain_name(name: str) -> str:
    """A package's name for comparison: "Flask_SQLAlchemy" -> "flask-sqlalchemy"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_change(diff: str) -> Change:
    """Reads a unified diff; what is not one gives an empty change. Never raises."""
    added: dict[str, list[str]] = {}
    removed: dict[str, list[str]] = {}
    context: dict[str, list[tuple[str, str]]] = {}
    created: list[str] = []
    deleted: list[str] = []
    created_now = False
    current = ""
    for line in diff[:DIFF_CHARS_MAX].split("\n"):
        match = _FILE.match(line)
        if match and line[:4] in ("--- ", "+++ "):
            named = match.group(1)
            if named == "/dev/null" and line[0] == "+":
                deleted.append(current)
            elif line[0] == "-":
                created_now = named == "/dev/null"
            elif created_now:
                created.append(named)
            current = named if named != "/dev/null" else current
            added.setdefault(current, [])
            removed.setdefault(current, [])
        elif current and line[:1] in ("+", "-", " "):
            context.setdefault(current, []).append((line[0], line[1:]))
            if line[0] == "+":
                added[current].append(line[1:])
            elif line[0] == "-":
                removed[current].append(line[1:])
    dependencies: list[DependencyChange] = []
    for file, lines in context.items():
        dependencies += _dependencies(file, lines)
    return Change(
        files=tuple(added),
        dependencies=tuple(dependencies),
        added={file: tuple(lines) for file, lines in added.items()},
        removed={file: tuple(lines) for file, lines in removed.items()},
        created=tuple(created),
        deleted=tuple(deleted),
    )


def _dependencies(file: str, lines: list[tuple[str, str]]) -> list[DependencyChange]:
    old: dict[str, str | None] = {}
    new: dict[str, str | None] = {}
    runtime: set[str] = set()
    artifact = ""
    for sign, text in lines:
        tags = _XML_TAG.findall(text) if file.endswith(".xml") else []
        for tag, value in tags:
            if tag == "artifactId":
                artifact = value
        for name, version, is_runtime in _entries(file, text, artifact):
            if is_runtime:
                runtime.add(name)
            if sign in "- ":
                old.setdefault(name, version)
            if sign in "+ ":
                new.setdefault(name, version)
    changed = []
    for name in {**old, **new}:
        if (name in old) != (name in new) or old.get(name) != new.get(name):
            changed.append(DependencyChange(name, old.get(name), new.get(name), file, name in runtime))
    return changed


def _entries(file: str, text: str, artifact: str) -> list[tuple[str, str | None, bool]]:
    """(name, version, is the language itself) for each dependency that a line of a manifest names."""
    base = file.rsplit("/", 1)[-1].lower()
    if base in _RUNTIME_FILES and base != "go.mod":
        version = _VERSION.search(text)
        named = re.search(r"python|node|ruby|java", text + " " + base, re.IGNORECASE)
        name = named.group(0).lower() if named else {"runtime.txt": "python", ".nvmrc": "node"}.get(base, base)
        return [(name, version.group(0), True)] if version else []
    if base.startswith(("requirements", "constraints")) and base.endswith((".txt", ".in")):
        match = _REQUIREMENT.match(text)
        version_text = None
        if match and match.group(2):
            version_text = match.group(3) if match.group(2) == "==" else f"{match.group(2)}{match.group(3)}"
        return [(match.group(1), version_text, False)] if match else []
    if base == "package.json":
        return [
            (name, version, name in ("node", "npm")) for name, version in _JSON_DEP.findall(text) if name != "version"
        ]
    if base in ("composer.json",):
        return [(name, version, name == "php") for name, version in _JSON_DEP.findall(text)]
    if base == "go.mod":
        match = _GO_DEP.match(text)
        go = re.match(r"^\s*go (\d\S*)", text)
        return [(match.group(1), match.group(2), False)] if match else [("go", go.group(1), True)] if go else []
    if base in ("cargo.toml", "pyproject.toml", "pipfile"):
        match = _TOML_DEP.match(text)
        if match and match.group(1) not in ("version", "name", "edition", "rust-version", "requires-python"):
            return [(match.group(1), match.group(2) or match.group(3), match.group(1) == "python")]
        match = _TOML_LIST.match(text)
        return [(match.group(1), match.group(2), False)] if match else []
    if base == "gemfile":
        match = _GEM_DEP.match(text)
        return [(match.group(1), match.group(2), False)] if match else []
    if base.startswith(("build.gradle", "libs.versions")):
        return [(name, version, False) for name, version in _GRADLE_DEP.findall(text)]
    if base.endswith(".csproj"):
        return [(name, version, False) for name, version in _NUGET.findall(text)]
    if base.endswith(".xml"):
        found = _XML_TAG.findall(text)
        return [(artifact if tag == "version" else tag.removesuffix(".version"), value, tag == "java.version")
                for tag, value in found if tag != "artifactId" and (artifact or tag != "version")]  # fmt: skip
    if "dockerfile" in base or base == "containerfile":
        match = _FROM.match(text)
        return [(match.group(1).rsplit("/", 1)[-1], match.group(2) or "latest", True)] if match else []
    return []
