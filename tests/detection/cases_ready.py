"""Replicas that are not ready in time or not any more; slow but healthy starts, short pauses, resumed watches."""

from __future__ import annotations

from dataclasses import replace

from failback.model.observation import Stage
from tests.detection.scene import (
    ABSENT,
    GOOD,
    LIMITS,
    REFUSED,
    STARTING,
    answer,
    exit_,
    fires,
    look_alike,
    said,
    view,
    waiting,
)

TIMED_OUT = answer(None, 5000, "no answer within 5 s", kind="ready")
PAUSED = replace(GOOD, ready=False, last_ready_check=TIMED_OUT)
SILENT = replace(PAUSED, ready_failures=3, unready_since_s=5.0)
UNHEALTHY = said("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", at_s=6, count=3)
RESTARTED = replace(GOOD, ready=False, last_ready_check=REFUSED, exits=(exit_(4.0),))

NOT_FOUND = replace(STARTING, last_ready_check=answer(404, kind="ready"), denied_since_s=2.0)
ESM = "Error [ERR_REQUIRE_ESM]: require() of ES Module /app/node_modules/node-fetch/src/index.js not supported."
UNCAUGHT = replace(STARTING, last_ready_check=answer(500, kind="ready"), raises_since_s=1.0, new_errors=(ESM,))
TWIN = replace(UNCAUGHT, name="b")
BY_KUBELET = replace(STARTING, last_ready_check=None)
PROBED_404 = said("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404", at_s=2, count=3)
PATIENT = replace(LIMITS, ready_s_max=120)

FIRES = (
    fires("ready-check-denied", view(NOT_FOUND, GOOD, at_s=12), "404 and nothing else for ten seconds"),
    fires("ready-check-denied", view(BY_KUBELET, GOOD, at_s=12, says=(PROBED_404,)), "told to the kubelet three times"),
    fires("ready-check-denied", view(NOT_FOUND, GOOD, at_s=42), "a third of the plan's patience", limits=PATIENT),
    fires("ready-check-raises", view(UNCAUGHT, TWIN, at_s=4), "500 from both for three seconds, and both say why"),
    fires(
        "ready-check-raises",
        view(replace(UNCAUGHT, new_errors=("TypeError: fetch is not a function",)), at_s=4),
        "a name that its code does not have",
    ),
    fires(
        "ready-check-raises",
        view(UNCAUGHT, at_s=2.1),
        "a third of the plan's patience",
        limits=replace(LIMITS, ready_s_max=3),
    ),
    fires("stopped-answering", view(SILENT, GOOD, at_s=6.1), "three checks in a row, for a second"),
    fires(
        "stopped-answering", view(replace(PAUSED, last_ready_check=REFUSED), GOOD), "its socket is gone though it lives"
    ),
    fires(
        "stopped-answering",
        view(replace(PAUSED, last_ready_check=None, unready_since_s=5.0), GOOD, at_s=7, says=(UNHEALTHY,)),
        "the kubelet has counted its own failures",
    ),
    fires("not-ready-in-time", view(STARTING, GOOD, at_s=30), "its 30 seconds are over"),
    fires(
        "not-ready-in-time",
        view(replace(STARTING, started_at_s=100), GOOD, at_s=130),
        "counted from when its own code began",
    ),
    fires("not-ready-in-time", view(RESTARTED, GOOD, at_s=34.1), "a forgiven restart has its 30 seconds again, once"),
    fires(
        "not-ready-in-time",
        view(
            replace(STARTING, last_ready_check=None),
            GOOD,
            at_s=30,
            says=(said("Unhealthy", "Readiness probe failed: statuscode: 500"),),
        ),
        "by the kubelet's probe",
    ),
    fires(
        "not-begun-in-time",
        view(waiting("ContainerCreating"), GOOD, at_s=600),
        "whatever it waits for, ten minutes are enough",
    ),
    fires("not-begun-in-time", view(wanted=2, at_s=600), "there was never anything to judge"),
    fires(
        "not-begun-in-time",
        view(replace(GOOD, node_lost=True), wanted=1, at_s=600),
        "nothing came in the lost node's place",
    ),
    fires(
        "smoke-not-asked",
        view(replace(GOOD, smoke_done=False), GOOD, at_s=601.1),
        "an answer that never comes must not hold up for ever",
    ),
)

