"""The way forward: stage, launch without traffic, cut over, finish. Each write looks first whether it is there."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from failback.model.errors import ReleaseError, TargetError
from failback.model.release import Revision, RevisionState
from failback.targets.base import Action, Journal, ReleaseSpec
from failback.targets.local import sealing
from failback.targets.local.limits import end_groups
from failback.targets.local.ports import free_ports
from failback.targets.local.replica import ReplicaSpec, members
from failback.targets.local.site import Site, ports_of, replicas_wanted
from failback.targets.local.state import LocalState, Moment, ReplicaRecord, RevisionRecord
from failback.targets.local.supervision import plain_environment

GRACE_S = 10.0
_RETIRED_KEPT = 5
_UNFINISHED = (RevisionState.STAGED, RevisionState.DARK, RevisionState.LIVE)
_DRAIN_LOOK_S = 0.05


def as_revision(record: RevisionRecord) -> Revision:
    """What the executor gets to know of it."""
    return Revision(
        id=record.id,
        digest=record.digest,
        state=record.state,
        replicas=len(record.replicas),
        created_at=record.created_at,
        details={"execution": record.execution_id, "path": record.shape.get("path", "")},
    )


async def stage(site: Site, release: ReleaseSpec, execution_id: str, journal: Journal) -> RevisionRecord:
    """The revision of this execution; made once, found again after a kill."""
    state = site.state()
    for known in state.revisions:
        if known.execution_id == execution_id and known.state in (
            RevisionState.STAGED,
            RevisionState.DARK,
            RevisionState.LIVE,
        ):
            return known
    name = f"r{state.next_number}"
    if release.from_revision is not None:
        record = _former(site, state, release, name, execution_id)
    else:
        record = await _new(site, state, release, name, execution_id, journal)
    with journal.intent("revision.record", revision=name, digest=record.digest):
        state = dataclasses.replace(site.state(), next_number=state.next_number + 1, listen=site.listen)
        site.states.write(state.with_revision(record), journal.token)
    return record


async def _new(
    site: Site, state: LocalState, release: ReleaseSpec, name: str, execution_id: str, journal: Journal
) -> RevisionRecord:
    shape = dict(release.shape)
    source = Path(shape["path"])
    with journal.intent("release.stage", source=str(source)):
        staged = await asyncio.to_thread(
            site.releases.stage, source, tuple(shape.get("exclude") or ()), tuple(shape.get("shared") or ())
        )
    secret_env = {key: value for key, value in shape["env"].items() if key in release.secrets}
    if secret_env:
        with journal.intent("secrets.seal", revision=name):
            sealing.seal(site.layout.sealed(name), secret_env, sorted(secret_env.values()), site.key_file)
    shape["env"] = {key: value for key, value in shape["env"].items() if key not in release.secrets}
    shape["release"] = str(staged.path)
    return RevisionRecord(
        id=name,
        digest=staged.digest,
        state=RevisionState.STAGED,
        execution_id=execution_id,
        created_at=time.time(),
        replicas=places(state, name, replicas_wanted(shape)),
        shape=shape,
        checks=dict(release.checks),
        secrets=tuple(sorted(release.secrets)),
    )


def _former(site: Site, state: LocalState, release: ReleaseSpec, name: str, execution_id: str) -> RevisionRecord:
    former = state.revision(release.from_revision)
    if former is None or not site.releases.verify(former.digest):
        raise ReleaseError(
            f"Revision {release.from_revision} of {state.service} cannot be started again: its release is "
            f"{'unknown' if former is None else 'not there, or was changed'}. "
            f"`failback backups list` shows the snapshots.",
            revision=release.from_revision,
        )
    if former.secrets:
        env, masked = sealing.unseal(site.layout.sealed(former.id), site.key_file)
        sealing.seal(site.layout.sealed(name), env, masked, site.key_file)
    return dataclasses.replace(
        former,
        id=name,
        state=RevisionState.STAGED,
        execution_id=execution_id,
        created_at=time.time(),
        replicas=places(state, name, len(former.replicas)),
        launched=None,
        cut_over=None,
        baseline={},
    )


def places(state: LocalState, revision: str, count: int) -> tuple[ReplicaRecord, ...]:
    taken = {replica.port for known in state.revisions for replica in known.replicas}
    return tuple(
        ReplicaRecord(f"{revision}-{number}", port, f"{state.service}-{revision}-{number}")
        for number, port in enumerate(free_ports(count, taken), start=1)
    )


async def launch(site: Site, record: RevisionRecord, journal: Journal) -> None:
    """Starts the replicas; the proxy gets to know them when something is live already, and routes nothing to them."""
    await site.in_supervisor(site.supervision.ensure)
    if record.launched is None:
        with journal.intent("revision.launch", revision=record.id):
            record = dataclasses.replace(
                record, state=RevisionState.DARK, launched=Moment.now(), baseline=_log_sizes(site)
            )
            site.states.write(site.state().with_revision(record), journal.token)
    await asyncio.gather(*(start_replica(site, record, replica, journal) for replica in record.replicas))
    if site.state().stable is not None:
        with journal.intent("proxy.add", revision=record.id):
            await site.proxy.set_clusters(site.proxy.revisions() | {record.id: ports_of(record)})


def _log_sizes(site: Site) -> dict[str, int]:
    """How long the stable revision's logs are by now: what comes after can be told from what was there."""
    state = site.state()
    stable = state.revision(state.stable)
    return (
        {f"log {replica.name}": len(site.log_bytes(site.files(replica).log)) for replica in stable.replicas}
        if stable
        else {}
    )


