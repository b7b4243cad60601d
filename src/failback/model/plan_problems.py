"""What is wrong with a plan, in sentences: where it is, what should stand there, what was probably meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from failback.model.plan_base import nearest, shown
from failback.model.plan_keys import VARIANTS, all_keys, homes_of, known_keys

Path = tuple[str | int, ...]  # keys, and places in lists from 0

# What people who know other tools write, and the key that it is here.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "command": ("run", "start"),
    "cmd": ("run", "start"),
    "script": ("run",),
    "depends_on": ("needs",),
    "dependencies": ("needs",),
    "workdir": ("cwd",),
    "working_directory": ("cwd",),
    "dir": ("cwd", "path"),
    "folder": ("path",),
    "environment": ("env",),
    "max_retries": ("retries",),
    "health": ("ready",),
    "healthcheck": ("ready",),
    "readiness": ("ready",),
    "port": ("listen",),
    "bind": ("listen",),
    "instances": ("replicas",),
    "ignore": ("exclude",),
    "volumes": ("shared",),
    "persist": ("shared",),
    "notifications": ("notification_config",),
    "rollback": ("rollback_config",),
    "backups": ("backup",),
    "smtp_server": ("server",),
    "smtp_port": ("port",),
    "from": ("sender",),
    "to": ("recipients",),
    "kustomization": ("kustomize",),
    "chart": ("helm",),
    "stages": ("steps",),
    "tasks": ("steps",),
}
# A missing key: what to write.
_MISSING: Mapping[tuple[str, ...], str] = {
    ("service",): "Write service: NAME, as in service: shop.",
    ("target", "kind"): "Write kind: local, or kind: kubernetes.",
    ("release", "path"): "Write path: ./app, the folder that is deployed.",
    ("release", "start"): 'Write start: "sh run.sh", the command that starts one replica on $PORT.',
    ("checks", "smoke", "*", "path"): "Write path: /, what is asked for.",
    ("steps", "*", "name"): "Write name: Build, or whatever the step does.",
    ("steps", "*", "type"): "Write type: build, test, quality, security, docker, verify, deploy or a word of your own.",
    ("release", "helm", "chart"): "Write chart: ./chart, its folder or reference.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `at_key`: the key itself is to blame, not its value."""

    where: Path
    message: str
    at_key: bool = False

    @property
    def text(self) -> str:
        return path_text(self.where)


def path_text(path: Path) -> str:
    """ "steps/3/timeout"; places in lists count from 1, as steps do everywhere."""
    text = "/".join(str(part + 1) if isinstance(part, int) else part[:200] for part in path)
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def problems_of(error: ValidationError, data: Any) -> list[Problem]:
    """What pydantic found, one Problem each, in the plan's own words. `data` is what was validated."""
    found: list[Problem] = []
    for one in error.errors(include_url=False):
        variant = next((str(part) for part in one["loc"] if part in VARIANTS), "")
        about_key = one["loc"][-1:] == ("[key]",) and one["type"] != "extra_forbidden"
        where = _plain(one["loc"][:-1] if about_key else one["loc"])
        context = one.get("ctx", {})
        found.append(_problem(str(one["type"]), where, context, one.get("input"), variant, data, one["loc"]))
    return list(dict.fromkeys(found))


def _plain(loc: Sequence[str | int]) -> Path:
    """Without the tags of unions."""
    path: list[str | int] = []
    tagged = False
    for part in loc:
        after_union = bool(path) and path[-1] in ("target", "release") and not tagged
        tagged = after_union and part in VARIANTS
        if not tagged:
            path.append(part)
    return tuple(path)