LOOK_ALIKES = (
    look_alike("ready-check-denied", view(NOT_FOUND, GOOD, at_s=11), "some servers listen before they have loaded all"),
    look_alike("ready-check-denied", view(NOT_FOUND, GOOD, at_s=41), "the plan gives it two minutes", limits=PATIENT),
    look_alike(
        "ready-check-denied",
        view(replace(NOT_FOUND, denied_since_s=None), GOOD, at_s=12),
        "another answer came in between",
    ),
    look_alike(
        "ready-check-denied",
        view(BY_KUBELET, GOOD, at_s=12, says=(replace(PROBED_404, count=2),)),
        "the kubelet has asked twice",
    ),
    look_alike(
        "ready-check-denied",
        view(BY_KUBELET, GOOD, at_s=12, says=(PROBED_404, replace(UNHEALTHY, at_s=11))),
        "it says 503 now: it gets on",
    ),
    look_alike(
        "ready-check-denied",
        view(BY_KUBELET, GOOD, at_s=12, says=(replace(PROBED_404, message=PROBED_404.message.replace("404", "429")),)),
        "too many requests is a matter of time",
    ),
    look_alike(
        "ready-check-denied",
        view(BY_KUBELET, GOOD, at_s=12, says=(replace(UNHEALTHY, at_s=2),)),
        "503: the application itself says not yet",
    ),
    look_alike("ready-check-denied", view(replace(GOOD, denied_since_s=2.0), GOOD, at_s=13), "it was ready once"),
    look_alike("ready-check-raises", view(UNCAUGHT, TWIN, at_s=3.9), "not yet three seconds"),
    look_alike("ready-check-raises", view(UNCAUGHT, GOOD, at_s=9), "the other one is well: no fault of the release"),
    look_alike(
        "ready-check-raises",
        view(UNCAUGHT, replace(TWIN, new_errors=()), at_s=9),
        "one of them has another reason, that nobody knows",
    ),
    look_alike(
        "ready-check-raises",
        view(replace(UNCAUGHT, new_errors=("Error: connect ECONNREFUSED 10.0.0.5:5432",)), at_s=9),
        "what it needs may come up yet",
    ),
    look_alike(
        "ready-check-raises",
        view(replace(UNCAUGHT, new_errors=("TypeError: Cannot read properties of undefined (reading 'eur')",)), at_s=9),
        "a value that may be there once all is loaded",
    ),
    look_alike(
        "ready-check-raises",
        view(replace(UNCAUGHT, raises_since_s=None, last_ready_check=answer(503, kind="ready")), at_s=9),
        "503: it says itself that it is not ready yet",
    ),
    look_alike(
        "stopped-answering", view(replace(SILENT, ready_failures=2), GOOD, at_s=6.1), "two checks are no series"
    ),
    look_alike("stopped-answering", view(SILENT, GOOD, at_s=5.5), "half a second: a collector's pause"),
    look_alike("stopped-answering", view(STARTING, GOOD), "it never was ready: a start"),
    look_alike(
        "stopped-answering", view(RESTARTED, GOOD, at_s=5), "it restarts after its one end", instead="ended-once"
    ),
    look_alike(
        "stopped-answering",
        view(replace(PAUSED, last_ready_check=None, unready_since_s=5.0), GOOD, at_s=7),
        "nobody says that a check failed: a readiness gate may wait",
    ),
    look_alike("not-ready-in-time", view(STARTING, GOOD, at_s=25), "slow, and within its time", instead="on-its-way"),
    look_alike(
        "not-ready-in-time",
        view(waiting("ContainerCreating"), GOOD, at_s=200),
        "a slow pull is no slow start",
        instead="being-started",
    ),
    look_alike(
        "not-ready-in-time",
        view(replace(STARTING, started_at_s=100), GOOD, at_s=125),
        "25 s after a pull of 100 s",
    ),
    look_alike(
        "not-ready-in-time",
        view(replace(ABSENT, running=True), GOOD, at_s=300, watched_since_s=299.0),
        "a watch that was resumed has not asked yet",
    ),
    look_alike(
        "not-ready-in-time",
        view(replace(ABSENT, running=True), GOOD, at_s=60.1, stage=Stage.BAKE, bake_started_s=60.0),
        "nor has the one after the cut-over",
    ),
    look_alike(
        "not-ready-in-time",
        view(replace(STARTING, deleted=True), GOOD, wanted=1, at_s=40),
        "a deleted pod",
        instead="all-seen",
    ),
    look_alike("not-begun-in-time", view(waiting("PodInitializing"), GOOD, at_s=599), "not yet"),
    look_alike("not-begun-in-time", view(wanted=2), "an empty view is the beginning", instead="on-its-way"),
    look_alike(
        "not-begun-in-time", view(wanted=0), "nothing wanted: nothing to call healthy either", instead="on-its-way"
    ),
    look_alike(
        "smoke-not-asked",
        view(replace(GOOD, smoke_done=False), GOOD, at_s=90),
        "many rounds of slow requests",
        instead="on-its-way",
    ),
)
