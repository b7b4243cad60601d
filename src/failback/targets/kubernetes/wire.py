"""Requests to the API server that ride out a lost connection, 429, 5xx and a restart.

Promise: each is tried again until `_RIDE_OUT_S`; what the server refuses comes back as one error of the tree, with its
Status. `requests` counts what was asked, by verb and kind.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

from failback.model.errors import LeaseLost, NotPermitted, NotPossibleHere, TargetUnavailable, WriteRejected
from failback.targets.kubernetes.failures import failure
from failback.targets.kubernetes.kinds import Object

_RIDE_OUT_S = 30.0
_BEHIND_S = 4.0  # the server is there; the node's kubelet, which it asks in turn, is not: long enough for its restart
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_ANSWER_S_MAX = 15.0


class Wire:
    """The connection to one API server. `config`: lightkube's SingleConfig."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self.server: str = config.cluster.server
        self.requests: Counter[str] = Counter()
        self.refused: Mapping[str, Any] | None = None  # the Status of the last write that it refused for good
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def json(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        content: str = "application/json",
        kind: str,
    ) -> Object:
        """The answer, parsed."""
        response = await self.send(method, path, parameters, body=body, content=content, kind=kind)
        answer: Object = json.loads(response.content)
        return answer

    async def send(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        content: str = "application/json",
        kind: str,
        behind: bool = False,
    ) -> Any:
        """The answer as the client library has it. Raises TargetUnavailable and what the server refuses.

        `behind`: the server passes the request on to a node. One that does not answer is no reason to wait for long.
        """
        encoded = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content} if encoded is not None else {}
        began = time.monotonic()
        tries = 0
        while True:
            patience_s = _RIDE_OUT_S
            self.requests[f"{method.lower()} {kind}"] += 1
            pause = _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
            try:
                response = await self.connected().request(
                    method, path, params=dict(parameters or {}), content=encoded, headers=headers
                )
            except OSError as lost:
                problem: Exception = lost
            except Exception as lost:
                if not _is_connection_error(lost):
                    raise
                problem = lost
                if behind and _is_late(lost):
                    patience_s = _BEHIND_S
            else:
                if response.status_code < 400:
                    return response
                refused = failure(method, path, response.status_code, bytes(response.content))
                if not isinstance(refused, TargetUnavailable) or response.status_code == 410:
                    if method != "GET" and type(refused) in (WriteRejected, NotPermitted):
                        self.refused = refused.fields["api_error"]
                    raise refused
                problem = refused
                if behind and response.status_code != 429:
                    patience_s = _BEHIND_S
                pause = max(pause, min(_retry_after(response), 5.0))
            if time.monotonic() + pause > began + patience_s:
                if isinstance(problem, TargetUnavailable):
                    raise problem
                raise TargetUnavailable(
                    f"The API server {self.server} did not answer for {patience_s:.0f} s: "
                    f"{type(problem).__name__}: {problem}",
                    server=self.server,
                ) from problem
            tries += 1
            await asyncio.sleep(pause)

    async def stream(
        self, path: str, parameters: Mapping[str, Any], kind: str, line_bytes_max: int | None = None
    ) -> AsyncIterator[bytes]:
        """Lines of an answer without end. A lost connection ends it; what it was is the caller's to look up again."""
        self.requests[kind] += 1
        client = self.connected()
        import httpx2

        unhurried = httpx2.Timeout(_ANSWER_S_MAX, read=None)
        try:
            async with client.stream("GET", path, params=dict(parameters), timeout=unhurried) as response:
                if response.status_code >= 400:
                    raise failure("GET", path, response.status_code, await response.aread())
                pending = b""
                async for chunk in response.aiter_bytes():
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        if line:
                            yield line
                    if line_bytes_max is not None and len(pending) > line_bytes_max:
                        yield pending
                        pending = b""
                if pending:
                    yield pending
        except (TargetUnavailable, LeaseLost):
            raise
        except Exception as lost:
            if not _is_connection_error(lost) and not isinstance(lost, OSError):
                raise

    def connected(self) -> Any:
        """The client of this loop: a command may use one loop to look and another one to act."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            import httpx2
            from lightkube.config.client_adapter import AsyncClient, ConnectionParams

            limits = httpx2.Timeout(_ANSWER_S_MAX)
            try:
                self._client = AsyncClient(self._config, ConnectionParams(timeout=limits))
            except (OSError, ValueError) as cause:
                raise NotPossibleHere(
                    f"The kubeconfig's certificates cannot be used: {cause}", kind="kubernetes"
                ) from cause
            self._loop = loop
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()


def _retry_after(response: Any) -> float:
    try:
        return float(response.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0


def _is_connection_error(error: Exception) -> bool:
    import httpx2

    return isinstance(error, httpx2.TransportError)


def _is_late(error: Exception) -> bool:
    import httpx2

    return isinstance(error, httpx2.ReadTimeout)
