"""How a pod is asked while no Service leads to it: at its own address where that is reachable from here, else through
the API server's pod proxy. Which of the two is decided once, at the first pod that runs.

An address is believed only when it is surely the pod's: inside the cluster, or when the same request gets the same
answer both ways. A laptop's own network may hold the same addresses as the cluster's pods.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from failback.model.errors import TargetUnavailable
from failback.targets.asking import ask
from failback.targets.expectations import Answer, Question
from failback.targets.kubernetes.cluster import Cluster
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.pods import Port, port_of

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_CONNECT_S_MAX = 0.5
_AT_ONCE = 8
_USUAL_OF = 5
_SAFE = ("GET", "HEAD", "OPTIONS")
NO_PORT = "no port: neither a Service nor a probe nor the pod itself names one"
NO_WAY = (
    "nobody can ask it: its address is not reachable from here, and this account may not use pods/proxy. Allow "
    "`get` on `pods/proxy`, or run failback inside the cluster"
)


class Way(StrEnum):
    DIRECT = "direct"
    PROXY = "proxy"
    NONE = "none"


class Reach:
    """Asks the pods of one watch. `services`: those that users reach the pods by, the first one names the port."""

    def __init__(self, cluster: Cluster, services: Sequence[Object] = ()) -> None:
        self._cluster = cluster
        self.services = services
        self._deciding = asyncio.Lock()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._usual: dict[tuple[str, str], float] = {}
        self.way: Way | None = None

    def port(self, pod: Object) -> Port | None:
        return port_of(pod, self.services)

    async def ask(self, pod: Object, question: Question, port: Port | None = None) -> Answer:
        """What the pod answers. Raises TargetUnavailable where the API server, which stands between, does not."""
        port = port or self.port(pod)
        if port is None:
            return Answer(None, error=NO_PORT)
        way = self.way or await self._decide(pod, port, question)
        if way is Way.NONE:
            return Answer(None, error=NO_WAY)
        async with self._gate:
            if way is Way.DIRECT:
                return await ask(_address(pod), port.number, question, _unverified() if port.tls else None)
            return await self._through(pod, port, question)

    async def usual_ms(self, stable: Object | None, question: Question) -> float | None:
        """What the same request takes on a stable pod by the same way, where the way itself is part of the time; None
        where it is not, or where nothing is there to compare with."""
        if self.way is not Way.PROXY or stable is None:
            return None
        # Only a safe method may be sent to pods that users are on; for others the way's own time is all that is known.
        asked = question if question.method in _SAFE else Question("/", headers={})
        key = (asked.method, asked.path)
        if key not in self._usual:
            took = sorted([(await self.ask(stable, asked)).took_ms for _ in range(_USUAL_OF)])
            self._usual[key] = took[_USUAL_OF // 2]
        return self._usual[key]

    async def _decide(self, pod: Object, port: Port, question: Question) -> Way:
        """The way for this request, and for all further ones where it is certain: a pod that refuses for the moment
        has not shown whether its address is the right one. Only what is to be asked anyway is asked both ways: another
        path could make the application log an error that we had caused."""
        async with self._deciding:
            if self.way is not None:
                return self.way
            if not _address(pod):
                raise TargetUnavailable("The pod has no address yet.")
            connects = await _connects(_address(pod), port.number)
            if connects is not None and _IN_CLUSTER.exists():
                self.way = Way.DIRECT
            elif not await self._cluster.can("get", "Pod", sub="proxy"):
                self.way = Way.NONE if connects is None else Way.DIRECT
            elif connects is None:
                self.way = Way.PROXY
            elif connects and question.method in _SAFE:
                here = ask(_address(pod), port.number, question, _unverified() if port.tls else None)
                direct, proxied = await asyncio.gather(here, self._through(pod, port, question))
                same = direct.status is not None and direct.status == proxied.status
                self.way = Way.DIRECT if same else Way.PROXY
            return self.way or Way.PROXY

    async def _through(self, pod: Object, port: Port, question: Question) -> Answer:
        import httpx2

        headers = {name: value for name, value in question.headers.items() if name.lower() != "host"}
        if any(name.lower() == "authorization" for name in headers):
            return Answer(None, error="a request with an Authorization header cannot pass the API server's proxy")
        name = pod["metadata"]["name"]
        began = time.monotonic()
        try:
            async with asyncio.timeout(question.timeout_s):
                status, text = await self._cluster.through_pod(
                    f"https:{name}" if port.tls else name,
                    port.number,
                    question.path,
                    method=question.method,
                    headers=headers,
                    timeout_s=question.timeout_s,
                )
        except (TimeoutError, httpx2.ReadTimeout):
            return Answer(None, "", _since_ms(began), f"no answer within {question.timeout_s:g} s")
        except (httpx2.TransportError, OSError) as away:
            raise TargetUnavailable(f"The API server did not pass a request on to {name}: {away}") from away
        return _answer(status, text, _since_ms(began))


def _answer(status: int, text: str, took_ms: float) -> Answer:
    """The pod's answer, or what the API server itself says in its place."""
    said = _status_of(text)
    if said is None:
        return Answer(status, text, took_ms)
    message = str(said.get("message") or "")
    if "error trying to reach service" in message:
        return Answer(None, "", took_ms, _unreached(message))
    if said.get("code") in (401, 403, 404, 429) or status >= 500:
        if said.get("reason") == "NotFound":
            return Answer(None, "", took_ms, "the pod is gone")
        raise TargetUnavailable(f"The API server did not pass a request on to the pod: {message}")
    return Answer(status, text, took_ms)


def _status_of(text: str) -> dict[str, Any] | None:
    """The API server's own Status, if that is what came."""
    if '"Status"' not in text[:200]:
        return None
    try:
        said = json.loads(text)
    except ValueError:
        return None
    own = isinstance(said, dict) and said.get("kind") == "Status" and said.get("apiVersion") == "v1"
    return said if own and said.get("status") == "Failure" else None


def _unreached(message: str) -> str:
    if "connection refused" in message:
        return "connection refused"
    return message.partition("error trying to reach service:")[2].strip() or message


async def _connects(address: str, port: int) -> bool | None:
    """True: somebody listens; False: the machine is there and refuses; None: nothing is heard from it."""
    try:
        async with asyncio.timeout(_CONNECT_S_MAX):
            _, writer = await asyncio.open_connection(address, port)
        writer.close()
    except ConnectionRefusedError:
        return False
    except (OSError, TimeoutError):
        return None
    return True


def _address(pod: Object) -> str:
    return str((pod.get("status") or {}).get("podIP") or "")


def _unverified() -> ssl.SSLContext:
    """As the kubelet's own probes: a pod's certificate is made out to the Service's name, not to its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _since_ms(began: float) -> float:
    return (time.monotonic() - began) * 1000