async def start_replica(site: Site, record: RevisionRecord, replica: ReplicaRecord, journal: Journal) -> None:
    """Tells the supervisor to keep this replica alive."""
    with journal.intent("replica.start", replica=replica.name, port=replica.port):
        files = site.files(replica)
        files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shape = record.shape
        resources = shape.get("resources") or {}
        files.write_spec(
            ReplicaSpec(
                name=replica.name,
                service=site.layout.service,
                revision=record.id,
                start=tuple(shape["start"]),
                cwd=str(site.releases.path(record.digest)),
                port=replica.port,
                env=plain_environment() | dict(shape["env"]),
                cgroup=cgroup_of(site, replica),
                doorbell=str(site.layout.doorbell),
                key_file=str(site.key_file),
                memory_bytes=_memory(resources.get("memory")),
                cpu_cores=_cores(resources.get("cpu")),
                grace_s=GRACE_S,
                secret_names=record.secrets,
            )
        )
        sealed = site.layout.sealed(record.id)
        if sealed.exists():
            files.secret.write_bytes(sealed.read_bytes())
            files.secret.chmod(0o600)
        await site.in_supervisor(site.supervision.add, replica.program, launcher_command(files.folder), grace_s=GRACE_S)


def launcher_command(folder: Path) -> list[str]:
    """How the supervisor starts a replica."""
    return [sys.executable, "-I", "-m", "failback.targets.local.launcher", str(folder)]


async def cut_over(site: Site, record: RevisionRecord, journal: Journal) -> None:
    """All users to the revision: its cluster known and warm, then one switch, confirmed."""
    await start_proxy(site, journal)
    with journal.intent("proxy.add", revision=record.id):
        await site.proxy.set_clusters(site.proxy.revisions() | {record.id: ports_of(record)})
    if record.cut_over is None:
        counters = await site.proxy.counters(slow_ms(record))
        stable = counters.by_revision.get(site.state().stable or "")
        mine = counters.by_revision.get(record.id)
        base = {
            "stable_requests": stable.requests if stable else 0,
            "stable_failed": stable.failed if stable else 0,
            "stable_slow": stable.slow if stable else 0,
            "requests": mine.requests if mine else 0,  # copies that it answered while dark
            "failed": mine.failed if mine else 0,
            "slow": mine.slow if mine else 0,
        }
        with journal.intent("revision.cut-over", revision=record.id):
            record = dataclasses.replace(
                record, state=RevisionState.LIVE, cut_over=Moment.now(), baseline={**record.baseline, **base}
            )
            site.states.write(site.state().with_revision(record), journal.token)
    with journal.intent("proxy.route", to=record.id):
        await site.proxy.route(record.id)


async def start_proxy(site: Site, journal: Journal) -> None:
    """The proxy, where users reach the service; it is there from the first release that passed its gate."""
    await site.in_supervisor(site.supervision.ensure)
    if site.proxy.is_live() and site.proxy.listens_on(site.listen):
        return
    with journal.intent("proxy.start", listen=site.listen):
        site.proxy.prepare()
        await site.in_supervisor(site.supervision.add, site.layout.proxy_program, proxy_command(site), grace_s=GRACE_S)
        await site.proxy.ready()


def proxy_command(site: Site) -> list[str]:
    """How the supervisor starts the proxy: never a second one beside one that outlived an earlier supervisor."""
    holding = [sys.executable, "-I", "-m", "failback.targets.local.holding", str(site.layout.proxy_lock)]
    return [*holding, *site.proxy.command()]


