"""Jobs and rollouts that end without success, and deadlines of controllers."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.kube import in_namespace
from failback.diagnosis.rule import Hypothesis, quoted
from failback.diagnosis.scene import Scene
from failback.diagnosis.statements import Told, statement_rule
from failback.facts.signatures import error_lines
from failback.model.diagnosis import FailureType

_MIGRATION = re.compile(r"migrat|schema|alembic|flyway|liquibase|db-?(?:up|init|seed)|prisma", re.IGNORECASE)


@statement_rule(
    "job-failed",
    "BackoffLimitExceeded|DeadlineExceeded|PodFailurePolicy|FailedIndexes|MaxFailedIndexesExceeded",
    r".",
    source="the Job controller's conditions",
)
def job_failed(told: Told) -> Hypothesis | None:
    """A Job that gave up: what its pods printed says more, and counts more."""
    said = told.statement
    name = said.name or "the job"
    migration = bool(_MIGRATION.search(name + said.message))
    late = said.reason == "DeadlineExceeded" or "longer than specified deadline" in said.message
    kind = FailureType.MIGRATION_FAILED if migration else FailureType.TIMEOUT if late else FailureType.CODE_ERROR
    why = (
        "it was active longer than its deadline (activeDeadlineSeconds)"
        if late
        else "its pods failed as often as allowed (backoffLimit)"
    )
    last = _said_last(told.scene)
    return Hypothesis(
        kind,
        f"The Job {name} failed: {why}{f'; its pod printed: {last}' if last else ''}: {quoted(said.message)}",
        0.82 if migration or late else 0.6,
        (
            high(
                f"Fix what fails in the Job {name}",
                f"{'Raise activeDeadlineSeconds, or make the work shorter' if late else 'Correct what its pod prints, then delete and run the Job again'}{' (the migration may be half applied: check the schema first)' if migration else ''}",
                f"kubectl logs job/{name}{in_namespace(told.scene)} --all-pods; kubectl delete job {name}{in_namespace(told.scene)}",
            ),
        ),
        component=name,
        names=(name,),
    )


def _said_last(scene: Scene) -> str:
    """The last error that the pods printed, else their last line: two streams come in any order."""
    for document in scene.logs:
        if document.traces:
            root = document.traces[-1].root
            return quoted(f"{root.name}: {root.message}")
        errors = error_lines(document)
        if errors:
            return quoted(document.lines[max(errors.values())])
    return next((quoted(line) for d in scene.logs for line in reversed(d.lines) if line.strip()), "")


@statement_rule(
    "rollout-deadline",
    "ProgressDeadlineExceeded",
    r".",
    source="the Deployment controller",
)
def deadline(told: Told) -> Hypothesis | None:
    """The Deployment made no progress: only when nothing says why."""
    said = told.statement
    return Hypothesis(
        FailureType.TIMEOUT,
        f"The rollout of {said.name} made no progress within its deadline (progressDeadlineSeconds): {quoted(said.message)}",
        0.4,
        (high("See why the new pods are not ready", "Their state, events and logs say why", f"kubectl describe deployment {said.name}{in_namespace(told.scene)}"),),
        component=said.name,
    )  # fmt: skip
