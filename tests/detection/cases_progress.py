"""When a release is healthy, and what is told while it is waited for."""

from __future__ import annotations

from dataclasses import replace

from failback.model.observation import VerdictState
from tests.detection.cases_image import backing_off
from tests.detection.cases_pod import ATTACH, CREATING, LOW, NO_CPU, UP
from tests.detection.scene import ABSENT, GOOD, STARTING, baking, ended, exit_, fires, look_alike, said, view

WAIT = VerdictState.PROGRESSING

FIRES = (
    fires("all-seen", view(GOOD, GOOD, at_s=3.0), "ready, asked, and calm for the soak"),
    fires(
        "all-seen", view(GOOD, GOOD, replace(ABSENT, deleted=True), wanted=2, at_s=3.0), "a deleted one does not count"
    ),
    fires("all-seen", baking(500, 0, stable=(500, 0, 0), at_s=8.0), "the bake is over and its requests were fine"),
    fires("node-lost", view(replace(STARTING, node_lost=True), GOOD), "it is scheduled anew"),
    fires("evicted-once", view(replace(ABSENT, evicted=LOW), GOOD, wanted=2), "one eviction"),
    fires("pull-backs-off", view(backing_off, GOOD), "no error is known yet"),
    fires("scaling-up", view(ABSENT, GOOD, at_s=100, says=(said("FailedScheduling", NO_CPU), UP)), "a node comes"),
    fires("asks-for-a-node", view(ABSENT, GOOD, says=(said("FailedScheduling", NO_CPU),)), "a node may come"),
    fires(
        "volume-is-slow", view(CREATING, GOOD, says=(said("FailedAttachVolume", ATTACH),)), "another node gives it back"
    ),
    fires("being-started", view(CREATING, GOOD), "a container is made"),
    fires("ended-once", view(ended(exit_()), GOOD), "it is forgiven once"),
    fires("odd-line", view(replace(GOOD, new_errors=("ERROR odd",)), GOOD), "does it repeat?"),
    fires("on-its-way", view(STARTING, GOOD), "nothing speaks against it"),
)


def not_healthy(seen: object, why: str) -> object:
    return look_alike("all-seen", seen, why, state=WAIT)  # type: ignore[arg-type]


LOOK_ALIKES = (
    not_healthy(view(GOOD, GOOD, at_s=2.9), "the soak is not over"),
    not_healthy(view(GOOD, wanted=2, at_s=9), "one is missing"),
    not_healthy(view(GOOD, GOOD, STARTING, wanted=2, at_s=9), "a third is there, and not ready"),
    not_healthy(view(replace(GOOD, smoke_done=False), GOOD, at_s=9), "not all was asked"),
    not_healthy(view(GOOD, replace(GOOD, running=False), at_s=9), "ready by an old answer, and not running"),
    not_healthy(
        view(replace(GOOD, exits=(exit_(0.4),), ready_at_s=8.0), GOOD, at_s=9), "it came up by a restart a second ago"
    ),
    not_healthy(
        view(replace(GOOD, exits=(exit_(7.0, lived_s=6.0),)), GOOD, at_s=12),
        "it has lived 5 s since it ended after 6: it must outlive that first",
    ),
    not_healthy(view(wanted=0, at_s=9), "nothing was seen"),
    not_healthy(baking(500, 0, at_s=7.9), "the bake is not over"),
    not_healthy(baking(30, 4, stable=(5000, 0, 0), at_s=8.1), "four of 30 are suspicious: looked at for longer"),
    not_healthy(
        baking(50, 0, at_s=8.1, replicas=(replace(GOOD, exits=(exit_(7.5, lived_s=0.1),)), GOOD)),
        "a restart in the bake soaks anew",
    ),
    look_alike("node-lost", view(STARTING, GOOD), "its node is there", instead="on-its-way"),
    look_alike(
        "evicted-once",
        view(replace(STARTING, deleted=True), GOOD, wanted=2),
        "deleted, not evicted",
        instead="on-its-way",
    ),
    look_alike("pull-backs-off", view(CREATING, GOOD), "it pulls for the first time", instead="being-started"),
    look_alike("scaling-up", view(STARTING, GOOD, says=(UP,)), "the node has come, and it runs", instead="on-its-way"),
    look_alike(
        "asks-for-a-node",
        view(STARTING, GOOD, says=(said("FailedScheduling", NO_CPU),)),
        "it found one",
        instead="on-its-way",
    ),
    look_alike(
        "volume-is-slow",
        view(STARTING, GOOD, says=(said("FailedAttachVolume", ATTACH),)),
        "it has got it",
        instead="on-its-way",
    ),
    look_alike("being-started", view(STARTING, GOOD), "its code runs", instead="on-its-way"),
    look_alike(
        "ended-once",
        view(replace(STARTING, exits=(exit_(code=0, container="setup", init=True),)), GOOD),
        "an init container's good end is none",
        instead="on-its-way",
    ),
    look_alike("odd-line", view(replace(GOOD, new_errors=("WARN odd",)), GOOD), "a warning", instead="on-its-way"),
    look_alike("on-its-way", view(GOOD, GOOD, at_s=4), "it has arrived", instead="all-seen"),
)