async def finish(site: Site, record: RevisionRecord, journal: Journal) -> Sequence[Action]:
    """The new revision is the stable one; former ones leave when no request is in flight on them any more."""
    state = site.state()
    if state.stable != record.id:
        with journal.intent("revision.promote", revision=record.id, former=state.stable):
            former = state.revision(state.stable)
            if former is not None:
                state = state.with_revision(dataclasses.replace(former, state=RevisionState.RETIRED))
            site.states.write(dataclasses.replace(state, stable=record.id), journal.token)
    actions = []
    for known in site.state().revisions:
        if known.state is RevisionState.RETIRED:
            actions += await _retire(site, known, journal)
    await _forget_old(site, journal)
    return actions


async def _retire(site: Site, record: RevisionRecord, journal: Journal) -> list[Action]:
    """Drains and stops one former revision; nothing to do when it has left already."""
    present = record.id in site.proxy.revisions() or any(site.files(r).folder.exists() for r in record.replicas)
    if not present:
        return []
    limit_s = float(record.checks.get("drain", 10.0))
    began = time.monotonic()
    active = await site.proxy.active(record.id)
    while active and time.monotonic() - began < limit_s:
        await asyncio.sleep(_DRAIN_LOOK_S)
        active = await site.proxy.active(record.id)
    drained = Action(
        f"{record.id} drained in {time.monotonic() - began:.2f} s"
        if not active
        else f"{record.id} still answered {active} requests after {limit_s:g} s; they end with its processes",
        ok=active == 0,
    )
    for replica in record.replicas:
        await stop_replica(site, replica, journal)
    if record.id in site.proxy.revisions():
        with journal.intent("proxy.remove", revision=record.id):
            await site.proxy.remove(record.id)
    return [drained, Action(f"{len(record.replicas)} replicas of {record.id} stopped")]


async def stop_replica(site: Site, replica: ReplicaRecord, journal: Journal) -> None:
    """Stops one replica and removes its files. Raises TargetError when its process is still there afterwards."""
    files = site.files(replica)
    with journal.intent("replica.stop", replica=replica.name):
        run = files.run()
        await site.in_supervisor(site.supervision.remove, replica.program)
        await asyncio.to_thread(_end_leftovers, run, cgroup_of(site, replica))
        if files.alive() is not None:
            raise TargetError(f"The process of {replica.name} goes on after it was stopped.", replica=replica.name)
        await asyncio.to_thread(_remove_folder, files.folder)
        for leftover in site.layout.supervisor.glob(f"{replica.program}.err*"):
            leftover.unlink(missing_ok=True)


def cgroup_of(site: Site, replica: ReplicaRecord) -> str:
    """The name of the replica's cgroup, one of its own on this machine."""
    return f"{site.layout.tag}-{replica.name}"


def _end_leftovers(run: dict[str, Any] | None, cgroup: str) -> None:
    """What a launcher that was killed could not end: workers of its process, and its cgroup."""
    if run is not None and members(int(run["pid"]), str(run["ticks"])):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(run["pid"]), signal.SIGKILL)
    end_groups(cgroup)


def _remove_folder(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


async def _forget_old(site: Site, journal: Journal) -> None:
    """The last few former revisions can be gone back to; older ones and their releases go."""
    state = site.state()
    retired = sorted(
        (known for known in state.revisions if known.state is RevisionState.RETIRED),
        key=lambda known: known.created_at,
    )
    for old in retired[:-_RETIRED_KEPT]:
        with journal.intent("revision.forget", revision=old.id):
            state = site.states.write(site.state().without(old.id), journal.token)
            site.layout.sealed(old.id).unlink(missing_ok=True)
            if all(known.digest != old.digest for known in state.revisions):
                await asyncio.to_thread(site.releases.remove, old.digest)


def slow_ms(record: RevisionRecord) -> float | None:
    """From when an answer counts as slow: the strictest time that the plan's smoke checks allow."""
    limits = [float(check["max_ms"]) for check in record.checks.get("smoke") or () if check.get("max_ms")]
    return min(limits, default=None)


def _memory(text: Any) -> int | None:
    from failback.model.plan_types import memory_bytes

    return None if text is None else memory_bytes(text)


def _cores(text: Any) -> float | None:
    from failback.model.plan_types import cpu_cores

    return None if text is None else cpu_cores(text)
