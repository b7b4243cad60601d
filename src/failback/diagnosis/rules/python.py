"""Python: imports that fail: modules and names that are not there, and packages that do not fit each other."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.recommend.files import add_file
from failback.diagnosis.recommend.packages import align, changed, install
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.scene import Scene
from failback.facts.packages import PYTHON_DISTRIBUTIONS, distribution_of, is_own_file, is_python_stdlib, package_of
from failback.facts.traces import Trace
from failback.model.diagnosis import FailureType

# Removed from the standard library -> the version that no longer has it.
REMOVED = {"distutils": "3.12", "imp": "3.12", "asynchat": "3.12", "asyncore": "3.12", "smtpd": "3.12", "cgi": "3.13", "pipes": "3.13", "telnetlib": "3.13",
           "crypt": "3.13", "imghdr": "3.13", "sndhdr": "3.13", "nntplib": "3.13", "audioop": "3.13", "uu": "3.13", "lib2to3": "3.13"}  # fmt: skip


_NAMESPACES = frozenset({"google", "azure", "zope", "ruamel", "backports", "jaraco", "sphinxcontrib", "opentelemetry"})


@line_rule(
    "python-module",
    "no module named|module not found",
    r"(?:ModuleNotFoundError|ImportError)?:? ?No module named '?(?P<module>[\w.]+)'?(?:; '(?P<parent>[\w.]+)' is not a package)?",
    source="CPython's import system",
)
def module_missing(hit: Hit) -> Hypothesis | None:
    """No module of this name: a library, an own file, or something the standard library no longer has."""
    module, scene = hit.get("module"), hit.scene
    top = module.split(".")[0]
    trace = hit.trace
    importer = _importer(trace)
    if top in REMOVED:
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The module {module} was removed from Python {REMOVED[top]}, and {importer or 'the code'} still imports it{hit.at}: {hit.line}",
            0.92,
            align(
                importer or "python",
                "python",
                scene.change.runtime(),
                "Python",
                f"Upgrade {importer or 'the library'} to a version that supports this Python, install setuptools (for distutils), or stay on the Python version below {REMOVED[top]}",
            ),
            names=(importer or top, "python"),
        )
    if hit.document.role == "step" and re.search(
        r"metadata-generation-failed|Getting requirements to build wheel|subprocess-exited-with-error",
        hit.document.text,
    ):
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"The package's own build script{hit.at} imports {module}, which is not there while pip builds it: {hit.line}",
            0.95,
            (high(f"Declare {module} as a build dependency, or ship it with the package", f"Name {distribution_of(module)} in [build-system] requires of the package's pyproject.toml, correct the import{hit.at}, install {distribution_of(module)} first and use --no-build-isolation, or use a version of the package that has a wheel", "pip install --only-binary=:all: PACKAGE"),),
            names=(module,),
        )  # fmt: skip
    if importer and package_of(f"site-packages/{top}/") == importer:  # a part of an installed package is gone
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The installed version of {importer} has no module {module}: {quoted(hit.line)}{hit.at}",
            0.85,
            align(importer, "python", changed(scene, importer)),
            names=(importer,),
        )
    if _named_by_command(trace) and distribution_of(module).lower() == module.lower():
        return Hypothesis(
            FailureType.BAD_COMMAND,
            f"The start command names the module {module}, which cannot be loaded: it is not found (missing) in the release: {hit.line}",
            0.88,
            (high(f"Correct the module {module} in the start command", f"Name the package that the release has (-A {module}, --app, MODULE:app), start in the folder that holds it (working directory, PYTHONPATH), or ship {module} with the release", "ls; python -c 'import MODULE'"),),
            names=(module,),
        )  # fmt: skip
    if _is_own(module, scene, trace):
        path = module.replace(".", "/") + ".py"
        return Hypothesis(
            FailureType.MISSING_FILE,
            f"The application's own module {module} ({path}) is missing from the release{hit.at}: {hit.line}",
            0.8,
            add_file(path, scene),
            names=(path, module),
        )
    by_other = bool(importer) and top not in _NAMESPACES  # were the package itself absent, its name would stand alone
    if "." in module and not is_python_stdlib(top) and (by_other or _installed(trace, top) or _is_library(top)):
        package = distribution_of(top)
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The installed version of {package} has no module {module} (removed or moved in another version){hit.at}: {hit.line}",
            0.85,
            align(package, "python", changed(scene, package)),
            names=(package, top),
        )
    if _composed(module, hit, importer):
        path = module.replace(".", "/") + ".py"  # CPython names the whole module only after it found the package
        return Hypothesis(
            FailureType.MISSING_FILE,
            f"The module {module} ({path}) is missing: the package {top} is there, and it has no such module (the file is not in the release, or the name that was composed is wrong){hit.at}: {hit.line}",
            0.84,
            (*add_file(path, scene), high(f"Or correct the name {module}", f"When the name is put together from a setting (an environment, a plugin), set that to one that exists{hit.at}", f"ls {path.rpartition('/')[0]}")),
            names=(path, module),
        )  # fmt: skip
    zone = re.search(r"No time zone found with key ([\w/+-]+)", hit.document.text) if top == "tzdata" else None
    if zone:
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"The time zone {zone.group(1)} is not found: its name is misspelt, or the image has no time zone data (tzdata){hit.at}: {hit.line}",
            0.9,
            (high(f"Correct the time zone {zone.group(1)}, or install tzdata", f"When {zone.group(1)} is a name of the time zone database, install tzdata in the image (pip or the system package); otherwise correct the name in the setting", "pip install tzdata"),),
            names=("tzdata", zone.group(1)),
        )  # fmt: skip
    package = distribution_of(module)
    dev = hit.document.role == "step" and scene.step_type == "test"
    shown = module if package.lower() == module.lower() else f"{module} (package {package})"
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY,
        f"The Python module {shown} is not installed{hit.at}: {hit.line}",
        0.94,
        install(package, "python", dev=dev),
        names=(package, module),
        facts={"module": module, "package": package},
    )


@line_rule(
    "python-name-not-in-package",
    "cannot import name",
    r"cannot import name '?(?P<name>\w+)'? from (?P<partial>partially initialized module )?'?(?P<module>[\w.]+)'?(?: \((?P<circular>most likely due to a circular import)\))?(?: \((?P<path>[^)]*)\))?",
    source="CPython's import system; changelogs of the packages",
)
def name_missing(hit: Hit) -> Hypothesis | None:
    """A name is gone from an installed package (versions do not fit), or two own modules import each other."""
    name, module, path, scene = hit.get("name"), hit.get("module"), hit.get("path"), hit.scene
    if hit.get("partial") or hit.get("circular"):
        modules = " and ".join(_own_files(hit.trace, scene)) or module
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"Circular import: {modules} import each other, so {name} does not exist yet in the partially initialized module {module}{hit.at}: {hit.line}",
            0.94,
            (
                high(
                    f"Break the circular import of {module}",
                    f"Move {name} into a module that both can import, or import {module} inside the function that uses it ({modules})",
                    f"def use():\n    from {module} import {name}",
                ),
                commit(".", "Break the circular import"),
            ),
            names=(module,),
        )
    if (
        path
        and scene.installed.package_of(path) is None
        and is_python_stdlib(module)
        and is_own_file(path)
        and not path.startswith("unknown")
    ):
        own = hit.scene.in_release(path)
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"The application's file {own} shadows (hides) the standard module {module}, so {name} cannot be imported from it{hit.at}: {hit.line}",
            0.96,
            (high(f"Rename {own}", f"A file of the application may not have the name of a standard module: rename {own} and its imports", f"git mv {own} app_{own.rsplit('/', 1)[-1]}"), commit(own, f"Rename {own}")),
            names=(own,),
        )  # fmt: skip
    if path.startswith("unknown") and "._" in module:
        compiled = distribution_of(module.partition(".")[0])
        return Hypothesis(
            FailureType.PLATFORM_MISMATCH,
            f"The compiled part {module} of {compiled} is not there for this platform or Python version (its folder is, the shared object is not): it was installed for another one{hit.at}: {hit.line}",
            0.86,
            (
                high(
                    f"Reinstall {compiled} for this platform",
                    f"Install {compiled} where it is to run: in the image itself, with its architecture and Python version, instead of copying what another machine (or pip --platform) has installed",
                    f"RUN pip install --force-reinstall --no-cache-dir {compiled}",
                ),
            ),
            names=(compiled, module),
        )  # fmt: skip
    package = scene.installed.package_of(path) or (
        distribution_of(module) if not is_python_stdlib(module) and not _is_own(module, scene, hit.trace) else None
    )
    if path and hit.trace is None and "/lib/" not in path and is_own_file(path) and package_of(path) is None:
        package = None  # the file stands in the release, and no trace was printed that would say so
    importer = _importer(hit.trace)
    if package is None and is_python_stdlib(module):
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"{importer or 'The code'} imports {name} from {module}, which this version of Python no longer has{hit.at}: {hit.line}",
            0.9,
            align(importer or "the importing package", "python", scene.change.runtime(), "Python"),
            names=(importer or "", "python"),
        )
    if package is None:
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"The module {module} of the application has no {name}{hit.at}: {hit.line}",
            0.85,
            (
                high(
                    f"Define {name} in {module}",
                    f"Correct the import{hit.at}: {name} was renamed, removed or never released in {path or module}",
                    f"grep -rn '{name}' .",
                ),
            ),
            names=(module, name),
        )
    who = f"{importer} still needs it" if importer and importer != package else "the code still needs it"
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"Incompatible versions: the installed {package} has no {name} in {module} (removed in this version), and {who}{hit.at}: {hit.line}",
        0.95,
        align(package, "python", changed(scene, package, importer or ""), importer or "", installed=scene.installed),
        names=(package, importer or "", module),
        facts={"package": package, "importer": importer or ""},
    )


@line_rule(
    "python-attribute-of-module",
    "has no attribute",
    r"AttributeError: (?:partially initialized )?module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'(?P<partial>.*circular import)?",
    source="CPython; numpy, Flask, SQLAlchemy changelogs",
)
def module_attribute(hit: Hit) -> Hypothesis | None:
    """module 'x' has no attribute 'y': gone from a package's new version, or missing in an own module."""
    module, name, scene = hit.get("module"), hit.get("name"), hit.scene
    if hit.get("partial"):
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"Circular import of {module}: it has no {name} yet{hit.at}: {hit.line}",
            0.9,
            (
                high(
                    f"Break the circular import of {module}",
                    "A file of the application may also shadow the library of the same name: rename it",
                    f"git mv {module}.py app_{module}.py",
                ),
            ),
        )
    if _is_own(module, scene, hit.trace):
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"The module {module} has no {name}{hit.at}: {hit.line}",
            0.82,
            (high(f"Define {name} in {module}", f"Correct the name or add it{hit.at}"),),
            names=(module, name),
        )
    importer = _importer(hit.trace)
    package = distribution_of(module) if not is_python_stdlib(module) else (importer or "Python")
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"Incompatible versions: {module} has no attribute {name} in the installed version (removed or renamed){hit.at}: {hit.line}",
        0.93,
        align(
            package,
            "python",
            changed(scene, package, importer or "") or scene.change.runtime(),
            importer or "",
            installed=scene.installed,
        ),
        names=(package, module, importer or ""),
    )


