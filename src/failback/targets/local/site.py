"""The parts of one service on this machine, and what several modules ask of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from failback.model.evidence import ProbeResult
from failback.model.redaction import Redactor
from failback.targets.local.layout import Layout
from failback.targets.local.probing import ready_check
from failback.targets.local.proxy import Proxy
from failback.targets.local.releases import ReleaseStore
from failback.targets.local.replica import ReplicaFiles
from failback.targets.local.state import LocalState, ReplicaRecord, RevisionRecord, StateFile
from failback.targets.local.supervision import Supervision

_READY_AGAIN_S = 0.02
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)?|[ -/]*[0-~])?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
_TAIL_BYTES = 512 * 1024
_HEAD_BYTES = 64 * 1024


@dataclass(slots=True)
class Site:
    """Everything of one service here. `probes` are what this process itself has asked the replicas."""

    layout: Layout
    key_file: Path
    listen: str
    redactor: Redactor
    states: StateFile
    proxy: Proxy
    supervision: Supervision
    releases: ReleaseStore
    probes: dict[str, list[ProbeResult]] = field(default_factory=dict)

    @classmethod
    def open(cls, layout: Layout, key_file: Path, listen: str, redactor: Redactor) -> Site:
        return cls(
            layout=layout,
            key_file=key_file,
            listen=listen,
            redactor=redactor,
            states=StateFile(layout.state_file, layout.service, listen),
            proxy=Proxy(layout.proxy, layout.run_dir, layout.tag, listen),
            supervision=Supervision(layout.supervisor, layout.run_dir),
            releases=ReleaseStore(layout.releases, layout.shared),
        )

    def state(self) -> LocalState:
        return self.states.read()

    def files(self, replica: ReplicaRecord) -> ReplicaFiles:
        return self.layout.replica(replica.name)

    def alive(self, revision: RevisionRecord) -> list[ReplicaRecord]:
        """The replicas whose process lives now."""
        return [replica for replica in revision.replicas if self.files(replica).alive() is not None]

    def restarts(self, revision: RevisionRecord) -> int:
        """Ends of processes since the revision's launch."""
        return sum(1 for replica in revision.replicas for life in self.files(replica).life() if life.event == "exited")

    async def in_supervisor(self, method: Any, *arguments: Any, **named: Any) -> Any:
        """Its calls block; the loop goes on meanwhile."""
        return await asyncio.to_thread(method, *arguments, **named)

    async def all_ready(self, revision: RevisionRecord, timeout_s_max: float) -> list[ProbeResult]:
        """Asks every replica until it answers well, or the time is over; the last answers, in the replicas' order."""

        async def one(replica: ReplicaRecord) -> ProbeResult:
            async def until_good() -> ProbeResult:
                while True:
                    answer = await ready_check(replica.name, replica.port, revision.checks["ready"])
                    if answer.passed:
                        return answer
                    last[replica.name] = answer
                    await asyncio.sleep(_READY_AGAIN_S)

            try:
                return await asyncio.wait_for(until_good(), timeout_s_max)
            except TimeoutError:
                return last.get(replica.name) or await ready_check(replica.name, replica.port, revision.checks["ready"])

        last: dict[str, ProbeResult] = {}
        return list(await asyncio.gather(*(one(replica) for replica in revision.replicas)))

    def log_bytes(self, path: Path) -> bytes:
        """The end of a log, as it is."""
        try:
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 4 * _TAIL_BYTES))
                return file.read()
        except FileNotFoundError:
            return b""

    def log_text(self, path: Path) -> str:
        """A log with a bound: its head and its tail, masked (by the launcher already; by the patterns once more)."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(0)
                if size <= _HEAD_BYTES + _TAIL_BYTES:
                    raw = file.read()
                else:
                    head = file.read(_HEAD_BYTES)
                    file.seek(size - _TAIL_BYTES)
                    left_out = size - _HEAD_BYTES - _TAIL_BYTES
                    raw = head + b"\n[... %d bytes left out ...]\n" % left_out + file.read()
        except FileNotFoundError:
            return ""
        # Without the escapes that would move the cursor or set the title of a terminal on which it is shown.
        return self.redactor.redact(_ESCAPES.sub("", raw.decode("utf-8", "replace")))


def ports_of(revision: RevisionRecord) -> list[int]:
    return [replica.port for replica in revision.replicas]


def replicas_wanted(shape: Mapping[str, Any]) -> int:
    return int(shape.get("replicas", 2))
