"""When a pod counts as ready, what it is asked then, and what is not held against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from failback.model.errors import TargetUnavailable
from failback.targets.expectations import Answer, Question
from failback.targets.kubernetes.nodes import Nodes
from failback.targets.kubernetes.probing import Asked, Prober, Sampler
from failback.targets.kubernetes.reaching import NO_WAY, Reach, Way
from tests.targets.kubernetes.objects import pod, running

PROBED = {"containers": [{"name": "app", "readinessProbe": {"httpGet": {"path": "/", "port": 8080}}}]}
GOOD, BAD, REFUSED = Answer(200, "fine", 2.0), Answer(500, "", 2.0), Answer(None, error="connection refused")
SILENT = Answer(None, error="no answer within 5 s")


class Asking:
    """Answers by the pod's name, the same each time, or by a function of how often it was asked."""

    def __init__(self, way: Way = Way.DIRECT, **by_name: Answer | Callable[[int], Answer]) -> None:
        self.way = way
        self.by_name = by_name
        self.asked: list[tuple[str, str]] = []
        self.usual: float | None = None

    async def ask(self, one: dict[str, Any], question: Question, port: Any = None) -> Answer:
        name = one["metadata"]["name"]
        self.asked.append((name, question.path))
        answer = self.by_name[name]
        return answer if isinstance(answer, Answer) else answer(len(self.asked))

    async def usual_ms(self, stable: Any, question: Question) -> float | None:
        return self.usual


class Heard:
    """The node of every pod gives a sign of life, or none does."""

    def __init__(self, heard: bool = True) -> None:
        self.heard = heard

    async def is_heard(self, one: dict[str, Any]) -> bool:
        await asyncio.sleep(0.01)
        return self.heard


def named(name: str, spec: dict[str, Any] = PROBED) -> dict[str, Any]:
    return pod(running(), name=name, uid=name, spec=spec)


class Scene:
    def __init__(
        self, asking: Asking, checks: dict[str, Any], stable: Sequence[dict[str, Any]] = (), heard: bool = True
    ) -> None:
        self.prober = Prober(
            cast(Reach, asking),
            checks,
            lambda: stable,
            cast(Nodes, Heard(heard)),
            lambda: 7.0,
            lambda: None,
            lambda name, answer: None,
            smoking=True,
        )

    async def until(self, one: dict[str, Any], holds: Callable[[Asked], Any], within_s: float = 5.0) -> Asked:
        for _ in range(int(within_s / 0.01)):
            asked = self.prober.of(one)
            if asked is not None and holds(asked):
                return asked
            await asyncio.sleep(0.01)
        raise AssertionError(self.prober.of(one))


@pytest.fixture
async def scenes() -> AsyncIterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(*arguments: Any, **more: Any) -> Scene:
        made.append(Scene(*arguments, **more))
        return made[-1]

    yield make
    for scene in made:
        await scene.prober.close()


SMOKE = [{"path": "/buy", "status": (200,)}]
PLAIN: dict[str, Any] = {"ready": {"path": "/"}, "smoke": SMOKE}


async def test_the_pods_condition_comes_first(scenes: Callable[..., Scene]) -> None:
    """Before it nothing is asked: an application that starts is not to be disturbed."""
    asking = Asking(new=GOOD)
    scene = scenes(asking, PLAIN)
    one = named("new")
    scene.prober.seen(one, ready=False, at_s=1.0)
    await asyncio.sleep(0.1)
    assert asking.asked == []

    scene.prober.seen(one, ready=True, at_s=3.0)

    asked = await scene.until(one, lambda found: found.smoke_done)
    assert (asked.ready, asked.ready_at_s) == (True, 3.0)
    assert [answer.path for answer in asked.smoke] == ["/buy"]


async def test_a_pod_without_a_probe_is_ready_when_it_listens(scenes: Callable[..., Scene]) -> None:
    """Kubernetes calls it ready from its start on; its first refusals are no wrong answers."""
    asking = Asking(new=lambda times: REFUSED if times < 4 else GOOD)
    scene = scenes(asking, PLAIN)
    one = named("new", spec={"containers": [{"name": "app"}]})

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.smoke_done)
    assert all(answer.passed for answer in asked.smoke)


async def test_a_check_that_the_plan_spells_out_counts_beside_the_condition(scenes: Callable[..., Scene]) -> None:
    scene = scenes(Asking(new=BAD), {**PLAIN, "ready": {"path": "/health"}})
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.last)
    assert not asked.ready
    assert asked.smoke == []


async def test_where_nobody_can_ask_the_condition_decides_and_smoke_says_why(scenes: Callable[..., Scene]) -> None:
    """A release whose answers nobody could get is not known to be good."""
    scene = scenes(Asking(Way.NONE, new=Answer(None, error=NO_WAY)), {**PLAIN, "ready": {"path": "/health"}})
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.smoke_done)
    assert asked.ready
    assert asked.smoke[0].error == NO_WAY


async def test_a_bad_answer_is_asked_for_again(scenes: Callable[..., Scene]) -> None:
    """So that a hiccup is told from a fault."""
    scene = scenes(Asking(new=lambda times: BAD if times == 1 else GOOD), PLAIN)
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.smoke_done)
    assert [answer.passed for answer in asked.smoke] == [False, True, True]


