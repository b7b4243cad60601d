"""Jobs that run before a rollout (migrations): each once a revision, and a failed one ends the deployment."""

from __future__ import annotations

import asyncio
import contextlib
import time

from failback.model.errors import ReleaseError
from failback.model.observation import ReplicaView, Stage, Verdict, View
from failback.targets.base import Journal
from failback.targets.kubernetes.failures import AlreadyExists
from failback.targets.kubernetes.kinds import Object, labels_of
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.pods import evicted, is_leaving, is_running, seconds_of, waiting
from failback.targets.kubernetes.record import EXECUTION, execution_label
from failback.targets.kubernetes.saying import Sayings
from failback.targets.kubernetes.site import Site, Staged
from failback.targets.kubernetes.telling import Telling

JOB_S_MAX = 1800.0
JOB_LABEL = "batch.kubernetes.io/job-name"
_LOOK_S_MAX = 1.0  # some of what is judged is how long it has been so
_UNDONE = "the rollout was not begun. What it changed in a database is not undone."


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
        done = asyncio.create_task(jobs.until(ended, JOB_S_MAX))
        try:
            created = seconds_of((jobs.objects.get(name) or {}).get("metadata", {}).get("creationTimestamp"))
            verdict = await _never_begins(site, name, created or time.time(), done)
        finally:
            done.cancel()
        job = jobs.objects.get(name)
    if verdict is not None:
        raise ReleaseError(f"Job {name}: {verdict.reason}: {_UNDONE}", job=name, rule=verdict.rule)
    if job is None:
        raise ReleaseError(f"Job {name} was deleted while it ran.", job=name)
    kind, reason, message = _condition(job) or ("", "", "")
    if not kind:
        raise ReleaseError(f"Job {name} did not end within {JOB_S_MAX:.0f} s.", job=name)
    if kind == "Failed":
        raise ReleaseError(
            f"Job {name} failed ({reason}: {message}): {_UNDONE}",
            job=name,
        )


async def _never_begins(site: Site, name: str, created: float, done: asyncio.Task[bool]) -> Verdict | None:
    """Looks at the Job's pods until it is done. The Job's own count of failures says nothing of a pod that only waits:
    for an image that is not there, a node that does not fit."""
    began = time.monotonic() - max(0.0, time.time() - created)
    bell = asyncio.Event()

    def now_s() -> float:
        return time.monotonic() - began

    sayings = Sayings(site.redactor, now_s, created)
    telling = Telling(site.cluster, sayings, (), bell.set)

    def take(change: str, pod: Object) -> None:
        telling.pod(pod)
        bell.set()

    done.add_done_callback(lambda _: bell.set())
    telling.owner("Job", name)
    try:
        async with Mirror(site.cluster, "Pod", labels=f"{JOB_LABEL}={name}", on_change=take) as pods:
            while not done.done():
                bell.clear()
                replicas = tuple(_replica(pod) for pod in pods.values())
                view = View(now_s(), Stage.DARK, 1, replicas, sayings.all(), autoscaled=telling.autoscaled)
                verdict = site.cannot_begin(view)
                if verdict is not None and not pods.blind:
                    return verdict
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), _LOOK_S_MAX)
    finally:
        await telling.close()
    return None


def _replica(pod: Object) -> ReplicaView:
    return ReplicaView(
        name=pod["metadata"]["name"],
        running=is_running(pod),
        waiting=waiting(pod),
        deleted=is_leaving(pod),
        evicted=evicted(pod),
    )


def _condition(job: Object) -> tuple[str, str, str] | None:
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return condition["type"], condition.get("reason", ""), condition.get("message", "")
    return None
