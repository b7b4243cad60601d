"""Wrong and slow answers of ready replicas, and the hiccups and warm-ups of healthy ones."""

from __future__ import annotations

from dataclasses import replace

from failback.model.evidence import ProbeResult
from failback.model.observation import ReplicaView
from tests.detection.scene import GOOD, REFUSED, RIGHT, SLOW, STARTING, WRONG, answer, exit_, fires, look_alike, view


def smoked(*answers: ProbeResult, done: bool = True, **more: object) -> ReplicaView:
    return replace(GOOD, smoke=answers, smoke_done=done, **more)  # type: ignore[arg-type]


BODY = answer(200, 5, "the body does not contain 'ok'")

FIRES = (
    fires("smoke-wrong", view(smoked(WRONG, WRONG, done=False), GOOD), "500 and 500 again"),
    fires("smoke-wrong", view(smoked(answer(404), answer(404), done=False), GOOD), "404 and 404 again"),
    fires("smoke-wrong", view(smoked(BODY, BODY, done=False), GOOD), "the right status with the wrong body"),
    fires("smoke-wrong", view(smoked(REFUSED, REFUSED, done=False), GOOD), "ready, and refuses connections"),
    fires("smoke-wrong", view(smoked(*[RIGHT] * 9, WRONG, WRONG, done=False), GOOD), "it breaks after some requests"),
    fires("smoke-wrong", view(smoked(WRONG), GOOD), "the only request that the plan asks for was never answered well"),
    fires(
        "smoke-wrong",
        view(
            smoked(answer(path="/a"), answer(500, path="/b"), answer(path="/a"), answer(500, path="/b"), done=False),
            GOOD,
        ),
        "each path by itself: good ones between are another's",
    ),
    fires(
        "smoke-often-wrong",
        view(smoked(*([RIGHT] * 19 + [WRONG]) * 3), GOOD),
        "5 % of the answers, never twice in a row",
    ),
    fires("smoke-often-wrong", view(smoked(WRONG, RIGHT, WRONG), GOOD), "two of three, a good one between"),
    fires("smoke-slow", view(smoked(SLOW, SLOW, SLOW), GOOD), "slow when warm as well"),
    fires("smoke-slow", view(smoked(RIGHT, SLOW, RIGHT, SLOW, SLOW), GOOD), "most of the answers"),
)

LOOK_ALIKES = (
    look_alike("smoke-wrong", view(smoked(WRONG, RIGHT, RIGHT), GOOD), "a hiccup: asked again, it answers well"),
    look_alike("smoke-wrong", view(smoked(WRONG, done=False), GOOD), "it is being asked again"),
    look_alike("smoke-wrong", view(smoked(WRONG, RIGHT, RIGHT), GOOD, at_s=4), "and is healthy", instead="all-seen"),
    look_alike(
        "smoke-wrong", view(replace(STARTING, smoke=(WRONG, WRONG)), GOOD), "it was not ready yet when it was asked"
    ),
    look_alike(
        "smoke-wrong",
        view(smoked(RIGHT, REFUSED, REFUSED, done=False, ready=False, exits=(exit_(1.2),)), GOOD),
        "nobody answers while it restarts; the restart is judged by its own rules",
    ),
    look_alike("smoke-often-wrong", view(smoked(*([RIGHT] * 10 + [WRONG]) * 2), GOOD), "two among many: rare hiccups"),
    look_alike(
        "smoke-often-wrong",
        view(smoked(*([RIGHT] * 130 + [WRONG]) * 3), GOOD),
        "three of 393 are within the 1 % that the plan allows",
    ),
    look_alike(
        "smoke-slow",
        view(smoked(SLOW, RIGHT, RIGHT), GOOD, at_s=4),
        "the first request of a healthy process is slow",
        instead="all-seen",
    ),
    look_alike("smoke-slow", view(smoked(SLOW, SLOW, RIGHT), GOOD), "two slow ones at the warm-up, then it is fast"),
    look_alike("smoke-slow", view(smoked(SLOW), GOOD), "a single slow answer is no failure"),
    look_alike("smoke-slow", view(smoked(RIGHT, SLOW, SLOW, RIGHT, RIGHT), GOOD), "fewer than half"),
)
