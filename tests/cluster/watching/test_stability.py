"""Whether the stable revision is as it was: each thing that can be wrong is an action of its own that says so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from failback.targets.base import Action
from failback.targets.kubernetes.stability import baseline, verify_stable
from tests.cluster.support import is_testbed
from tests.cluster.watching.rig import CHECKS, LABEL, Rig, container, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="its images are the testbed's: run under testbed/run"),
]


def wrong(actions: Sequence[Action]) -> list[str]:
    return [action.text for action in actions if action.ok is False]


async def test_after_a_failed_dark_release_the_stable_one_is_untouched(rig: Rig) -> None:
    before = await baseline(rig.site, [rig.judged()], CHECKS)
    await rig.judge(pod(container({"EXIT_AT_START": 1})))

    actions = await verify_stable(rig.site, [rig.judged()], before)

    assert wrong(actions) == []
    told = " | ".join(action.text for action in actions)
    assert "all replicas ready (2/2)" in told
    assert "restarts unchanged" in told
    assert "endpoints healthy (2/2" in told
    assert "response time within SLA" in told
    assert "no new error lines" in told


async def test_endpoints_of_the_failed_revision_are_found(rig: Rig) -> None:
    """A Service that still leads to both is not back."""
    before = await baseline(rig.site, [rig.judged()], CHECKS)
    await rig.judge(pod(container({"VERSION": "wider"})))
    pinned = [{"op": "remove", "path": f"/spec/selector/{LABEL}"}]
    await rig.cluster.patch("Service", "web", pinned)
    try:
        actions = await verify_stable(rig.site, [rig.judged()], before)
    finally:
        back = [{"op": "add", "path": f"/spec/selector/{LABEL}", "value": rig.stable}]
        await rig.cluster.patch("Service", "web", back)

    assert any("2 endpoints of another revision" in text for text in wrong(actions)), actions


async def test_what_was_broken_before_is_no_worse(rig: Rig) -> None:
    """Half of it was not ready when the execution began: nobody is paged for that."""
    before = await baseline(rig.site, [rig.judged()], CHECKS)
    unit = before["units"]["Deployment/web"]
    unit["ready"] = 1
    judged = rig.judged()
    judged.replicas = 3

    actions = await verify_stable(rig.site, [judged], before)

    assert wrong(actions) == []
    assert "no worse than before" in actions[0].text


async def test_a_first_deployment_that_was_taken_back_leaves_no_endpoint(rig: Rig) -> None:
    judged = rig.judged()
    judged.stable = None
    judged.services = ("not-there",)

    actions = await verify_stable(rig.site, [judged], {})

    assert actions[0].text == "as before: nothing ran"
    assert wrong(actions) == []
