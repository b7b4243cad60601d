"""What the API server cannot pass on to a node is not waited for as long as the API server itself."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from failback.model.errors import TargetUnavailable
from failback.targets.kubernetes import wire
from failback.targets.kubernetes.cluster import Cluster


class ApiServer(ThreadingHTTPServer):
    """Answers all requests with the statuses it is given, one after the other; the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.statuses: list[int] = [200]
        self.delay_s = 0.0


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, ApiServer)
        time.sleep(server.delay_s)
        status = server.statuses.pop(0) if len(server.statuses) > 1 else server.statuses[0]
        message = "dial tcp 10.0.0.9:10250: connect: connection refused"
        refusal = {"kind": "Status", "status": "Failure", "code": status, "message": message}
        body = b"listening on 8080\n" if status == 200 else json.dumps(refusal).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def cluster(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    named = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "shop"}}
    shape = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [named],
        "contexts": [context],
        "users": [{"name": "me", "user": {}}],
        "current-context": "here",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(shape))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr(wire, "_BEHIND_S", 0.3)
    return Cluster()


def log_of(cluster: Cluster) -> str:
    async def reading() -> str:
        try:
            return await cluster.logs("shop-1", "app")
        finally:
            await cluster.close()

    return asyncio.run(reading())


def test_a_log_whose_node_does_not_answer_is_given_up_soon(server: ApiServer, cluster: Cluster):
    # Given an API server that is well, and cannot reach the kubelet
    server.statuses = [500]
    # When a pod's log is asked for, then that is said, long before the patience with the API server itself is over
    began = time.monotonic()
    with pytest.raises(TargetUnavailable, match="10250"):
        log_of(cluster)
    assert time.monotonic() - began < 10 * 0.3


def test_a_kubelet_that_comes_back_is_read(server: ApiServer, cluster: Cluster):
    server.statuses = [502, 500, 200]
    assert log_of(cluster) == "listening on 8080\n"


def test_a_kubelet_that_never_answers_is_given_up_too(
    server: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    # Given a node that takes packets and answers none: the API server waits for it, and we for the API server
    monkeypatch.setattr(wire, "_ANSWER_S_MAX", 0.4)
    server.delay_s = 1.5
    began = time.monotonic()
    with pytest.raises(TargetUnavailable, match="did not answer"):
        log_of(cluster)
    assert time.monotonic() - began < 10 * 0.4


def test_a_server_that_asks_for_patience_is_waited_for(server: ApiServer, cluster: Cluster):
    # Given one that is only overloaded: longer than a node would be waited for
    server.statuses = [429] * 5 + [200]
    assert log_of(cluster) == "listening on 8080\n"
