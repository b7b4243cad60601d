"""The known-bad version of the user's own release: what it is, and what the diagnosis has to say of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from failback.model.errors import UsageError
from failback.model.plan import KubernetesReleaseSpec, LocalReleaseSpec, Plan

MISSING = "failback-drill/missing-on-purpose.json"
_COMMAND = "/failback-drill/missing-on-purpose"


@dataclass(frozen=True, slots=True)
class BadVersion:
    """The plan that deploys it, and the cause that is to be found: its type, and words that name it."""

    plan: Plan
    cause_type: str
    words: tuple[str, ...]


def bad_version(plan: Plan, shape: Mapping[str, Any], namespace: str, folder: Path) -> BadVersion:
    """A version whose start command cannot succeed, and nothing else is different. `folder`: for files of it.

    Raises UsageError for a plan that has no release to derive it from.
    """
    deploy = next(step for step in plan.steps if step.type == "deploy").model_copy(update={"needs": ()})
    if isinstance(plan.release, LocalReleaseSpec):
        release: Any = plan.release.model_copy(update={"start": ("cat", MISSING)})
        return BadVersion(plan.model_copy(update={"release": release, "steps": (deploy,)}), "missing_file", (MISSING,))
    if not isinstance(plan.release, KubernetesReleaseSpec):
        raise UsageError("A drill needs a plan with a release; `failback drill --bundled` needs none.")
    from failback.targets.kubernetes import manifests
    from failback.targets.kubernetes.kinds import WORKLOADS

    objects = copy.deepcopy(manifests.render(shape, plan.service, namespace))
    kept = [one for one in objects if one["kind"] != "Job"]  # a migration is no part of a drill
    for one in kept:
        if one["kind"] in WORKLOADS:
            container = one["spec"]["template"]["spec"]["containers"][0]
            container["command"] = [_COMMAND]
            container.pop("args", None)
    path = folder / "bad-version.yaml"
    path.write_text(yaml.safe_dump_all(kept), encoding="utf-8")
    path.chmod(0o600)
    release = plan.release.model_copy(update={"manifests": (str(path),), "kustomize": None, "helm": None})
    return BadVersion(
        plan.model_copy(update={"release": release, "steps": (deploy,)}), "bad_command", ("missing-on-purpose",)
    )
