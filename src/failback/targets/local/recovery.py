"""The way back: protect users' traffic, restore the stable revision, verify it, remove what failed; and `down`."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from failback.facts.signatures import signatures
from failback.model.errors import SnapshotUnreadable
from failback.model.release import Revision, RevisionState
from failback.model.snapshot import SnapshotContent
from failback.targets.base import Action, Journal
from failback.targets.local.keeping import bring_release
from failback.targets.local.limits import groups_of
from failback.targets.local.ports import is_free
from failback.targets.local.probing import smoke_request
from failback.targets.local.replica import members, start_ticks
from failback.targets.local.rollout import GRACE_S, cgroup_of, proxy_command, start_replica, stop_replica
from failback.targets.local.site import Site, ports_of
from failback.targets.local.state import RevisionRecord

_BACK_S_MAX = 30.0
_VERIFY_S_MAX = 5.0


async def repair(site: Site, journal: Journal) -> Sequence[str]:
    """Brings back what a reboot or a crash took. Nothing to do is the usual case, and costs little."""
    state = site.state()
    stable = state.revision(state.stable)
    if stable is None:
        return []
    told = []
    if await site.in_supervisor(site.supervision.ensure):
        told.append("the supervisor was not running (a reboot, or it crashed): it runs again")
    known = await site.in_supervisor(site.supervision.known)
    for replica in stable.replicas:
        if replica.program not in known or not site.files(replica).folder.exists():
            await start_replica(site, stable, replica, journal)
            told.append(f"replica {replica.name} was not kept alive: it is again")
        elif known[replica.program]["statename"] in ("FATAL", "EXITED", "STOPPED"):
            with journal.intent("replica.restart", replica=replica.name):
                await site.in_supervisor(site.supervision.restart, replica.program)
            told.append(f"replica {replica.name} was {known[replica.program]['statename'].lower()}: started again")
    if not site.proxy.is_live():
        with journal.intent("proxy.start", listen=state.listen):
            site.proxy.prepare()
            await site.in_supervisor(
                site.supervision.add, site.layout.proxy_program, proxy_command(site), grace_s=GRACE_S
            )
            if site.layout.proxy_program in known:
                await site.in_supervisor(site.supervision.restart, site.layout.proxy_program)
            await site.proxy.ready()
        told.append("the proxy was not running: it runs again")
    if told:
        await site.all_ready(stable, _BACK_S_MAX)
    return told


async def protect(site: Site, failed: Revision | None, journal: Journal) -> Sequence[Action]:
    """One switch back, confirmed by the proxy; where users never left the stable revision, that is confirmed."""
    state = site.state()
    if not site.layout.proxy.exists():
        return [Action("the service was not reachable before, and is not: no request can reach the failed release")]
    before = site.proxy.routed()
    if before != state.stable or site.proxy.mirrored() is not None:
        with journal.intent("proxy.route", to=state.stable):
            await site.proxy.route(state.stable)
    else:
        await site.proxy.route(state.stable)  # writes nothing, and has the proxy confirm what is in force
    where = f"revision {state.stable}" if state.stable else "nobody (there is no stable revision)"
    moved = before != state.stable
    actions = [
        Action(
            f"all traffic to {where}, " + ("switched back and confirmed" if moved else "which it never left: confirmed")
        )
    ]
    if failed is not None:
        record = state.revision(failed.id)
        counters = await site.proxy.counters()
        got = counters.by_revision.get(failed.id)
        if record is None or record.cut_over is None:
            copies = " (copies of requests aside)" if got and got.requests else ""
            actions.append(Action(f"no user request was sent to {failed.id}{copies}"))
        else:
            served = (got.requests if got else 0) - int(record.baseline.get("requests", 0))
            actions.append(Action(f"{failed.id} answered {served:,} user requests before the switch"))
    return actions


async def roll_back(
    site: Site, failed: Revision | None, content: SnapshotContent | None, journal: Journal
) -> Sequence[Action]:
    """The stable revision at full strength: every replica alive and answering, as its record has it."""
    state = site.state()
    stable = state.revision(state.stable)
    if stable is None:
        return [Action("nothing ran before: there is no previous version to restore")]
    actions = []
    if not await asyncio.to_thread(site.releases.verify, stable.digest):
        actions.append(await _restore_release(site, stable, content, journal))
    for told in await repair(site, journal):
        actions.append(Action(told))
    await site.proxy.set_clusters(site.proxy.revisions() | {stable.id: ports_of(stable)})
    alive = site.alive(stable)
    if len(alive) < len(stable.replicas):
        await site.all_ready(stable, _BACK_S_MAX)
        alive = site.alive(stable)
    count = f"{len(alive)}/{len(stable.replicas)}"
    actions.append(
        Action(f"{stable.id} has its full capacity: {count} replicas", ok=len(alive) == len(stable.replicas))
    )
    return actions


async def _restore_release(
    site: Site, stable: RevisionRecord, content: SnapshotContent | None, journal: Journal
) -> Action:
    """A release that was changed or removed on disk, from the snapshot: its processes go on, but no restart would."""
    folder = Path(content.files["release"]) if content is not None and "release" in content.files else None
    told = f"the release of {stable.id} was changed on disk"
    # The snapshot's own record names the live folder until its archive has been unpacked: that is the damaged one.
    if folder is not None and folder != site.releases.path(stable.digest) and folder.is_dir():
        try:
            await bring_release(site, stable, folder, journal)
        except SnapshotUnreadable as error:
            return Action(f"{told}; {error.message}", ok=False)
        return Action(f"{told}: restored from the snapshot")
    return Action(
        f"{told}; its processes go on, a restart may not. `failback backups restore` brings it back.", ok=False
    )


async def verify_stable(site: Site, failed: Revision | None) -> Sequence[Action]:
    """What was looked at, each on its own: replicas, answers, the proxy's endpoints, logs, response time."""
    state = site.state()
    stable = state.revision(state.stable)
    if stable is None:
        return [Action("as before: nothing ran")]
    alive = site.alive(stable)
    answers = await site.all_ready(stable, _VERIFY_S_MAX)
    endpoints = site.proxy.revisions().get(stable.id, [])
    await site.proxy.route(state.stable)
    count = len(stable.replicas)
    good = sum(answer.passed for answer in answers)
    return [
        Action(f"all replicas running ({len(alive)}/{count})", ok=len(alive) == count),
        Action(
            f"endpoints healthy ({good}/{count} answer; the proxy has {len(endpoints)})",
            ok=good == count and sorted(endpoints) == sorted(ports_of(stable)),
        ),
        _no_new_errors(site, stable, failed),
        await _response_time(stable),
    ]


