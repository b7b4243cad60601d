"""What to do about packages: one that is not installed, two that do not fit, one that cannot be found."""

from __future__ import annotations

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.scene import Scene
from failback.facts.change import DependencyChange
from failback.facts.installed import Installed
from failback.model.diagnosis import Recommendation

# Ecosystem -> (file that lists dependencies, command that adds one, how a version is written)
ECOSYSTEMS = {
    "python": (
        "requirements.txt",
        "echo '{spec}' >> requirements.txt && pip install -r requirements.txt",
        "{name}=={version}",
    ),
    "node": ("package.json", "npm install --save {spec}", "{name}@{version}"),
    "java": ("pom.xml", "mvn dependency:tree -Dincludes={name}", "{name}:{version}"),
    "go": ("go.mod", "go get {spec} && go mod tidy", "{name}@{version}"),
    "ruby": ("Gemfile", "bundle add {name}", "{name} ({version})"),
    "php": ("composer.json", "composer require {spec}", "{name}:{version}"),
    "rust": ("Cargo.toml", "cargo add {spec}", "{name}@{version}"),
    "dotnet": (".csproj", "dotnet add package {name}", "{name} {version}"),
}


def install(name: str, ecosystem: str, *, dev: bool = False) -> tuple[Recommendation, ...]:
    """A library that nobody installed: add it to the dependencies, and rebuild with them."""
    manifest, command, _ = ECOSYSTEMS[ecosystem]
    group = "dev/test dependencies" if dev else "dependencies"
    return (
        high(
            f"Add {name} to the {group} in {manifest}",
            f"{name} is imported but not installed: add it to {manifest} (and the lock file), install again and rebuild the image or release",
            command.format(spec=name, name=name),
        ),
        high(
            "Install all dependencies in the build",
            f"Make sure that the image or release is built from the same {manifest} and that the folder with installed packages is part of it",
            {
                "python": "RUN pip install -r requirements.txt",
                "node": "RUN npm ci --omit=dev",
                "java": "mvn -q package dependency:copy-dependencies",
            }.get(ecosystem, ""),
        ),
        commit(manifest, f"Add {name}"),
    )


def align(
    name: str,
    ecosystem: str,
    change: DependencyChange | None,
    other: str = "",
    hint: str = "",
    *,
    installed: Installed | None = None,
) -> tuple[Recommendation, ...]:
    """Two versions that do not fit: pin the one that changed to what worked, or upgrade the one that lags behind."""
    manifest, command, style = ECOSYSTEMS[ecosystem]
    fixes: list[Recommendation] = []
    if change and change.old:
        version = change.old.lstrip("=^~<>v ") if ecosystem != "go" else change.old
        spec = style.format(name=change.name, version=version)
        fixes.append(
            high(
                f"Pin {change.name} back to {version}",
                f"This release changed {change.text} in {change.file}: pin the version of the last good release (downgrade) until the code "
                f"and {other or name} are compatible with the new one",
                spec if ecosystem == "python" else command.format(spec=spec, name=change.name),
            )
        )
    pair = f"{name} and {other}" if other and other != name else name
    below = _below(name, ecosystem, installed.version_of(name) if installed else None)
    held = _held(installed, name, other) if installed else ""
    fixes.append(
        high(
            f"Use compatible versions of {pair}",
            hint
            or f"{held}Pin {name} below the version that removed it (for example {below}), or upgrade {other or 'the code that uses it'} to a version "
            f"that is compatible with it, and lock all versions ({manifest} and the lock file)",
            below,
        )
    )
    if ecosystem == "python":
        fixes.append(
            medium(
                "Lock every version", "An unpinned dependency changes between builds", "pip freeze > requirements.lock"
            )
        )
    fixes.append(commit(manifest, f"Pin {name}"))
    return tuple(fixes)


def _held(installed: Installed, name: str, other: str) -> str:
    """What the release holds of the two."""
    versions = [f"{one} {version}" for one in (name, other) if one and (version := installed.version_of(one))]
    return f"The release holds {' and '.join(versions)}. " if versions else ""


def _below(name: str, ecosystem: str, version: str | None) -> str:
    if ecosystem == "python" and version and version.split(".")[0].isdigit() and int(version.split(".")[0]) > 0:
        return f"{name}<{version.split('.')[0]}"
    if ecosystem == "python":
        return f"{name}<NEXT_MAJOR  # e.g. pip install '{name}==<version of the last good release>'"
    if ecosystem == "node":
        return f"npm install {name}@<version of the last good release>"
    return f"{name} = <version of the last good release>"


def changed(scene: Scene, *names: str) -> DependencyChange | None:
    """The release's change of one of these packages, or, where none is named, its only changed dependency."""
    found = scene.change.dependency(*names)
    return found or (scene.change.dependencies[0] if len(scene.change.dependencies) == 1 else None)
