"""What can be told of a service without touching it: evidence, what changed, and what must fail before it begins."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from failback.model.evidence import Evidence, LogPair, MemorySample, ReplicaEvidence
from failback.model.release import Finding
from failback.targets.base import ReleaseSpec
from failback.targets.local.ports import is_free
from failback.targets.local.proxy import split_listen
from failback.targets.local.release_files import FILES_MAX, left_out, own_files, to_be_released
from failback.targets.local.releases import self_contained
from failback.targets.local.replica import Life
from failback.targets.local.site import Site
from failback.targets.local.state import ReplicaRecord, RevisionRecord

_DIFF_FILE_BYTES_MAX = 256 * 1024
_DIFF_CHARS_MAX = 200_000
_PROBES_MAX = 60


def evidence(site: Site, revision: str | None) -> Evidence:
    """Of the named revision; of the stable one where none is named."""
    state = site.state()
    stable = state.revision(state.stable)
    record = state.revision(revision) if revision else stable
    if record is None:
        return Evidence(target="local", service=site.layout.service)
    baseline = stable if stable is not None and stable.id != record.id else None
    lives = {replica.name: site.files(replica).life() for replica in record.replicas}
    ends = [life for entries in lives.values() for life in entries if life.event == "exited"]
    return Evidence(
        target="local",
        service=site.layout.service,
        exit_code=next((life.code for life in ends if life.code), None),
        logs={f"{replica.name}/app": _logs(site, replica) for replica in record.replicas},
        log_baseline={f"{replica.name}/app": _logs(site, replica) for replica in baseline.replicas} if baseline else {},
        change=site.redactor.redact(_change(site, baseline, record)) if baseline else "",
        replicas=tuple(_replica(site, record, replica, lives[replica.name]) for replica in record.replicas),
        probes=tuple(probe for name in lives for probe in site.probes.get(name, [])[-_PROBES_MAX:]),
        release_files=tuple(sorted(own_files(site.releases.path(record.digest)))[:FILES_MAX]),
    )


def _logs(site: Site, replica: ReplicaRecord) -> LogPair:
    files = site.files(replica)
    return LogPair(current=site.log_text(files.log), previous=site.log_text(files.previous_log))


def _replica(site: Site, record: RevisionRecord, replica: ReplicaRecord, life: Sequence[Life]) -> ReplicaEvidence:
    ends = [entry for entry in life if entry.event == "exited"]
    last = ends[-1] if ends else None
    samples = next((entry.samples for entry in reversed(life) if entry.samples), ())
    spec = site.files(replica).spec() if (site.files(replica).folder / "spec.json").exists() else None
    return ReplicaEvidence(
        name=replica.name,
        exit_code=last.code if last else None,
        signal=last.signal if last else None,
        oom_killed=any(entry.oom_killed for entry in life),
        lived_s=last.lived_s if last else None,
        restarts=len(ends),
        memory_limit_bytes=spec.memory_bytes if spec else None,
        memory_samples=tuple(MemorySample(at, used) for at, used in samples),
    )


def _change(site: Site, old: RevisionRecord, new: RevisionRecord) -> str:
    """What differs between two revisions, as a unified diff: settings first, then the releases' own text files."""
    return difference_of(
        settings_of(old.shape, old.secrets),
        settings_of(new.shape, new.secrets),
        site.releases.path(old.digest),
        site.releases.path(new.digest),
        own_files(site.releases.path(new.digest)),
    )


def difference_to(shape: Mapping[str, Any], old: Sequence[str], new: Sequence[str], old_folder: Path) -> str:
    """The same to a folder that is not released yet: what the release leaves out is no part of it."""
    source = Path(shape["path"])
    coming = to_be_released(source, *left_out(shape))
    return difference_of(old, new, old_folder, source, coming)