async def test_without_smoke_checks_the_stable_revisions_answer_is_the_standard(scenes: Callable[..., Scene]) -> None:
    scene = scenes(Asking(new=BAD, old=GOOD), {"ready": {"path": "/"}, "smoke": []}, [named("old")])
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.smoke_done)
    assert asked.smoke
    assert not asked.smoke[0].passed


async def test_nothing_is_asked_for_that_the_stable_revision_does_not_answer_either(
    scenes: Callable[..., Scene],
) -> None:
    """A service without a page at "/", or one that speaks no HTTP."""
    scene = scenes(Asking(new=BAD, old=BAD), {"ready": {"path": "/"}, "smoke": []}, [named("old")])
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    assert (await scene.until(one, lambda found: found.smoke_done)).smoke == []


async def test_a_check_that_the_stable_revision_fails_too_says_so(scenes: Callable[..., Scene]) -> None:
    """It is still wrong, by the plan's own words; but the release may not be what is to be mended."""
    scene = scenes(Asking(new=BAD, old=Answer(302)), PLAIN, [named("old")])
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.smoke_done)
    assert asked.smoke[0].error == "answered 500; a stable pod fails this check as well: answered 302"


@pytest.mark.parametrize(("usual_ms", "good"), [(None, False), (50.0, False), (200.0, True)])
async def test_a_late_answer_is_measured_against_the_way_itself(
    scenes: Callable[..., Scene], usual_ms: float | None, good: bool
) -> None:
    """400 ms where 300 are allowed: late, unless the way to a stable pod takes 200 of them."""
    asking = Asking(new=Answer(200, "fine", 400.0), old=GOOD)
    asking.usual = usual_ms
    scene = scenes(asking, {"ready": {"path": "/"}, "smoke": [{"path": "/", "max_ms": 300}]}, [named("old")])
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.smoke_done)
    assert asked.smoke[0].passed is good


async def test_an_api_server_that_is_away_is_no_answer_of_the_pod(scenes: Callable[..., Scene]) -> None:
    def away(times: int) -> Answer:
        if times < 3:
            raise TargetUnavailable("away")
        return GOOD

    scene = scenes(Asking(new=away), {**PLAIN, "ready": {"path": "/health"}})
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.smoke_done)
    assert all(answer.passed for answer in asked.smoke)


async def test_a_pod_that_answers_no_more_is_counted_from_the_first_failure(scenes: Callable[..., Scene]) -> None:
    asking = Asking(new=lambda times: GOOD if times < 4 else REFUSED)
    scene = scenes(asking, {**PLAIN, "ready": {"path": "/health"}})
    one = named("new")

    scene.prober.seen(one, ready=True, at_s=0.5)

    asked = await scene.until(one, lambda found: found.failures >= 3)
    assert (asked.ready, asked.unready_since_s) == (False, 7.0)


async def test_silence_on_a_node_that_is_silent_itself_is_not_held_against_the_pod(
    scenes: Callable[..., Scene],
) -> None:
    """For 45 s the API says nothing of a node that went away."""
    asking = Asking(new=lambda times: GOOD if times < 4 else SILENT)
    scene = scenes(asking, {**PLAIN, "ready": {"path": "/health"}}, heard=False)
    one = named("new")
    scene.prober.seen(one, ready=True, at_s=0.5)
    await scene.until(one, lambda found: found.smoke_done)

    await asyncio.sleep(1.0)

    asked = scene.prober.of(one)
    assert asked is not None
    assert (asked.ready, asked.failures) == (True, 0)


def sampling(asking: Asking, checks: dict[str, Any] = PLAIN, heard: bool = True) -> Sampler:
    nodes = cast(Nodes, Heard(heard))
    return Sampler(cast(Reach, asking), checks, lambda: [named("new")], lambda: [named("old")], nodes, lambda: None)


@pytest.mark.parametrize("heard", [True, False])
async def test_silence_while_it_bakes_counts_when_the_node_is_heard(heard: bool) -> None:
    asking = Asking(new=SILENT, old=GOOD)
    sampler = sampling(asking, heard=heard)
    running_ = asyncio.create_task(sampler.run())
    await asyncio.sleep(0.9)
    running_.cancel()
    await asyncio.gather(running_, return_exceptions=True)

    view = sampler.view()

    assert (view is not None and view.new.failed >= 2) is heard


async def test_while_it_bakes_both_sides_are_asked_alike() -> None:
    asking = Asking(new=BAD, old=GOOD)
    sampler = sampling(asking)
    running_ = asyncio.create_task(sampler.run())
    await asyncio.sleep(0.9)
    running_.cancel()

    view = sampler.view()

    assert view is not None
    assert view.own
    assert view.new.failed == view.new.requests >= 2
    assert view.stable.failed == 0
    assert view.stable.requests >= 2


async def test_what_changes_something_is_not_asked_while_it_bakes() -> None:
    checks = {"smoke": [{"path": "/orders", "method": "POST", "status": (201,)}]}
    asking = Asking(new=GOOD)
    sampler = sampling(asking, checks)

    await sampler.run()

    assert asking.asked == []
    assert sampler.view() is None