_LOADERS = frozenset({"find_app", "import_from_cwd", "import_app", "import_from_string", "import_string", "load_wsgiapp", "load_app", "locate_app", "symbol_by_name", "load_target", "import_application", "load_application"})  # fmt: skip


def _named_by_command(trace: Trace | None) -> bool:
    """True when a server's loader, and no code of the release, imported what its command line names."""
    frames = [f for f in trace.root.frames if "importlib" not in f.file] if trace else []
    return bool(frames) and frames[-1].function in _LOADERS and not any(frame.own for frame in frames)


def _importer(trace: Trace | None) -> str | None:
    """The package whose own line imported, when it was not the application's."""
    if trace is None or not trace.root.frames:
        return None
    frames = [frame for frame in trace.root.frames if "<frozen" not in frame.file and "importlib" not in frame.file]
    return frames[-1].package if frames else None


def _own_files(trace: Trace | None, scene: Scene) -> list[str]:
    if trace is None:
        return []
    files = [scene.in_release(frame.file) for frame in trace.root.frames if frame.own]
    return list(dict.fromkeys(files))[-3:]


def _installed(trace: Trace | None, top: str) -> bool:
    package = package_of(f"site-packages/{top}/")
    return trace is not None and any(frame.package == package for raised in trace.chain for frame in raised.frames)


