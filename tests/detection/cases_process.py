"""Processes that end, and healthy releases one of whose replicas ended too."""

from __future__ import annotations

from dataclasses import replace

from failback.model.observation import Limits
from tests.detection.scene import GOOD, MIB, STARTING, ended, exit_, fires, look_alike, said, view, waiting

OOM = exit_(1.0, None, signal="SIGKILL", oom_killed=True)
MISSING = exit_(0.1, deterministic="missing module", telling_line="ModuleNotFoundError: No module named 'x'")
# Ended once at its start, came up by the restart.
CURED = replace(GOOD, exits=(exit_(0.4, 9),), ready_at_s=1.2)
# Ready at 1 s, ended at 1.3 s, ready again.
FELL = replace(GOOD, exits=(exit_(1.3, 9, lived_s=1.3),))
LIVENESS = "Container web failed liveness probe, will be restarted"

FIRES = (
    fires(
        "killed-for-memory",
        view(ended(OOM, memory_limit_bytes=64 * MIB), GOOD),
        "the kernel has killed it for its own limit",
    ),
    fires(
        "killed-for-memory",
        view(replace(GOOD, exits=(OOM,), memory_limit_bytes=64 * MIB), GOOD, at_s=9),
        "although a restart has brought it up again",
    ),
    fires("deterministic-exit", view(ended(MISSING), STARTING), "one replica suffices, as every start ends so"),
    fires(
        "deterministic-exit",
        view(ended(replace(MISSING, container="migrate", init=True)), STARTING),
        "an init container that can't succeed",
    ),
    fires(
        "killed-by-its-probe",
        view(STARTING, GOOD, says=(said("Killing", LIVENESS, count=2),)),
        "killed twice by its liveness probe",
    ),
    fires(
        "killed-by-its-probe",
        view(
            STARTING,
            STARTING,
            says=(
                said("Killing", LIVENESS),
                said("Killing", "Container web failed startup probe, will be restarted", "Pod/r2"),
            ),
        ),
        "each replica was killed once",
    ),
    fires(
        "crash-loop",
        view(replace(waiting("CrashLoopBackOff", "back-off 10s"), exits=(exit_(),)), GOOD),
        "the kubelet has seen two ends",
    ),
    fires("exits-again", view(ended(exit_(1), exit_(2)), GOOD, at_s=2), "the second unexplained end of one replica"),
    fires(
        "exits-again",
        view(ended(exit_(1, 0), exit_(2, 0)), GOOD, at_s=2),
        "a server that ends cleanly is gone all the same",
    ),
    fires(
        "exits-again",
        view(ended(exit_(1, container="proxy"), exit_(2, container="proxy")), GOOD),
        "a sidecar that ends twice",
    ),
    fires("every-replica-exited", view(ended(exit_()), ended(exit_())), "each ended at its start, and none is back"),
    fires("every-replica-exited", view(ended(exit_(0.4, 0)), ended(exit_(0.5, 0))), "cleanly, and gone"),
    fires(
        "every-replica-exited",
        view(FELL, FELL, at_s=1.6),
        "each ended after it had been ready, so a restart proves nothing",
    ),
    fires(
        "exits-again",
        view(ended(exit_()), at_s=2),
        "a plan that forgives nothing",
        limits=Limits(exits_max=1),
    ),
)

LOOK_ALIKES = (
    look_alike(
        "killed-for-memory",
        view(ended(OOM), GOOD),
        "without a limit of its own it was the machine that ran out of memory",
        instead="ended-once",
    ),
    look_alike(
        "killed-for-memory",
        view(ended(exit_(1, None, signal="SIGKILL"), memory_limit_bytes=MIB), GOOD),
        "killed by a person",
    ),
    look_alike(
        "deterministic-exit",
        view(ended(exit_(0.1, telling_line="Error: connect ECONNREFUSED")), STARTING),
        "a database that was not up yet",
    ),
    look_alike(
        "deterministic-exit",
        view(replace(ended(MISSING), deleted=True), GOOD, GOOD, wanted=2, at_s=4),
        "the pod is deleted, and others do",
        instead="all-seen",
    ),
    look_alike(
        "killed-by-its-probe",
        view(STARTING, GOOD, says=(said("Killing", LIVENESS),)),
        "one kill of one replica may be a slow moment",
    ),
    look_alike(
        "killed-by-its-probe",
        view(GOOD, GOOD, says=(said("Killing", "Stopping container web", count=5),)),
        "pods that are told to stop are killed as well",
    ),
    look_alike(
        "killed-by-its-probe",
        view(STARTING, GOOD, says=(said("Killing", LIVENESS, "Pod/r2-of-the-stable-revision", count=9),)),
        "another revision's pod",
    ),
    look_alike(
        "crash-loop",
        view(replace(waiting("ContainerCreating"), exits=(exit_(),)), GOOD),
        "the first restart is no loop",
    ),
    look_alike(
        "crash-loop",
        view(replace(waiting("CrashLoopBackOff"), exits=(exit_(),)), GOOD),
        "a plan that forgives more than the kubelet's back-off proves",
        limits=Limits(exits_max=5),
    ),
    look_alike("exits-again", view(CURED, GOOD, at_s=2), "one flaky restart", instead="ended-once"),
    look_alike("exits-again", view(CURED, GOOD, at_s=4), "one flaky restart, and calm since", instead="all-seen"),
    look_alike(
        "exits-again",
        view(ended(exit_(), exit_(1, container="proxy")), GOOD),
        "the container and its sidecar once each: neither has done it again",
    ),
    look_alike(
        "exits-again",
        view(replace(GOOD, exits=(exit_(code=0, container="setup", init=True),) * 3), GOOD, at_s=4),
        "an init container that ends well has done its work",
        instead="all-seen",
    ),
    look_alike(
        "exits-again",
        view(replace(ended(exit_(1, 137), exit_(2, 137)), node_lost=True), GOOD),
        "the node went away",
        instead="node-lost",
    ),
    look_alike("every-replica-exited", view(ended(exit_()), GOOD), "one of two"),
    look_alike("every-replica-exited", view(ended(exit_())), "one of one is one flaky restart"),
    look_alike("every-replica-exited", view(CURED, CURED, at_s=2), "two flaky starts, both cured by their restart"),
    look_alike(
        "every-replica-exited", view(CURED, ended(exit_())), "one is cured: the release can start, so the other may too"
    ),
    look_alike(
        "every-replica-exited",
        view(ended(exit_()), ended(exit_()), STARTING),
        "two of three: the third may start, and they again",
    ),
    look_alike("every-replica-exited", view(CURED, CURED, GOOD, at_s=5), "and healthy in the end", instead="all-seen"),
)