def _no_new_errors(site: Site, stable: RevisionRecord, failed: Revision | None) -> Action:
    """Errors since the failed revision was launched that the stable one did not print before."""
    record = site.state().revision(failed.id) if failed else None
    if record is None:
        return Action("error lines: there is no failed revision since whose start they could be new", ok=None)
    new: set[str] = set()
    for replica in stable.replicas:
        text = site.log_bytes(site.files(replica).log)
        size = int(record.baseline.get(f"log {replica.name}", 0))
        before, after = (text[:size], text[size:]) if size <= len(text) else (b"", text)
        new |= signatures(after) - signatures(before)
    if not new:
        return Action("no new error lines in the stable revision's logs")
    # Told, and no verdict: an error that users' own requests cause is printed by a healthy revision too.
    line = site.redactor.redact(min(new))[:160]
    return Action(f"{len(new)} kinds of new error lines in the stable revision's logs, for instance: {line}", ok=None)


async def _response_time(stable: RevisionRecord) -> Action:
    checks = stable.checks.get("smoke") or ()
    if not checks:
        return Action("response time: the plan has no smoke check that says what is expected", ok=None)
    host = stable.checks["ready"].get("host")
    answers = await asyncio.gather(
        *(smoke_request(replica.name, replica.port, check, host) for replica in stable.replicas for check in checks)
    )
    slowest = max(answers, key=lambda answer: answer.duration_ms)
    bad = [answer for answer in answers if not answer.passed]
    if bad:
        return Action(f"smoke {bad[0].path} on {bad[0].replica}: {bad[0].error}", ok=False)
    return Action(f"response time within SLA (slowest of {len(answers)}: {slowest.duration_ms:.0f} ms)")