_OWN_PART = re.compile(r"\.(?:settings|config|conf|local|production|prod|staging|development|routes?|urls|views|models|handlers|tasks|commands|migrations|wsgi|asgi)(?:\.|$)")  # fmt: skip


def _composed(module: str, hit: Hit, importer: str | None) -> bool:
    """True for a part of a package that is there, named by a setting or by the application's own layout."""
    top = module.split(".")[0]
    if "." not in module or hit.match.group("parent") or importer or is_python_stdlib(top) or top in _NAMESPACES:
        return False
    frame = hit.trace.own_frame() if hit.trace else None
    called = frame.code if frame else ""
    return bool(re.search(r"import_module\(|__import__\(|import_string\(|load_module\(", called) or (frame and _OWN_PART.search(module)))  # fmt: skip


def _is_library(top: str) -> bool:
    """True for the import name of a well-known library that has another name to install, and no namespace."""
    return top in PYTHON_DISTRIBUTIONS and top not in _NAMESPACES


def _is_own(module: str, scene: Scene, trace: Trace | None) -> bool:
    """True when the module belongs to the application: by the release's files, the diff, or the files in the trace."""
    top = module.split(".")[0]
    if is_python_stdlib(top):
        return False
    named = (*scene.evidence.release_files, *scene.change.files)
    files = [file for file in named if scene.installed.package_of(file) is None]
    if any(file.startswith(f"{top}/") or file == f"{top}.py" or f"/{top}/" in file for file in files):
        return True
    if trace is None:
        return False
    own = [frame.file for raised in trace.chain for frame in raised.frames if frame.own]
    return any(
        f"/{top}/" in file or file.startswith(f"{top}/") or file.endswith(f"/{top}.py") or file == f"{top}.py"
        for file in own
    )
