"""How a pod is asked: its own answer is told from what the API server says in its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from failback.model.errors import TargetUnavailable
from failback.targets.expectations import Question
from failback.targets.kubernetes import reaching
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.reaching import NO_PORT, NO_WAY, Reach, Way
from tests.targets.kubernetes.objects import pod, running

SERVICE = {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}
ROOT = Question("/", headers={"Host": "shop.example"})
FAR = "192.0.2.1"


def response(status: int, text: str = "") -> tuple[int, str]:
    return status, text


class Proxy:
    """The API server's pod proxy, answering as told."""

    def __init__(self, answer: Callable[[], Any], allowed: bool = True) -> None:
        self.answer = answer
        self.allowed = allowed
        self.asked: list[tuple[str, int, str, dict[str, str]]] = []

    async def can(self, verb: str, kind: str, *, sub: str = "") -> bool:
        return self.allowed

    async def through_pod(
        self, pod: str, port: int, path: str, *, method: str, headers: dict[str, str], timeout_s: float
    ) -> Any:
        self.asked.append((pod, port, path, headers))
        answer = self.answer()
        return await answer if isinstance(answer, Awaitable) else answer


def status(code: int, message: str, reason: str = "") -> tuple[int, str]:
    shape = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "message": message,
        "reason": reason,
    }
    return response(code, json.dumps(shape))


@pytest.fixture(autouse=True)
def not_in_the_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reaching, "_IN_CLUSTER", tmp_path / "no-account")
    really = reaching._connects

    async def connects(address: str, port: int) -> bool | None:
        """Nothing is heard from far away, whatever this machine's own network says of that address."""
        return None if address == FAR else await really(address, port)

    monkeypatch.setattr(reaching, "_connects", connects)


def far_pod() -> dict[str, Any]:
    """At an address that nobody here has."""
    return pod(running(), status={"podIP": FAR})


def reach(proxy: Proxy) -> Reach:
    return Reach(cast(Cluster, proxy), [SERVICE])


async def test_from_outside_a_pod_is_asked_through_the_api_server() -> None:
    proxy = Proxy(lambda: response(200, "fine"))
    asking = reach(proxy)

    answer = await asking.ask(far_pod(), Question("/health", headers={"Host": "shop.example", "X-A": "1"}))

    assert (answer.status, answer.body, asking.way) == (200, "fine", Way.PROXY)
    assert proxy.asked == [("web-1", 8080, "/health", {"X-A": "1"})], "the Host would be the API server's"


async def test_the_pods_own_error_is_its_answer() -> None:
    assert (await reach(Proxy(lambda: response(503, "busy"))).ask(far_pod(), ROOT)).status == 503


async def test_nobody_listens() -> None:
    text = "error trying to reach service: dial tcp 10.0.0.9:8080: connect: connection refused"

    answer = await reach(Proxy(lambda: status(503, text))).ask(far_pod(), ROOT)

    assert (answer.status, answer.error) == (None, "connection refused")


async def test_a_pod_that_is_gone_says_nothing() -> None:
    answer = await reach(Proxy(lambda: status(404, 'pods "web-1" not found', "NotFound"))).ask(far_pod(), ROOT)

    assert (answer.status, answer.error) == (None, "the pod is gone")


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
async def test_what_the_api_server_refuses_is_not_the_pods_answer(code: int) -> None:
    """An API server that is busy, or a right that was taken away, must condemn no release."""
    with pytest.raises(TargetUnavailable):
        await reach(Proxy(lambda: status(code, "not now"))).ask(far_pod(), ROOT)


async def test_a_lost_connection_to_the_api_server_is_not_the_pods_answer() -> None:
    def lost() -> Any:
        raise httpx2.ConnectError("refused")

    with pytest.raises(TargetUnavailable):
        await reach(Proxy(lost)).ask(far_pod(), ROOT)


async def test_an_answer_that_does_not_come_is_a_time_out() -> None:
    answer = await reach(Proxy(lambda: asyncio.sleep(60))).ask(far_pod(), Question("/", timeout_s=0.1))

    assert (answer.status, answer.error) == (None, "no answer within 0.1 s")


async def test_an_applications_own_document_of_that_kind_is_its_answer() -> None:
    """A service may well answer with JSON that has a `kind`."""
    own = response(200, json.dumps({"kind": "Status", "status": "Success", "apiVersion": "shop/v1"}))

    assert (await reach(Proxy(lambda: own)).ask(far_pod(), ROOT)).status == 200


async def test_credentials_of_a_check_never_go_to_the_api_server() -> None:
    proxy = Proxy(lambda: response(200))

    answer = await reach(proxy).ask(far_pod(), Question("/", headers={"authorization": "Bearer users-own"}))

    assert "Authorization" in str(answer.error)
    assert proxy.asked == []


async def test_without_any_way_the_reason_is_said() -> None:
    asking = reach(Proxy(lambda: response(200), allowed=False))

    assert (await asking.ask(far_pod(), ROOT)).error == NO_WAY
    assert asking.way is Way.NONE


async def test_without_a_port_nothing_is_sent() -> None:
    proxy = Proxy(lambda: response(200))

    assert (await Reach(cast(Cluster, proxy)).ask(far_pod(), ROOT)).error == NO_PORT
    assert proxy.asked == []


async def test_an_address_is_only_believed_when_both_ways_agree() -> None:
    """Somebody else on this network has the address that the pod has in the cluster's."""

    async def somebody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"HTTP/1.1 418 I am somebody else\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(somebody, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    near = pod(running(), status={"podIP": "127.0.0.1"})
    service = {"spec": {"ports": [{"port": port}]}}
    try:
        other = Reach(cast(Cluster, Proxy(lambda: response(200, "the pod"))), [service])
        same = Reach(cast(Cluster, Proxy(lambda: response(418))), [service])
        assert (await other.ask(near, ROOT)).body == "the pod"
        await same.ask(near, ROOT)
    finally:
        server.close()

    assert (other.way, same.way) == (Way.PROXY, Way.DIRECT)


async def test_the_ways_own_time_is_measured_on_a_stable_pod() -> None:
    """The median of a few, once; and nothing where the way takes no time of its own."""
    proxy = Proxy(lambda: response(200))
    asking = reach(proxy)
    await asking.ask(far_pod(), ROOT)

    first = await asking.usual_ms(far_pod(), Question("/slow"))
    asked = len(proxy.asked)

    assert first is not None
    assert await asking.usual_ms(far_pod(), Question("/slow")) == first
    assert len(proxy.asked) == asked
    assert await asking.usual_ms(None, Question("/slow")) is None


async def test_a_request_that_changes_something_is_never_sent_to_the_stable_pods() -> None:
    proxy = Proxy(lambda: response(200))
    asking = reach(proxy)
    await asking.ask(far_pod(), ROOT)

    await asking.usual_ms(far_pod(), Question("/orders", method="POST"))

    assert {path for _, _, path, _ in proxy.asked} == {"/"}