async def clean_up(site: Site, failed: Revision | None, journal: Journal) -> Sequence[Action]:
    """No process, port, folder, program, cluster or file of the failed revision is left, and each was looked for."""
    state = site.state()
    record = state.revision(failed.id) if failed else None
    if record is None:
        await asyncio.to_thread(site.releases.remove_leftovers)
        return [Action("nothing of the failed release was there")]
    runs = [site.files(replica).run() for replica in record.replicas]
    for replica in record.replicas:
        await stop_replica(site, replica, journal)
    if record.id in site.proxy.revisions():
        with journal.intent("proxy.remove", revision=record.id):
            await site.proxy.remove(record.id)
    if state.stable is None:
        await _stop_proxy(site, journal)
    shared = [known for known in state.revisions if known.id != record.id and known.digest == record.digest]
    with journal.intent("revision.remove", revision=record.id):
        site.layout.sealed(record.id).unlink(missing_ok=True)
        if not shared:
            await asyncio.to_thread(site.releases.remove, record.digest)
        site.states.write(site.state().without(record.id), journal.token)
    if not site.state().revisions:
        await _end_supervisor_if_idle(site)
    return _proof(site, record, [run for run in runs if run is not None], keeps_release=bool(shared))


def _proof(
    site: Site, record: RevisionRecord, runs: Sequence[dict[str, object]], *, keeps_release: bool
) -> list[Action]:
    """Looks for what might be left."""
    alive = [str(run["pid"]) for run in runs if start_ticks(int(str(run["pid"]))) == run["ticks"]]
    alive += [str(pid) for run in runs for pid in members(int(str(run["pid"])), str(run["ticks"]))]
    groups = [str(group) for replica in record.replicas for group in groups_of(cgroup_of(site, replica))]
    used = [str(port) for port in ports_of(record) if not is_free(port)]
    folders = [replica.name for replica in record.replicas if site.files(replica).folder.exists()]
    release = site.releases.path(record.digest)
    return [
        Action(f"processes: {'none left' if not alive else ', '.join(alive) + ' still there'}", ok=not alive),
        Action(f"cgroups: {'none left' if not groups else ', '.join(groups) + ' still there'}", ok=not groups),
        Action(f"ports: {'free' if not used else ', '.join(used) + ' still in use'}", ok=not used),
        Action(f"replica folders: {'removed' if not folders else ', '.join(folders) + ' still there'}", ok=not folders),
        Action(f"release {record.digest[:19]}: kept, another revision is of it")
        if keeps_release
        else Action(f"release {record.digest[:19]}: removed", ok=not release.exists()),
    ]


async def remove(site: Site, journal: Journal) -> Sequence[Action]:
    """`down`: users are told that nothing is live, then everything of the service stops. Releases stay."""
    state = site.state()
    actions = []
    for record in state.revisions:
        running = [replica for replica in record.replicas if site.files(replica).folder.exists()]
        if running:
            await site.in_supervisor(site.supervision.ensure)
        for replica in running:
            await stop_replica(site, replica, journal)
        if running:
            actions.append(Action(f"{len(running)} replicas of {record.id} stopped"))
    if site.layout.proxy.exists():
        await _stop_proxy(site, journal)
        actions.append(Action(f"the proxy on {state.listen} stopped"))
    with journal.intent("service.down"):
        retired = tuple(
            dataclasses.replace(known, state=RevisionState.RETIRED)
            for known in state.revisions
            if known.state in (RevisionState.LIVE, RevisionState.RETIRED)
        )
        site.states.write(dataclasses.replace(site.state(), stable=None, revisions=retired), journal.token)
    await _end_supervisor_if_idle(site)
    return actions or [Action("it was not running")]


async def _stop_proxy(site: Site, journal: Journal) -> None:
    if not site.layout.proxy.exists():
        return
    with journal.intent("proxy.stop"):
        await site.in_supervisor(site.supervision.ensure)
        await site.in_supervisor(site.supervision.remove, site.layout.proxy_program)
        import shutil

        shutil.rmtree(site.layout.proxy, ignore_errors=True)
        await site.proxy.close()


async def _end_supervisor_if_idle(site: Site) -> None:
    """The last service's end is the supervisor's: nothing of us runs that nobody asked for."""
    if site.supervision.running() and not await site.in_supervisor(site.supervision.known):
        await site.in_supervisor(site.supervision.stop)
