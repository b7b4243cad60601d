"""What a folder holds, seen from its listing: the stack, how it is built, tested and started. Pure, a row a stack."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydantic_core import PydanticCustomError

from failback.model.plan_types import start_words

# Relative POSIX path -> content; None: not read (large, binary, or of no interest).
Listing = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class StepIdea:
    """One step. `active` False: written as a comment, since it needs a tool or a decision that the folder lacks."""

    name: str
    type: str
    run: str
    env: Mapping[str, str] = field(default_factory=dict)
    active: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """What was found. `start` is a text for `release.start`; `notes` are for the person who reads the plan."""

    kind: str
    path: str
    start: str
    steps: tuple[StepIdea, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Manifests, a kustomization or a chart: the keys of a release on Kubernetes."""

    release: Mapping[str, object]
    source: str


def find_stack(listing: Listing) -> Stack:
    """The first stack that fits; a folder that says nothing gets a start command that says what to write."""
    for row in _STACKS:
        found = row(listing)
        if found is not None:
            return _with_procfile(found, listing)
    return _with_procfile(_UNKNOWN, listing)


_UNKNOWN = Stack(
    kind="unknown",
    path=".",
    start="echo 'failback.yaml: release.start should be the command that starts this service on $PORT' >&2; exit 1",
    notes=("Nothing here says how the service is started: write the command at release.start.",),
)
_LISTENS = "The service has to listen on the port that $PORT names, on 127.0.0.1."


def _with_procfile(stack: Stack, listing: Listing) -> Stack:
    match = re.search(r"(?m)^web:[ \t]*(\S.*?)[ \t]*$", listing.get("Procfile") or "")
    if match is None or stack.path != "." or not _can_start(match.group(1)):
        return stack
    notes = () if stack.kind == "unknown" else stack.notes
    return Stack(
        stack.kind if stack.kind != "unknown" else "procfile",
        stack.path,
        match.group(1),
        stack.steps,
        stack.env,
        stack.exclude,
        (*(note for note in notes if note != _LISTENS), "The start command is the one of Procfile."),
    )


def _can_start(command: str) -> bool:
    """Whether a plan would take the command: a Procfile may hold anything."""
    try:
        start_words(command)
    except PydanticCustomError:
        return False
    return True


def health_path(listing: Listing) -> str:
    """A path that looks like a health check in the sources; else the start page."""
    text = "\n".join(
        content for name, content in listing.items() if content and name.endswith((".py", ".js", ".ts", ".go", ".mjs"))
    )
    match = re.search(r"[\"'`](/(?:api/)?(?:healthz?|health-check|livez|readyz|ping))/?[\"'`]", text)
    return match.group(1) if match else "/"


# -- Python ----------------------------------------------------------------------------------------------------------


def _python(listing: Listing) -> Stack | None:
    requirements = listing.get("requirements.txt")
    project = listing.get("pyproject.toml")
    scripts = [name for name in listing if name.endswith(".py")]
    if requirements is None and project is None and not [name for name in scripts if "/" not in name]:
        return None
    needs = f"{requirements or ''}\n{project or ''}".lower()
    libraries = "vendor" if not any(name.startswith("vendor/") for name in listing) else "pylibs"
    start, notes = _python_start(listing, needs)
    installed = _python_build(requirements, project, libraries)
    env = {"PYTHONPATH": libraries} if installed else {}
    steps: list[StepIdea] = []
    if installed:
        steps.append(StepIdea("Build", "build", installed))
    steps += _python_checks(listing, needs, project or "", env)
    if requirements is not None:
        steps.append(_idea("Security", "security", "pip-audit -r requirements.txt", "pip install pip-audit"))
    exclude = (".git", "__pycache__", ".venv", "venv", "tests", ".pytest_cache", ".ruff_cache", ".mypy_cache")
    return Stack("python", ".", start, tuple(steps), env, exclude, notes)


def _python_build(requirements: str | None, project: str | None, libraries: str) -> str:
    """The libraries go into the release itself: a virtual environment's links would lead out of it."""
    if requirements is not None:
        return f"python3 -m pip install --quiet --upgrade --target {libraries} -r requirements.txt"
    if project is not None and "[project]" in project:
        return f"python3 -m pip install --quiet --upgrade --target {libraries} ."
    return ""


