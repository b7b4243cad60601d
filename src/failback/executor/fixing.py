"""The candidate fixes of a failed execution, and what is kept of them: `fixes.json`, with each one's patch."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from failback.diagnosis import diagnose
from failback.executor import results
from failback.executor.context import Execution
from failback.executor.evidence import load
from failback.executor.nodes import Part
from failback.executor.phase import Recovery
from failback.executor.repository import top_of
from failback.fixes.candidates import candidates
from failback.fixes.case import Case
from failback.fixes.patch import NoPatch, Read, files_of, unified
from failback.model.evidence import INTERRUPTED
from failback.model.execution import SystemStatus
from failback.model.fix import NOT_TRIED, REFUTED, VERIFIED, Candidate
from failback.model.plan import KubernetesReleaseSpec
from failback.targets.base import FixBench, ReleaseSpec

FILE = "fixes.json"
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_MEMORY_SHARE = 0.5  # of what the machine has free: the service itself runs beside
_PARTS = (Part.LAUNCH, Part.JUDGE)


def no_reason_to_try(recovery: Recovery) -> str | None:
    """Why no fix is looked for; None where one may be."""
    x, failed = recovery.x, recovery.failed
    if not x.members:
        return "the plan has no target"
    if recovery.failure.get("part") == Part.BAKE:
        return (
            "it passed its gate in the dark, and failed with users' requests: a trial in the dark would prove nothing"
        )
    if recovery.failure.get("part") not in _PARTS or failed is None or failed.revision is None:
        return "it failed before the release ran"
    if not isinstance(failed.target, FixBench):
        return "this target tries no fixes"
    if recovery.failure["status"] != "failed" or x.stop.latest == INTERRUPTED:
        return "it was stopped by its user"
    if x.row.kind != "deploy":
        return f"a {x.row.kind} tries no fixes"
    if results.system_status(x, recovery.opened) is not SystemStatus.STABLE:
        return "the service is not stable: nothing is tried beside it"
    return None


async def find(recovery: Recovery, release: ReleaseSpec) -> list[Candidate]:
    """The candidates, from the evidence, the engine's own diagnosis and both releases. Raises what the target does."""
    x, failed = recovery.x, recovery.failed
    if failed is None or not isinstance(failed.target, FixBench):
        return []
    target = failed.target
    evidence = load(x)
    former, new = await target.former_shape(), await target.shape_of(release)
    case = Case(
        evidence=evidence,
        diagnosis=await asyncio.to_thread(diagnose, evidence),
        new=new,
        former=former,
        references=_references(x, failed.member.service),
        memory_max=_memory_max(release) if failed.target.kind == "local" else None,
    )
    return await asyncio.to_thread(candidates, case)


def _references(x: Execution, service: str) -> dict[str, Any]:
    """What the plan of the last good deployment said for each variable of the service."""
    for row in x.store.executions(service=x.row.service, limit=200):
        if row.kind == "deploy" and row.id != x.id and (row.result or {}).get("status") == "completed":
            plan = row.plan["plan"]
            release = ((plan.get("services") or {}).get(service) or plan).get("release") or {}
            return dict(release.get("env") or {})
    return {}


def _memory_max(release: ReleaseSpec) -> int:
    return int(psutil.virtual_memory().available * _MEMORY_SHARE / max(1, int(release.shape.get("replicas") or 1)))


def record(x: Execution, service: str, candidate: Candidate) -> dict[str, Any]:
    """What is kept of a candidate before it was tried."""
    return {
        "id": candidate.id,
        "action": candidate.action,
        "why": candidate.why,
        "tried": candidate.tried,
        "status": NOT_TRIED,
        "seconds": None,
        "reason": "",
        **patch_of(x, service, candidate),
    }


@dataclass(frozen=True, slots=True)
class Places:
    """Where the service's parts lie, from the top of the repository (or the plan's folder, without one)."""

    top: Path
    plan: str | None
    release: str
    below: tuple[str, ...]  # where the service stands in the plan: ("services", "shop") in one of several
    manifests: tuple[str, ...] | None = None  # of a release for a cluster

    def changed(self, candidate: Candidate, read: Read) -> dict[str, bytes]:
        """Path -> new content of each file that the candidate changes. Raises NoPatch."""
        return files_of(
            candidate, read, plan=self.plan, release=self.release, below=self.below, manifests=self.manifests
        )


