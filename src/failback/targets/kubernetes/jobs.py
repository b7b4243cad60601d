"""Jobs that run before a rollout (migrations): each once a revision, and a failed one ends the deployment."""

from __future__ import annotations

import contextlib

from failback.model.errors import ReleaseError
from failback.targets.base import Journal
from failback.targets.kubernetes.failures import AlreadyExists
from failback.targets.kubernetes.kinds import Object, labels_of
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.record import EXECUTION, execution_label
from failback.targets.kubernetes.site import Site, Staged

JOB_S_MAX = 1800.0


async def run(site: Site, staged: Staged, journal: Journal) -> None:
    """One after another, in the manifests' order. Raises ReleaseError with the Job's own words."""
    for job in staged.desired.jobs:
        shape = shaped(job, staged)
        name = shape["metadata"]["name"]
        # There already: created by this very execution, before it was killed or the answer got lost.
        with journal.intent("job.create", job=name), contextlib.suppress(AlreadyExists):
            await site.cluster.create(shape)
        await _until_done(site, name)


def shaped(job: Object, staged: Staged) -> Object:
    """The Job under a name of this revision, so that it runs once for it and never again."""
    name = f"{job['metadata']['name'][:50]}-{staged.revision.removeprefix('rev-')}"
    metadata = {**job["metadata"], "name": name}
    metadata["labels"] = {**labels_of(job), EXECUTION: execution_label(staged.execution)}
    return {**job, "metadata": metadata}


async def _until_done(site: Site, name: str) -> None:
    def ended(jobs: dict[str, Object]) -> bool:
        return name not in jobs or bool(_condition(jobs[name]))

    async with Mirror(site.cluster, "Job", fields=f"metadata.name={name}") as jobs:
        done = await jobs.until(ended, JOB_S_MAX)
        job = jobs.objects.get(name)
    if job is None:
        raise ReleaseError(f"Job {name} was deleted while it ran.", job=name)
    kind, reason, message = _condition(job) or ("", "", "")
    if not done:
        raise ReleaseError(f"Job {name} did not end within {JOB_S_MAX:.0f} s.", job=name)
    if kind == "Failed":
        raise ReleaseError(
            f"Job {name} failed ({reason}: {message}): the rollout was not begun. What it changed in a database is not "
            f"undone.",
            job=name,
        )


def _condition(job: Object) -> tuple[str, str, str] | None:
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return condition["type"], condition.get("reason", ""), condition.get("message", "")
    return None
