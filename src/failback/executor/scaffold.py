"""`failback init`: looks at a folder and writes a commented plan that is valid; overwrites nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failback.executor.scaffold_stacks import Cluster, Listing, Stack, StepIdea, find_cluster, find_stack, health_path
from failback.model.errors import NoSpace
from failback.model.plan_schema import MODELINE, SCHEMA_FILE, plan_schema

ENTRIES_MAX = 4000
FILE_BYTES_MAX = 64 * 1024
_DEPTH_MAX = 3
_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "env", "site-packages", "target", "bower_components"})
_READ = re.compile(
    r"(?:.*\.(?:py|js|mjs|cjs|ts|go|ya?ml)|requirements.*\.txt|pyproject\.toml|package\.json|Procfile|Dockerfile|go\.mod)"
)


@dataclass(frozen=True, slots=True)
class Scaffold:
    """A plan's text, and what a person should know about it."""

    text: str
    notes: tuple[str, ...] = ()


def write_scaffold(folder: Path, file: Path) -> dict[str, Any]:
    """Writes the plan (`file`, relative to `folder`) and its JSON Schema beside it.

    Returns {"written": [paths], "notes": [texts], "kept": [paths that were there already]}. Raises NoSpace where the
    folder cannot be written.
    """
    target = folder / file
    made = scaffold(look(folder), folder.resolve().name, has_cluster=has_kubeconfig())
    schema = json.dumps(plan_schema(), indent=1, ensure_ascii=False) + "\n"
    written: list[str] = []
    kept: list[str] = []
    notes = list(made.notes)
    for path, text in ((target, made.text), (target.parent / SCHEMA_FILE, schema)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as opened:
                opened.write(text)
            written.append(str(path))
        except FileExistsError:
            kept.append(str(path))
            if path == target:
                notes = [f"{path.name} is there already and was not touched."]
        except OSError as cause:
            raise NoSpace(f"{path} cannot be written ({cause.strerror}).", path=str(path)) from cause
    return {"written": written, "notes": notes, "kept": kept}


def has_kubeconfig() -> bool:
    """Whether kubectl would find a cluster; nothing is asked of it."""
    named = os.environ.get("KUBECONFIG")
    paths = [Path(part) for part in named.split(os.pathsep) if part] if named else [Path("~/.kube/config").expanduser()]
    return any(path.is_file() for path in paths)


def look(folder: Path) -> Listing:
    """The folder's files, at most three levels deep, with the content of the small ones that say something."""
    listing: dict[str, str | None] = {}
    top = str(folder)
    for current, folders, names in os.walk(top):
        inside = Path(current).relative_to(top)
        depth = len(inside.parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        if depth >= _DEPTH_MAX:
            folders.clear()
        for name in sorted(names):
            if len(listing) >= ENTRIES_MAX:
                return listing
            listing[(inside / name).as_posix()] = _content(Path(current, name)) if _READ.fullmatch(name) else None
    return listing


def _content(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > FILE_BYTES_MAX:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return None


def scaffold(listing: Listing, folder_name: str, *, has_cluster: bool = False) -> Scaffold:
    """The plan for what the listing holds. Pure; the text is always a valid plan for the same folder.

    `has_cluster`: a kubeconfig is there. Manifests beside a service that could run here are for a cluster only then.
    """
    cluster = find_cluster(listing)
    stack = find_stack(listing)
    service = service_name(folder_name)
    if cluster is not None and (has_cluster or stack.kind == "unknown"):
        return _for_cluster(listing, cluster, stack, service, has_cluster=has_cluster)
    if has_cluster and cluster is None and stack.kind == "unknown":
        # Nothing here says how it is started or what it is made of, but a cluster is at hand: take what runs there.
        running = Cluster({"objects": [f"deployment/{service}"]}, "what runs in the cluster")
        return _for_cluster(listing, running, stack, service, has_cluster=True)
    notes = list(stack.notes)
    if cluster is not None:
        source = f"{cluster.source[0].upper()}{cluster.source[1:]}"
        notes.append(
            f"{source} is not used, since no kubeconfig names a cluster here: set KUBECONFIG and run init again for a "
            "plan that deploys there."
        )
    return Scaffold(_local_text(listing, stack, service), tuple(notes))


def service_name(folder_name: str) -> str:
    """A valid service name made of a folder's name."""
    slug = re.sub(r"[^a-z0-9]+", "-", folder_name.lower()).strip("-")[:63].strip("-")
    return slug or "service"


def _image_step(listing: Listing, service: str) -> list[StepIdea]:
    if "Dockerfile" not in listing:
        return []
    run = f"docker build -t registry.example.org/{service}:$TAG . && docker push registry.example.org/{service}:$TAG"
    return [StepIdea("Docker", "docker", run, active=False, why="put your registry's name in")]


def _for_cluster(listing: Listing, cluster: Cluster, stack: Stack, service: str, *, has_cluster: bool) -> Scaffold:
    notes = [] if has_cluster else ["No kubeconfig names a cluster here: set KUBECONFIG before `failback plan`."]
    if "objects" in cluster.release:
        notes.append("No manifests are here: name your workload in release/objects, and its image in release/image.")
    release = "\n".join(f"  {key}: {_flow(value)}" for key, value in cluster.release.items())
    parts = [
        _head(service, f"Made from {cluster.source}."),
        "target:\n  kind: kubernetes\n  # The context of your kubeconfig and the namespace; null: the current ones.\n"
        "  context: null\n  namespace: null",
        f"# What is deployed. `image: registry/name:tag` puts that image into the workload.\nrelease:\n{release}",
        _CHECKS.format(path="/", more=""),
        _steps_text([*stack.steps, *_image_step(listing, service)]),
        _SETTINGS,
    ]
    return Scaffold("\n\n".join(parts) + "\n", tuple(notes))


def _local_text(listing: Listing, stack: Stack, service: str) -> str:
    found = {
        "unknown": "Nothing was found that says how this service is started: see `start`.",
        "script": "Made for a start script.",
        "procfile": "Made from Procfile.",
        "static": "Made for static pages.",
    }.get(stack.kind, f"Made for a {stack.kind.capitalize()} service.")
    lines = [
        "# What is deployed: this folder is copied when the Deploy step starts.",
        "release:",
        f"  path: {_flow(stack.path)}",
    ]
    lines += [f"  # {note}" for note in stack.notes]
    lines += ["  # Starts one replica, in the release's folder; $PORT is its own.", f"  start: {_flow(stack.start)}"]
    if stack.env:
        lines.append(f"  env: {_flow(stack.env)}")
    lines += ["  # Values from the environment stay out of this file: DATABASE_URL: ${DATABASE_URL}", "  replicas: 2"]
    # Where all of the folder is released, the plan itself would be: a file server would hand it out.
    exclude = [*(stack.exclude or (".git",)), "failback*.yaml", SCHEMA_FILE] if stack.path == "." else stack.exclude
    if exclude:
        lines += ["  # Patterns of what is not copied into the release.", f"  exclude: {_flow(list(exclude))}"]
    lines += [
        "  # A limit of memory for one replica, so that a leak ends one replica and not the machine.",
        "  # resources: {memory: 512Mi}",
        "  # Folders that outlive a release, as uploads or a SQLite file.",
        "  # shared: [data]",
    ]
    ready = health_path(listing)
    more = "" if ready == "/" else f"\n  # What {ready} says of itself is not all: add a page that users open."
    parts = [
        _head(service, found),
        "target:\n  kind: local\n  # Where users reach the service; 0.0.0.0:8080 opens it to the network.\n"
        "  listen: 127.0.0.1:8080",
        "\n".join(lines),
        _CHECKS.format(path=ready, more=more),
        _steps_text(list(stack.steps)),
        _SETTINGS,
    ]
    return "\n\n".join(parts) + "\n"


def _head(service: str, found: str) -> str:
    return (
        f"{MODELINE}\n# {found} {SCHEMA_FILE} says what every key means; editors read it.\n"
        f"# `failback plan` checks this file and touches nothing.\napiVersion: failback/v1\nservice: {_flow(service)}"
    )


_CHECKS = """\
# How a new release is judged before users reach it.
checks:
  # Seconds that a replica may take to its first good answer. A crash is seen at once, whatever stands here.
  ready: {{path: {path}, timeout: 30}}{more}
  # Requests that every new replica has to answer well. Ask for a page that uses the database.
  smoke:
    - {{path: {path}, status: 200, max_ms: 2000}}"""

_SETTINGS = """\
# How a failed release is taken back; these are the defaults.
rollback_config: {auto_rollback_enabled: true, failure_threshold: 3, rollback_timeout: 60, zero_downtime_required: true}

# Who is told.
notification_config:
  slack: {enabled: false, channel: "#deployments", webhook_url: ""}  # webhook_url: ${SLACK_WEBHOOK_URL}
  email: {enabled: false, recipients: []}
  pagerduty: {enabled: false, api_key: ""}  # api_key: ${PAGERDUTY_KEY}

# The verified backup before anything is touched.
backup: {backup_root: null, retention_days: 30, encryption: true}"""


def _steps_text(steps: list[StepIdea]) -> str:
    lines = [
        "# Run one after another, unless `needs` says otherwise. A failing step ends it: nothing was touched.",
        "steps:",
    ]
    order = ("build", "test", "quality", "security", "docker", "verify")
    for step in sorted(steps, key=lambda one: order.index(one.type)):
        env = f", env: {_flow(step.env)}" if step.env else ""
        line = f"- {{name: {step.name}, type: {step.type}, run: {_flow(step.run)}{env}}}"
        lines.append(f"  {line}" if step.active else f"  # {line}  # {step.why}")
    lines.append("  - {name: Deploy, type: deploy}")
    return "\n".join(lines)


def _flow(value: object) -> str:
    """A value in YAML's flow style; a text without quotes only where no reader could take it for something else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(entry) for entry in value) + "]"
    text = str(value)
    if re.fullmatch(r"\.|\.?[/\w][\w./-]*", text, re.ASCII) and not re.fullmatch(
        r"[\d.]+|(?i:true|false|yes|no|on|off|null)", text
    ):
        return text
    return json.dumps(text, ensure_ascii=True)