def _python_start(listing: Listing, needs: str) -> tuple[str, tuple[str, ...]]:
    has = {
        name: _needed(needs, name)
        for name in ("gunicorn", "uvicorn", "hypercorn", "flask", "fastapi", "starlette", "django")
    }
    settings = re.search(r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"']([\w.]+)[\"']", listing.get("manage.py") or "")
    if settings:
        project = settings.group(1).split(".")[0]
        if has["gunicorn"]:
            return f"python3 -m gunicorn --bind 127.0.0.1:$PORT {project}.wsgi", ()
        note = "Django's own server is for development: add gunicorn to the requirements and start it instead."
        return "python3 manage.py runserver --noreload 127.0.0.1:$PORT", (note,)
    app = _python_app(listing)
    if app and (has["fastapi"] or has["starlette"]):
        return f"python3 -m uvicorn --host 127.0.0.1 --port $PORT {app}", ()
    if app and has["flask"]:
        if has["gunicorn"]:
            return f"python3 -m gunicorn --bind 127.0.0.1:$PORT {_called(app)}", ()
        note = "Flask's own server is for development: add gunicorn to the requirements and start it instead."
        return f"python3 -m flask --app {app.replace(':create_app', '')} run --host 127.0.0.1 --port $PORT", (note,)
    if app and has["gunicorn"]:
        return f"python3 -m gunicorn --bind 127.0.0.1:$PORT {_called(app)}", ()
    for name in ("run.sh", "server.py", "app.py", "main.py", "run.py", "wsgi.py"):
        if name in listing:
            return f"{'sh' if name.endswith('.sh') else 'python3'} {name}", (_LISTENS,)
    return _UNKNOWN.start, _UNKNOWN.notes


def _needed(needs: str, package: str) -> bool:
    return re.search(rf"(?m)(?:^|[\s\"'\[,]){package}(?:$|[\s\"'\[=<>~!;,@])", needs) is not None


def _called(app: str) -> str:
    return f"'{app}()'" if app.endswith(":create_app") else app


def _python_app(listing: Listing) -> str | None:
    """`module:variable` of a WSGI or ASGI application, nearest to the top."""
    for name in sorted(listing, key=lambda name: (name.count("/"), name)):
        content = listing[name]
        if not name.endswith(".py") or not content or re.search(r"(^|/)(test_|tests/|conftest)", name):
            continue
        match = re.search(
            r"(?m)^(\w+)\s*(?::[^=\n]+)?=\s*(?:[\w.]+\.)?(?:Flask|FastAPI|Starlette|get_wsgi_application|get_asgi_application)\(",
            content,
        )
        module = name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        if match:
            return f"{module}:{match.group(1)}"
        if re.search(r"(?m)^def create_app\(\s*\)", content):
            return f"{module}:create_app"
    return None


def _python_checks(listing: Listing, needs: str, project: str, env: Mapping[str, str]) -> list[StepIdea]:
    steps: list[StepIdea] = []
    tests = [name for name in listing if re.search(r"(^|/)test_\w+\.py$|(^|/)\w+_test\.py$", name)]
    settings = re.search(r"DJANGO_SETTINGS_MODULE", listing.get("manage.py") or "")
    if tests and (_needed(needs, "pytest") or "[tool.pytest" in project or not settings):
        steps.append(StepIdea("Test", "test", "python3 -m pytest -q", env))
    elif settings:
        steps.append(StepIdea("Test", "test", "python3 manage.py test", env))
    if "[tool.ruff" in project or {"ruff.toml", ".ruff.toml"} & set(listing):
        steps.append(StepIdea("Quality", "quality", "ruff check ."))
    elif {".flake8", "tox.ini"} & set(listing) and ".flake8" in listing:
        steps.append(StepIdea("Quality", "quality", "flake8 ."))
    return steps


# -- Node ------------------------------------------------------------------------------------------------------------


def _node(listing: Listing) -> Stack | None:
    content = listing.get("package.json")
    if content is None:
        return None
    try:
        package = json.loads(content)
    except (ValueError, RecursionError):
        package = {}
    package = package if isinstance(package, dict) else {}
    given = package.get("scripts")
    scripts = {str(name): str(run) for name, run in given.items()} if isinstance(given, dict) else {}
    tool, install = _node_tool(listing)
    build = install + (f" && {tool} run build" if scripts.get("build") else "")
    steps = [StepIdea("Build", "build", build)]
    if scripts.get("test") and "no test specified" not in scripts["test"]:
        steps.append(StepIdea("Test", "test", f"{tool} test"))
    if scripts.get("lint"):
        steps.append(StepIdea("Quality", "quality", f"{tool} run lint"))
    elif any(re.match(r"(\.eslintrc|eslint\.config\.)", name) for name in listing):
        steps.append(StepIdea("Quality", "quality", "npx eslint ."))
    if tool == "npm" and "package-lock.json" in listing:
        steps.append(_idea("Security", "security", "npm audit --omit=dev --audit-level=high", "asks the registry"))
    start, notes = _node_start(package, scripts, listing, tool)
    return Stack("node", ".", start, tuple(steps), {"NODE_ENV": "production"}, (".git", "test", "tests"), notes)


