"""What a person sees before and after: the change, drift, what runs, what was left behind."""

from __future__ import annotations

import asyncio

import pytest

from failback.targets.kubernetes import examining
from failback.targets.kubernetes.difference import difference
from failback.targets.kubernetes.record import RECORD, ROLLOUT_OF, Moment, Record
from failback.targets.kubernetes.status import service_state
from tests.cluster.input.rig import config, with_container
from tests.cluster.support import app

pytestmark = pytest.mark.cluster


async def test_the_difference_is_what_the_server_would_make_of_it(rig):
    """Defaults that the server fills in are no change, and another image is one."""
    rig.serve(*app(), config("token", "Secret", token="s3cret-value"))

    nothing = await difference(rig.site, rig.wanted(*app()))
    something = await difference(
        rig.site, rig.wanted(*app(), config("token", "Secret", token="other-value"), image="failback/app:2")
    )

    assert nothing == ""
    changed = [
        line[1:].strip() for line in something.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert changed == ["- image: failback/app:1", "- image: failback/app:2"]
    assert "# Secret/token: other values of token" in something
    assert "value" not in something.replace("other values", "")


async def test_a_first_deployment_is_shown_whole(rig):
    text = await difference(rig.site, rig.wanted(*app()))

    assert "--- nothing\n+++ Deployment/app" in text and "--- nothing\n+++ Service/app" in text


async def test_what_others_changed_since_is_drift(rig):
    await rig.site.cluster.apply(rig.wanted(*app()).workloads[0])
    rig.cluster.apply(app()[1])
    await asyncio.sleep(1.1)  # managers' times have whole seconds
    rig.cluster.kubectl("set", "resources", "deployment/app", "--limits=memory=256Mi")

    text = await difference(rig.site, rig.wanted(*with_container(app(), resources={"limits": {"memory": "64Mi"}})))

    assert "# Changed by others since failback's last release:" in text
    line = next(line for line in text.splitlines() if "resources.limits.memory" in line)
    assert line.startswith(
        "# Deployment/app: spec.template.spec.containers[app].resources.limits.memory = 256Mi (by kubectl"
    )
    assert line.endswith("this release overwrites it")


async def test_what_runs(rig):
    rig.serve(*app())

    state = await service_state(rig.site, rig.wanted(*app()).units)

    pods = rig.cluster.listed("pods")
    assert state.stable == pods[0]["metadata"]["labels"]["pod-template-hash"]
    assert {one.name for one in state.replicas if one.running and one.healthy} == rig.pods()
    assert [str(one.state) for one in state.revisions] == ["live"]
    assert state.proxy["endpoints"] == 2
    assert state.notes == ()


async def test_former_revisions_and_what_is_not_at_rest(rig):
    rig.serve(*app())
    first = (await service_state(rig.site, rig.wanted(*app()).units)).stable
    rig.cluster.apply(*with_container(app(), env=[{"name": "A", "value": "1"}]))
    rig.cluster.rolled_out()
    rig.cluster.wait_until(lambda: len(rig.pods()) == 2, "the first pods to leave")
    second = await service_state(rig.site, rig.wanted(*app()).units)
    rig.cluster.apply(*with_container(app(), image="registry.invalid/app:1"))
    third = await service_state(rig.site, rig.wanted(*app()).units)

    assert [(one.id, str(one.state)) for one in second.revisions] == [(second.stable, "live"), (first, "retired")]
    assert third.stable == second.stable
    assert "is not at rest" in third.notes[0]


async def test_nothing_runs(rig):
    state = await service_state(rig.site, rig.wanted(*app()).units)

    assert (state.stable, state.revisions, state.replicas) == (None, (), ())


async def test_doctor_finds_a_rollout_that_was_left_behind(rig):
    rig.serve(*app())
    record = Record("execution-1", "rev-1", Moment.DARK, "7d9f")
    rig.cluster.kubectl("label", "deployment/app", f"{ROLLOUT_OF}=app")
    rig.cluster.kubectl("annotate", "deployment/app", f"{RECORD}={record.text()}")

    left = await examining.examine(rig.site)
    await rig.site.lease.hold()
    held = await examining.examine(rig.site)

    assert [one.level for one in left] == ["ok", "ok", "error"]
    assert "execution-1 was left behind" in left[2].message
    assert [one.level for one in held] == ["ok", "ok", "info"]
