"""Requests that fail or are slow more than usual, and those of releases that are as good as the stable one."""

from __future__ import annotations

from dataclasses import replace

from failback.model.observation import Stage
from tests.detection.scene import baking, fires, look_alike

FIRES = (
    fires("requests-fail", baking(3, 3, stable=(5000, 0, 0)), "three of three, and none before"),
    fires("requests-fail", baking(40, 40), "with nothing to compare with, the plan's own share is the standard"),
    fires("requests-fail", baking(400, 20, stable=(5000, 0, 0)), "5 % against none"),
    fires("requests-fail", baking(300, 90, stable=(2000, 100, 0)), "30 % against 5 %"),
    fires(
        "requests-fail",
        replace(baking(400, 20, stable=(5000, 0, 0)), stage=Stage.DARK, bake_started_s=None),
        "copies of users' requests while dark",
    ),
    fires(
        "requests-slower",
        baking(200, 0, slow=150, stable=(1000, 0, 5), slow_ms=500),
        "most are slow, hardly any before",
    ),
    fires("every-request-failed", baking(2, 2, at_s=8.1), "two came until the end, and both failed"),
)

LOOK_ALIKES = (
    look_alike("requests-fail", baking(0, 0), "no request came"),
    look_alike("requests-fail", baking(0, 0, at_s=8.1), "no request came until the end", instead="all-seen"),
    look_alike("requests-fail", baking(1, 1, stable=(5000, 0, 0)), "one request"),
    look_alike(
        "requests-fail",
        baking(400, 20, stable=(4000, 200, 0), at_s=8.1),
        "the stable one fails as often",
        instead="all-seen",
    ),
    look_alike("requests-fail", baking(40, 1, stable=(5000, 0, 0)), "one of 40"),
    look_alike("requests-fail", baking(10, 6, stable=(10, 6, 0)), "both often, both seen little"),
    look_alike(
        "requests-fail",
        baking(1000, 8, stable=(5000, 0, 0), at_s=8.1),
        "below the allowed increase",
        instead="all-seen",
    ),
    look_alike(
        "requests-slower",
        baking(200, 0, slow=15, stable=(1000, 0, 60), slow_ms=500, at_s=8.1),
        "about as many as before",
    ),
    look_alike(
        "requests-slower", baking(200, 0, slow=150, stable=(1000, 0, 5)), "no limit was told, so nothing is slow"
    ),
    look_alike("requests-slower", baking(3, 0, slow=3, stable=(1000, 0, 700), slow_ms=500), "where most always were"),
    look_alike("every-request-failed", baking(1, 1, at_s=8.1), "one request is no series"),
    look_alike("every-request-failed", baking(2, 2), "the bake is not over: the next may be good"),
    look_alike("every-request-failed", baking(3, 2, at_s=8.1), "one was good"),
    look_alike("every-request-failed", baking(2, 2, stable=(10, 3, 0), at_s=8.1), "they failed before as well"),
)
