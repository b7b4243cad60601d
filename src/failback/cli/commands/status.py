"""`failback status [SERVICE]`: revisions, traffic, health, running executions, now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from failback.cli.options import HomeDir, Json, ends_with_code, print_json

if TYPE_CHECKING:
    from failback.executor.home import Home
    from failback.executor.store import ExecutionRow
    from failback.model.release import ReplicaState, ServiceState


_CLUSTER_S_MAX = 10.0


@ends_with_code
def status(
    service: Annotated[
        str | None, typer.Argument(metavar="SERVICE", help="Only this service.", show_default=False)
    ] = None,
    home: HomeDir = None,
    as_json: Json = False,
) -> int:
    """Show revisions, traffic, health and running executions, now."""
    from failback.cli.commands.deploy import known_service
    from failback.cli.render.console import write
    from failback.executor.home import Home

    place = Home.at(home)
    names = place.services() if service is None else [service]
    if service is not None and not place.service(service).is_dir():
        from failback.executor.former import plan_services

        names = list(plan_services(place, service)) or names
    for name in names if service else ():
        known_service(place, name)
    running = _running(place)
    states = [_state(place, name) for name in names]
    if as_json:
        import dataclasses

        print_json(
            {
                "home": str(place.root),
                "services": [dataclasses.asdict(state) for state in states],
                "running": [{"execution_id": row.id, "service": row.service, "alive": alive} for row, alive in running],
            }
        )
        return 0
    lines: list[str] = []
    for state in states:
        lines += [*_lines(state), ""]
    for row, alive in running:
        since = time.strftime("%H:%M:%S", time.localtime(row.created_at))
        what = "runs" if alive else "its process died: `failback resume` takes it up"
        lines.append(f"{'…' if alive else '!'} {row.id} ({row.kind} of {row.service}, since {since}): {what}")
    write("\n".join(lines).rstrip() + "\n" if lines else f"Nothing was deployed with the home {place.root} yet.\n")
    return 0


def _state(place: Home, service: str) -> ServiceState:
    if place.is_on_cluster(service):
        return _state_on_cluster(place, service)
    from failback.targets.local.layout import Layout
    from failback.targets.local.status import service_state

    return service_state(Layout(place.root, place.run_dir(), service))


def _state_on_cluster(place: Home, service: str) -> ServiceState:
    """What the cluster says, within a limit: a cluster that is away must not hold the other services' lines up."""
    import asyncio

    from failback.model.errors import FailbackError
    from failback.model.redaction import Redactor
    from failback.model.release import ServiceState
    from failback.targets.kubernetes.site import Site
    from failback.targets.kubernetes.status import service_state

    async def looked() -> ServiceState:
        site = Site.existing(place.service(service), place.key_file, service, Redactor())
        try:
            async with asyncio.timeout(_CLUSTER_S_MAX):
                return await service_state(site, site.units())
        finally:
            await site.close()

    try:
        return asyncio.run(looked())
    except TimeoutError:
        note = f"its cluster did not answer within {_CLUSTER_S_MAX:.0f} s"
    except FailbackError as error:
        note = error.message
    return ServiceState(service, "kubernetes", notes=(note,), proxy={"kind": "Service", "running": False})


def _running(place: Home) -> list[tuple[ExecutionRow, bool]]:
    from failback.executor.owners import owner_alive
    from failback.executor.store import Store

    if not place.exists:
        return []
    store = Store(place.database, create=False)
    try:
        return [(row, owner_alive(row)) for row in store.executions(state="running")]
    finally:
        store.close()


def _doing(state: ServiceState, replica: ReplicaState) -> str:
    """Whether it runs, and whether users reach it."""
    if not replica.running:
        return "DOWN"
    return "running" if replica.revision == (state.proxy.get("routed") or state.stable) else "running, no traffic"


def _cluster_lines(state: ServiceState) -> Iterator[str]:
    proxy = state.proxy
    if "namespace" in proxy:
        yield f"  Namespace: {proxy['namespace']} (context {proxy['context']})"
        yield f"  Traffic: {proxy['endpoints']} ready endpoints of {proxy['routed']}"
    dark = [revision for revision in state.revisions if str(revision.state) == "dark"]
    if dark:
        yield f"  Dark: {', '.join(f'{one.id} ({one.replicas} pods)' for one in dark)}, without users"


def _lines(state: ServiceState) -> Iterator[str]:
    from failback.cli.render.console import table
    from failback.cli.render.text import seconds, size

    proxy: dict[str, Any] = dict(state.proxy)
    if state.stable is None:
        yield f"– {state.service}: nothing is live"
    else:
        mark = "✓" if proxy.get("running") and all(replica.running for replica in state.replicas) else "✗"
        yield f"{mark} {state.service}: {state.stable} is live at {state.address}"
    if state.target == "kubernetes":
        yield from _cluster_lines(state)
    elif proxy.get("running"):
        routed = proxy["routed"] or "nobody"
        count = f"{proxy['failed']:,} of {proxy['requests']:,} requests failed" if proxy["requests"] else "none came"
        counted = f"{count} since the proxy started"
        yield f"  Traffic: all to {routed}; {counted}"
    elif state.stable is not None:
        yield f"  Traffic: the proxy is not running. {proxy.get('reason', '')}".rstrip()
    if state.replicas:
        rows = [
            [
                f"  {replica.name}",
                _doing(state, replica),
                str(replica.pid or "-"),
                replica.address,
                seconds(replica.uptime_s),
                str(replica.restarts),
                size(replica.memory_bytes)
                + (f" of {size(replica.memory_limit_bytes)}" if replica.memory_limit_bytes else ""),
            ]
            for replica in state.replicas
        ]
        yield table(rows, ["  REPLICA", "STATE", "PID", "ADDRESS", "UP", "RESTARTS", "MEMORY"]).rstrip()
    former = [revision for revision in state.revisions if str(revision.state) == "retired"]
    if former:
        shown = ", ".join(
            f"{revision.id} ({time.strftime('%Y-%m-%d %H:%M', time.localtime(revision.created_at))})"
            for revision in former
        )
        yield f"  Can go back to: {shown}"
    for note in state.notes:
        yield f"! {note}"
