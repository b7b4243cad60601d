"""The snapshot of a local service, and its way back."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from failback.model.errors import SnapshotUnreadable
from failback.model.release import Finding, RevisionState
from failback.model.snapshot import SnapshotContent
from failback.targets.base import Action, Journal
from failback.targets.local import rollout, sealing
from failback.targets.local.site import Site, ports_of
from failback.targets.local.state import ReplicaRecord, RevisionRecord

_READY_S_MAX = 60.0


def snapshot(site: Site) -> SnapshotContent:
    """Release, proxy configuration, environment and secrets of what runs; the store encrypts them."""
    state = site.state()
    stable = state.revision(state.stable)
    if stable is None:
        return SnapshotContent(
            service=site.layout.service,
            target="local",
            revision=None,
            documents={
                "k8s": yaml.safe_dump({"kind": "LocalService", "service": site.layout.service, "revision": None}),
                "service": yaml.safe_dump({"listen": site.listen, "routed": None, "revisions": {}}),
                "configs": json.dumps({"env": {}, "secrets": {}}),
            },
            items=("nothing ran before",),
        )
    secrets, _ = sealing.unseal(site.layout.sealed(stable.id), site.key_file)
    record = dataclasses.asdict(stable)
    deployment = {"kind": "LocalService", "service": state.service, "revision": stable.id, "record": record}
    proxy = {"listen": state.listen, "routed": site.proxy.routed(), "revisions": site.proxy.revisions()}
    return SnapshotContent(
        service=state.service,
        target="local",
        revision=stable.id,
        documents={
            "k8s": yaml.safe_dump(json.loads(json.dumps(deployment)), sort_keys=False),
            "service": yaml.safe_dump(proxy, sort_keys=False),
            "configs": json.dumps({"env": dict(stable.shape["env"]), "secrets": secrets}, indent=1),
        },
        files={"release": str(site.releases.path(stable.digest))},
        items=(
            f"release {stable.digest[:19]} ({stable.id})",
            f"proxy configuration ({state.listen} to {proxy['routed']})",
            f"environment ({len(stable.shape['env'])} values, {len(secrets)} of them more secret)"
            if secrets
            else f"environment ({len(stable.shape['env'])} values)",
        ),
    )


def accepts(site: Site, content: SnapshotContent) -> list[Finding]:
    """Whether a restore would find all it needs: it is parsed as a restore would, and the release is checked."""
    if content.revision is None:
        return []
    try:
        record = _record(content)
        json.loads(content.documents["configs"])["env"]
        yaml.safe_load(content.documents["service"])["listen"]
    except (KeyError, ValueError, TypeError, yaml.YAMLError) as cause:
        return [Finding("error", "snapshot", f"its documents cannot be read: {cause}", blocking=True)]
    folder = content.files.get("release")
    if folder is None or not Path(folder).is_dir():
        return [Finding("error", "snapshot", f"the release {record.digest[:19]} is not there", blocking=True)]
    if Path(folder) == site.releases.path(record.digest) and not site.releases.verify(record.digest):
        return [
            Finding(
                "error",
                "release",
                f"the release {record.digest[:19]} that runs was changed on disk, so it cannot be backed up as it was",
                "Restore it from an earlier snapshot: `failback backups list`.",
                blocking=True,
            )
        ]
    return []


async def restore(site: Site, content: SnapshotContent, files: Mapping[str, str], journal: Journal) -> Sequence[Action]:
    """The service as the snapshot has it, as a new revision: started, ready, switched to, the present one drained."""
    if content.revision is None:
        return [Action("the snapshot is of a service that had no release yet: `failback down` brings that state")]
    kept = _record(content)
    configs = json.loads(content.documents["configs"])
    state = site.state()
    actions = []
    if not await asyncio.to_thread(site.releases.verify, kept.digest):
        await bring_release(site, kept, Path(files["release"]), journal)
        actions.append(Action(f"release {kept.digest[:19]} restored"))
    name = f"r{state.next_number}"
    record = dataclasses.replace(
        kept,
        id=name,
        state=RevisionState.STAGED,
        execution_id=f"restore of {content.revision}",
        created_at=time.time(),
        replicas=tuple(
            ReplicaRecord(f"{name}-{number}", replica.port, f"{state.service}-{name}-{number}")
            for number, replica in enumerate(rollout.places(state, name, len(kept.replicas)), start=1)
        ),
        launched=None,
        cut_over=None,
        baseline={},
    )
    if configs["secrets"]:
        sealing.seal(site.layout.sealed(name), configs["secrets"], sorted(configs["secrets"].values()), site.key_file)
    listen = yaml.safe_load(content.documents["service"])["listen"]
    with journal.intent("revision.record", revision=name):
        changed = dataclasses.replace(state, next_number=state.next_number + 1, listen=listen)
        site.states.write(changed.with_revision(record), journal.token)
    await rollout.launch(site, record, journal)
    record = site.state().revision(name) or record
    answers = await site.all_ready(record, _READY_S_MAX)
    if not all(answer.passed for answer in answers):
        bad = next(answer for answer in answers if not answer.passed)
        told = f"{bad.replica} does not answer well: {bad.error or bad.status}; nothing was switched"
        return [*actions, Action(told, ok=False)]
    await rollout.cut_over(site, record, journal)
    actions.append(Action(f"all traffic to {name}, which is {content.revision} as the snapshot has it"))
    actions += await rollout.finish(site, site.state().revision(name) or record, journal)
    ports = site.proxy.revisions().get(name, [])
    return [*actions, Action(f"{len(ports)} replicas answer", ok=sorted(ports) == sorted(ports_of(record)))]


async def bring_release(site: Site, record: RevisionRecord, folder: Path, journal: Journal) -> None:
    """The revision's release from a snapshot's folder. Raises SnapshotUnreadable when that is not what it was."""
    with journal.intent("release.restore", digest=record.digest):
        staged = await asyncio.to_thread(site.releases.stage, folder, (), tuple(record.shape.get("shared") or ()))
        if staged.digest != record.digest:
            site.releases.remove(staged.digest)
            raise SnapshotUnreadable(
                f"The snapshot's release has the hash {staged.digest[:19]}, and {record.digest[:19]} was expected: "
                f"nothing was switched.",
                digest=staged.digest,
            )


def _record(content: SnapshotContent) -> RevisionRecord:
    shape = dict(yaml.safe_load(content.documents["k8s"])["record"])
    return RevisionRecord(
        **{
            **shape,
            "state": RevisionState(shape["state"]),
            "replicas": tuple(ReplicaRecord(**replica) for replica in shape["replicas"]),
            "secrets": tuple(shape["secrets"]),
            "launched": None,
            "cut_over": None,
        }
    )