def difference_of(
    old: Sequence[str], new: Sequence[str], old_folder: Path, new_folder: Path, new_files: Iterable[str]
) -> str:
    """The unified diff of two sets of settings and two folders, bounded. `new_files`: those of the new one."""
    parts = list(difflib.unified_diff(old, new, "a/release settings", "b/release settings", lineterm="", n=1))
    there = set(new_files)
    for name in sorted(set(own_files(old_folder)) | there):
        if sum(map(len, parts)) > _DIFF_CHARS_MAX:
            parts.append("[... the rest of the diff is left out ...]")
            break
        before, after = _lines(old_folder / name), _lines(new_folder / name) if name in there else None
        if before != after:
            parts += difflib.unified_diff(
                before or [],
                after or [],
                f"a/{name}" if before is not None else "/dev/null",
                f"b/{name}" if after is not None else "/dev/null",
                lineterm="",
                n=2,
            )
    return "\n".join(parts) + ("\n" if parts else "")


def settings_of(shape: Mapping[str, Any], secrets: Sequence[str]) -> list[str]:
    """The release's settings as lines; a secret is there by its name alone."""
    resources = shape.get("resources") or {}
    lines = [f"start: {' '.join(shape.get('start') or ())}", f"replicas: {shape.get('replicas', 2)}"]
    lines += [f"resources.{name}: {value}" for name, value in sorted(resources.items()) if value]
    env = {**(shape.get("env") or {}), **dict.fromkeys(secrets, "***")}
    return lines + [f"env.{name}: {value}" for name, value in sorted(env.items())]


def _lines(path: Path) -> list[str] | None:
    """The lines of a small text file; none of a binary or large one, None where there is no file."""
    try:
        if path.is_symlink():
            return [f"link to {path.readlink()}"]
        if path.stat().st_size > _DIFF_FILE_BYTES_MAX:
            return [f"({path.stat().st_size} bytes)"]
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    if b"\0" in raw:
        return [f"(binary, {len(raw)} bytes)"]
    lines = raw.decode("utf-8", "replace").splitlines()
    # Of a package's metadata only its name and version say what changed.
    if path.name == "METADATA":
        return [line for line in lines[:40] if line.startswith(("Name:", "Version:", "Requires-Dist:"))]
    return lines


def preflight(site: Site, release: ReleaseSpec) -> list[Finding]:
    """What can be known before the first mutation."""
    if release.from_revision is not None:
        return []
    shape = release.shape
    source = Path(shape["path"])
    if not source.is_dir():
        return [
            Finding("error", "release.path", f"{source} is not there yet", "A Build step can make it.", blocking=False)
        ]
    findings = self_contained(source, Path(shape["plan_folder"]), *left_out(shape))
    findings += _start(shape, source)
    findings += _listen(site)
    findings += _room(site, source)
    findings += _memory(shape)
    return findings


def _start(shape: Mapping[str, Any], source: Path) -> Iterator[Finding]:
    word = str(shape["start"][0])
    found = (source / word).exists() if "/" in word and not word.startswith("/") else shutil.which(word)
    if not found:
        yield Finding(
            "error",
            "release.start",
            f"the command {word!r} is neither in the release nor on PATH",
            "Correct `start`, or install it on this machine.",
            blocking=True,
        )


def _listen(site: Site) -> Iterator[Finding]:
    state = site.state()
    host, port = split_listen(site.listen)
    ours = state.stable is not None and state.listen == site.listen
    if not ours and not is_free(port, host):
        yield Finding(
            "error",
            "target.listen",
            f"{site.listen} is in use by another program",
            "Choose another address, or end what listens there.",
            blocking=True,
        )


def _room(site: Site, source: Path) -> Iterator[Finding]:
    needed = sum(path.stat().st_size for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    folder = next(path for path in (site.layout.folder, *site.layout.folder.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < needed * 1.1:
        yield Finding(
            "error",
            "disk",
            f"the release needs {needed / 2**20:.0f} MiB, and {folder} has {free / 2**20:.0f} MiB free",
            "Free some space, or name another --home.",
            blocking=True,
        )


def _memory(shape: Mapping[str, Any]) -> Iterator[Finding]:
    text = (shape.get("resources") or {}).get("memory")
    if text is None:
        yield Finding(
            "info", "release.resources.memory", "no limit: a leak would be seen only when the machine is out of memory"
        )
        return
    from failback.model.plan_types import memory_bytes

    wanted = memory_bytes(text) * int(shape.get("replicas", 2))
    total = psutil.virtual_memory().total
    if wanted > total:
        yield Finding(
            "warning",
            "release.resources.memory",
            f"all replicas together may use {wanted / 2**30:.1f} GiB of {total / 2**30:.1f}",
        )