def _problem(
    kind: str, where: Path, context: Mapping[str, Any], value: Any, variant: str, data: Any, loc: Sequence[str | int]
) -> Problem:
    if kind == "plan":
        return Problem((*where, *context.get("below", ())), context["text"], at_key=loc[-1:] == ("[key]",))
    if kind == "extra_forbidden":
        return Problem(where, unknown_key(where, variant, _target_kind(data, where)), at_key=True)
    if kind == "missing":
        pattern = tuple("*" if isinstance(part, int) else part for part in where)
        return Problem(where, f"is missing. {_MISSING.get(pattern, '')}".rstrip(), at_key=True)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _bad_kind(where, value)
    if kind in ("model_type", "model_attributes_type", "dict_type", "mapping_type"):
        return Problem(where, f"should be a mapping (key: value), got {shown(value)}.{_mapping_hint(where)}")
    if kind in ("tuple_type", "list_type"):
        hint = " Write a - before each entry." if isinstance(value, Mapping) else ""
        return Problem(where, f"should be a list, got {shown(value)}.{hint}")
    if kind in ("too_long", "too_short"):
        limit = context.get("max_length", context.get("min_length"))
        return Problem(where, f"should have at {'most' if kind == 'too_long' else 'least'} {limit} entries.")
    if kind == "literal_error":
        return Problem(where, f"should be {context['expected'].strip(chr(39))}, got {shown(value)}.")
    if kind == "invalid_key":
        return Problem(where, "should be a mapping whose keys are texts.", at_key=True)
    return Problem(where, f"should be something else than {shown(value)}.")


def _bad_kind(where: Path, value: Any) -> Problem:
    if not isinstance(value, Mapping):
        return Problem(where, f"should be a mapping, got {shown(value)}. Write {{kind: local}}.")
    if "kind" not in value:
        return Problem((*where, "kind"), f"is missing. {_MISSING['target', 'kind']}", at_key=True)
    given = value["kind"]
    close = nearest(given, VARIANTS) if isinstance(given, str) else None
    close = "kubernetes" if given in ("k8s", "kube") else close
    hint = f" Did you mean {close}?" if close else ""
    return Problem((*where, "kind"), f"should be one of local, kubernetes, got {shown(given)}.{hint}")


def _mapping_hint(where: Path) -> str:
    example = next(iter(known_keys(where)), None)
    return f" Write {{{example}: ...}}." if example and where else ""


def _target_kind(data: Any, where: Path) -> str:
    """The kind of the target beside the release or target in which `where` is."""
    holder = data
    if where[:1] == ("services",) and len(where) > 1:
        services = data.get("services") if isinstance(data, Mapping) else None
        holder = services.get(where[1]) if isinstance(services, Mapping) else None
    target = holder.get("target") if isinstance(holder, Mapping) else None
    kind = target.get("kind") if isinstance(target, Mapping) else getattr(target, "kind", None)
    return str(kind) if kind in VARIANTS else ""


def unknown_key(where: Path, variant: str, kind: str = "") -> str:
    """The message for a key that nothing knows: the nearest one, where it belongs, or all that are known."""
    name = str(where[-1])
    variant = variant or kind
    known = known_keys(where[:-1], variant)
    other = next((k.variant for k in all_keys() if k.name == name and k.variant not in ("", variant)), "")
    if other and name in known_keys(where[:-1]):
        return f"is no known key where `target/kind` is {variant}: it belongs to {other}."
    synonym = next((key for key in _SYNONYMS.get(name.lower().replace("-", "_"), ()) if key in known), None)
    close = synonym or nearest(name, known)
    if close:
        return f"is no known key. Did you mean `{close}`?"
    homes = [home for home in homes_of(name) if home != path_text(where)]
    if homes:
        return f"is no known key here. Did you mean `{homes[0].replace('/*', '')}`?"
    return f"is no known key. Known are: {', '.join(known)}." if known else "is no known key."


def in_order(problems: Iterable[Problem], position_of: Mapping[Path, tuple[int, int]]) -> list[Problem]:
    """By their place in the file; without one, by their path."""
    return sorted(
        problems,
        key=lambda one: (position_of.get(one.where, (1 << 30, 0)), [str(part) for part in one.where], one.message),
    )
