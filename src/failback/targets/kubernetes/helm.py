"""A Helm chart, rendered by the user's own `helm`, so that Helm still knows the release as its own afterwards.

The objects carry what `helm` looks for when it takes them up again (label and annotations). Hooks have no Helm to run
them here: Jobs before an upgrade (before the installation, where nothing of the release runs yet) run before the
rollout, tests are dropped, and every other hook is told, not lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failback.model.release import Finding
from failback.targets.kubernetes import manifest_files, rendering
from failback.targets.kubernetes.kinds import Object, annotations_of, told

HOOK = "helm.sh/hook"
_NEEDED_BY_HOOKS = ("ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects of a chart, and what of it failback does not run."""

    objects: tuple[Object, ...]
    findings: tuple[Finding, ...] = ()


def render(chart: Mapping[str, Any], service: str, namespace: str, folder: Path, *, first: bool) -> Rendered:
    """`helm template NAME CHART -f ... --namespace NS`, sorted. `first`: as at an installation. Raises ReleaseError."""
    name = str(chart.get("name") or service)
    text = rendering.run(command(chart, name, namespace, folder, first=first), folder, "release/helm")
    found = manifest_files.parse(text, f"chart {chart['chart']}")
    return sorted_out([one.obj for one in found], name, namespace, first=first)


def command(chart: Mapping[str, Any], name: str, namespace: str, folder: Path, *, first: bool) -> list[str]:
    """A chart that is no folder here (`oci://...`, `repo/chart`) is left to helm to find."""
    source = str(chart["chart"])
    local = folder / Path(source).expanduser()
    values = chart.get("values") or ()
    files = [values] if isinstance(values, str) else list(values)
    return [
        "helm",
        "template",
        name,
        str(local) if local.exists() and "://" not in source else source,
        "--namespace",
        namespace,
        *(() if first else ("--is-upgrade",)),
        *(part for file in files for part in ("-f", str(folder / Path(file).expanduser()))),
    ]


def sorted_out(objects: Sequence[Object], name: str, namespace: str, *, first: bool) -> Rendered:
    """Hooks apart, the rest marked as the release's own. Pure."""
    before = "pre-install" if first else "pre-upgrade"
    kept: list[Object] = []
    jobs: list[tuple[int, Object]] = []
    findings: list[Finding] = []
    for one in objects:
        hooks = {hook.strip() for hook in annotations_of(one).get(HOOK, "").split(",") if hook.strip()}
        if not hooks or (before in hooks and one["kind"] in _NEEDED_BY_HOOKS):
            kept.append(_marked(one, name, namespace) if not hooks else without_hook(one))
        elif before in hooks and one["kind"] == "Job":
            jobs.append((_weight(one), without_hook(one)))
        elif not any(hook.startswith("test") for hook in hooks):
            findings.extend(_left_out(one, hooks, first=first))
    jobs.sort(key=lambda entry: entry[0])
    return Rendered((*kept, *(job for _, job in jobs)), tuple(findings))


def _left_out(obj: Object, hooks: set[str], *, first: bool) -> Iterator[Finding]:
    """Only what Helm itself would run at this release."""
    due = {f"{when}-{what}" for when in ("pre", "post") for what in (("install",) if first else ("upgrade",))}
    if not hooks & due:
        return
    message = f"is a Helm hook ({', '.join(sorted(hooks))}) that failback does not run"
    yield Finding("warning", told(obj), message, "Write it as a step of the plan.")


def _marked(obj: Object, name: str, namespace: str) -> Object:
    """As `helm` marks what it installs: without these, the next `helm upgrade` would refuse to adopt a new object."""
    metadata = {**obj["metadata"]}
    metadata["labels"] = {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        "meta.helm.sh/release-name": name,
        "meta.helm.sh/release-namespace": namespace,
    }
    return {**obj, "metadata": metadata}


def without_hook(obj: Object) -> Object:
    annotations = {key: value for key, value in annotations_of(obj).items() if not key.startswith(HOOK)}
    metadata = {key: value for key, value in obj["metadata"].items() if key != "annotations"}
    return {**obj, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def _weight(obj: Object) -> int:
    try:
        return int(annotations_of(obj).get("helm.sh/hook-weight", "0"))
    except ValueError:
        return 0