def _node_tool(listing: Listing) -> tuple[str, str]:
    if "pnpm-lock.yaml" in listing:
        # pnpm links into a store outside of the release unless it is told to copy.
        return "pnpm", "pnpm install --frozen-lockfile --node-linker=hoisted --package-import-method=copy"
    if "yarn.lock" in listing:
        return "yarn", "yarn install --frozen-lockfile"
    return "npm", "npm ci" if "package-lock.json" in listing else "npm install"


def _node_start(
    package: Mapping[str, object], scripts: Mapping[str, str], listing: Listing, tool: str
) -> tuple[str, tuple[str, ...]]:
    sources = "\n".join(
        content for name, content in listing.items() if content and name.endswith((".js", ".mjs", ".cjs", ".ts"))
    )
    notes = () if re.search(r"process\.env(?:\.PORT|\[.PORT.\])", sources) else (_LISTENS,)
    script = scripts.get("start", "")
    if re.fullmatch(r"node [\w./-]+", script):
        return script, notes  # without npm in between, which would have to pass signals on
    if script:
        return f"{tool} start", notes
    main = package.get("main")
    for name in (main, "server.js", "index.js", "app.js"):
        if isinstance(name, str) and name.removeprefix("./") in listing and re.fullmatch(r"[\w./-]+", name):
            return f"node {name}", notes
    return _UNKNOWN.start, _UNKNOWN.notes


# -- Go, static pages ------------------------------------------------------------------------------------------------


def _go(listing: Listing) -> Stack | None:
    if "go.mod" not in listing:
        return None
    commands = sorted(
        {PurePosixPath(name).parts[1] for name in listing if re.fullmatch(r"cmd/[\w.-]+/[\w.-]+\.go", name)}
    )
    package = "." if "main.go" in listing or not commands else f"./cmd/{commands[0]}"
    notes = [_LISTENS]
    if len(commands) > 1 and package != ".":
        notes.append(f"There are several commands ({', '.join(commands)}): the plan builds {commands[0]}.")
    steps = [
        StepIdea("Build", "build", f"go build -o bin/app {package}"),
        StepIdea("Quality", "quality", "go vet ./..."),
    ]
    if any(name.endswith("_test.go") for name in listing):
        steps.insert(1, StepIdea("Test", "test", "go test ./..."))
    steps.append(
        _idea("Security", "security", "govulncheck ./...", "go install golang.org/x/vuln/cmd/govulncheck@latest")
    )
    return Stack("go", "./bin", "./app", tuple(steps), notes=tuple(notes))


def _static(listing: Listing) -> Stack | None:
    for folder in ("", "public/", "dist/", "site/", "build/", "docs/"):
        if f"{folder}index.html" in listing:
            note = "Python's file server is enough for few users; put your own web server's command at release.start."
            path = f"./{folder}".rstrip("/") or "."
            return Stack(
                "static", path, "python3 -m http.server --bind 127.0.0.1 $PORT", exclude=(".git",), notes=(note,)
            )
    return None


def _script(listing: Listing) -> Stack | None:
    name = next((name for name in ("run.sh", "start.sh") if name in listing), None)
    return None if name is None else Stack("script", ".", f"sh {name}", notes=(_LISTENS,))


def _idea(name: str, kind: str, run: str, why: str) -> StepIdea:
    return StepIdea(name, kind, run, active=False, why=why)


_STACKS: tuple[Callable[[Listing], Stack | None], ...] = (_node, _go, _python, _script, _static)


# -- Kubernetes ------------------------------------------------------------------------------------------------------

_WORKLOAD = re.compile(r"(?m)^kind:\s*(?:Deployment|StatefulSet|DaemonSet)\s*$")


def find_cluster(listing: Listing) -> Cluster | None:
    """A chart, a kustomization or manifests with a workload; the one that is nearest to the top."""
    names = sorted(listing, key=lambda name: (name.count("/"), name))
    chart = next((name for name in names if PurePosixPath(name).name == "Chart.yaml"), None)
    if chart is not None:
        folder = _folder(chart)
        return Cluster({"helm": {"chart": folder}}, f"the Helm chart in {folder}")
    for name in names:
        if PurePosixPath(name).name in ("kustomization.yaml", "kustomization.yml"):
            return Cluster({"kustomize": _folder(name)}, f"the kustomization in {_folder(name)}")
    manifests = [name for name in names if name.endswith((".yaml", ".yml")) and _WORKLOAD.search(listing[name] or "")]
    if not manifests:
        return None
    folder = _folder(manifests[0])
    # At the top a folder would take in everything, this plan included.
    paths = [f"./{name}" for name in manifests] if folder == "." else [folder]
    return Cluster({"manifests": paths}, f"the manifests in {folder}")


def _folder(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "." if parent == "." else f"./{parent}"
