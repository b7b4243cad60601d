"""What is said of users' requests, and on what ground: endpoints, a probe, a gateway's page."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from failback.executor import measure
from failback.model.execution import impact_with_count, user_impact
from failback.targets.kubernetes.traffic import Traffic
from tests.cluster.support import is_testbed
from tests.cluster.watching.rig import LABEL, Rig, container, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not is_testbed(), reason="its images are the testbed's: run under testbed/run"),
]


class Counting:
    """Traffic from a start, told as an execution's result tells it."""

    def __init__(self, rig: Rig, **settings: Any) -> None:
        rig.site.settings = dataclasses.replace(rig.site.settings, traffic=settings)
        self.traffic = Traffic(rig.site, [rig.judged()])
        self.start: Mapping[str, Any] = {}

    async def __aenter__(self) -> Counting:
        await self.traffic.start()
        self.start = measure.as_record(await self.traffic.counters(), nothing_ran=False)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.traffic.close()

    async def told(self) -> str:
        measured = measure.over(self.start, await self.traffic.counters())
        return impact_with_count(user_impact(measured), measured.as_dict())


async def select(rig: Rig, revision: str) -> None:
    change = [{"op": "add", "path": f"/spec/selector/{LABEL}", "value": revision}]
    await rig.cluster.patch("Service", "web", change)
    await asyncio.sleep(1.5)


@pytest.fixture
async def back(rig: Rig) -> AsyncIterator[None]:
    """The Service leads to the stable pods again, whatever a story did to it."""
    yield
    await select(rig, rig.stable)


async def test_a_release_that_stayed_dark_is_seen_to_have_spared_the_users(rig: Rig) -> None:
    async with Counting(rig, source="endpoints") as counting:
        await rig.judge(pod(container({"STATUS": 500})))

        assert await counting.told() == (
            "ZERO: no request could reach the new release: none of its pods was ever an endpoint, and the stable ones "
            "stayed 2 of 2 (watched without a gap)"
        )


async def test_a_release_that_got_into_the_endpoints_is_not_zero(rig: Rig, back: None) -> None:
    await rig.judge(pod(container({"VERSION": "early"})))
    async with Counting(rig, source="endpoints") as counting:
        await select(rig, rig.hash)

        assert (await counting.told()).startswith("UNKNOWN: pods of the new release were endpoints: web-")


async def test_endpoints_say_nothing_of_the_requests_after_the_switch(rig: Rig, back: None) -> None:
    await rig.judge(pod(container({"VERSION": "meant"})))
    async with Counting(rig, source="endpoints") as counting:
        await counting.traffic.switched()
        await select(rig, rig.hash)

        assert (await counting.told()).startswith("UNKNOWN: users were switched to the new release")


async def test_a_probe_is_a_sample_and_says_so(rig: Rig, back: None) -> None:
    """Of its own it shows nothing of the users' requests; after the switch that is all there is."""
    address = f"http://{((await rig.cluster.get('Service', 'web')) or {})['spec']['clusterIP']}/"
    await rig.judge(pod(container({"VERSION": "probed"})))
    async with Counting(rig, source="probe", address=address) as counting:
        await asyncio.sleep(1.0)
        await counting.traffic.switched()
        await select(rig, rig.hash)
        told = await counting.told()
        view = counting.traffic.view()

    assert told.startswith("UNKNOWN: probe: 0 of "), told
    assert view is not None
    assert view.own
    assert view.new.requests > 0
    assert view.stable.requests > 0


async def test_a_gateways_page_counts(rig: Rig) -> None:
    """The page of a gateway that has seen 7 requests before and 1,204 more since, three of them failed."""
    page = {"good": 7, "bad": 0}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        service = f"{rig.cluster.namespace}-web-80@kubernetes"
        lines = [
            f'traefik_service_requests_total{{code="200",service="{service}"}} {page["good"]}',
            f'traefik_service_requests_total{{code="502",service="{service}"}} {page["bad"]}',
        ]
        body = "\n".join(lines).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with Counting(rig, source="gateway", address=f"http://127.0.0.1:{port}/metrics") as counting:
            page |= {"good": 1208, "bad": 3}

            assert await counting.told() == "3 requests failed: 3 of 1,204 requests failed"

            page |= {"good": 5, "bad": 0}
            assert await counting.told() == "UNKNOWN: the gateway was restarted meanwhile, and its counters with it"
    finally:
        server.close()


async def test_a_gateway_that_knows_nothing_of_the_service_is_unknown(rig: Rig) -> None:
    async with Counting(rig, source="gateway", address="http://127.0.0.1:9/metrics") as counting:
        assert (await counting.told()).startswith("UNKNOWN: the page at http://127.0.0.1:9/metrics cannot be read")
