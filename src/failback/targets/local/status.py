"""What runs now, for `status`. By the standard library alone, from files and the proxy's admin socket."""

from __future__ import annotations

import time

from failback.model.errors import TargetUnavailable
from failback.model.release import ReplicaState, Revision, ServiceState
from failback.targets.local.layout import Layout
from failback.targets.local.state import LocalState, ReplicaRecord, RevisionRecord, StateFile


def service_state(layout: Layout) -> ServiceState:
    """The service as its files and processes are at this moment."""
    state = StateFile(layout.state_file, layout.service, "").read()
    notes = []
    replicas = []
    for record in state.revisions:
        for replica in record.replicas:
            if layout.replica(replica.name).folder.exists():
                replicas.append(_replica(layout, record, replica))
    down = [replica.name for replica in replicas if not replica.running]
    if down:
        notes.append(f"not running: {', '.join(down)}; the next command that deploys, or `failback resume`, repairs it")
    return ServiceState(
        service=state.service,
        target="local",
        address=state.listen,
        stable=state.stable,
        revisions=tuple(_revision(record) for record in state.revisions),
        replicas=tuple(replicas),
        notes=tuple(notes),
        proxy=_proxy(layout, state),
    )


def _revision(record: RevisionRecord) -> Revision:
    return Revision(
        id=record.id,
        digest=record.digest,
        state=record.state,
        replicas=len(record.replicas),
        created_at=record.created_at,
        details={"execution": record.execution_id, "path": record.shape.get("path", "")},
    )


def _replica(layout: Layout, record: RevisionRecord, replica: ReplicaRecord) -> ReplicaState:
    files = layout.replica(replica.name)
    run = files.alive()
    exits = sum(1 for life in files.life() if life.event == "exited")
    limit = files.spec().memory_bytes if (files.folder / "spec.json").exists() else None
    return ReplicaState(
        name=replica.name,
        revision=record.id,
        running=run is not None,
        address=f"127.0.0.1:{replica.port}",
        pid=int(run["pid"]) if run else None,
        uptime_s=max(0.0, time.monotonic() - float(run["started_mono"])) if run else None,
        restarts=exits,
        memory_bytes=int(run["memory_bytes"]) if run and "memory_bytes" in run else None,
        memory_limit_bytes=limit,
    )


def _proxy(layout: Layout, state: LocalState) -> dict[str, object]:
    if not layout.proxy.exists():
        return {"running": False}
    from failback.targets.local.proxy import Proxy, read_counters

    proxy = Proxy(layout.proxy, layout.run_dir, layout.tag, state.listen)
    try:
        counters = read_counters(proxy.admin)
    except TargetUnavailable as error:
        return {"running": False, "reason": error.message}
    finally:
        proxy.admin.close()
    return {
        "running": True,
        "routed": proxy.routed(),
        "requests": counters.requests,
        "failed": counters.failed,
        "by_kind": dict(counters.by_kind),
    }
