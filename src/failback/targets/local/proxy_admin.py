"""Asks a running Envoy over its private admin socket. By the standard library alone: `status` uses it too."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
from typing import Any
from urllib.parse import quote

from failback.model.errors import TargetUnavailable

_ANSWER_S_MAX = 2.0
_LOCAL_PEERPID = 2  # macOS, sys/un.h


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s_max: float) -> None:
        super().__init__("admin", timeout=timeout_s_max)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        connection.connect(self._path)
        self.sock = connection


class Admin:
    """One kept connection, opened anew when it broke; used from one thread at a time."""

    def __init__(self, socket_path: str, *, answer_s_max: float = _ANSWER_S_MAX) -> None:
        self.socket_path = socket_path
        self._answer_s_max = answer_s_max
        self._connection: _UnixConnection | None = None
        self._epoch = ""
        self._lock = threading.Lock()

    def get(self, path: str, method: str = "GET") -> bytes:
        """The body of one answer. Raises TargetUnavailable when Envoy does not answer, or not with 200."""
        with self._lock:
            try:
                return self._ask(path, method)
            except (OSError, http.client.HTTPException):
                self._drop()  # the kept connection may be of an Envoy that is gone: one try more, with a new one
            try:
                return self._ask(path, method)
            except (OSError, http.client.HTTPException) as cause:
                self._drop()
                raise TargetUnavailable(
                    f"The proxy does not answer on {self.socket_path} ({cause or type(cause).__name__}). "
                    f"The next `failback deploy` or `failback resume` starts it again.",
                    socket=self.socket_path,
                ) from cause

    def _ask(self, path: str, method: str) -> bytes:
        if self._connection is None:
            self._connection = _UnixConnection(self.socket_path, self._answer_s_max)
        self._connection.request(method, path)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise TargetUnavailable(
                f"The proxy answered {answer.status} to {path}: {body[:200].decode('utf-8', 'replace')}", path=path
            )
        return body

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._epoch = ""

    def close(self) -> None:
        with self._lock:
            self._drop()

    def epoch(self) -> str:
        """Changes when Envoy was started anew: the instant at which it read its configuration.

        A connection cannot outlive its process, so the question is asked once a connection.
        """
        with self._lock:
            if self._connection is not None and self._connection.sock is not None and self._epoch:
                return self._epoch
        dump = json.loads(self.get("/config_dump?mask=last_updated"))
        updated = [str(entry["last_updated"]) for entry in dump.get("configs", []) if "last_updated" in entry]
        with self._lock:
            self._epoch = updated[0] if updated else "unknown"
            return self._epoch

    def process_id(self) -> int:
        """The process behind the socket, as the kernel says; 0 where it cannot be told."""
        with self._lock:
            if self._connection is None or self._connection.sock is None:
                return 0
            if hasattr(socket, "SO_PEERCRED"):
                answer = self._connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                return int.from_bytes(answer[:4], sys.byteorder)
            if sys.platform == "darwin":
                return int.from_bytes(self._connection.sock.getsockopt(0, _LOCAL_PEERPID, 4), sys.byteorder)
            return 0

    def stats(self, pattern: str) -> dict[str, int | str]:
        """Counters, gauges and texts whose name matches the regular expression."""
        found: dict[str, int | str] = {}
        for line in self.get(f"/stats?filter={_quoted(pattern)}").decode("utf-8", "replace").splitlines():
            name, separator, value = line.partition(": ")
            if separator:
                found[name] = int(value) if value.isdigit() else value.strip('"')
        return found

    def histograms(self, pattern: str) -> dict[str, dict[float, int]]:
        """Cumulative bucket counts by name: {"cluster.rev-r1.upstream_rq_time": {1.0: 0, 5.0: 12, ...}}."""
        body = self.get(f"/stats?format=json&histogram_buckets=cumulative&type=Histograms&filter={_quoted(pattern)}")
        found: dict[str, dict[float, int]] = {}
        for entry in json.loads(body).get("stats", []):
            for histogram in _histograms(entry):
                found[histogram["name"]] = {
                    float(bucket["upper_bound"]): int(bucket["cumulative"]) for bucket in histogram.get("buckets", [])
                }
        return found


def _histograms(entry: Any) -> list[Any]:
    inner = entry.get("histograms", []) if isinstance(entry, dict) else []
    return list(inner) if isinstance(inner, list) else []


def _quoted(text: str) -> str:
    return quote(text, safe="")