def places_of(x: Execution, service: str) -> Places:
    top = top_of(x.folder) or x.folder
    inside = x.folder.resolve().relative_to(top.resolve()).as_posix()
    prefix = "" if inside == "." else f"{inside}/"
    plan = x.row.plan.get("file")
    release = str(getattr(x.plan.alone(service).release, "path", "."))
    below = ("services", service) if x.several else ()
    manifests = _manifests(x, service, top)
    return Places(top, f"{prefix}{plan}" if plan else None, f"{prefix}{release}", below, manifests)


def _manifests(x: Execution, service: str, top: Path) -> tuple[str, ...] | None:
    """The manifest files of a release for a cluster, from the top; none where something renders them."""
    release = x.plan.alone(service).release
    if not isinstance(release, KubernetesReleaseSpec):
        return None
    found: list[Path] = []
    for name in release.manifests:
        path = x.folder / name
        inside = sorted(one for one in path.rglob("*") if one.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
        found += [one for one in inside if one.is_file()]
    roots = [one.resolve() for one in found if one.resolve().is_relative_to(top.resolve())]
    return tuple(one.relative_to(top.resolve()).as_posix() for one in roots)


def patch_of(x: Execution, service: str, candidate: Candidate) -> dict[str, str]:
    """{"patch", "root"}: the file that holds the diff, and the folder it is against; or {"no_patch": why}.

    It is a file of its own, since a patch that was masked like all other records would not apply.
    """
    places = places_of(x, service)

    def read(path: str) -> bytes | None:
        try:
            return (places.top / path).read_bytes()
        except OSError:
            return None

    try:
        made = places.changed(candidate, read)
        patch = unified(made, read)
    except NoPatch as error:
        return {"no_patch": str(error)}
    without_references = _REFERENCE.sub("", patch)
    if x.redactor.redact(without_references) != without_references:
        return {"no_patch": "it would hold a secret: make the change by hand"}
    if not patch:
        return {"no_patch": "your files have the change already"}
    file = x.files / f"fix-{candidate.id}.patch"
    file.write_bytes(patch.encode())
    file.chmod(0o600)
    return {"patch": file.name, "root": str(places.top)}


def kept(x: Execution) -> list[dict[str, Any]]:
    """The fixes of this execution as they stand."""
    found = x.kept(FILE) or {}
    fixes = found.get("fixes")
    return list(fixes) if isinstance(fixes, list) else []


def advised(
    advice: Sequence[Mapping[str, Any]], fixes: Sequence[Mapping[str, Any]], execution: str
) -> list[dict[str, Any]]:
    """The recommendations with what the trials showed: a fix that passed stands first, one that did not says so."""
    ordered = [dict(item) for item in advice]
    for fix in reversed(fixes):
        same = next((item for item in ordered if item["action"] == fix["action"]), None)
        if fix["status"] == VERIFIED:
            if same is not None:
                ordered.remove(same)
            ordered.insert(0, _verified(fix, same, execution))
        elif same is not None and fix["status"] == REFUTED:
            same["description"] = f"{same['description']}. Tried with {fix['tried']}, it did not pass: {fix['reason']}"
    return ordered


def _verified(fix: Mapping[str, Any], same: Mapping[str, Any] | None, execution: str) -> dict[str, Any]:
    verified = f"passed the gate with {fix['tried']} in {fix['seconds']:.1f} s"
    example = f"failback explain {execution} --patch | git apply" if fix.get("patch") else fix.get("no_patch", "")
    if same is not None and same.get("example"):
        example = f"{same['example']}\n# or: {example}" if fix.get("patch") else same["example"]
    return {
        "priority": "HIGH",
        "action": fix["action"],
        "description": f"{fix['why']}. Verified in the dark: it {verified}; it is not live",
        "example": example,
        "verified": verified,
    }
